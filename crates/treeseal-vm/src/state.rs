//! What a test or a failing command can leave behind: mounts, loop and mapped devices, processes,
//! temporary files and records.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

/// A loop device that nothing uses any more goes a moment later, and so does a killed process.
const SETTLING: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);

/// Where it is recorded what was mounted. The directory itself may stay.
const RECORDS: &str = "/run/treeseal/mounts";

/// What the machine has at a moment, a line for each thing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State(BTreeSet<String>);

impl State {
    pub(crate) fn now() -> Result<Self> {
        let mut things = mounts()?;
        things.extend(block_devices()?);
        things.extend(processes()?);
        for directory in ["/tmp", RECORDS] {
            things.extend(files(Path::new(directory))?);
        }
        Ok(Self(things))
    }

    /// Fails with what is there and was not before. Things that are about to go have time for it.
    pub(crate) fn expect_nothing_new(&self) -> Result<()> {
        let deadline = Instant::now() + SETTLING;
        let mut left = self.new_in(&Self::now()?);
        while !left.is_empty() && Instant::now() < deadline {
            std::thread::sleep(POLL);
            left = self.new_in(&Self::now()?);
        }
        ensure!(left.is_empty(), "left behind: {}", left.join("; "));
        Ok(())
    }

    fn new_in(&self, later: &Self) -> Vec<String> {
        later.0.difference(&self.0).cloned().collect()
    }
}

/// Every mount by its own number, so that the same mount made anew counts as another.
fn mounts() -> Result<BTreeSet<String>> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("reading the mounts")?;
    Ok(table.lines().map(|line| format!("mount {line}")).collect())
}

/// Loop devices that have a file, and mapped devices.
fn block_devices() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/sys/block").context("reading /sys/block")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Ok(file) = fs::read_to_string(path.join("loop/backing_file")) {
            found.insert(format!("loop device {name} of {}", file.trim()));
        }
        if name.starts_with("dm-") {
            found.insert(format!("mapped device {name}"));
        }
    }
    Ok(found)
}

/// All processes but this one. Threads of the kernel have no program and are none.
fn processes() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").context("reading /proc")? {
        let path = entry?.path();
        let number = path.file_name().unwrap_or_default().to_string_lossy().parse::<u32>();
        if let Ok(number) = number
            && number != std::process::id()
            && let Some(command) = command_line(&path)
        {
            found.insert(format!("process {number}: {command}"));
        }
    }
    Ok(found)
}

/// What lies in a directory, if there is one.
fn files(directory: &Path) -> Result<BTreeSet<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.with_context(|| format!("listing {}", directory.display()))?,
    };
    entries.map(|entry| Ok(format!("file {}", entry?.path().display()))).collect()
}

fn command_line(process: &Path) -> Option<String> {
    fs::read_link(process.join("exe")).ok()?;
    let words = fs::read(process.join("cmdline")).ok()?;
    Some(String::from_utf8_lossy(&words).replace('\0', " ").trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(things: &[&str]) -> State {
        State(things.iter().map(|thing| (*thing).to_owned()).collect())
    }

    #[test]
    fn what_is_new_is_told_and_what_is_gone_is_not() {
        let before = state(&["mount a", "mount b"]);
        assert_eq!(before.new_in(&state(&["mount a", "mount c"])), ["mount c"]);
        assert!(before.new_in(&state(&["mount a"])).is_empty());
    }

    #[test]
    fn a_process_that_is_still_there_is_named() {
        let before = processes().unwrap();
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let after = processes().unwrap();
        let found: Vec<&String> = after.difference(&before).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        let expected = format!("process {}: ", child.id());
        assert!(found.iter().any(|thing| thing.starts_with(&expected)), "{found:?}");
    }
}
