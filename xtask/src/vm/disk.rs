//! Disks of machines: files of this machine, and how much of them a power cut leaves.

use crate::process::run_quietly;
use anyhow::{Context, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file that the machine has as a disk: `/dev/vda` and so on, in the order in which they are given.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    file: PathBuf,
    format: &'static str,
    snapshot: &'static str,
}

impl Disk {
    /// A raw file; what the machine writes is forgotten when it ends.
    pub(super) fn discarded(file: &Path) -> Self {
        Self { snapshot: "on", ..Self::kept(file) }
    }

    /// A raw file; what the machine has written stays, whatever ends the machine.
    pub(super) fn kept(file: &Path) -> Self {
        Self { file: file.to_owned(), format: "raw", snapshot: "off" }
    }

    /// Makes an empty file of so many bytes, which takes no space yet.
    pub(super) fn create(file: &Path, bytes: u64) -> Result<()> {
        let created = File::create(file).and_then(|file| file.set_len(bytes));
        created.with_context(|| format!("creating {}", file.display()))
    }

    /// Copies a file; what is empty in it takes no space in the copy either.
    pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
        run_quietly(Command::new("cp").args(["--sparse=always", "--"]).args([from, to]))
    }

    /// The host's cache is as good as a disk here, because it outlives the machine. Where a format has a
    /// cache in QEMU, what the machine flushes is written to the host's cache nevertheless.
    pub(super) fn argument(&self) -> String {
        let Self { file, format, snapshot } = self;
        // A comma in a file's name is doubled.
        let file = file.display().to_string().replace(',', ",,");
        format!("file={file},format={format},if=virtio,cache=unsafe,snapshot={snapshot}")
    }
}

/// A raw file as a disk with a volatile cache: it acknowledges what it is given to write, and has it
/// after a power cut only if the machine has flushed it, or had flushed something at the same place
/// since [`attach`](Self::attach). So of what was not flushed some is lost and some is not, in no order.
///
/// It is made of a qcow2 file over the raw one, each for one machine. QEMU writes new blocks to that
/// file at once, but where they belong only when the machine flushes; a kill loses that.
pub(super) struct CachedDisk {
    base: PathBuf,
    cache: PathBuf,
}

/// Blocks of 4 KiB are written by themselves, and one table tells of all: QEMU writes what it knows
/// whenever it makes a table.
const CACHE_FORMAT: &str = "cluster_size=128k,extended_l2=on";

impl CachedDisk {
    pub(super) fn over(base: &Path) -> Self {
        Self { base: base.to_owned(), cache: base.with_extension("cache") }
    }

    /// The disk for the next machine, with nothing in its cache.
    pub(super) fn attach(&self) -> Result<Disk> {
        let mut create = Command::new("qemu-img");
        create.args(["create", "-q", "-f", "qcow2", "-o", CACHE_FORMAT, "-F", "raw", "-b"]);
        run_quietly(create.args([&self.base, &self.cache]))?;
        Ok(Disk { file: self.cache.clone(), format: "qcow2", snapshot: "off" })
    }

    /// Writes to the raw file what the disk has after its machine's end.
    pub(super) fn settle(&self) -> Result<()> {
        let mut commit = Command::new("qemu-img");
        run_quietly(commit.args(["commit", "-q", "-t", "unsafe"]).arg(&self.cache))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_kept_or_discarded_and_may_have_a_comma() {
        let argument = Disk::kept(Path::new("a,b")).argument();
        assert_eq!(argument, "file=a,,b,format=raw,if=virtio,cache=unsafe,snapshot=off");
        assert!(Disk::discarded(Path::new("a")).argument().ends_with("snapshot=on"));
    }
}
