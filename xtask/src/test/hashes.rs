//! The core of the tests, once more for each implementation of the hash functions.
//!
//! All other tests run by the implementation that is chosen without being told. The others are what
//! another processor chooses, so whatever depends on digests must come out the same by them.

use crate::process::{output, run as show_and_run};
use crate::setup::Peers;
use crate::workspace::Workspace;
use anyhow::{Context, Result, ensure};
use std::process::Command;

/// Test programs of the libraries, beside the unit tests of them all: what makes or checks digests,
/// Merkle trees, images, dumps and stores, against vectors, models, fixtures and mkcomposefs.
///
/// Left out is what takes long and hashes little: `model` (erofs), which is about the layout of images,
/// and `crash` (store), which is about the order of writes.
const LIBRARY_TESTS: &[&str] = &[
    "agreement",
    "digests",
    "vectors",
    "dump",
    "mkcomposefs",
    "fixtures",
    "kernel",
    "reader",
    "reader_composefs_info",
    "reader_damage",
    "import",
    "store",
    "fsck",
    "gc",
];

/// Modules of these that are left out: they are about the number of entries, and hash next to nothing.
const SKIPPED: &str = "scale::";

/// Modules of the command line's tests: digests beside fsverity, images beside mkcomposefs and
/// composefs-info, and what is sealed, verified, extracted and refused.
///
/// Left out are `usr`, a minute and a half for the same comparison with more files; `cache` and
/// `bad_input`, mostly waiting and refusals; and what is about keys and signatures, which are hashed by
/// other code.
const COMMAND_LINE_TESTS: &[&str] = &["digest::", "image::", "seal::", "tamper::", "alone::"];

/// Has the libraries read the variable; the command line always does.
const FEATURE: &str = "treeseal-hash/test-environment";

/// Names the implementation that is forced.
pub(super) const VARIABLE: &str = "TREESEAL_HASH";

pub(super) fn run(workspace: &Workspace, peers: &Peers) -> Result<()> {
    let treeseal = workspace.target.join("debug/treeseal");
    let unforced = explained(Command::new(&treeseal).env_remove(VARIABLE))?;
    let implementations = Implementations::parse(&unforced)
        .with_context(|| format!("`treeseal digest --explain` says:\n{unforced}"))?;
    ensure!(
        implementations.available.contains(&"portable"),
        "portable code is missing:\n{unforced}"
    );
    command_line_tests_exist(workspace)?;
    for name in implementations.missing {
        println!("hashes: {name}: NOT TESTED, this processor lacks it");
    }
    for name in implementations.available {
        if explained(Command::new(&treeseal).env(VARIABLE, name))? == unforced {
            println!("hashes: {name}: tested already, it is what this processor chooses");
            continue;
        }
        println!("hashes: {name}");
        let tests = [library_tests(workspace), command_line_tests(workspace)];
        for mut tests in tests {
            tests.env("TREESEAL_PEERS", peers.dir()).env(VARIABLE, name);
            show_and_run(&mut tests).with_context(|| format!("with {VARIABLE}={name}"))?;
        }
    }
    Ok(())
}

/// The names of the implementations, as `treeseal digest --explain` lists them.
struct Implementations<'a> {
    available: Vec<&'a str>,
    missing: Vec<&'a str>,
}

impl<'a> Implementations<'a> {
    fn parse(explanation: &'a str) -> Option<Self> {
        let mut lines = explanation.lines();
        let list = lines.find_map(|line| line.strip_prefix("TREESEAL_HASH can be "))?;
        let (available, missing) = list.split_once("; not on this machine: ")?;
        let names = |list: &'a str| list.split(", ").collect();
        Some(Self { available: names(available), missing: names(missing) })
    }
}

/// What `treeseal` says of how it hashes; this goes to stderr.
fn explained(treeseal: &mut Command) -> Result<String> {
    let output = treeseal.args(["digest", "--explain"]).output().context("starting treeseal")?;
    let text = String::from_utf8(output.stderr).context("treeseal prints text")?;
    ensure!(output.status.success(), "treeseal digest --explain failed:\n{text}");
    Ok(text)
}

fn library_tests(workspace: &Workspace) -> Command {
    let mut command = workspace.cargo();
    command.args(["test", "--workspace", "--no-fail-fast", "--features", FEATURE, "--lib"]);
    command.args(LIBRARY_TESTS.iter().flat_map(|name| ["--test", name]));
    command.args(["--", "--skip", SKIPPED]);
    command
}

fn command_line_tests(workspace: &Workspace) -> Command {
    let mut command = workspace.cargo();
    command.args(["test", "--workspace", "--test", "cli", "--"]).args(COMMAND_LINE_TESTS);
    command
}

/// Cargo knows when a test program is missing, but a filter that fits nothing passes.
fn command_line_tests_exist(workspace: &Workspace) -> Result<()> {
    let listed = output(command_line_tests(workspace).arg("--list"))?;
    for module in COMMAND_LINE_TESTS {
        let found = listed.lines().any(|line| line.starts_with(module));
        ensure!(found, "the command line has no tests in `{module}`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lists_are_found_in_the_explanation() {
        let text = "threads: 2\nTREESEAL_HASH can be portable, avx2; not on this machine: armv8\n";
        let found = Implementations::parse(text).unwrap();
        assert_eq!(found.available, ["portable", "avx2"]);
        assert_eq!(found.missing, ["armv8"]);
        assert!(Implementations::parse("threads: 2\n").is_none());
    }
}
