//! Parts of scenarios: each is what one machine does, until it ends or is cut off.
//!
//! The scenarios themselves are in `xtask/src/vm/scenarios.rs`.

use crate::guest::{Filesystem, Guest, PERSISTENT_DISK, Verity, make_ext4};
use crate::{Job, report};
use anyhow::{Context, Result, ensure};
use rustix::fs::OFlags;
use rustix::mount::MountFlags;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::time::Duration;

pub(crate) mod boot;
mod boot_time;
mod mount_time;

pub(crate) const STEPS: &[(&str, Job)] = &[
    ("write-and-wait", write_and_wait),
    ("read-after-power-cut", read_after_power_cut),
    ("write-unflushed", write_unflushed),
    ("read-unflushed", read_unflushed),
    ("boot-enable", boot::enable),
    ("boot-look", boot::look),
    ("boot-mark-good", boot::mark_good),
    ("boot-read-parts", boot::read_parts),
    ("boot-update", boot::update),
    ("boot-time", boot_time::boot_time),
    ("boot-deployment-time", boot_time::deployment_time),
    ("mount-time", mount_time::mount_time),
];

/// What the synced file has in it, and the one that was not synced.
const CONTENT: &[u8] = b"written and synced\n";

/// Writes one file and syncs it, then another one without, and waits for the power to be cut.
fn write_and_wait(_: &Guest) -> Result<()> {
    make_ext4(PERSISTENT_DISK, 4096, Verity::On)?;
    // A journal that is written every five seconds would make the second file durable as well.
    let disk = mount_persistent(c"commit=300")?;
    let synced = disk.write("synced", CONTENT)?;
    File::open(synced).and_then(|file| file.sync_all()).context("syncing the first file")?;
    disk.write("not-synced", CONTENT)?;
    report::said("written");
    wait_for_power_cut()
}

/// The synced file is there; that the other is not shows that the power was really cut.
fn read_after_power_cut(_: &Guest) -> Result<()> {
    let disk = mount_persistent(c"")?;
    let found = fs::read(disk.path().join("synced")).context("reading the synced file")?;
    ensure!(found == CONTENT, "the synced file has {found:?}");
    let not_synced = fs::read(disk.path().join("not-synced")).unwrap_or_default();
    ensure!(not_synced.is_empty(), "the power was not cut: the second file has {not_synced:?}");
    report::said("found");
    Ok(())
}

/// Writes one block and flushes it, then another one that the disk acknowledges, and waits for the power
/// to be cut.
fn write_unflushed(_: &Guest) -> Result<()> {
    let disk = open_disk()?;
    let block = Block::filled(1);
    let write = |at| disk.write_all_at(block.bytes(), at).context("writing to the disk");
    write(FLUSHED)?;
    disk.sync_all().context("flushing the disk")?;
    write(UNFLUSHED)?;
    report::said("written");
    wait_for_power_cut()
}

/// The first block is there, and the other one is not.
fn read_unflushed(_: &Guest) -> Result<()> {
    let disk = open_disk()?;
    for (at, expected) in [(FLUSHED, 1), (UNFLUSHED, 0)] {
        let mut block = Block::filled(2);
        disk.read_exact_at(block.bytes_mut(), at).context("reading from the disk")?;
        let found = block.bytes();
        ensure!(found.iter().all(|byte| *byte == expected), "at {at} the disk has {found:?}");
    }
    report::said("found");
    Ok(())
}

/// Where the two blocks lie.
const FLUSHED: u64 = 0;
const UNFLUSHED: u64 = 1 << 20;

/// The disk, without a cache in the machine.
fn open_disk() -> Result<File> {
    let flags = i32::try_from(OFlags::DIRECT.bits())?;
    let opened = File::options().read(true).write(true).custom_flags(flags).open(PERSISTENT_DISK);
    opened.with_context(|| format!("opening {PERSISTENT_DISK}"))
}

/// A block in memory as a disk without a cache takes it: it begins at a multiple of its size.
struct Block {
    memory: Vec<u8>,
    begin: usize,
}

impl Block {
    const SIZE: usize = 4096;

    fn filled(byte: u8) -> Self {
        let memory = vec![byte; 2 * Self::SIZE];
        let begin = memory.as_ptr().align_offset(Self::SIZE);
        Self { memory, begin }
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.begin..self.begin + Self::SIZE]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.begin..self.begin + Self::SIZE]
    }
}

fn wait_for_power_cut() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn mount_persistent(options: &std::ffi::CStr) -> Result<Filesystem> {
    Filesystem::mount(c"ext4", Some(PERSISTENT_DISK), MountFlags::empty(), options)
}
