//! The kernel's digests beside those of `treeseal digest`.

use crate::guest::{Filesystem, Guest, Verity, run};
use anyhow::{Context, Result, ensure};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use treeseal_testkit::{boundary_lengths, counter_words};

/// An algorithm, by the name that both programs take, and the length of its digests in bytes.
const ALGORITHMS: [(&str, usize); 2] = [("sha256", 32), ("sha512", 64)];

/// No salt; one that is shorter than a word; and the longest one.
const SALTS: [&str; 3] =
    ["", "a55a01", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"];

/// Enough for a third level with the smallest blocks of either algorithm, and to hash in emulation.
const LONGEST: usize = 1024 * 1024 + 1;

/// Of the lengths, salted files have one out of so many: a salt concerns every hash alike.
const SALTED: usize = 8;

/// What the kernel measures of a file with fs-verity is what `treeseal digest` computes of its content.
/// The first filesystem has files of all lengths; the others show that it is the same there.
pub(super) fn fsverity_tool_agrees(guest: &Guest) -> Result<()> {
    let all = 1;
    let few = 3;
    let compared = [
        agree(&guest.ext4(4096, Verity::On)?, &[1024, 2048, 4096], all).context("ext4")?,
        agree(&guest.ext4(1024, Verity::On)?, &[1024], few).context("ext4 of 1 KiB blocks")?,
        agree(&guest.btrfs()?, &[1024, 2048, 4096], few).context("btrfs")?,
    ];
    println!("files compared: {compared:?}");
    ensure!(compared[0] >= 100, "too few files were compared: {compared:?}");
    Ok(())
}

/// Compares files of one out of `every` so many lengths, and gives their number.
fn agree(filesystem: &Filesystem, block_sizes: &[usize], every: usize) -> Result<usize> {
    let mut compared = 0;
    for params in Params::all(block_sizes) {
        let files = params.write_files(filesystem, every)?;
        params.compare(&files).with_context(|| params.name())?;
        compared += files.len();
    }
    Ok(compared)
}

struct Params {
    algorithm: &'static str,
    digest_length: usize,
    block_size: usize,
    salt: &'static str,
}

impl Params {
    fn all(block_sizes: &[usize]) -> Vec<Self> {
        let mut all = Vec::new();
        for &block_size in block_sizes {
            for (algorithm, digest_length) in ALGORITHMS {
                all.extend(SALTS.map(|salt| Self { algorithm, digest_length, block_size, salt }));
            }
        }
        all
    }

    fn name(&self) -> String {
        format!("{}-{}-{}", self.algorithm, self.block_size, self.salt)
    }

    fn write_files(&self, filesystem: &Filesystem, every: usize) -> Result<Vec<PathBuf>> {
        let hashes_per_block = self.block_size / self.digest_length;
        let lengths = boundary_lengths(self.block_size, hashes_per_block, LONGEST);
        let every = if self.salt.is_empty() { every } else { every * SALTED };
        let lengths = lengths.into_iter().step_by(every);
        let write = |(name, length)| {
            filesystem.write(&format!("{}-{name}", self.name()), &counter_words(length))
        };
        lengths.map(write).collect()
    }

    fn compare(&self, files: &[PathBuf]) -> Result<()> {
        for file in files {
            run("fsverity", self.words("enable", std::slice::from_ref(file)))?;
        }
        let measured = run("fsverity", words("measure", files))?;
        let computed = run("treeseal", self.words("digest", files))?;
        ensure!(measured.lines().count() == files.len(), "fsverity measure prints {measured}");
        ensure!(measured == computed, "the kernel:\n{measured}treeseal:\n{computed}");
        Ok(())
    }

    /// Both programs take the same options.
    fn words(&self, subcommand: &str, files: &[PathBuf]) -> Vec<OsString> {
        let mut words = words(subcommand, files);
        words.push(format!("--hash-alg={}", self.algorithm).into());
        words.push(format!("--block-size={}", self.block_size).into());
        if !self.salt.is_empty() {
            words.push(format!("--salt={}", self.salt).into());
        }
        words
    }
}

fn words(subcommand: &str, files: &[PathBuf]) -> Vec<OsString> {
    let files = files.iter().map(|file| file.as_os_str());
    std::iter::once(OsStr::new(subcommand)).chain(files).map(OsStr::to_owned).collect()
}
