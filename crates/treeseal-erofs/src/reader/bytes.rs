//! Reads of untrusted bytes: none can leave them.

use super::{ImageError, Pages};

/// The bytes of an image, wherever they are. What a range has beyond their end is left out, so that
/// whoever asked for it finds it too short.
#[derive(Clone, Copy)]
pub(super) enum Bytes<'a> {
    Memory(&'a [u8]),
    Paged(&'a Pages),
}

impl Bytes<'_> {
    pub(super) fn len(self) -> u64 {
        match self {
            Self::Memory(bytes) => length(bytes),
            Self::Paged(pages) => pages.size(),
        }
    }

    /// Fills a buffer from `offset` on, and gives the part that was filled.
    pub(super) fn copy(self, offset: u64, buffer: &mut [u8]) -> Result<&[u8], ImageError> {
        let mut filled = 0;
        self.visit(offset, length(buffer), |piece| {
            let end = filled + piece.len();
            if let Some(part) = buffer.get_mut(filled..end) {
                part.copy_from_slice(piece);
                filled = end;
            }
        })?;
        Ok(buffer.get(..filled).unwrap_or_default())
    }

    /// Appends a range to `out`.
    pub(super) fn append(
        self,
        offset: u64,
        length: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), ImageError> {
        self.visit(offset, length, |piece| out.extend_from_slice(piece))
    }

    /// Whether a range lies in the image and all its bytes are `value`.
    pub(super) fn is_filled_with(
        self,
        value: u8,
        offset: u64,
        length: u64,
    ) -> Result<bool, ImageError> {
        let mut is_filled = offset.checked_add(length).is_some_and(|end| end <= self.len());
        self.visit(offset, length, |piece| {
            is_filled = is_filled && is_filled_with(value, piece);
        })?;
        Ok(is_filled)
    }

    /// Calls `each` with the bytes of a range, piece by piece.
    fn visit(
        self,
        offset: u64,
        length: u64,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), ImageError> {
        let end = offset.saturating_add(length).min(self.len());
        match self {
            Self::Memory(bytes) => {
                let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
                each(range.and_then(|(start, end)| bytes.get(start..end)).unwrap_or_default());
                Ok(())
            }
            Self::Paged(pages) => pages.visit(offset, end, each),
        }
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
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Whether all bytes are zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    is_filled_with(0, bytes)
}

/// Whether all bytes are `value`.
fn is_filled_with(value: u8, bytes: &[u8]) -> bool {
    // Without an early exit inside a chunk, so that the compiler can compare many at once.
    bytes.chunks(64).all(|chunk| chunk.iter().fold(0, |sum, byte| sum | (byte ^ value)) == 0)
}
