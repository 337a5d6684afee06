//! `treeseal digest` beside the `fsverity` program.

use std::fs;

use crate::support::{filled, program, run};

/// Sizes from 0 to 600,000 around every boundary of blocks and levels, for blocks of this size that
/// hold this many hashes.
fn boundary_sizes(block: usize, fanout: usize) -> Vec<usize> {
    let corners = [
        0,
        block,
        2 * block,
        3 * block,
        fanout * block,
        (fanout + 1) * block,
        2 * fanout * block,
        fanout * fanout * block,
        100_000,
        599_999,
    ];
    let around = corners.into_iter().flat_map(|size| [size.saturating_sub(1), size, size + 1]);
    let mut sizes: Vec<usize> = around.filter(|size| *size <= 600_000).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

#[test]
fn digests_are_those_of_the_fsverity_program() {
    let directory = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for (algorithm, digest_size) in [("sha256", 32), ("sha512", 64)] {
        // Beyond its page size the program computes nothing, so 65536 is left to the vectors.
        for block_size in [1024, 2048, 4096, 16384] {
            let mut files = Vec::new();
            for size in boundary_sizes(block_size, block_size / digest_size) {
                let path = directory.path().join(format!("{size}"));
                fs::write(&path, filled(size)).unwrap();
                files.push(path.into_os_string());
            }
            for salt in ["", "00", "0a0b0c", &"a5".repeat(32)] {
                let mut options = vec![
                    "digest".to_owned(),
                    format!("--hash-alg={algorithm}"),
                    format!("--block-size={block_size}"),
                ];
                if !salt.is_empty() {
                    options.push(format!("--salt={salt}"));
                }
                let arguments = || options.iter().map(Into::into).chain(files.iter().cloned());
                let theirs = program("fsverity", "fsverity", arguments()).ok();
                let ours = run(arguments()).ok();
                assert_eq!(ours.text(), theirs.text(), "{options:?}");
                compared += files.len();
            }
        }
    }
    assert!(compared > 500, "only {compared} digests compared");
}

#[test]
fn compact_output_is_that_of_the_fsverity_program() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "hello world\n").unwrap();
    let arguments = || ["digest".as_ref(), "--compact".as_ref(), path.as_os_str()];
    let theirs = program("fsverity", "fsverity", arguments()).ok();
    assert_eq!(run(arguments()).ok().text(), theirs.text());
}

#[test]
fn wrong_parameters_are_refused_with_a_way_out() {
    let digest = |option: &str| run(["digest", option, "/etc/hostname"]).expect_code(2);
    digest("--block-size=3000").says("block size 3000: expected a power of two from 1024 to 65536");
    digest("--salt=0a0").says("`0a0` is not a salt in hex").says("hint: write each byte as two");
    digest("--hash-alg=md5").says("unknown hash algorithm `md5`: expected `sha256` or `sha512`");
    let long = format!("--salt={}", "00".repeat(33));
    digest(&long).says("salt of 33 bytes: at most 32 are allowed");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    run(["digest", "/nonexistent/file"])
        .expect_code(2)
        .says("error: cannot read `/nonexistent/file`\ncaused by: No such file or directory");
}
