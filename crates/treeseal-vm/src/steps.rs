//! Parts of scenarios: each is what one machine does, until it ends or is cut off.
//!
//! The scenarios themselves are in `xtask/src/vm/scenarios.rs`.

use crate::guest::{Filesystem, Guest, PERSISTENT_DISK, Verity, make_ext4};
use crate::{Job, report};
use anyhow::{Context, Result, ensure};
use rustix::mount::MountFlags;
use std::fs::{self, File};
use std::time::Duration;

pub(crate) mod boot;

pub(crate) const STEPS: &[(&str, Job)] = &[
    ("write-and-wait", write_and_wait),
    ("read-after-power-cut", read_after_power_cut),
    ("boot-enable-store", boot::enable_store),
    ("boot-look", boot::look),
    ("boot-mark-good", boot::mark_good),
    ("boot-read-parts", boot::read_parts),
    ("boot-update", boot::update),
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
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
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

fn mount_persistent(options: &std::ffi::CStr) -> Result<Filesystem> {
    Filesystem::mount(c"ext4", Some(PERSISTENT_DISK), MountFlags::empty(), options)
}
