//! A run of names that are to be looked at.

/// Names of one directory, each with the type that the listing gave: two bytes of type, one of
/// length, and the name.
#[derive(Debug, Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    count: usize,
}

/// A name out of [`Names`].
pub(super) struct Listed<'a> {
    /// The `S_IFMT` bits of the type; 0 where the filesystem did not say.
    pub(super) type_bits: u16,
    pub(super) name: &'a [u8],
    /// Where the next name is.
    pub(super) next: usize,
}

/// Names that one worker takes at once.
const RUN: usize = 256;

impl Names {
    /// Adds a name; gives the run back when it is long enough. The kernel's names have at most 255
    /// bytes; a longer one is cut, and then not found.
    pub(super) fn push(&mut self, type_bits: u16, name: &[u8]) -> Option<Self> {
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        self.bytes.extend_from_slice(&type_bits.to_le_bytes());
        self.bytes.push(length);
        self.bytes.extend_from_slice(&name[..usize::from(length)]);
        self.count += 1;
        (self.count == RUN).then(|| core::mem::take(self))
    }

    /// The name at a position, of which 0 is the first.
    pub(super) fn at(&self, position: usize) -> Option<Listed<'_>> {
        let (header, rest) = self.bytes.get(position..)?.split_at_checked(3)?;
        let length = usize::from(header[2]);
        Some(Listed {
            type_bits: u16::from_le_bytes([header[0], header[1]]),
            name: rest.get(..length)?,
            next: position + 3 + length,
        })
    }

    /// The names from a position on; `None` when there are none.
    pub(super) fn rest(&self, position: usize) -> Option<Self> {
        let bytes = self.bytes.get(position..).filter(|bytes| !bytes.is_empty())?;
        Some(Self { bytes: bytes.to_vec(), count: 0 })
    }
}
