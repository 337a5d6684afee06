use core::str;

use super::{DICTIONARY_ALIGNMENT, GvariantError, Layout, offset_size};

/// Splits a tuple into its members.
pub(crate) fn tuple<const N: usize>(
    bytes: &[u8],
    layouts: [Layout; N],
) -> Result<[&[u8]; N], GvariantError> {
    let before_last = layouts.get(..N.saturating_sub(1)).unwrap_or_default();
    let framed = before_last.iter().filter(|layout| layout.is_variable()).count();
    let (body, table) = split_tuple(bytes, framed)?;
    let mut ends = (0..framed).rev();
    let mut members = Members { body, position: 0 };
    let mut values: [&[u8]; N] = [&[]; N];
    for (index, (value, layout)) in values.iter_mut().zip(layouts).enumerate() {
        let start = members.start(layout.alignment())?;
        let end = match layout {
            Layout::Fixed(size) => start.checked_add(size).ok_or(GvariantError::Size)?,
            Layout::Variable(_) if index + 1 == N => body.len(),
            Layout::Variable(_) => table.get(ends.next().ok_or(GvariantError::Table)?)?,
        };
        *value = members.take(start, end)?;
    }
    members.require_end()?;
    Ok(values)
}

/// The elements of an array whose elements have no fixed size, and begin at multiples of `alignment`.
pub(crate) fn array(bytes: &[u8], alignment: usize) -> Result<Array<'_>, GvariantError> {
    let (body, table) = split_array(bytes)?;
    let members = Members { body, position: 0 };
    Ok(Array { members, table, alignment, next: 0 })
}

/// Elements of an array, from first to last.
#[derive(Clone, Debug)]
pub(crate) struct Array<'a> {
    members: Members<'a>,
    table: Table<'a>,
    alignment: usize,
    next: usize,
}

impl<'a> Iterator for Array<'a> {
    type Item = Result<&'a [u8], GvariantError>;

    /// After an error, nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.table.len() {
            return None;
        }
        let element = self.element();
        self.next = if element.is_ok() { self.next + 1 } else { self.table.len() };
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.table.len() - self.next))
    }
}

impl<'a> Array<'a> {
    fn element(&mut self) -> Result<&'a [u8], GvariantError> {
        let start = self.members.start(self.alignment)?;
        self.members.take(start, self.table.get(self.next)?)
    }
}

/// A dictionary of variants, `a{sv}`, each key once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dictionary<'a>(Vec<Item<'a>>);

/// Something in a dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    pub(crate) key: &'a str,
    /// Type of the value, as a type string.
    pub(crate) kind: &'a str,
    pub(crate) value: &'a [u8],
}

pub(crate) fn dictionary(bytes: &[u8]) -> Result<Dictionary<'_>, GvariantError> {
    let items = array(bytes, DICTIONARY_ALIGNMENT)?.map(|entry| {
        let [key, variant] = tuple(entry?, [super::BYTES, super::DICTIONARY])?;
        let (value, kind) = split_variant(variant)?;
        Ok(Item { key: string(key)?, kind, value })
    });
    let items = items.collect::<Result<Vec<_>, GvariantError>>()?;
    let mut keys: Vec<&str> = items.iter().map(|item| item.key).collect();
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(GvariantError::Key);
    }
    Ok(Dictionary(items))
}

impl<'a> Dictionary<'a> {
    /// The value of a key, if it is there. One of another type than this is an error: it would be
    /// overlooked.
    pub(crate) fn get(&self, key: &str, kind: &str) -> Result<Option<&'a [u8]>, GvariantError> {
        match self.0.iter().find(|item| item.key == key) {
            Some(item) if item.kind != kind => Err(GvariantError::Kind),
            found => Ok(found.map(|item| item.value)),
        }
    }

    /// Everything, in the order in which it is there.
    pub(crate) fn items(&self) -> &[Item<'a>] {
        &self.0
    }
}

/// A string, without the NUL that ends it.
pub(crate) fn string(bytes: &[u8]) -> Result<&str, GvariantError> {
    match bytes.split_last() {
        Some((0, text)) if !text.contains(&0) => {
            str::from_utf8(text).map_err(|_| GvariantError::String)
        }
        _ => Err(GvariantError::String),
    }
}

/// A number that OSTree has in big-endian order.
pub(crate) fn u32_be(bytes: &[u8]) -> Result<u32, GvariantError> {
    bytes.try_into().map(u32::from_be_bytes).map_err(|_| GvariantError::Size)
}

/// A number that OSTree has in big-endian order.
pub(crate) fn u64_be(bytes: &[u8]) -> Result<u64, GvariantError> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| GvariantError::Size)
}

/// A variant's value and its type.
fn split_variant(bytes: &[u8]) -> Result<(&[u8], &str), GvariantError> {
    let separator = bytes.iter().rposition(|byte| *byte == 0).ok_or(GvariantError::Variant)?;
    let (value, kind) = bytes.split_at(separator);
    let kind = kind.get(1..).unwrap_or_default();
    match str::from_utf8(kind) {
        Ok(kind) if !kind.is_empty() => Ok((value, kind)),
        _ => Err(GvariantError::Variant),
    }
}

/// The part of a container that holds its members, and what was read of it.
#[derive(Clone, Debug)]
struct Members<'a> {
    body: &'a [u8],
    position: usize,
}

impl<'a> Members<'a> {
    /// Where the next member begins.
    fn start(&self, alignment: usize) -> Result<usize, GvariantError> {
        let start = self.position.checked_next_multiple_of(alignment).ok_or(GvariantError::Size)?;
        let padding = self.body.get(self.position..start).ok_or(GvariantError::Size)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(GvariantError::Padding);
        }
        Ok(start)
    }

    fn take(&mut self, start: usize, end: usize) -> Result<&'a [u8], GvariantError> {
        let member = self.body.get(start..end).ok_or(GvariantError::Size)?;
        self.position = end;
        Ok(member)
    }

    fn require_end(&self) -> Result<(), GvariantError> {
        if self.position == self.body.len() { Ok(()) } else { Err(GvariantError::Size) }
    }
}

/// Ends of members, each a little-endian number of `size` bytes.
#[derive(Clone, Copy, Debug)]
struct Table<'a> {
    bytes: &'a [u8],
    size: usize,
}

impl Table<'_> {
    const fn len(&self) -> usize {
        match self.bytes.len().checked_div(self.size) {
            Some(count) => count,
            None => 0,
        }
    }

    fn get(&self, index: usize) -> Result<usize, GvariantError> {
        let start = index.checked_mul(self.size).ok_or(GvariantError::Table)?;
        let bytes = self.bytes.get(start..).and_then(|rest| rest.get(..self.size));
        number(bytes.ok_or(GvariantError::Table)?)
    }
}

/// A little-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> Result<usize, GvariantError> {
    let mut word = [0; 8];
    word.get_mut(..bytes.len()).ok_or(GvariantError::Table)?.copy_from_slice(bytes);
    usize::try_from(u64::from_le_bytes(word)).map_err(|_| GvariantError::Table)
}

/// The bytes of a number in the table of a container that is so long.
fn offset_size_of_container(length: usize) -> usize {
    offset_size(length, 0)
}

fn split_tuple(bytes: &[u8], framed: usize) -> Result<(&[u8], Table<'_>), GvariantError> {
    if framed == 0 {
        return Ok((bytes, Table { bytes: &[], size: 1 }));
    }
    let size = offset_size_of_container(bytes.len());
    let end = bytes.len().checked_sub(framed * size).ok_or(GvariantError::Size)?;
    split_at(bytes, end, size)
}

fn split_array(bytes: &[u8]) -> Result<(&[u8], Table<'_>), GvariantError> {
    if bytes.is_empty() {
        return Ok((bytes, Table { bytes, size: 1 }));
    }
    let size = offset_size_of_container(bytes.len());
    let last = bytes.len().checked_sub(size).ok_or(GvariantError::Size)?;
    let end = number(bytes.get(last..).unwrap_or_default())?;
    // The last element ends where the table begins, and the table has a number at least.
    if end > last || !(bytes.len() - end).is_multiple_of(size) {
        return Err(GvariantError::Table);
    }
    split_at(bytes, end, size)
}

/// Splits a container where its table begins, whose numbers have `size` bytes. Another size of numbers
/// would have made the same container shorter: then this is not the normal form.
fn split_at(bytes: &[u8], end: usize, size: usize) -> Result<(&[u8], Table<'_>), GvariantError> {
    let (body, table) = bytes.split_at_checked(end).ok_or(GvariantError::Table)?;
    let table = Table { bytes: table, size };
    if offset_size(body.len(), table.len()) != size {
        return Err(GvariantError::Table);
    }
    Ok((body, table))
}
