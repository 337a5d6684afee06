//! Damaged images are refused or read, but never lead to a panic, a hang or text without end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Random, Seen, pages_of};
use treeseal_erofs::{Image, ImageError, ImageWriter, VersionChoice};
use treeseal_testkit::load_vectors;
use treeseal_tree::dump::{DumpParser, Strictness};

/// Change this with the scenarios: a test that finds no files must not pass.
const SCENARIOS: usize = 187;

/// Scenarios that between them have every kind of structure.
const DAMAGED: [&str; 8] = [
    "every-type",
    "hard-link-of-every-type",
    "deep-directories",
    "directory-4097",
    "inline-4097",
    "symlinks-near-a-block-end",
    "xattr-shared-129",
    "whiteout-with-marks",
];

const MUTATIONS: u64 = if cfg!(debug_assertions) { 800 } else { 20_000 };

#[test]
fn random_damage_is_refused_or_read() {
    let mut random = Random(1);
    let mut read = 0;
    for image in damaged_images() {
        let targets = used_bytes(&image);
        for _ in 0..MUTATIONS {
            let mut damaged = image.clone();
            for _ in 0..=random.below(3) {
                let position = targets[random.below(targets.len())];
                damaged[position] = value(&mut random, damaged[position]);
            }
            read += u32::from(read_all(&damaged).is_ok_and(|seen| seen.report.is_ok()));
        }
    }
    assert!(read > 0, "no damage got past the checks");
}

#[test]
fn every_byte_of_the_headers_and_the_first_inodes_may_be_wrong() {
    let step = if cfg!(debug_assertions) { 37 } else { 1 };
    for image in damaged_images() {
        for position in (0..32).chain((1024..4096).step_by(step)) {
            for value in [0, 1, 0x7f, 0x80, 0xff, image[position] ^ 1] {
                let mut damaged = image.clone();
                damaged[position] = value;
                // Whether it can be read depends on the field; that this returns is the point.
                let _ = read_all(&damaged);
            }
        }
    }
}

#[test]
fn images_that_are_cut_short_are_refused() {
    for image in damaged_images() {
        for length in (0..image.len()).step_by(512) {
            assert!(Image::parse(&image[..length]).is_err(), "{length} bytes");
        }
    }
}

#[test]
fn blocks_may_be_exchanged() {
    for image in damaged_images() {
        let blocks = image.len() / 4096;
        for (a, b) in (0..blocks).flat_map(|a| (0..blocks).map(move |b| (a, b))) {
            let mut damaged = image.clone();
            damaged.copy_within(a * 4096..(a + 1) * 4096, b * 4096);
            let _ = read_all(&damaged);
        }
    }
}

/// Reads an image in every way, from memory and in pages, which must not differ.
fn read_all(bytes: &[u8]) -> Result<Seen, ImageError> {
    let pages = pages_of(bytes);
    let (whole, paged) =
        (common::read_all(Image::parse(bytes)), common::read_all(Image::parse_pages(&pages)));
    assert!(whole == paged, "read as a whole {:?}, in pages {:?}", whole.err(), paged.err());
    whole
}

fn damaged_images() -> Vec<Vec<u8>> {
    let vectors = load_vectors("image", SCENARIOS);
    let chosen = vectors.iter().filter(|vector| DAMAGED.contains(&vector.name.as_str()));
    let images: Vec<Vec<u8>> = chosen
        .map(|vector| {
            let tree = DumpParser::parse(&vector.dump(), Strictness::Lenient).unwrap();
            ImageWriter::new(&tree, VersionChoice::Auto).unwrap().to_bytes()
        })
        .collect();
    assert_eq!(images.len(), DAMAGED.len());
    images
}

/// Where to damage: near bytes that are not zero, and not among the stubs only.
fn used_bytes(image: &[u8]) -> Vec<usize> {
    (0..image.len())
        .filter(|position| {
            let near = position.saturating_sub(4)..(position + 4).min(image.len());
            image[near].iter().any(|byte| *byte != 0)
        })
        .collect()
}

/// A byte in place of another: any, a limit, or one bit changed.
fn value(random: &mut Random, old: u8) -> u8 {
    let random = random.next();
    let byte = random.to_le_bytes()[1];
    match random % 4 {
        0 => byte,
        1 => [0, 1, 0x7f, 0xff][usize::from(byte % 4)],
        _ => old ^ 1 << (byte % 8),
    }
}
