//! Images that are read in pages: as if they were in memory, whatever happens to the file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use common::{Random, pages, pages_of, read_all};
use treeseal_erofs::{
    FormatVersion, Image, ImageError, ImageWriter, Index, VersionChoice, write_list,
};
use treeseal_testkit::{IMAGE_SCENARIOS, load_vectors};
use treeseal_tree::dump::{DumpParser, Strictness};

/// Scenarios that between them have every kind of structure, and are small.
const SMALL: [&str; 4] =
    ["every-type", "hard-link-of-every-type", "xattr-shared-129", "whiteout-with-marks"];

#[test]
fn images_of_the_vectors_are_the_same_in_pages_as_in_memory() {
    let mut images = 0;
    for vector in load_vectors("image", IMAGE_SCENARIOS) {
        let tree = DumpParser::parse(&vector.dump(), Strictness::Lenient).ok();
        let Some(tree) = tree.filter(|_| vector.text("expect") == "image") else { continue };
        for version in [FormatVersion::V0, FormatVersion::V1] {
            let writer = ImageWriter::new(&tree, VersionChoice::Fixed(version)).unwrap();
            let image = writer.to_bytes();
            let whole = read_all(Image::parse(&image)).unwrap();
            let paged = read_all(Image::parse_pages(&pages_of(&image))).unwrap();
            assert!(whole == paged, "{}, {version:?}", vector.name);
            images += 1;
        }
    }
    assert!(images > 150, "only {images} images");
}

#[test]
fn a_page_that_cannot_be_read_is_an_error_whenever_it_happens() {
    for image in small_images() {
        let mut fails_at = 0;
        loop {
            let reads = Rc::new(Cell::new(0));
            let (count, bytes) = (reads.clone(), image.clone());
            let pages = pages(image.len(), move |offset, buffer| {
                count.set(count.get() + 1);
                if count.get() > fails_at {
                    return Err(io::Error::from_raw_os_error(5));
                }
                buffer.copy_from_slice(&bytes[offset..][..buffer.len()]);
                Ok(())
            });
            let seen = read_all(Image::parse_pages(&pages));
            if reads.get() <= fails_at {
                seen.unwrap();
                break;
            }
            let error = seen.unwrap_err();
            assert!(matches!(error, ImageError::Read { .. }), "read {fails_at}: {error}");
            fails_at += 1 + fails_at / 8;
        }
        assert!(fails_at > 20, "only {fails_at} reads");
    }
}

#[test]
fn a_page_that_could_not_be_read_is_read_again() {
    let image = small_images().remove(0);
    let (bytes, has_failed) = (image.clone(), Cell::new(false));
    let pages = pages(image.len(), move |offset, buffer| {
        if !has_failed.replace(true) {
            return Err(io::Error::from_raw_os_error(5));
        }
        buffer.copy_from_slice(&bytes[offset..][..buffer.len()]);
        Ok(())
    });
    let error = Image::parse_pages(&pages).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "the page at byte 0 cannot be read");
    assert!(read_all(Image::parse_pages(&pages)) == read_all(Image::parse(&image)));
}

#[test]
fn directories_that_are_joined_after_they_were_found_to_be_a_tree_do_not_multiply_names() {
    // Two names in each directory. When both lead to the next, there are 2^40 paths.
    let mut dump = "/ 0 40755 4 0 0 0 0.0 - - -\n".to_owned();
    let mut path = String::new();
    for _ in 0..40 {
        for name in ["a", "b"] {
            dump += &format!("{path}/{name} 0 40755 2 0 0 0 0.0 - - -\n");
        }
        path += "/a";
    }
    let image = image_of(dump.as_bytes());
    let file = Rc::new(RefCell::new(image.clone()));
    let read_from = file.clone();
    let pages = pages(image.len(), move |offset, buffer| {
        buffer.copy_from_slice(&read_from.borrow()[offset..][..buffer.len()]);
        Ok(())
    });
    let index = Index::new(Image::parse_pages(&pages).unwrap()).unwrap();
    join_directories(&mut file.borrow_mut());
    let mut length = 0;
    let written = write_list(&index, &[], &mut |piece: &[u8]| -> Result<(), ImageError> {
        length += piece.len();
        Ok(())
    });
    assert_eq!(written, Err(ImageError::Changed));
    assert!(length < 1 << 20, "{length} bytes of text");
}

/// Lets `b` lead to where `a` does, in all directories.
fn join_directories(image: &mut [u8]) {
    let parsed = image.to_vec();
    let parsed = Image::parse(&parsed).unwrap();
    let mut directory = parsed.root().unwrap();
    while directory.nlink() > 2 {
        let (mut a, mut b) = (0, 0);
        let mut entries = directory.entries();
        while let Some(entry) = entries.next_entry().unwrap() {
            match entry.name {
                b"a" => a = entry.nid,
                b"b" => b = entry.nid,
                _ => {}
            }
        }
        let place = image
            .windows(8)
            .enumerate()
            .skip(usize::try_from(directory.nid() * 32).unwrap())
            .find_map(|(place, bytes)| (bytes == b.to_le_bytes()).then_some(place));
        let place = place.unwrap();
        image[place..place + 8].copy_from_slice(&a.to_le_bytes());
        directory = parsed.inode(a).unwrap();
    }
}

#[test]
fn a_file_that_changes_all_the_time_is_refused_or_read() {
    let rounds = if cfg!(debug_assertions) { 200 } else { 5_000 };
    let mut refused = 0;
    for image in small_images() {
        for round in 1..=rounds {
            let (bytes, random) = (image.clone(), RefCell::new(Random(round)));
            let pages = pages(image.len(), move |offset, buffer| {
                buffer.copy_from_slice(&bytes[offset..][..buffer.len()]);
                let mut random = random.borrow_mut();
                if random.below(64) == 0 {
                    let place = random.below(buffer.len());
                    buffer[place] ^= 1 << random.below(8);
                }
                Ok(())
            });
            refused += u32::from(read_all(Image::parse_pages(&pages)).is_err());
        }
    }
    assert!(refused > 0, "nothing was noticed");
}

fn small_images() -> Vec<Vec<u8>> {
    let vectors = load_vectors("image", IMAGE_SCENARIOS);
    let small = vectors.iter().filter(|vector| SMALL.contains(&vector.name.as_str()));
    let images: Vec<_> = small.map(|vector| image_of(&vector.dump())).collect();
    assert_eq!(images.len(), SMALL.len());
    images
}

fn image_of(dump: &[u8]) -> Vec<u8> {
    let tree = DumpParser::parse(dump, Strictness::Lenient).unwrap();
    ImageWriter::new(&tree, VersionChoice::Auto).unwrap().to_bytes()
}
