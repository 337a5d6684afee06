//! What the other tests rely on.

use crate::guest::{Guest, Verity, run};
use crate::kernel_log::KernelLog;
use crate::state::State;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::process::Command;

/// A mount, a loop device, a process and a file that are left behind are each found, and nothing is when
/// they are gone.
pub(super) fn leftovers_are_noticed(guest: &Guest) -> Result<()> {
    let before = State::now()?;
    let tmpfs = guest.tmpfs()?;
    noticed(&before, "mount ")?;
    let file = tmpfs.write("image", &[0; 65536])?;
    let with_mount = State::now()?;

    let device = run("losetup", ["--find".as_ref(), "--show".as_ref(), file.as_os_str()])?;
    noticed(&with_mount, "loop device ")?;
    run("losetup", ["--detach", device.trim()])?;

    let mut child = Command::new("sleep").arg("600").spawn().context("starting sleep")?;
    noticed(&with_mount, "process ")?;
    child.kill().and_then(|()| child.wait()).context("ending sleep")?;

    fs::write("/tmp/left", b"left").context("leaving a file")?;
    noticed(&with_mount, "file /tmp/left")?;
    fs::remove_file("/tmp/left").context("removing it")?;

    with_mount.expect_nothing_new()?;
    drop(tmpfs);
    before.expect_nothing_new()
}

fn noticed(before: &State, kind: &str) -> Result<()> {
    let error = before.expect_nothing_new().err();
    let error = error.with_context(|| format!("nothing was noticed of a new {kind}"))?;
    let text = error.to_string();
    ensure!(text.starts_with(&format!("left behind: {kind}")), "{text}");
    Ok(())
}

/// A byte that is changed on the disk makes reading it fail, and the kernel's log says so; before, all
/// of the file can be read.
pub(super) fn damage_beneath_a_file_is_noticed(guest: &Guest) -> Result<()> {
    for block_size in [4096, 1024] {
        let disk = guest.ext4(block_size, Verity::On)?;
        let file = disk.write("file", &[7; 40_000])?;
        let block_size = block_size.to_string();
        run(
            "fsverity",
            ["enable".as_ref(), "--block-size".as_ref(), block_size.as_ref(), file.as_os_str()],
        )?;
        fs::read(&file).context("reading what was not damaged yet")?;

        let mut log = KernelLog::from_now()?;
        disk.overwrite_beneath(&file, 20_000, &[8])?;
        let error = fs::read(&file).err().context("damaged content can be read")?;
        ensure!(error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()), "{error}");
        let messages = log.messages()?;
        let told = messages.iter().any(|message| message.contains("FILE CORRUPTED"));
        ensure!(told, "the kernel says nothing of the damage: {messages:?}");
    }
    Ok(())
}
