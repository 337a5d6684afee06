//! `treeseal digest` beside the `fsverity` program.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use treeseal::verity::{HashAlgorithm, Implementation};

use crate::support::{Run, filled, program, run, treeseal};

/// Runs `treeseal` with an implementation forced.
fn run_by<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Run {
    Run::of(treeseal().env("TREESEAL_HASH", name).args(arguments))
}

/// The arguments that make a program print the digests of files.
fn digest_of(options: &[&str], files: &[PathBuf]) -> Vec<OsString> {
    let options = ["digest"].iter().chain(options).map(OsString::from);
    options.chain(files.iter().map(|file| file.as_os_str().to_owned())).collect()
}

/// A file of this size in a directory.
fn file_of(directory: &Path, size: usize) -> PathBuf {
    let path = directory.join(size.to_string());
    fs::write(&path, filled(size)).unwrap();
    path
}

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
fn digests_are_those_of_the_fsverity_program_by_every_implementation() {
    let directory = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for (algorithm, digest_size) in [("sha256", 32), ("sha512", 64)] {
        // Beyond its page size the program computes nothing, so 65536 is left to the vectors.
        for block_size in [1024, 2048, 4096, 16384] {
            let sizes = boundary_sizes(block_size, block_size / digest_size);
            let files: Vec<_> =
                sizes.into_iter().map(|size| file_of(directory.path(), size)).collect();
            let algorithm = format!("--hash-alg={algorithm}");
            let block_size = format!("--block-size={block_size}");
            for salt in ["", "00", "0a0b0c", &"a5".repeat(32)] {
                let salt = format!("--salt={salt}");
                let mut options = vec![&algorithm[..], &block_size];
                if salt != "--salt=" {
                    options.push(&salt);
                }
                let arguments = digest_of(&options, &files);
                let theirs = program("fsverity", "fsverity", &arguments).ok().text();
                assert_eq!(run(&arguments).ok().text(), theirs, "{options:?}");
                for implementation in Implementation::available() {
                    let name = implementation.name();
                    let ours = run_by(name, &arguments).ok();
                    assert_eq!(ours.text(), theirs, "{options:?} by {name}");
                }
                compared += files.len();
            }
        }
    }
    assert!(compared > 500, "only {compared} digests compared");
}

#[test]
fn large_files_and_many_files_are_hashed_on_all_cores_and_printed_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let mebibyte = 1 << 20;
    let mut sizes = vec![
        5 * mebibyte + 1,
        mebibyte - 1,
        mebibyte,
        mebibyte + 1,
        0,
        33 * mebibyte + 4095,
        7,
        2 * mebibyte + (256 << 10),
    ];
    sizes.extend(3000..3300);
    let files: Vec<_> = sizes.into_iter().map(|size| file_of(directory.path(), size)).collect();
    for options in [
        &["--hash-alg=sha256"][..],
        &["--hash-alg=sha512"],
        &["--hash-alg=sha512", "--block-size=1024", "--salt=abcd"],
        &["--hash-alg=sha256", "--compact"],
    ] {
        let all = digest_of(options, &files);
        let theirs = program("fsverity", "fsverity", &all).ok();
        assert_eq!(run(&all).ok().text(), theirs.text(), "{options:?}");
        let one = digest_of(options, &files[..1]);
        let theirs = program("fsverity", "fsverity", &one).ok();
        assert_eq!(run(&one).ok().text(), theirs.text(), "{options:?}");
    }
    // With blocks that the program cannot have, one core and several agree.
    let large = digest_of(&["--block-size=65536"], &files[..1]);
    let forced = run_by("portable", &large).ok().text();
    assert_eq!(run(&large).ok().text(), forced);
    let digest = treeseal::verity::Digester::digest_of(
        &treeseal::verity::Params::new(HashAlgorithm::Sha256, 65536, b"").unwrap(),
        &filled(5 * mebibyte + 1),
    );
    assert!(forced.starts_with(&format!("{digest:?} ")), "{forced}");
}

#[test]
fn digests_before_a_file_that_cannot_be_read_are_printed() {
    let directory = tempfile::tempdir().unwrap();
    let large = file_of(directory.path(), 9_000_000);
    for first in [file_of(directory.path(), 10), large.clone()] {
        let missing = directory.path().join("missing");
        let failed = run(digest_of(&[], &[first.clone(), missing, large.clone()])).expect_code(2);
        assert_eq!(failed.text(), run(digest_of(&[], &[first])).ok().text());
        failed.says("missing`\ncaused by: No such file or directory");
    }
}

#[test]
fn a_pipe_is_read_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = file_of(directory.path(), 3_000_001);
    let pipe = directory.path().join("pipe");
    program("mkfifo", "coreutils", [&pipe]).ok();
    let content = filled(3_000_001);
    let writer = thread::spawn({
        let pipe = pipe.clone();
        move || fs::write(pipe, content).unwrap()
    });
    let of_pipe = run(digest_of(&["--compact"], &[pipe])).ok().text();
    writer.join().unwrap();
    assert_eq!(of_pipe, run(digest_of(&["--compact"], &[file])).ok().text());
}

#[test]
fn an_implementation_that_the_machine_lacks_is_refused() {
    let elsewhere = if cfg!(target_arch = "aarch64") { "avx2" } else { "armv8" };
    run_by(elsewhere, ["digest", "/etc/hostname"])
        .expect_code(2)
        .says(&format!(
            "error: TREESEAL_HASH: this processor cannot run the hash implementation `{elsewhere}`"
        ))
        .says("hint: this machine has portable");
    for nonsense in ["", "md5", "AVX2"] {
        let refused = run_by(nonsense, ["digest", "/etc/hostname"]).expect_code(2);
        assert_eq!(refused.text(), "");
        refused.says(&format!("TREESEAL_HASH: unknown hash implementation `{nonsense}`"));
    }
}

#[test]
fn the_explanation_names_what_is_used() {
    let plain = run_by("portable", ["digest", "--explain"]).ok();
    assert_eq!(plain.text(), "", "the explanation is no data");
    plain
        .says("sha256: portable, one block at a time")
        .says("sha512: portable, one block at a time")
        .says("threads: ");
    for implementation in Implementation::available() {
        let name = implementation.name();
        let explained = run_by(name, ["digest", "--explain", "/etc/hostname"]).ok();
        assert!(explained.text().starts_with("sha256:"), "{}", explained.text());
        explained.says(&format!("sha256: {name}, "));
    }
}

/// A run of all tests by one implementation says nothing of it unless the variable arrives.
#[test]
fn the_implementation_that_the_environment_names_is_used() {
    let name = std::env::var("TREESEAL_HASH");
    let explained = run(["digest", "--explain"]).ok();
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
        let used = match &name {
            Ok(name) => Implementation::named(name).unwrap().for_algorithm(algorithm),
            Err(_) => Implementation::fastest(algorithm),
        };
        assert!(
            explained.stderr.contains(&format!("{algorithm}: {}, ", used.name())),
            "{name:?}: {}",
            explained.stderr
        );
    }
}

#[test]
fn every_implementation_is_named_as_one_that_can_be_forced_or_as_one_that_cannot() {
    let explained = run(["digest", "--explain"]).ok();
    let available = Implementation::available().into_iter().map(Implementation::name);
    let available: Vec<_> = available.collect();
    let missing: Vec<_> =
        Implementation::NAMES.into_iter().filter(|name| !available.contains(name)).collect();
    explained.says(&format!(
        "TREESEAL_HASH can be {}; not on this machine: {}\n",
        available.join(", "),
        missing.join(", ")
    ));
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
