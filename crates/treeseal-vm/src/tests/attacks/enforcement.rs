//! The ways to enforce a seal, each as a reader of the newest release meets it, and for comparison none.

use super::finding::Finding;
use super::unchecked::by_nobody;
use super::world::{World, treeseal};
use crate::kernel_log::KernelLog;
use anyhow::{Context, Result, bail, ensure};
use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};
use treeseal::boot::{self, BootState, CommandLine, Criteria, select};
use treeseal::mount::{EnforcedMount, MountOptions, enforce};
use treeseal::store::Store;
use treeseal::trust::{Clock, Timestamp};
use treeseal_testkit::attacks::{STREAM, Victim};

/// A way to enforce, and what it makes of a victim. An error means that a reader got something wrong and
/// was not to.
pub(super) struct Enforcement {
    pub(super) name: &'static str,
    pub(super) face: fn(&World, &Victim<'_>) -> Result<Finding>,
}

pub(super) const ENFORCEMENTS: [Enforcement; 3] = [
    Enforcement { name: "none", face: by_nobody },
    Enforcement { name: "kernel", face: by_the_kernel },
    Enforcement { name: "scan", face: by_a_scan },
];

/// When the seal is verified, before anything is mounted or extracted.
pub(super) const VERIFY: &str = "verify";

/// For how long the kernel suppresses messages when there were many.
const MESSAGES_SUPPRESSED: Duration = Duration::from_secs(5);

/// Mounts the newest release with the kernel's check, and reads all of it.
fn by_the_kernel(world: &World, victim: &Victim<'_>) -> Result<Finding> {
    let target = victim.path("mount");
    fs::create_dir(&target).context("creating the mount's place")?;
    let mount = match mount_newest(victim) {
        Ok(mount) => mount,
        Err(refusal) => return Finding::of_refused_mount(&refusal, world),
    };
    mount.attach(File::open(&target)?).context("attaching the mount")?;
    let found = read_mounted(world, &target);
    rustix::mount::unmount(&target, rustix::mount::UnmountFlags::empty()).context("unmounting")?;
    found
}

/// Verifies the seal and mounts the tree, as the boot program does.
fn mount_newest(victim: &Victim<'_>) -> Result<EnforcedMount, Refusal> {
    let line = fs::read(victim.command_line()).map_err(Refusal::at(VERIFY))?;
    let command_line = CommandLine::parse(&line).map_err(Refusal::at(VERIFY))?;
    let store = Store::open_read_only(&victim.store()).map_err(Refusal::at(VERIFY))?;
    let state = BootState::open(&victim.path(""), "boot").map_err(Refusal::at(VERIFY))?;
    let stream = STREAM.parse().map_err(Refusal::at(VERIFY))?;
    let criteria =
        Criteria { stream: &stream, floor: None, clock: clock(), tries: 1, command_line };
    let selection =
        select(&store, &victim.root(), &state, &criteria).map_err(Refusal::at(VERIFY))?;
    match selection.candidates.first() {
        Some(newest) => enforce(&store, &newest.statement, &MountOptions::default())
            .map_err(Refusal::at("mount")),
        None => Err(Refusal::of_all(&selection.refused)),
    }
}

fn clock() -> Clock {
    let now = SystemTime::UNIX_EPOCH.elapsed().ok();
    let now = now.and_then(|now| Timestamp::from_unix(now.as_secs()));
    now.map_or(Clock::Unknown, Clock::Trusted)
}

/// Why there is no mount.
pub(super) struct Refusal {
    pub(super) when: &'static str,
    pub(super) message: String,
}

impl Refusal {
    fn at<E: Error>(when: &'static str) -> impl Fn(E) -> Self {
        move |error| Self { when, message: treeseal::causes(&error).join(": ") }
    }

    fn of_all(seals: &[boot::Refusal]) -> Self {
        let messages: Vec<_> = seals.iter().map(ToString::to_string).collect();
        Self { when: VERIFY, message: messages.join("; ") }
    }
}

fn read_mounted(world: &World, target: &Path) -> Result<Finding> {
    let found = match read_once(world, target)? {
        None => {
            std::thread::sleep(MESSAGES_SUPPRESSED);
            read_once(world, target)?
        }
        found => found,
    };
    found.context("a read failed, and the kernel does not say why")
}

/// Reads everything; nothing where the kernel does not say why it refused.
fn read_once(world: &World, target: &Path) -> Result<Option<Finding>> {
    let mut log = KernelLog::from_now()?;
    let failures = world.newest.compare(target)?;
    match failures.first() {
        None => Ok(Some(Finding::harmless())),
        Some(failure) => Ok(Finding::of_failed_read(failure, &log.messages()?)),
    }
}

/// Checks everything now; what passes is extracted, and all of that must be right.
fn by_a_scan(world: &World, victim: &Victim<'_>) -> Result<Finding> {
    let verified = treeseal(victim, &["verify", STREAM, "--deep"])?;
    match verified.code() {
        Some(0) => {}
        Some(1 | 2) => return Finding::of_scan(&verified.messages(), world),
        code => bail!("treeseal ended with {code:?}: {}", verified.messages()),
    }
    let copy = victim.path("copy");
    let extracted = treeseal(victim, &["extract", STREAM, &copy.to_string_lossy()])?;
    ensure!(extracted.code() == Some(0), "verified, not extracted: {}", extracted.messages());
    let failures = world.newest.compare(&copy)?;
    ensure!(failures.is_empty(), "the copy cannot be read: {failures:?}");
    Ok(Finding::harmless())
}
