//! Agreement with `reference/image_model.py`, a second implementation, on random and boundary dumps.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use treeseal_erofs::{FormatVersion, ImageWriter, VersionChoice};
use treeseal_testkit::{python, refusal_class, repository, run, sha256_hex};
use treeseal_tree::Tree;
use treeseal_tree::dump::{DumpParser, Strictness};
use treeseal_verity::Params;

const SEEDS: usize = 500;

#[test]
fn images_of_500_random_dumps_are_those_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let mut batch = Command::new(python());
    batch.arg(repository().join("reference/image_model.py"));
    run(batch.args(["batch", "0", &SEEDS.to_string()]).arg(folder.path()));
    let expected = fs::read_to_string(folder.path().join("expected.txt")).unwrap();
    assert_eq!(expected.lines().count(), SEEDS);
    let mut refused = 0;
    for line in expected.lines() {
        let (seed, expected) = line.split_once(' ').unwrap();
        let text = fs::read(folder.path().join(format!("{seed}.dump"))).unwrap();
        assert_eq!(outcome(&text), expected, "seed {seed}");
        refused += usize::from(expected.starts_with("refused"));
    }
    // Most seeds are to be about images.
    assert!(refused < SEEDS / 20, "{refused} of {SEEDS} refused");
}

/// What the model writes about a dump.
fn outcome(text: &[u8]) -> String {
    let tree = match DumpParser::parse(text, Strictness::Lenient) {
        Ok(tree) => tree,
        Err(error) => return format!("refused {}", refusal_class(&error)),
    };
    let automatic = ImageWriter::new(&tree, VersionChoice::Auto).unwrap().version().number();
    let [v0, v1] = [FormatVersion::V0, FormatVersion::V1].map(|version| {
        let choice = VersionChoice::Fixed(version);
        sha256_hex(&ImageWriter::new(&tree, choice).unwrap().to_bytes())
    });
    format!("{automatic} {v0} {v1}")
}

#[test]
fn the_image_of_the_boundary_dump_is_that_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("boundary.dump");
    let reference = repository().join("reference");
    let text = run(Command::new(python()).arg(reference.join("image_boundary.py"))).stdout;
    fs::write(&dump, &text).unwrap();
    let tree = DumpParser::parse(&text, Strictness::Strict).unwrap();
    for version in ["0", "1", "auto"] {
        let image = folder.path().join("boundary.image");
        let mut build = Command::new(python());
        build.arg(reference.join("image_model.py"));
        let printed = run(build.args(["build", "--version", version]).arg(&dump).arg(&image));
        assert_same_image(&tree, version, &image, &String::from_utf8(printed.stdout).unwrap());
    }
}

fn assert_same_image(tree: &Tree, version: &str, image: &Path, printed: &str) {
    let choice = match version {
        "0" => VersionChoice::Fixed(FormatVersion::V0),
        "1" => VersionChoice::Fixed(FormatVersion::V1),
        _ => VersionChoice::Auto,
    };
    let writer = ImageWriter::new(tree, choice).unwrap();
    let ours = writer.to_bytes();
    let theirs = fs::read(image).unwrap();
    let different = ours.iter().zip(&theirs).position(|(a, b)| a != b);
    assert_eq!((different, ours.len()), (None, theirs.len()), "version {version}");
    let digest = writer.digest(Params::default()).to_hex();
    assert_eq!(printed, format!("{}\n{digest}\n", sha256_hex(&ours)), "version {version}");
}
