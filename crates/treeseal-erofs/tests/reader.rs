//! What the reader makes of images: text, trees and refusals.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use treeseal_erofs::{
    FirstName, Image, ImageError, ImageWriter, Index, VersionChoice, WalkOptions, check, to_tree,
    write_dump, write_list, write_objects,
};
use treeseal_testkit::load_vectors;
use treeseal_tree::dump::{DumpParser, Strictness};

/// Change this with the scenarios: a test that finds no files must not pass.
const SCENARIOS: usize = 187;

const SMALL: &str = "\
/ 4096 40755 3 0 0 0 1.0 - - - security.selinux=l\\x00
/dir 0 40750 2 0 0 0 1.0 - - -
/dir/link 0 120777 1 0 0 0 1.0 a\\x20target - -
/dir/z 3 100644 1 7 8 0 2.5 - a\\x20c - user.n\\x3dm=1\\x3d
/external 70000 100755 2 0 0 0 1.0 ab/cd - 1111111111111111111111111111111111111111111111111111111111111111
/fifo 0 10600 1 0 0 0 1.0 - - -
/with\\x20space 0 @100755 2 0 0 0 1.0 /external - -
";

#[test]
fn images_of_the_vectors_are_read_and_written_again_from_tree_and_dump() {
    let mut images = 0;
    for (name, image) in vector_images() {
        let parsed = Image::parse(&image).unwrap();
        let report = check(&parsed).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(report.inodes.total() + report.stubs, parsed.inode_count(), "{name}");
        let version = VersionChoice::Fixed(parsed.version());
        let index = Index::new(parsed).unwrap();
        let write = |tree| ImageWriter::new(&tree, version).unwrap().to_bytes();
        assert!(write(to_tree(&index).unwrap()) == image, "{name}: tree gives another image");
        let text = dump(&image, FirstName::Written).unwrap();
        let tree = DumpParser::parse(&text, Strictness::Strict)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(write(tree) == image, "{name}: dump gives another image");
        images += 1;
    }
    assert!(images > 150, "only {images} images");
}

#[test]
fn a_dump_has_a_line_for_each_name_in_order() {
    let image = image_of(SMALL);
    let expected = "\
/ 4096 40755 3 0 0 0 1.0 - - - security.selinux=l\\x00
/dir 56 40750 2 0 0 0 1.0 - - -
/dir/link 8 120777 1 0 0 0 1.0 a\\x20target - -
/dir/z 3 100644 1 7 8 0 2.5 - a\\x20c - user.n\\x3dm=1\\x3d
/external 70000 100755 2 0 0 0 1.0 ab/cd - 1111111111111111111111111111111111111111111111111111111111111111
/fifo 0 10600 1 0 0 0 1.0 - - -
/with\\x20space 70000 @100755 2 0 0 0 1.0 /external - 1111111111111111111111111111111111111111111111111111111111111111
";
    // The size of the root is that of its names and the stubs'.
    let text = String::from_utf8(dump(&image, FirstName::Written).unwrap()).unwrap();
    let (root, rest) = text.split_once('\n').unwrap();
    assert!(root.ends_with(" 40755 3 0 0 0 1.0 - - - security.selinux=l\\x00"), "{root}");
    assert_eq!(rest, expected.split_once('\n').unwrap().1);
}

#[test]
fn a_list_shows_what_a_name_leads_to() {
    let image = image_of(SMALL);
    let index = Index::new(Image::parse(&image).unwrap()).unwrap();
    let list = |only: &[&[u8]]| {
        let mut out = Vec::new();
        write_list(&index, only, &mut |piece| append(&mut out, piece)).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        list(&[]),
        "/dir/\t\n/dir/link\t-> a\\x20target\n/dir/z\n/external\t@ ab/cd\n/fifo\n/with space\n"
    );
    assert_eq!(list(&[b"dir", b"missing"]), "/dir/\t\n/dir/link\t-> a\\x20target\n/dir/z\n");
}

#[test]
fn objects_are_distinct_and_sorted() {
    let line = |name, path| format!("/{name} 9 100644 1 0 0 0 0.0 {path} - -\n");
    let text = "/ 0 40755 2 0 0 0 0.0 - - -\n".to_owned()
        + &line("a", "bbbbbbbbbb/2")
        + &line("b", "bbbbbbbbbb/10")
        + &line("c", "b")
        + &line("d", "bbbbbbbbbb/2")
        + &line("e", "-");
    let image = image_of(&text);
    let index = Index::new(Image::parse(&image).unwrap()).unwrap();
    let mut out = Vec::new();
    write_objects(&index, &[], &mut |piece| append(&mut out, piece)).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "b\nbbbbbbbbbb/10\nbbbbbbbbbb/2\n");
    let report = check(index.image()).unwrap();
    assert_eq!((report.objects, report.inodes.external_files), (3, 5));
    assert_eq!((report.files_without_object, report.external_bytes), (1, 45));
}

#[test]
fn a_hard_link_may_come_before_the_name_its_inode_was_written_under() {
    let text = "\
/ 0 40755 3 0 0 0 0.0 - - -
/a 0 40755 2 0 0 0 0.0 - - -
/a/f 0 @100644 1 0 0 0 0.0 /y - -
/a/g 0 100644 1 0 0 0 0.0 - - -
/y 0 100600 1 0 0 0 0.0 - - -
/z 0 100644 1 0 0 0 0.0 - - -
";
    let image = image_of(text);
    let lines = |first_name| {
        let text = String::from_utf8(dump(&image, first_name).unwrap()).unwrap();
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let written = lines(FirstName::Written);
    assert_eq!(written[1], "/a/f 0 @100600 1 0 0 0 0.0 /y - -");
    assert_eq!(written[3], "/y 0 100600 1 0 0 0 0.0 - - -");
    let met = lines(FirstName::Met);
    assert_eq!(met[1], "/a/f 0 100600 1 0 0 0 0.0 - - -");
    assert_eq!(met[3], "/y 0 @100600 1 0 0 0 0.0 /a/f - -");
}

#[test]
fn the_first_name_met_is_taken_where_the_inode_could_have_been_written_under_it() {
    let text = "\
/ 0 40755 2 0 0 0 0.0 - - -
/x 0 @100644 1 0 0 0 0.0 /y - -
/y 0 100600 1 0 0 0 0.0 - - -
";
    let image = image_of(text);
    assert_eq!(dump(&image, FirstName::Written).unwrap(), dump(&image, FirstName::Met).unwrap());
}

#[test]
fn marks_of_whiteouts_are_kept_where_the_writer_did_not_make_them() {
    let marks = "trusted.overlay.whiteout= user.overlay.whiteout=";
    let parent = "trusted.overlay.whiteouts= user.overlay.whiteouts=";
    let text = format!(
        "/ 0 40755 4 0 0 0 0.0 - - -\n\
         /marked 0 40755 2 0 0 0 0.0 - - - {parent}\n\
         /marked/f 0 100644 1 0 0 0 0.0 - - -\n\
         /plain 0 40755 2 0 0 0 0.0 - - -\n\
         /plain/f 0 100644 1 0 0 0 0.0 - - - {marks}\n\
         /w 0 40755 2 0 0 0 0.0 - - -\n\
         /w/f 0 20644 1 0 0 0 0.0 - - -\n"
    );
    let image = image_of(&text);
    let text = String::from_utf8(dump(&image, FirstName::Written).unwrap()).unwrap();
    let has = |path: &str, attributes: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{path} "))).unwrap();
        assert!(line.ends_with(attributes), "{line}");
    };
    has("/marked", &format!("- - - {parent}"));
    has("/plain/f", &format!("100644 1 0 0 0 0.0 - - - {marks}"));
    has("/w", "- - - trusted.overlay.opaque=x user.overlay.opaque=x");
    has("/w/f", "20644 1 0 0 0 0.0 - - -");
}

#[test]
fn a_filter_keeps_to_names_in_the_root() {
    let image = image_of(SMALL);
    let index = Index::new(Image::parse(&image).unwrap()).unwrap();
    let options = WalkOptions { only: &[b"with space"], ..WalkOptions::default() };
    let mut out = Vec::new();
    write_dump(&index, &options, &mut |piece| append(&mut out, piece)).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    // Its inode's first name is left out, so it is described under this one.
    assert!(lines[1].starts_with("/with\\x20space 70000 100755 "), "{}", lines[1]);
}

#[test]
fn fields_of_header_and_superblock_are_named_when_they_are_wrong() {
    let image = image_of(SMALL);
    let refusal = |offset: usize, bytes: &[u8]| {
        let mut image = image.clone();
        image[offset..offset + bytes.len()].copy_from_slice(bytes);
        Image::parse(&image).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(
        refusal(0, b"abcd"),
        "composefs header: magic (byte 0): expected 0xd078629a, found 0x64636261"
    );
    assert_eq!(
        refusal(12, &[2]),
        "composefs header: format version (byte 12): expected 0 or 1, found 0x2"
    );
    assert_eq!(
        refusal(100, &[0, 7]),
        "composefs header: reserved bytes (byte 101): expected zeros, found 0x7"
    );
    assert_eq!(
        refusal(1024 + 8, &[7]),
        "superblock: compatible features (byte 1032): expected 0x6, found 0x7"
    );
    assert_eq!(
        refusal(1024 + 36, &[9]),
        "superblock: 9 blocks, but the image has 6: it is cut short or was added to"
    );
    assert_eq!(
        refusal(1024 + 80, &[4]),
        "superblock: fields not in use (byte 1104): expected zeros, found 0x4"
    );
    let cut = &image[..image.len() - 1];
    assert_eq!(
        Image::parse(cut).map(|_| ()).unwrap_err().to_string(),
        "image of 24575 bytes: expected a multiple of 4096, and at least one block"
    );
}

#[test]
fn inodes_outside_the_image_are_refused() {
    let image = image_of(SMALL);
    let image = Image::parse(&image).unwrap();
    for nid in [0, 35, 6 * 4096 / 32, u64::MAX / 32 + 1, u64::MAX] {
        let error = image.inode(nid).map(|_| ()).unwrap_err();
        assert!(matches!(error, ImageError::Inode { .. }), "{error}");
    }
    assert_eq!(
        image.inode(1 << 40).map(|_| ()).unwrap_err().to_string(),
        "inode 1099511627776: the inode at byte 35184372088832 leaves the image"
    );
}

#[test]
fn a_directory_that_leads_back_to_its_parent_is_refused() {
    let text = "\
/ 0 40755 3 0 0 0 0.0 - - -
/a 0 40755 3 0 0 0 0.0 - - -
/a/b 0 40755 2 0 0 0 0.0 - - -
/a/c 0 100644 1 0 0 0 0.0 - - -
";
    let mut image = image_of(text);
    let (a, b, entry) = {
        let parsed = Image::parse(&image).unwrap();
        let find = |nid: u64, name: &[u8]| {
            let mut entries = parsed.inode(nid).unwrap().entries();
            loop {
                let entry = entries.next_entry().unwrap().unwrap();
                if entry.name == name {
                    return entry.nid;
                }
            }
        };
        let a = find(parsed.root().unwrap().nid(), b"a");
        let b = find(a, b"b");
        // `b` is the third of the directory's entries, which follow the 32 bytes of its inode.
        (a, b, usize::try_from(a).unwrap() * 32 + 32 + 2 * 12)
    };
    assert_eq!(image[entry..entry + 8], b.to_le_bytes());
    image[entry..entry + 8].copy_from_slice(&a.to_le_bytes());
    let refusal = Index::new(Image::parse(&image).unwrap()).map(|_| ()).unwrap_err().to_string();
    assert_eq!(refusal, format!("inode {a}: directory: `b` is a second name of a directory"));
}

#[test]
fn no_bit_of_an_image_is_without_meaning() {
    let text = format!(
        "{SMALL}/dir/w 0 20644 1 0 0 0 1.0 - - -\n\
         /dir/y 9 100644 1 0 0 0 3.0 q - - trusted.overlay.redirect=/x user.n=b\n"
    );
    let image = image_of(&text);
    let view = |image: &[u8]| -> Result<_, ImageError> {
        let report = check(&Image::parse(image)?)?;
        Ok((report, dump(image, FirstName::Written)?))
    };
    let original = view(&image).unwrap();
    // Odd, so that all eight bits come up; all bits of all bytes take half a minute.
    let step = if cfg!(debug_assertions) { 97 } else { 5 };
    for position in (0..image.len() * 8).step_by(step) {
        let mut changed = image.clone();
        changed[position / 8] ^= 1 << (position % 8);
        let is_hidden = view(&changed).is_ok_and(|seen| seen == original);
        assert!(!is_hidden, "bit {} of byte {} is not seen", position % 8, position / 8);
    }
}

fn image_of(dump: &str) -> Vec<u8> {
    let tree = DumpParser::parse(dump.as_bytes(), Strictness::Lenient).unwrap();
    ImageWriter::new(&tree, VersionChoice::Auto).unwrap().to_bytes()
}

fn dump(image: &[u8], first_name: FirstName) -> Result<Vec<u8>, ImageError> {
    let index = Index::new(Image::parse(image)?)?;
    let options = WalkOptions { first_name, ..WalkOptions::default() };
    let mut out = Vec::new();
    write_dump(&index, &options, &mut |piece| append(&mut out, piece))?;
    Ok(out)
}

fn append(out: &mut Vec<u8>, piece: &[u8]) -> Result<(), ImageError> {
    out.extend_from_slice(piece);
    Ok(())
}

/// The images of all vectors that have some, in both versions.
fn vector_images() -> impl Iterator<Item = (String, Vec<u8>)> {
    load_vectors("image", SCENARIOS).into_iter().flat_map(|vector| {
        let tree = DumpParser::parse(&vector.dump(), Strictness::Lenient).ok();
        let tree = tree.filter(|_| vector.text("expect") == "image");
        let versions = [treeseal_erofs::FormatVersion::V0, treeseal_erofs::FormatVersion::V1];
        versions.into_iter().filter_map(move |version| {
            let writer = ImageWriter::new(tree.as_ref()?, VersionChoice::Fixed(version)).unwrap();
            Some((format!("{}, {version:?}", vector.name), writer.to_bytes()))
        })
    })
}
