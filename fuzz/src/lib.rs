//! What is done with untrusted bytes. Nothing here may panic, hang, or take memory out of proportion
//! to the input, whatever the bytes are, except where a promise of the libraries is broken.

use std::num::NonZero;

use treeseal_erofs::{
    FirstName, Image, ImageError, ImageWriter, Index, Pages, VersionChoice, WalkOptions, check,
    to_tree, write_dump, write_list, write_objects,
};
use treeseal_tree::dump::{DumpParser, Strictness};

/// Text after which a listing is given up: a small image may have long ones.
const TEXT: usize = 16 << 20;

/// A refusal, or text that is long enough.
#[derive(Debug, PartialEq)]
enum Stop {
    Refused(ImageError),
    LongText,
}

impl From<ImageError> for Stop {
    fn from(error: ImageError) -> Self {
        Self::Refused(error)
    }
}

/// Reads an image in every way, from memory and in pages, which must not differ. What passes all
/// checks gives a tree that can be written.
pub fn image_read(bytes: &[u8]) {
    let pages = pages_of(bytes);
    let (mut whole, mut paged) = (Vec::new(), Vec::new());
    let stops = (
        read_image(Image::parse(bytes), &mut whole),
        read_image(Image::parse_pages(&pages), &mut paged),
    );
    assert_eq!(stops.0, stops.1, "in pages there is another refusal");
    assert!(whole == paged, "in pages there is other text");
}

/// An image in pages, of which only one is kept.
fn pages_of(bytes: &[u8]) -> Pages {
    let (size, bytes) = (bytes.len() as u64, bytes.to_vec());
    Pages::new(size, NonZero::<u16>::MIN, move |offset, buffer| {
        let start = usize::try_from(offset).expect("it is below the size");
        buffer.copy_from_slice(&bytes[start..start + buffer.len()]);
        Ok(())
    })
}

fn read_image(image: Result<Image<'_>, ImageError>, text: &mut Vec<u8>) -> Result<(), Stop> {
    let mut sink = |piece: &[u8]| -> Result<(), Stop> {
        text.extend_from_slice(piece);
        if text.len() > TEXT { Err(Stop::LongText) } else { Ok(()) }
    };
    let image = image?;
    let report = check(&image);
    let index = Index::new(image)?;
    write_list(&index, &[], &mut sink)?;
    write_objects(&index, &[], &mut sink)?;
    for first_name in [FirstName::Written, FirstName::Met] {
        write_dump(&index, &WalkOptions { first_name, ..WalkOptions::default() }, &mut sink)?;
    }
    let tree = to_tree(&index)?;
    report?;
    let version = VersionChoice::Fixed(image.version());
    if let Ok(writer) = ImageWriter::new(&tree, version) {
        let written = writer.to_bytes();
        let read = check(&Image::parse(&written)?);
        assert!(read.is_ok(), "an image that was written is refused: {read:?}");
    }
    Ok(())
}

/// Reads a dump, writes its image, and reads that. The same tree must come back.
pub fn dump_parse(text: &[u8]) {
    let Ok(tree) = DumpParser::parse(text, Strictness::Lenient) else { return };
    let Ok(writer) = ImageWriter::new(&tree, VersionChoice::Auto) else { return };
    let bytes = writer.to_bytes();
    let version = VersionChoice::Fixed(writer.version());
    let again = Image::parse(&bytes).and_then(Index::new).and_then(|index| to_tree(&index));
    match again {
        Ok(tree) => {
            let again = ImageWriter::new(&tree, version).expect("it was written before").to_bytes();
            assert!(again == bytes, "the tree of an image gives another image");
        }
        // The only limit that trees do not have.
        Err(ImageError::PathLength { .. }) => {}
        Err(error) => panic!("an image that was written is refused: {error}"),
    }
}
