use std::cell::RefCell;
use std::io;
use std::num::NonZero;

use super::bytes::length;
use super::{ImageError, ReadError};

/// Size of a page: a block of the image is never in two, and its inodes seldom.
const PAGE: usize = 4096;
const PAGE_BYTES: u64 = PAGE as u64;

/// Reads a range of a file, from an offset on, into a buffer that it must fill.
type ReadAt = Box<dyn Fn(u64, &mut [u8]) -> io::Result<()>>;

/// The bytes of an image that is read in pages, when they are needed, and not held as a whole.
///
/// The reader takes what it checks from a page into memory of its own first. So bytes that change
/// meanwhile can lead to a refusal, or to text in which not everything belongs together, and to
/// nothing worse. Whoever compares an image with a digest has it in memory instead.
///
/// A page has one place among those that are kept, which it shares with others. Inodes lie in
/// breadth-first order, so that what is read next is near what was read last, and to record which
/// page was used when would cost more than it saves.
pub struct Pages {
    size: u64,
    read_at: ReadAt,
    kept: RefCell<Kept>,
}

struct Kept {
    /// The number of the page in each place.
    numbers: Vec<Option<u64>>,
    bytes: Vec<u8>,
}

impl Pages {
    /// An image of `size` bytes, of which `keep` pages of 4096 bytes are kept. `read_at` fills a
    /// buffer with the bytes from an offset on; it is not asked for any beyond the size.
    pub fn new(
        size: u64,
        keep: NonZero<u16>,
        read_at: impl Fn(u64, &mut [u8]) -> io::Result<()> + 'static,
    ) -> Self {
        let keep = usize::from(keep.get());
        let kept = Kept { numbers: vec![None; keep], bytes: vec![0; keep * PAGE] };
        Self { size, read_at: Box::new(read_at), kept: RefCell::new(kept) }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Calls `each` with the bytes from `start` and below `end`, page by page. `end` is at most the
    /// size.
    pub(super) fn visit(
        &self,
        start: u64,
        end: u64,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), ImageError> {
        let mut kept = self.kept.borrow_mut();
        let mut next = start;
        while next < end {
            let (number, from) = (next / PAGE_BYTES, next % PAGE_BYTES);
            let page = kept.page(number, self)?;
            let to = (end - number * PAGE_BYTES).min(PAGE_BYTES);
            each(range(page, from, to));
            next = number * PAGE_BYTES + to;
        }
        Ok(())
    }

    /// Fills a page from the file.
    fn fill(&self, number: u64, page: &mut [u8]) -> Result<(), ImageError> {
        let offset = number * PAGE_BYTES;
        let length = self.size.saturating_sub(offset).min(PAGE_BYTES);
        let page = usize::try_from(length).ok().and_then(|length| page.get_mut(..length));
        (self.read_at)(offset, page.unwrap_or_default())
            .map_err(|error| ImageError::Read { offset, problem: ReadError::new(error) })
    }
}

impl Kept {
    /// A page, which is read if it is not there.
    fn page(&mut self, number: u64, pages: &Pages) -> Result<&[u8], ImageError> {
        let places = length(&self.bytes) / PAGE_BYTES;
        let place = usize::try_from(number % places).unwrap_or_default();
        let bytes = self.bytes.get_mut(place * PAGE..(place + 1) * PAGE).unwrap_or_default();
        let Some(kept) = self.numbers.get_mut(place) else { return Ok(&[]) };
        if *kept != Some(number) {
            // While the page is read it is none, so that after a failure it is read again.
            *kept = None;
            pages.fill(number, bytes)?;
            *kept = Some(number);
        }
        Ok(bytes)
    }
}

fn range(page: &[u8], from: u64, to: u64) -> &[u8] {
    let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    range.and_then(|(from, to)| page.get(from..to)).unwrap_or_default()
}
