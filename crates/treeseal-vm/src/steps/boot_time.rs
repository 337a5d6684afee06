//! What the boot program takes, beside the program that mounts a composefs image.

use super::mount_persistent;
use crate::guest::{Guest, run};
use crate::report;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How often each program is run, after a first time in which it is read from the disk.
const RUNS: u32 = 20;

/// The most that the boot program may take: three times what it took when this was written, where the
/// machine's clock counts instructions, and what nobody notices at a boot.
const MOST: Duration = Duration::from_millis(20);

/// Says the processor's time, the kernel's work included, for mounting the newest release: by the boot
/// program, which finds the filesystem, mounts it, verifies and hands over; and by `mount.composefs`, for
/// which the filesystem is mounted and the image known.
pub(super) fn boot_time(_: &Guest) -> Result<()> {
    let mut boot = Command::new("treeseal-boot");
    boot.args(["--sysroot", "/sysroot"]).stderr(Stdio::null());
    let boot = mean_time(&mut boot, &["/sysroot", "/run/treeseal/store"])?;
    report::said(&format!("treeseal-boot: {boot:.1?}"));

    let disk = mount_persistent(c"")?;
    let store = disk.path().join("store");
    let options = format!("verity,basedir={}", store.join("objects").display());
    let mut mount = Command::new("mount.composefs");
    mount.args(["-o", &options]).arg(any_image(&store)?).arg("/sysroot");
    let composefs = mean_time(&mut mount, &["/sysroot"])?;
    report::said(&format!("mount.composefs: {composefs:.1?}"));
    ensure!(boot < MOST, "treeseal-boot takes {boot:?}, and {MOST:?} are allowed");
    report::said("quick enough");
    Ok(())
}

/// What a program takes on average. What it mounts is unmounted after each run.
fn mean_time(command: &mut Command, mounted: &[&str]) -> Result<Duration> {
    let mut once = || {
        let time = processor_time(command)?;
        run("umount", mounted)?;
        anyhow::Ok(time)
    };
    once()?;
    let times = (0..RUNS).map(|_| once()).collect::<Result<Vec<_>>>()?;
    Ok(times.iter().sum::<Duration>() / RUNS)
}

fn processor_time(command: &mut Command) -> Result<Duration> {
    let mut child = command.spawn().context("starting the program")?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process")?;
    // It stays in the process table, with what it took.
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    let path = format!("/proc/{}/schedstat", child.id());
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let status = child.wait().context("waiting for the program")?;
    ensure!(status.success(), "{command:?}: {status}");
    // The nanoseconds that it ran come first.
    let first = text.split_whitespace().next().and_then(|number| number.parse().ok());
    first.map(Duration::from_nanos).with_context(|| format!("{path} has `{text}`"))
}

/// All images of the store are of the same size.
fn any_image(store: &Path) -> Result<PathBuf> {
    first_in(&first_in(&store.join("images"))?)
}

fn first_in(directory: &Path) -> Result<PathBuf> {
    let entry = fs::read_dir(directory).ok().and_then(|mut entries| entries.next());
    Ok(entry.with_context(|| format!("nothing is in {}", directory.display()))??.path())
}
