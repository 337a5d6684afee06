//! Reads of numbers from untrusted bytes: none can leave them.

/// The bytes of an image. A read that would leave them gives `None`.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn len(self) -> u64 {
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn range(self, offset: u64, length: u64) -> Option<&'a [u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = usize::try_from(offset.checked_add(length)?).ok()?;
        self.0.get(start..end)
    }

    pub(super) fn array<const N: usize>(self, offset: u64) -> Option<&'a [u8; N]> {
        self.0.get(usize::try_from(offset).ok()?..)?.first_chunk()
    }

    pub(super) fn u16(self, offset: u64) -> Option<u16> {
        self.array(offset).copied().map(u16::from_le_bytes)
    }
}

/// Takes numbers from the front of a record.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(field)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| *byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().copied().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().copied().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().copied().map(u64::from_le_bytes)
    }
}

/// A length in memory as a number of bytes on disk.
pub(super) fn length(bytes: &[u8]) -> u64 {
    Bytes(bytes).len()
}

/// Whether all bytes are zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    is_filled_with(0, bytes)
}

/// Whether all bytes are `value`.
pub(super) fn is_filled_with(value: u8, bytes: &[u8]) -> bool {
    // Without an early exit inside a chunk, so that the compiler can compare many at once.
    bytes.chunks(64).all(|chunk| chunk.iter().fold(0, |sum, byte| sum | (byte ^ value)) == 0)
}
