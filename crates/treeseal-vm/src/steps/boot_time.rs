//! What the boot program takes, beside the program that mounts a composefs image.

use super::mount_persistent;
use crate::guest::{Guest, PERSISTENT_DISK, run};
use crate::processor_time::{mean_time, mean_time_between};
use crate::report;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

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

/// Says the same of a deployment, beside `ostree-prepare-root`, for which its filesystem is mounted. That
/// moves what it was given, and takes no second run for one.
pub(super) fn deployment_time(_: &Guest) -> Result<()> {
    let mut boot = Command::new("treeseal-boot");
    boot.args(["--sysroot", "/sysroot"]).stderr(Stdio::null());
    let boot = mean_time(&mut boot, &["--recursive", "/sysroot", DISK])?;
    report::said(&format!("treeseal-boot: {boot:.1?}"));

    let mount = || run("mount", [PERSISTENT_DISK, "/sysroot"]).map(drop);
    let undo = || {
        let table = fs::read_to_string("/proc/mounts").context("reading the mount table")?;
        let is_checked =
            |line: &str| line.contains(" /sysroot overlay ") && line.contains("verity=");
        ensure!(table.lines().any(is_checked), "no tree was mounted with verity: {table}");
        run("umount", ["--recursive", "/sysroot"])?;
        fs::remove_dir_all(MADE).with_context(|| format!("removing {MADE}"))?;
        mount()
    };
    mount()?;
    let mut prepare = Command::new("ostree-prepare-root");
    prepare.arg("/sysroot").stdout(Stdio::null());
    let prepare = mean_time_between(&mut prepare, undo)?;
    report::said(&format!("ostree-prepare-root: {prepare:.1?}"));
    ensure!(boot < MOST, "treeseal-boot takes {boot:?}, and {MOST:?} are allowed");
    report::said("quick enough");
    Ok(())
}

/// Where the boot program mounts the filesystem of deployments.
const DISK: &str = "/run/treeseal/sysroot";

/// What `ostree-prepare-root` makes and must not find.
const MADE: &str = "/run/ostree";

/// All images of the store are of the same size.
fn any_image(store: &Path) -> Result<PathBuf> {
    first_in(&first_in(&store.join("images"))?)
}

fn first_in(directory: &Path) -> Result<PathBuf> {
    let entry = fs::read_dir(directory).ok().and_then(|mut entries| entries.next());
    Ok(entry.with_context(|| format!("nothing is in {}", directory.display()))??.path())
}
