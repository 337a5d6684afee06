//! The same text as `composefs-info`, which `cargo xtask test` installs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use treeseal_erofs::{
    FirstName, FormatVersion, Image, ImageError, ImageWriter, Index, VersionChoice, WalkOptions,
    write_dump, write_list, write_objects,
};
use treeseal_testkit::{load_vectors, peer, run};
use treeseal_tree::dump::{DumpParser, Strictness};

/// Change this with the scenarios: a test that finds no files must not pass.
const SCENARIOS: usize = 187;

/// Where it prints other text, because of what `write_dump` says that it gets wrong.
const DIFFERENT: [&str; 5] = [
    "metacopy-sha512: dump",
    "payload-longest: dump",
    "payload-longest: ls",
    "payload-longest: objects",
    "text-sizes-of-other-types: dump",
];

#[test]
fn text_is_that_of_composefs_info() {
    let program = peer("composefs-info");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let mut different = Vec::new();
    let mut compared = 0;
    for vector in load_vectors("image", SCENARIOS) {
        if vector.text("expect") != "image" {
            continue;
        }
        let tree = DumpParser::parse(&vector.dump(), Strictness::Lenient).unwrap();
        for version in [FormatVersion::V0, FormatVersion::V1] {
            let writer = ImageWriter::new(&tree, VersionChoice::Fixed(version)).unwrap();
            fs::write(&path, writer.to_bytes()).unwrap();
            for task in ["dump", "ls", "objects"] {
                let theirs = run(Command::new(&program).arg(task).arg(&path)).stdout;
                if text(task, &path).unwrap() != theirs {
                    different.push(format!("{}: {task}", vector.name));
                }
                compared += 1;
            }
        }
    }
    different.sort();
    different.dedup();
    assert!(compared > 500, "only {compared} texts compared");
    assert_eq!(different, DIFFERENT);
}

fn text(task: &str, path: &Path) -> Result<Vec<u8>, ImageError> {
    let image = fs::read(path).unwrap();
    let index = Index::new(Image::parse(&image)?)?;
    let mut out = Vec::new();
    let mut sink = |piece: &[u8]| -> Result<(), ImageError> {
        out.extend_from_slice(piece);
        Ok(())
    };
    match task {
        "dump" => {
            let options = WalkOptions { first_name: FirstName::Met, ..WalkOptions::default() };
            write_dump(&index, &options, &mut sink)?;
        }
        "ls" => write_list(&index, &[], &mut sink)?,
        _ => write_objects(&index, &[], &mut sink)?,
    }
    Ok(out)
}
