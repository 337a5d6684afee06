//! Reading images in every way, from memory and in pages.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::num::NonZero;

use treeseal_erofs::{
    FirstName, Image, ImageError, ImageWriter, Index, Pages, Report, VersionChoice, WalkOptions,
    check, to_tree, write_dump, write_list, write_objects,
};
use treeseal_tree::Tree;

/// Everything that is read of an image.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    /// Both dumps, the list, and the objects.
    texts: Vec<Vec<u8>>,
    /// Whether the image is canonical, and what is in it.
    pub(crate) report: Result<Report, ImageError>,
    /// The image that is written for the tree.
    again: Vec<u8>,
}

/// Does everything that can be done with an image.
pub(crate) fn read_all(image: Result<Image<'_>, ImageError>) -> Result<Seen, ImageError> {
    let image = image?;
    let report = check(&image);
    let index = Index::new(image)?;
    // Room for any text that the images of tests could give, damaged or not.
    let mut left: usize = 64 << 20;
    let mut text = |task: Task| -> Result<Vec<u8>, ImageError> {
        let mut out = Vec::new();
        task(&index, &mut |piece: &[u8]| {
            left = left.checked_sub(piece.len()).unwrap();
            out.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(out)
    };
    let texts = vec![
        text(|index, sink| write_dump(index, &with(FirstName::Written), sink))?,
        text(|index, sink| write_dump(index, &with(FirstName::Met), sink))?,
        text(|index, sink| write_list(index, &[], sink))?,
        text(|index, sink| write_objects(index, &[], sink))?,
    ];
    let again = write_again(&to_tree(&index)?, VersionChoice::Fixed(image.version()));
    Ok(Seen { texts, report, again })
}

/// An image in pages, of which only one is kept, so that nothing is found that was not just read.
pub(crate) fn pages_of(bytes: &[u8]) -> Pages {
    let (size, bytes) = (bytes.len(), bytes.to_vec());
    pages(size, move |offset, buffer| {
        buffer.copy_from_slice(&bytes[offset..][..buffer.len()]);
        Ok(())
    })
}

/// Pages that are read by `read_at`, of which only one is kept.
pub(crate) fn pages(
    size: usize,
    read_at: impl Fn(usize, &mut [u8]) -> io::Result<()> + 'static,
) -> Pages {
    let keep = NonZero::new(1).unwrap();
    Pages::new(size.try_into().unwrap(), keep, move |offset, buffer| {
        read_at(offset.try_into().unwrap(), buffer)
    })
}

type Sink<'s> = &'s mut dyn FnMut(&[u8]) -> Result<(), ImageError>;
type Task = fn(&Index<'_>, Sink<'_>) -> Result<(), ImageError>;

fn with(first_name: FirstName) -> WalkOptions<'static> {
    WalkOptions { first_name, ..WalkOptions::default() }
}

/// Nothing where no image can hold the tree, as may be for one that was damaged.
fn write_again(tree: &Tree, version: VersionChoice) -> Vec<u8> {
    ImageWriter::new(tree, version).map(|writer| writer.to_bytes()).unwrap_or_default()
}

/// xorshift64*: the same numbers in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap() % end
    }
}
