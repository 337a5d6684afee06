//! What is done with untrusted bytes. Nothing here may panic, hang, or take memory out of proportion
//! to the input, whatever the bytes are, except where a promise of the libraries is broken.

use std::num::NonZero;

use treeseal_erofs::{
    FirstName, Image, ImageError, ImageWriter, Index, Pages, VersionChoice, WalkOptions, check,
    to_tree, write_dump, write_list, write_objects,
};
use treeseal_foreign::ostree::{Keys, parse_keys, parse_secret_key, signers};
use treeseal_source::ostree::{
    BootEntry, DetachedMetadata, Mode, ObjectKind, PrepareRoot, archived_checksum, check_object,
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

/// Reads an object of OSTree as each kind. What is kept beside a commit is written as it was read: there
/// is one form of it.
pub fn ostree_objects(bytes: &[u8]) {
    use ObjectKind::{ArchivedHeader, Commit, DirMeta, DirTree};
    for kind in [Commit, DirTree, DirMeta, ArchivedHeader] {
        let _ = check_object(kind, bytes);
    }
    let Ok(mut metadata) = DetachedMetadata::parse(bytes) else { return };
    assert!(metadata.to_bytes() == bytes, "metadata is written in another form than it was read");
    let key = "ostree.sign.ed25519";
    let Ok(before) = metadata.list(key) else { return };
    metadata.add_to_list(key, &[1; 64]).expect("the others were read");
    let written = DetachedMetadata::parse(&metadata.to_bytes()).expect("it was written here");
    let after = written.list(key).expect("they were written here");
    assert_eq!(after.split_last(), Some((&vec![1; 64], before.as_slice())));
}

/// Reads files of keys as OSTree has them.
pub fn ostree_keys(bytes: &[u8]) {
    if let Ok(keys) = parse_keys(bytes) {
        assert!(!keys.is_empty(), "a file without keys is refused");
    }
    let _ = parse_secret_key(bytes);
}

/// Reads what an archive keeps of a file, and unpacks it.
pub fn ostree_archived(bytes: &[u8]) {
    let _ = archived_checksum(bytes);
}

/// Two lines of test keys, as `vectors/ostree` has them.
const TEST_KEYS: &str = concat!(
    include_str!("../../vectors/ostree/good.pub"),
    include_str!("../../vectors/ostree/third.pub"),
);

/// Judges what is kept beside a commit. Nobody has signed the one here.
pub fn ostree_signatures(bytes: &[u8]) {
    let Ok(metadata) = DetachedMetadata::parse(bytes) else { return };
    let trusted = parse_keys(TEST_KEYS.as_bytes()).expect("these are keys");
    let keys = Keys { trusted, revoked: Vec::new() };
    assert!(signers(b"a commit", &metadata, &keys).is_err(), "nobody has signed it");
}

/// Reads what is configuration around a repository: its own, that of a deployment, and an entry of the boot
/// loader.
pub fn ostree_configuration(bytes: &[u8]) {
    let _ = Mode::of_config(bytes);
    let _ = PrepareRoot::default().add(bytes);
    let Ok(entry) = BootEntry::parse("entry.conf".into(), bytes) else { return };
    if let Some(argument) = entry.option("ostree") {
        assert!(!argument.contains(' '), "an option is one word");
    }
}
