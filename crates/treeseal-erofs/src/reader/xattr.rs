use core::cmp::Ordering;

use super::bytes::{Fields, is_zero, length};
use super::{Image, ImageError, Inode, XattrProblem, limits};
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
#[derive(Clone, Copy)]
pub struct Xattrs<'a> {
    image: Image<'a>,
    inline: &'a [u8],
    /// Addresses of the shared ones.
    shared: &'a [[u8; 4]],
}

impl<'a> Inode<'a> {
    /// The attributes, as they are stored: those of overlayfs among them.
    pub fn xattrs(&self) -> Result<Xattrs<'a>, ImageError> {
        Xattrs::parse(self).map_err(|problem| ImageError::Xattrs {
            nid: self.nid(),
            path: Vec::new(),
            problem,
        })
    }
}

impl<'a> Xattrs<'a> {
    /// Every attribute: first the inode's own, then the shared ones, both in byte order of their
    /// names.
    pub fn iter(&self) -> impl Iterator<Item = Xattr<'a>> + Clone + use<'a> {
        self.own().chain(self.shared())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.inline.is_empty() && self.shared.is_empty()
    }

    /// End of the last shared attribute that is referred to, as an offset in the image.
    pub(super) fn shared_end(&self) -> Option<u64> {
        let end = |address: &[u8; 4]| {
            let offset = shared_offset(&self.image, *address)?;
            let entry = stored_at(&self.image, offset).ok()?;
            Some(offset + entry.size)
        };
        self.shared.iter().filter_map(end).max()
    }

    fn own(&self) -> impl Iterator<Item = Xattr<'a>> + Clone + use<'a> {
        let mut rest = self.inline;
        // All of this has been parsed before, so nothing ends early.
        core::iter::from_fn(move || {
            let entry = Stored::parse(rest).ok()?;
            rest = rest.get(usize::try_from(entry.size).ok()?..)?;
            entry.to_xattr().ok()
        })
    }

    fn shared(&self) -> impl Iterator<Item = Xattr<'a>> + Clone + use<'a> {
        let image = self.image;
        self.shared.iter().map_while(move |address| {
            stored_at(&image, shared_offset(&image, *address)?).ok()?.to_xattr().ok()
        })
    }

    fn parse(inode: &Inode<'a>) -> Result<Self, XattrProblem> {
        let image = inode.image;
        if inode.xattr_size == 0 {
            return Ok(Self { image, inline: &[], shared: &[] });
        }
        let outside = XattrProblem::Bounds { offset: 0 };
        let area = image.bytes.range(inode.offset() + inode.fixed_size(), inode.xattr_size);
        let mut fields = Fields(area.ok_or(outside.clone())?);
        let filter = fields.u32().ok_or(outside.clone())?;
        let shared_count = fields.u8().ok_or(outside.clone())?;
        if fields.take::<7>() != Some(&[0; 7]) {
            return Err(XattrProblem::Reserved);
        }
        let shared_size = 4 * usize::from(shared_count);
        let (shared, inline) = fields.0.split_at_checked(shared_size).ok_or(outside)?;
        let xattrs = Self { image, inline, shared: shared.as_chunks().0 };
        xattrs.check(filter)?;
        Ok(xattrs)
    }

    fn check(&self, filter: u32) -> Result<(), XattrProblem> {
        let mut sum = Sum { filter: u32::MAX, total: XATTR_HEADER, previous: None };
        let mut rest = self.inline;
        while !rest.is_empty() {
            let offset = XATTR_HEADER + length(self.shared.as_flattened()) + length(self.inline)
                - length(rest);
            let entry = Stored::parse(rest).map_err(|problem| problem.at(offset))?;
            rest =
                usize::try_from(entry.size).ok().and_then(|size| rest.get(size..)).unwrap_or(&[]);
            sum.add(&entry)?;
        }
        sum.previous = None;
        for address in self.shared {
            let offset = shared_offset(&self.image, *address);
            let offset = offset.ok_or(XattrProblem::Bounds { offset: u64::MAX })?;
            let entry = stored_at(&self.image, offset).map_err(|problem| problem.at(offset))?;
            sum.add(&entry)?;
        }
        if sum.filter != filter {
            return Err(XattrProblem::Filter { expected: sum.filter, found: filter });
        }
        self.check_distinct()
    }

    /// Both lists ascend, so a name in both is met when they are merged.
    fn check_distinct(&self) -> Result<(), XattrProblem> {
        if self.inline.is_empty() || self.shared.is_empty() {
            return Ok(());
        }
        let (mut own, mut shared) = (self.own().peekable(), self.shared().peekable());
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

/// What is checked over all attributes of an inode.
struct Sum<'a> {
    filter: u32,
    total: u64,
    previous: Option<XattrName<'a>>,
}

impl<'a> Sum<'a> {
    fn add(&mut self, entry: &Stored<'a>) -> Result<(), XattrProblem> {
        let name = entry.to_xattr()?.name;
        if self.previous.is_some_and(|previous| previous >= name) {
            return Err(XattrProblem::Order { found: name.to_vec() });
        }
        self.previous = Some(name);
        self.total += 7 + length(name.prefix) + length(name.suffix) + length(entry.value);
        if self.total > limits::XATTR_TOTAL {
            return Err(XattrProblem::Total { found: self.total });
        }
        let seed = XATTR_FILTER_SEED.wrapping_add(u32::from(entry.index));
        self.filter &= !(1 << (xxh32(entry.suffix, seed) % 32));
        Ok(())
    }
}

/// An attribute as it is stored.
#[derive(Clone, Copy)]
struct Stored<'a> {
    index: u8,
    suffix: &'a [u8],
    value: &'a [u8],
    /// Bytes that it takes up, with what fills it up to four.
    size: u64,
}

impl<'a> Stored<'a> {
    /// The attribute at the start of `bytes`.
    fn parse(bytes: &'a [u8]) -> Result<Self, XattrProblem> {
        let outside = XattrProblem::Bounds { offset: 0 };
        let (header, rest) = bytes.split_first_chunk::<4>().ok_or(outside.clone())?;
        let [suffix_length, index, low, high] = *header;
        let suffix = rest.split_at_checked(usize::from(suffix_length));
        let (suffix, rest) = suffix.ok_or(outside.clone())?;
        let value = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])));
        let (value, rest) = value.ok_or(outside.clone())?;
        let used = 4 + length(suffix) + length(value);
        let size = used.next_multiple_of(4);
        let padding = usize::try_from(size - used).ok().and_then(|padding| rest.get(..padding));
        if !is_zero(padding.ok_or(outside)?) {
            return Err(XattrProblem::Reserved);
        }
        Ok(Self { index, suffix, value, size })
    }

    fn to_xattr(self) -> Result<Xattr<'a>, XattrProblem> {
        let prefix = prefix_of(self.index).ok_or(XattrProblem::Prefix { found: self.index })?;
        let name = XattrName { prefix, suffix: self.suffix };
        // The kernel would not find a name that is stored in full though its prefix has an index.
        // For `lustre.` the reference's writer has none.
        let has_index = || XATTR_PREFIXES.iter().any(|(_, other)| self.suffix.starts_with(other));
        if name.is_empty() || self.suffix.contains(&0) || (self.index == 0 && has_index()) {
            return Err(XattrProblem::Name { found: name.to_vec() });
        }
        Ok(Xattr { name, value: self.value })
    }
}

fn prefix_of(index: u8) -> Option<&'static [u8]> {
    if index == 0 {
        return Some(b"");
    }
    let mut prefixes = XATTR_PREFIXES.iter().chain([&XATTR_PREFIX_LUSTRE]);
    prefixes.find(|(known, _)| *known == index).map(|(_, prefix)| *prefix)
}

fn shared_offset(image: &Image<'_>, address: [u8; 4]) -> Option<u64> {
    image.xattr_base.checked_add(4 * u64::from(u32::from_le_bytes(address)))
}

/// The shared attribute at an offset of the image.
fn stored_at<'a>(image: &Image<'a>, offset: u64) -> Result<Stored<'a>, XattrProblem> {
    let available = image.size().saturating_sub(offset);
    Stored::parse(image.bytes.range(offset, available).unwrap_or_default())
}

impl XattrProblem {
    fn at(self, offset: u64) -> Self {
        match self {
            Self::Bounds { .. } => Self::Bounds { offset },
            other => other,
        }
    }
}
