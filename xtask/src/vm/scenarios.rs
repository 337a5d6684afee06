//! Scenarios: several machines, one after the other, over a disk that outlives them.
//!
//! What each machine does is a step of `crates/treeseal-vm/src/steps.rs`.

use super::boot;
use super::disk::{CachedDisk, Disk};
use super::host::{BOOT_TIME, Host};
use super::machine::Machine;
use super::report::READY;
use anyhow::Result;
use std::time::Duration;

/// A scenario by its name.
pub(super) type Scenario = (&'static str, fn(&Host) -> Result<()>);

pub(super) const SCENARIOS: [Scenario; 17] = [
    ("synced-file-outlives-power-cut", synced_file_outlives_power_cut),
    ("unflushed-write-is-lost", unflushed_write_is_lost),
    ("mounting-is-quick", mounting_is_quick),
    ("boot-debian-to-a-shell", boot::debian_boots_to_a_shell),
    ("boot-tries-are-counted", boot::tries_are_counted),
    ("boot-command-line-only-narrows", boot::the_command_line_only_narrows),
    ("boot-etc-is-kept-or-not", boot::etc_is_kept_or_not),
    ("boot-refuses-changed-images", boot::changed_images_are_refused),
    ("boot-refuses-a-store-without-verity", boot::a_store_without_verity_is_refused),
    ("boot-reads-no-changed-objects", boot::changed_objects_are_not_read),
    ("boot-refuses-changed-and-older-seals", boot::changed_and_older_seals_are_refused),
    ("boot-ends-where-something-is-missing", boot::what_is_missing_ends_the_boot),
    ("boot-ostree-deployments", boot::sealed_deployments_boot),
    ("boot-ostree-stops-attacks", boot::attacks_on_deployments_are_stopped),
    ("boot-ostree-is-quick", boot::deployments_boot_quickly),
    ("boot-program-is-quick", boot::the_boot_program_is_quick),
    ("boot-outlives-power-cuts", boot::power_cuts_leave_the_old_tree_or_the_new_one),
];

/// What a step may take in emulation, on top of starting its machine.
const STEP_TIME: Duration = Duration::from_secs(60);

/// What a step may take that makes a disk for others.
pub(super) const PREPARING_TIME: Duration = Duration::from_secs(240);

/// A file that was synced is there after the power was cut and the machine started again, and one that
/// was not synced is not.
fn synced_file_outlives_power_cut(host: &Host) -> Result<()> {
    let disk = host.kept_disk("power-cut")?;
    let first = start(host, "power-cut-1", &disk, "write-and-wait")?;
    first.wait_for("said written", STEP_TIME)?;
    first.cut_power()?;
    let second = start(host, "power-cut-2", &disk, "read-after-power-cut")?;
    second.wait_for("said found", STEP_TIME)?;
    second.wait_for_end(STEP_TIME).map(drop)
}

/// Mounting takes less than it may, for a tree of any size. Shown are its time and that of
/// `mount.composefs`, by a clock that counts instructions where the machine is emulated.
fn mounting_is_quick(host: &Host) -> Result<()> {
    let machine = host.machine_with_scratch_disks("mount-time").argument("vm.step=mount-time");
    let machine = machine.counting_instructions().start()?;
    for program in ["treeseal mount", "mount.composefs"] {
        let line = machine.wait_for(&format!("said {program}: "), PREPARING_TIME)?;
        println!("vm {}: {line}", host.series());
    }
    machine.wait_for("said quick enough", STEP_TIME).map(drop)
}

/// What a disk with a cache has acknowledged and was not told to flush is lost when the power is cut.
fn unflushed_write_is_lost(host: &Host) -> Result<()> {
    let file = host.disk_file("unflushed");
    Disk::create(&file, 16 << 20)?;
    let disk = CachedDisk::over(&file);
    let first = start(host, "unflushed-1", &disk.attach()?, "write-unflushed")?;
    first.wait_for("said written", STEP_TIME)?;
    first.cut_power()?;
    disk.settle()?;
    let second = start(host, "unflushed-2", &Disk::kept(&file), "read-unflushed")?;
    second.wait_for("said found", STEP_TIME)?;
    second.wait_for_end(STEP_TIME).map(drop)
}

/// Starts a machine that takes a step with the disk.
pub(super) fn start(host: &Host, log: &str, disk: &Disk, step: &str) -> Result<Machine> {
    let machine = host.machine(log).disk(disk.clone());
    let machine = machine.argument(format!("vm.step={step}")).start()?;
    machine.wait_for(READY, BOOT_TIME)?;
    Ok(machine)
}
