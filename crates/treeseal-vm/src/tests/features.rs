//! What the other tests, and enforcement by the kernel, need of the kernel.

use crate::Job;
use crate::guest::{Guest, Verity, run, run_refused};
use crate::state::State;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;

/// A feature by its name, and what shows that it is there.
const FEATURES: &[(&str, Job)] = &[
    ("fs-verity on ext4", |_| has_line("/sys/fs/ext4/features/verity", "supported")),
    ("fs-verity is refused without the feature", verity_is_refused_without_the_feature),
    ("builtin signatures of fs-verity", |_| exists("/proc/sys/fs/verity/require_signatures")),
    ("the keyring .fs-verity", |_| has_word("/proc/keys", ".fs-verity:")),
    ("EROFS", |_| has_word("/proc/filesystems", "erofs")),
    ("overlayfs", |_| has_word("/proc/filesystems", "overlay")),
    ("btrfs", |_| has_word("/proc/filesystems", "btrfs")),
    ("FUSE", |_| exists("/dev/fuse")),
    ("loop devices", |_| exists("/dev/loop-control")),
    ("device mapper", |_| exists("/dev/mapper/control")),
    ("dm-verity", |_| exists("/sys/module/dm_verity")),
    ("IMA", |_| exists("/sys/kernel/security/ima/policy")),
    ("IPE", |_| exists("/sys/kernel/security/ipe/new_policy")),
    ("composefs: EROFS of a file, overlay with verity=require", composefs_mount),
];

/// Every feature is tried, and all that are missing are named.
pub(super) fn kernel_features(guest: &Guest) -> Result<()> {
    let mut missing = 0;
    for (name, shown_by) in FEATURES {
        match shown_by(guest) {
            Ok(()) => println!("{name}: there"),
            Err(error) => {
                missing += 1;
                println!("{name}: MISSING: {error:#}");
            }
        }
    }
    ensure!(missing == 0, "{missing} features are missing");
    Ok(())
}

fn exists(path: &str) -> Result<()> {
    fs::metadata(path).map(drop).with_context(|| format!("looking for {path}"))
}

fn has_line(path: &str, wanted: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    ensure!(text.lines().any(|line| line == wanted), "{path} has no line {wanted}");
    Ok(())
}

fn has_word(path: &str, wanted: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    ensure!(text.split_whitespace().any(|word| word == wanted), "{path} has no word {wanted}");
    Ok(())
}

/// Where ext4 was made without the feature, and on tmpfs, enabling fails.
fn verity_is_refused_without_the_feature(guest: &Guest) -> Result<()> {
    let filesystems = [
        (guest.ext4(4096, Verity::Off)?, "Operation not supported"),
        (guest.tmpfs()?, "Inappropriate ioctl for device"),
    ];
    for (filesystem, expected) in filesystems {
        let file = filesystem.write("file", b"content")?;
        let message = run_refused("fsverity", ["enable".as_ref(), file.as_os_str()])?;
        ensure!(message.contains(expected), "expected `{expected}`, found `{message}`");
    }
    Ok(())
}

/// The mount that enforcement by the kernel is made of, by the tools of composefs: a file is served as
/// long as its object is what the image says, and nothing is left behind.
fn composefs_mount(guest: &Guest) -> Result<()> {
    let disk = guest.ext4(4096, Verity::On)?;
    let [tree, objects, target] = ["tree", "objects", "target"].map(|name| disk.path().join(name));
    for dir in [&tree, &objects, &target] {
        fs::create_dir(dir).with_context(|| format!("creating {}", dir.display()))?;
    }
    disk.write("tree/file", &[1; 5000])?;
    let image = disk.path().join("image");
    let store = format!("--digest-store={}", objects.display());
    run("mkcomposefs", [store.as_ref(), tree.as_os_str(), image.as_os_str()])?;
    run("fsverity", ["enable".as_ref(), image.as_os_str()])?;

    let before = State::now()?;
    let options = format!("verity,basedir={}", objects.display());
    run("mount.composefs", ["-o".as_ref(), options.as_ref(), image.as_os_str(), target.as_ref()])?;
    let served = served_by(&target);
    run("umount", [&target])?;
    before.expect_nothing_new()?;
    served
}

fn served_by(target: &Path) -> Result<()> {
    let content = fs::read(target.join("file")).context("reading through the mount")?;
    ensure!(content == [1; 5000], "the mount serves something else");
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("reading the mounts")?;
    let options = mounts.lines().find(|line| line.contains(" - overlay "));
    let options = options.context("no overlay is mounted")?;
    ensure!(options.contains("verity=require"), "the overlay is mounted as {options}");
    let loops = run("losetup", ["--list", "--noheadings"])?;
    ensure!(loops.is_empty(), "a loop device is used: {loops}");
    Ok(())
}
