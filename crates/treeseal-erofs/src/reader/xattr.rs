use core::cmp::Ordering;

use super::bytes::{Fields, is_zero, length};
use super::{ImageError, Inode, XattrProblem, limits};
use crate::format::{XATTR_FILTER_SEED, XATTR_HEADER, XATTR_PREFIX_LUSTRE, XATTR_PREFIXES};
use crate::xxh32::xxh32;

/// The name of an attribute in two pieces, as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct XattrName<'a> {
    /// The part that an index stands for; empty for names that have none.
    pub prefix: &'static [u8],
    /// The rest.
    pub suffix: &'a [u8],
}

impl<'a> XattrName<'a> {
    /// The name in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        [self.prefix, self.suffix].concat()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    /// Whether the name is empty, which no attribute's is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the name.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.prefix);
        out.extend_from_slice(self.suffix);
    }

    /// What follows `start`, which goes at least as far as the prefix.
    pub(super) fn strip(&self, start: &[u8]) -> Option<&'a [u8]> {
        self.suffix.strip_prefix(start.strip_prefix(self.prefix)?)
    }

    /// Whether this is the name `other`.
    pub(super) fn is(&self, other: &[u8]) -> bool {
        other.strip_prefix(self.prefix) == Some(self.suffix)
    }
}

impl PartialEq for XattrName<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for XattrName<'_> {}

impl PartialOrd for XattrName<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for XattrName<'_> {
    /// The byte order of the whole names, however they are cut.
    fn cmp(&self, other: &Self) -> Ordering {
        if self.prefix == other.prefix {
            return self.suffix.cmp(other.suffix);
        }
        let bytes = |name: &Self| name.prefix.iter().chain(name.suffix).copied();
        bytes(self).cmp(bytes(other))
    }
}

/// An attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xattr<'a> {
    /// The full name.
    pub name: XattrName<'a>,
    /// The value.
    pub value: &'a [u8],
}

/// The attributes of an inode: well formed, and no name twice.
#[derive(Clone, Debug, Default)]
pub struct Xattrs {
    /// The inode's area, and behind it the shared attributes that it refers to.
    bytes: Vec<u8>,
    own: Vec<Place>,
    shared: Vec<Place>,
    /// End of the last shared attribute, as an offset in the image.
    shared_end: Option<u64>,
}

/// Where an attribute is among the bytes; its value follows its name.
#[derive(Clone, Copy, Debug)]
struct Place {
    prefix: &'static [u8],
    suffix: usize,
    value: usize,
    end: usize,
}

impl Inode<'_> {
    /// The attributes, as they are stored: those of overlayfs among them.
    pub fn xattrs(&self) -> Result<Xattrs, ImageError> {
        let mut xattrs = Xattrs::default();
        xattrs.read(self)?;
        Ok(xattrs)
    }

    pub(super) fn xattr_error(&self, problem: XattrProblem) -> ImageError {
        ImageError::Xattrs { nid: self.nid(), path: Vec::new(), problem }
    }
}

impl Xattrs {
    /// Every attribute: first the inode's own, then the shared ones, both in byte order of their
    /// names.
    pub fn iter(&self) -> impl Iterator<Item = Xattr<'_>> + Clone {
        self.own.iter().chain(&self.shared).map(|place| place.xattr(&self.bytes))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.shared.is_empty()
    }

    /// End of the last shared attribute that is referred to, as an offset in the image.
    pub(super) fn shared_end(&self) -> Option<u64> {
        self.shared_end
    }

    /// Replaces the attributes by those of an inode.
    pub(super) fn read(&mut self, inode: &Inode<'_>) -> Result<(), ImageError> {
        self.bytes.clear();
        self.own.clear();
        self.shared.clear();
        self.shared_end = None;
        if inode.xattr_size == 0 {
            return Ok(());
        }
        inode.image.bytes.append(inode.xattr_offset(), inode.xattr_size, &mut self.bytes)?;
        let malformed = |problem| inode.xattr_error(problem);
        let header = Header::parse(&self.bytes).map_err(malformed)?;
        let mut sum = Sum::new();
        self.parse_own(header.own_start, &mut sum).map_err(malformed)?;
        for number in 0..header.shared_count {
            let (start, offset) = self.read_shared(inode, number)?;
            self.parse_shared(start, offset, &mut sum).map_err(malformed)?;
        }
        sum.check_filter(header.filter).and_then(|()| self.check_distinct()).map_err(malformed)
    }

    fn parse_own(&mut self, start: usize, sum: &mut Sum) -> Result<(), XattrProblem> {
        let mut next = start;
        while next < self.bytes.len() {
            let offset = u64::try_from(next).unwrap_or(u64::MAX);
            let stored = Stored::parse(&self.bytes, next).map_err(|problem| problem.at(offset))?;
            self.own.push(sum.add(&stored, &self.bytes, self.own.last())?);
            next = stored.end;
        }
        Ok(())
    }

    /// Appends the shared attribute that the inode names at a place in its list, as far as the image
    /// has it. Gives where it begins among the bytes and in the image.
    fn read_shared(
        &mut self,
        inode: &Inode<'_>,
        number: usize,
    ) -> Result<(usize, u64), ImageError> {
        let (image, start) = (&inode.image, self.bytes.len());
        let address = self.bytes.get(Header::SIZE + 4 * number..).and_then(<[u8]>::first_chunk);
        let address = u32::from_le_bytes(address.copied().unwrap_or_default());
        let offset = image.xattr_base.saturating_add(4 * u64::from(address));
        let mut header = [0; 4];
        let header = image.bytes.copy(offset, &mut header)?.first_chunk().copied();
        let size = header.map_or(0, |header| Stored::size(header).next_multiple_of(4));
        image.bytes.append(offset, u64::from(size), &mut self.bytes)?;
        Ok((start, offset))
    }

    fn parse_shared(
        &mut self,
        start: usize,
        offset: u64,
        sum: &mut Sum,
    ) -> Result<(), XattrProblem> {
        let stored = Stored::parse(&self.bytes, start).map_err(|problem| problem.at(offset))?;
        self.shared.push(sum.add(&stored, &self.bytes, self.shared.last())?);
        let end = offset + length(self.bytes.get(start..).unwrap_or_default());
        self.shared_end = self.shared_end.max(Some(end));
        Ok(())
    }

    /// Both lists ascend, so a name in both is met when they are merged.
    fn check_distinct(&self) -> Result<(), XattrProblem> {
        let xattr = |place: &Place| place.xattr(&self.bytes);
        let (mut own, mut shared) =
            (self.own.iter().map(xattr).peekable(), self.shared.iter().map(xattr).peekable());
        while let (Some(a), Some(b)) = (own.peek(), shared.peek()) {
            match a.name.cmp(&b.name) {
                Ordering::Less => own.next(),
                Ordering::Greater => shared.next(),
                Ordering::Equal => return Err(XattrProblem::Order { found: a.name.to_vec() }),
            };
        }
        Ok(())
    }
}

impl Place {
    fn xattr<'b>(&self, bytes: &'b [u8]) -> Xattr<'b> {
        let part = |start, end| bytes.get(start..end).unwrap_or_default();
        let name = XattrName { prefix: self.prefix, suffix: part(self.suffix, self.value) };
        Xattr { name, value: part(self.value, self.end) }
    }
}

/// The header of an inode's area.
struct Header {
    filter: u32,
    shared_count: usize,
    /// Where the addresses of shared attributes end and the inode's own attributes begin.
    own_start: usize,
}

impl Header {
    const SIZE: usize = 12;

    fn parse(area: &[u8]) -> Result<Self, XattrProblem> {
        let outside = XattrProblem::Bounds { offset: 0 };
        let mut fields = Fields(area);
        let filter = fields.u32().ok_or(outside.clone())?;
        let shared_count = fields.u8().ok_or(outside.clone())?.into();
        if fields.take::<7>() != Some(&[0; 7]) {
            return Err(XattrProblem::Reserved);
        }
        let own_start = Self::SIZE + 4 * shared_count;
        if own_start > area.len() {
            return Err(outside);
        }
        Ok(Self { filter, shared_count, own_start })
    }
}

/// What is checked over all attributes of an inode.
struct Sum {
    filter: u32,
    total: u64,
}

impl Sum {
    fn new() -> Self {
        Self { filter: u32::MAX, total: XATTR_HEADER }
    }

    /// Checks an attribute that follows another in the same list.
    fn add(
        &mut self,
        stored: &Stored,
        bytes: &[u8],
        previous: Option<&Place>,
    ) -> Result<Place, XattrProblem> {
        let place = stored.place(bytes)?;
        let Xattr { name, value } = place.xattr(bytes);
        if previous.is_some_and(|previous| previous.xattr(bytes).name >= name) {
            return Err(XattrProblem::Order { found: name.to_vec() });
        }
        self.total += 7 + length(name.prefix) + length(name.suffix) + length(value);
        if self.total > limits::XATTR_TOTAL {
            return Err(XattrProblem::Total { found: self.total });
        }
        let seed = XATTR_FILTER_SEED.wrapping_add(u32::from(stored.index));
        self.filter &= !(1 << (xxh32(name.suffix, seed) % 32));
        Ok(place)
    }

    fn check_filter(&self, found: u32) -> Result<(), XattrProblem> {
        if self.filter == found {
            return Ok(());
        }
        Err(XattrProblem::Filter { expected: self.filter, found })
    }
}

/// An attribute as it is stored: where its parts are among bytes.
struct Stored {
    index: u8,
    suffix: usize,
    value: usize,
    value_end: usize,
    /// Behind what fills it up to four.
    end: usize,
}

impl Stored {
    /// Size of an attribute with this header, without what fills it up.
    fn size([suffix, _, low, high]: [u8; 4]) -> u32 {
        4 + u32::from(suffix) + u32::from(u16::from_le_bytes([low, high]))
    }

    /// The attribute at `start`.
    fn parse(bytes: &[u8], start: usize) -> Result<Self, XattrProblem> {
        let outside = XattrProblem::Bounds { offset: 0 };
        let rest = bytes.get(start..).unwrap_or_default();
        let [suffix_length, index, low, high] = *rest.first_chunk::<4>().ok_or(outside.clone())?;
        let suffix = start + 4;
        let value = suffix + usize::from(suffix_length);
        let value_end = value + usize::from(u16::from_le_bytes([low, high]));
        // An inode and its attributes are aligned to four, and so is `start`.
        let end = value_end.next_multiple_of(4);
        if !is_zero(bytes.get(value_end..end).ok_or(outside)?) {
            return Err(XattrProblem::Reserved);
        }
        Ok(Self { index, suffix, value, value_end, end })
    }

    fn place(&self, bytes: &[u8]) -> Result<Place, XattrProblem> {
        let prefix = prefix_of(self.index).ok_or(XattrProblem::Prefix { found: self.index })?;
        let (suffix, value, end) = (self.suffix, self.value, self.value_end);
        let place = Place { prefix, suffix, value, end };
        let name = place.xattr(bytes).name;
        // The kernel would not find a name that is stored in full though its prefix has an index.
        // For `lustre.` the reference's writer has none.
        let has_index = || XATTR_PREFIXES.iter().any(|(_, other)| name.suffix.starts_with(other));
        if name.is_empty() || name.suffix.contains(&0) || (self.index == 0 && has_index()) {
            return Err(XattrProblem::Name { found: name.to_vec() });
        }
        Ok(place)
    }
}

fn prefix_of(index: u8) -> Option<&'static [u8]> {
    if index == 0 {
        return Some(b"");
    }
    let mut prefixes = XATTR_PREFIXES.iter().chain([&XATTR_PREFIX_LUSTRE]);
    prefixes.find(|(known, _)| *known == index).map(|(_, prefix)| *prefix)
}

impl XattrProblem {
    fn at(self, offset: u64) -> Self {
        match self {
            Self::Bounds { .. } => Self::Bounds { offset },
            other => other,
        }
    }
}
