//! What is done with untrusted bytes. Nothing here may panic, hang, or take memory out of proportion
//! to the input, whatever the bytes are, except where a promise of the libraries is broken.

use treeseal_erofs::{
    FirstName, Image, ImageError, ImageWriter, Index, VersionChoice, WalkOptions, check, to_tree,
    write_dump, write_list, write_objects,
};
use treeseal_tree::dump::{DumpParser, Strictness};

/// Text after which a listing is given up: a small image may have long ones.
const TEXT: usize = 16 << 20;

/// A refusal, or text that is long enough.
struct Stop;

impl From<ImageError> for Stop {
    fn from(_: ImageError) -> Self {
        Self
    }
}

/// Reads an image in every way. What passes all checks gives a tree that can be written.
pub fn image_read(bytes: &[u8]) {
    let _ = read_image(bytes);
}

fn read_image(bytes: &[u8]) -> Result<(), Stop> {
    let mut left = TEXT;
    let mut sink = |piece: &[u8]| -> Result<(), Stop> {
        left = left.checked_sub(piece.len()).ok_or(Stop)?;
        Ok(())
    };
    let image = Image::parse(bytes)?;
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
