//! The composefs project's own test dumps, of which some are too large for this repository.
//!
//! They are used where `TREESEAL_FIXTURES` names the directory that holds them; without it the test
//! says so and passes, and the vectors stand alone.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use treeseal_erofs::{FormatVersion, ImageWriter, VersionChoice};
use treeseal_testkit::{fixtures, program, run, sha256_hex};
use treeseal_tree::dump::{DumpParser, Strictness};

/// Dumps that `mkcomposefs` itself does not read strictly.
const LENIENT: [&str; 3] = ["no-newline", "longlink", "honggfuzz-longlink-unterminated"];
/// A folder that lacks some of them must not pass.
const IMAGES: usize = 10;
const REFUSALS: usize = 10;

#[test]
fn the_composefs_projects_dumps_give_its_images() {
    let Some(folder) = fixtures("composefs") else {
        eprintln!("no fixtures: TREESEAL_FIXTURES is not set");
        return;
    };
    let (refused, images): (Vec<PathBuf>, Vec<PathBuf>) =
        dumps(&folder).into_iter().partition(|dump| name(dump).starts_with("should-fail-"));
    assert_eq!((images.len(), refused.len()), (IMAGES, REFUSALS), "dumps in {}", folder.display());
    for dump in images {
        let tree = DumpParser::parse(&text(&dump), strictness(&dump)).unwrap();
        let image = ImageWriter::new(&tree, version(&dump)).unwrap().to_bytes();
        let expected = fs::read_to_string(beside(&dump, "sha256")).unwrap();
        assert_eq!(sha256_hex(&image), expected.trim(), "{}", dump.display());
    }
    for dump in refused {
        let read = DumpParser::parse(&text(&dump), Strictness::Lenient);
        assert!(read.is_err(), "{} is to be refused", dump.display());
    }
}

fn dumps(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_dump = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.ends_with(".dump") || name.ends_with(".dump.gz")
    };
    files.filter(is_dump).collect()
}

/// The file's name up to its first point.
fn name(dump: &Path) -> String {
    let name = dump.file_name().unwrap().to_string_lossy().into_owned();
    name.split('.').next().unwrap().to_owned()
}

fn text(dump: &Path) -> Vec<u8> {
    if dump.extension().unwrap() == "gz" {
        run(Command::new(program("gzip", "gzip")).arg("-dc").arg(dump)).stdout
    } else {
        fs::read(dump).unwrap()
    }
}

fn strictness(dump: &Path) -> Strictness {
    if LENIENT.contains(&name(dump).as_str()) { Strictness::Lenient } else { Strictness::Strict }
}

fn version(dump: &Path) -> VersionChoice {
    match fs::read_to_string(beside(dump, "version")) {
        Ok(number) => {
            let number = number.trim().parse().unwrap();
            VersionChoice::Fixed(FormatVersion::from_number(number).unwrap())
        }
        Err(_) => VersionChoice::Auto,
    }
}

fn beside(dump: &Path, suffix: &str) -> PathBuf {
    let mut path = dump.as_os_str().to_owned();
    path.push(".");
    path.push(suffix);
    path.into()
}
