//! A sealed tree on a filesystem of its own.

use crate::guest::{Filesystem, run};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use treeseal_testkit::counter_words;

pub(super) const STREAM: &str = "test/store/any/stable";

/// Sizes of the files of the tree: within a block, a few blocks, more than a run, more than a piece that
/// is written at a time.
pub(super) const SIZES: [usize; 4] = [100, 20_000, 600_000, 1_500_000];

/// What every store has of that tree, the image included.
pub(super) const FILES: usize = SIZES.len() + 1;

/// A tree, a store, and what the machine remembers, in a directory of their own.
pub(super) struct Place {
    pub(super) home: PathBuf,
}

impl Place {
    pub(super) fn new(filesystem: &Filesystem) -> Result<Self> {
        let place = Self { home: filesystem.path().to_owned() };
        fs::create_dir(place.tree()).context("creating the tree")?;
        for size in SIZES {
            fs::write(place.source(size), content(size)).context("writing the tree")?;
        }
        Ok(place)
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.home.join("tree")
    }

    pub(super) fn source(&self, size: usize) -> PathBuf {
        self.tree().join(size.to_string())
    }

    pub(super) fn store(&self) -> PathBuf {
        self.home.join("store")
    }

    /// The object of a file of the tree.
    pub(super) fn object(&self, size: usize) -> Result<PathBuf> {
        let digest = digest("digest", &self.source(size))?;
        let (directory, name) = digest.split_at_checked(2).context("a digest is longer")?;
        Ok(self.store().join("objects").join(directory).join(name))
    }

    /// Runs `treeseal` with arguments that are separated by spaces.
    pub(super) fn output(&self, words: &str) -> Result<Output> {
        let mut command = Command::new("treeseal");
        command
            .args(words.split_whitespace())
            .current_dir(&self.home)
            .env("TREESEAL_STORE", self.store())
            .env("TREESEAL_ROOT", self.home.join("config/root.json"))
            .env("TREESEAL_STATE", self.home.join("state"));
        command.output().context("starting treeseal")
    }

    /// Runs `treeseal`, which must give this exit code, and gives what it prints, messages included.
    pub(super) fn does(&self, code: i32, words: &str) -> Result<String> {
        let output = self.output(words)?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        ensure!(output.status.code() == Some(code), "treeseal {words}: {}: {text}", output.status);
        Ok(text)
    }

    /// The same, and what it prints must have this in it.
    pub(super) fn says(&self, code: i32, words: &str, expected: &str) -> Result<()> {
        let text = self.does(code, words)?;
        ensure!(text.contains(expected), "treeseal {words}: expected `{expected}`, found: {text}");
        Ok(())
    }

    pub(super) fn seal(&self) -> Result<String> {
        self.does(0, &format!("seal tree --stream {STREAM} --json"))
    }

    /// The files in a directory of the store that are named by a digest.
    pub(super) fn files(&self, directory: &str) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for fanout in names(&self.store().join(directory))? {
            files.extend(names(&fanout)?);
        }
        Ok(files)
    }
}

pub(super) fn content(size: usize) -> Vec<u8> {
    counter_words(size + 4).split_off(4)
}

pub(super) fn names(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory);
    let entries = entries.with_context(|| format!("listing {}", directory.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// What `fsverity` computes or measures of a file, in hex.
pub(super) fn digest(subcommand: &str, file: &Path) -> Result<String> {
    let line = run("fsverity", [subcommand.as_ref(), file.as_os_str()])?;
    let digest = line.strip_prefix("sha256:").and_then(|rest| rest.split(' ').next());
    digest.map(str::to_owned).with_context(|| format!("fsverity {subcommand} prints {line}"))
}

pub(super) fn enable(file: &Path, options: &[&str]) -> Result<()> {
    let words = [&["enable", file.to_str().context("the path is text")?][..], options].concat();
    run("fsverity", words).map(drop)
}
