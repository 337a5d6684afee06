//! What a program takes of the processor, by the machine's clock.

use crate::guest::run;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// How often each program is run, after a first time in which it is read from the disk.
const RUNS: u32 = 20;

/// What a program takes on average, the kernel's work for it included. What it mounts is unmounted after
/// each run.
pub(crate) fn mean_time(command: &mut Command, mounted: &[&str]) -> Result<Duration> {
    mean_time_between(command, || run("umount", mounted).map(drop))
}

/// The same, with something else to undo what a run did.
pub(crate) fn mean_time_between(
    command: &mut Command,
    undo: impl Fn() -> Result<()>,
) -> Result<Duration> {
    let mut once = || {
        let time = processor_time(command)?;
        undo()?;
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
