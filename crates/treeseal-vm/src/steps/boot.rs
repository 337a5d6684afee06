//! What machines do in scenarios that boot sealed trees; `xtask/src/vm/boot.rs` has those.
//!
//! All but [`enable`] run in a booted tree, whose init is this program. A tree says which one it is:
//! a number in [`RELEASE`], on which its other content depends.

use super::{mount_persistent, wait_for_power_cut};
use crate::guest::{Guest, run};
use crate::report;
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

const RELEASE: &str = "usr/lib/release";

/// Files whose content follows from the release; each is an object of its own.
const PARTS: [&str; 3] = ["usr/lib/part-1", "usr/lib/part-2", "usr/lib/part-3"];
const PART_SIZE: usize = 400_000;

/// The filesystem of the store, where the boot program has mounted it.
const DISK: &str = "/run/treeseal/store";

const STREAM: &str = "test/boot/any/stable";

/// What a system writes in `/etc`.
const CHANGE: &str = "/etc/changed";

/// Files that the kernel is to check: those of a store, and of OSTree the objects with content and the
/// images of deployments.
const CHECKED: &str =
    "-path */store/images/* -o -path */store/objects/* -o -name *.file -o -name .ostree.cfs";

/// Enables fs-verity on what the disk has of that, as the guide to booting says.
pub(super) fn enable(_: &Guest) -> Result<()> {
    let disk = mount_persistent(c"")?;
    let wanted = ["-type", "f", "("].into_iter().chain(CHECKED.split(' '));
    let words = wanted.chain([")", "-exec", "treeseal", "enable", "{}", "+"]);
    run("find", [disk.path().as_os_str()].into_iter().chain(words.map(AsRef::as_ref)))?;
    report::said("enabled");
    Ok(())
}

/// Says what was booted, and whether a change in `/etc` is still there; then changes it.
pub(super) fn look(_: &Guest) -> Result<()> {
    let release = running_release()?;
    let change = match fs::read(CHANGE) {
        Ok(_) => "changed",
        Err(error) if error.kind() == ErrorKind::NotFound => "as sealed",
        Err(error) => return Err(error).with_context(|| format!("reading {CHANGE}")),
    };
    report::said(&format!("booted release {release}, /etc is {change}"));
    fs::write(CHANGE, b"changed\n").with_context(|| format!("writing {CHANGE}"))
}

/// Says what was booted, and marks it good.
pub(super) fn mark_good(_: &Guest) -> Result<()> {
    let release = running_release()?;
    report::said(&format!("booted release {release}"));
    run("treeseal", ["boot", "mark-good"])?;
    report::said(&format!("marked good: release {release}"));
    Ok(())
}

/// Marks the tree good that runs, seals the next one into the store, and waits for the power to be cut,
/// which may come at any time.
pub(super) fn update(_: &Guest) -> Result<()> {
    let release = running_release()?;
    report::said(&format!("booted release {release}"));
    report::said("updating");
    run("treeseal", ["boot", "mark-good"])?;
    write_release(&Path::new(DISK).join("source"), release + 1)?;
    seal()?;
    report::said("updated");
    wait_for_power_cut()
}

/// Reads each part of the running tree, and says whether it could.
pub(super) fn read_parts(_: &Guest) -> Result<()> {
    for part in PARTS {
        match fs::read(Path::new("/").join(part)) {
            Ok(_) => report::said(&format!("read {part}")),
            Err(error) => report::said(&format!("not read {part}: {error}")),
        }
    }
    Ok(())
}

/// The release of the running tree, all of whose content belongs to it.
fn running_release() -> Result<u32> {
    let told = fs::read_to_string("/run/treeseal/boot.json").context("reading what was booted")?;
    ensure!(told.contains("\"enforcement\":\"kernel\""), "not enforced by the kernel: {told}");
    let path = Path::new("/").join(RELEASE);
    let release = fs::read_to_string(&path).context("reading the release")?;
    let release = release.trim().parse().with_context(|| format!("release `{release}`"))?;
    for part in PARTS {
        let found =
            fs::read(Path::new("/").join(part)).with_context(|| format!("reading {part}"))?;
        ensure!(found == content(part, release), "{part} is not of release {release}");
    }
    Ok(release)
}

/// Makes a tree this release. The machine outside makes the first ones.
pub(crate) fn write_release(tree: &Path, release: u32) -> Result<()> {
    let write = |name: &str, content: Vec<u8>| {
        fs::write(tree.join(name), content).with_context(|| format!("writing {name}"))
    };
    PARTS.iter().try_for_each(|part| write(part, content(part, release)))?;
    write(RELEASE, format!("{release}\n").into_bytes())
}

/// The lines of a part: no two are the same, in no two releases.
fn content(part: &str, release: u32) -> Vec<u8> {
    let mut text = String::new();
    for line in 1.. {
        if text.len() >= PART_SIZE {
            break;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{part} of release {release}, line {line}");
    }
    text.into_bytes()
}

fn seal() -> Result<()> {
    let mut command = Command::new("treeseal");
    command.args(["seal", "source", "--stream", STREAM]).current_dir(DISK);
    command.env("TREESEAL_STORE", "store").env("TREESEAL_ROOT", "home/config/root.json");
    let output = command.env("TREESEAL_STATE", "home/state").output();
    let output = output.context("starting treeseal")?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "sealing: {}: {messages}", output.status);
    Ok(())
}
