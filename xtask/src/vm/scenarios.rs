//! Scenarios: several machines, one after the other, over a disk that outlives them.
//!
//! What each machine does is a step of `crates/treeseal-vm/src/steps.rs`.

use super::host::{BOOT_TIME, Host};
use super::machine::{Disk, Machine};
use super::report::READY;
use anyhow::Result;
use std::time::Duration;

/// A scenario by its name.
pub(super) type Scenario = (&'static str, fn(&Host) -> Result<()>);

pub(super) const SCENARIOS: [Scenario; 1] =
    [("synced-file-outlives-power-cut", synced_file_outlives_power_cut)];

/// What a step may take in emulation, on top of starting its machine.
const STEP_TIME: Duration = Duration::from_secs(60);

/// A file that was synced is there after the power was cut and the machine started again, and one that
/// was not synced is not.
fn synced_file_outlives_power_cut(host: &Host) -> Result<()> {
    let disk = host.kept_disk("power-cut")?;
    let first = start(host, "power-cut-1", &disk, "write-and-wait")?;
    first.wait_for("said written", STEP_TIME)?;
    first.cut_power()?;
    let second = start(host, "power-cut-2", &disk, "read-after-power-cut")?;
    second.wait_for("said found", STEP_TIME)?;
    second.wait_for_end(STEP_TIME)
}

/// Starts a machine that takes a step with the disk.
fn start(host: &Host, log: &str, disk: &Disk, step: &str) -> Result<Machine> {
    let machine = host.machine(log).disk(disk.clone());
    let machine = machine.argument(format!("vm.step={step}")).start()?;
    machine.wait_for(READY, BOOT_TIME)?;
    Ok(machine)
}
