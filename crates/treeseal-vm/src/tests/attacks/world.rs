//! The victim, prepared once and given to each attack as a copy, and what the attacker can reach.

use super::manifest::Manifest;
use crate::guest::{Filesystem, Guest, Verity, run};
use anyhow::{Context, Result, ensure};
use std::cell::Cell;
use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Instant, SystemTime};
use treeseal_testkit::attacks::{OTHER_STREAM, Reach, STREAM, Victim};

/// The machine with all that attacks and enforcements need.
pub(super) struct World {
    disk: Filesystem,
    without_verity: Filesystem,
    /// What a reader of the newest release must find.
    pub(super) newest: Manifest,
}

impl World {
    pub(super) fn prepare(guest: &Guest) -> Result<Self> {
        let disk = guest.ext4(4096, Verity::On)?;
        let home = disk.path().join("prepared");
        fs::create_dir(&home).context("creating the victim's directory")?;
        let without_verity = guest.tmpfs()?;
        let world = Self { disk, without_verity, newest: Manifest::default() };
        let attacker = Attacker::new(&world);
        let victim = Victim::new(&home, &attacker);
        victim.pin_root();
        release(&victim, 1, STREAM)?;
        victim.add_roots();
        release(&victim, 3, OTHER_STREAM)?;
        let newest = Manifest::of(&release(&victim, 2, STREAM)?)?;
        treeseal(&victim, &["verify", STREAM])?.succeeded()?;
        remember_for_boot(&victim)?;
        Ok(Self { newest, ..world })
    }

    /// Calls `run` with a victim of its own, which is gone afterwards with all that was done to it.
    pub(super) fn with_victim<T>(&self, run: impl FnOnce(&Victim<'_>) -> Result<T>) -> Result<T> {
        let home = self.disk.path().join("victim");
        link_tree(&self.disk.path().join("prepared"), &home)?;
        let attacker = Attacker::new(self);
        let result = run(&Victim::new(&home, &attacker));
        attacker.undo()?;
        fs::remove_dir_all(&home).context("removing the victim")?;
        result
    }

    /// Where the store lies; findings are to say nothing of it.
    pub(super) fn homes(&self) -> [String; 2] {
        let homes = [&self.disk.path().join("victim"), self.without_verity.path()];
        homes.map(|path| path.display().to_string())
    }
}

/// Makes a release of a stream as its owners do, and gives the tree that it is of.
fn release(victim: &Victim<'_>, release: u64, stream: &str) -> Result<PathBuf> {
    let tree = victim.write_tree(release);
    let pending = victim.path("pending");
    let [shown, waiting] = [&tree, &pending].map(|path| path.to_string_lossy().into_owned());
    treeseal(victim, &["seal", &shown, "--stream", stream, "--unsigned", &waiting])?.succeeded()?;
    Victim::sign(&pending);
    treeseal(victim, &["submit", &waiting])?.succeeded()?;
    fs::remove_file(pending).context("removing the seal that waited")?;
    Ok(tree)
}

/// The boot has seen what the machine has seen: the floors have one format.
fn remember_for_boot(victim: &Victim<'_>) -> Result<()> {
    fs::create_dir(victim.path("boot")).context("creating the boot state")?;
    let copied = fs::copy(victim.path("state/state.json"), victim.path("boot/floors.json"));
    copied.map(drop).context("copying the floors")
}

/// Runs `treeseal` on the victim's machine.
pub(super) fn treeseal(victim: &Victim<'_>, args: &[&str]) -> Result<Run> {
    let mut command = Command::new("treeseal");
    command
        .args(args)
        .env("TREESEAL_STORE", victim.store())
        .env("TREESEAL_ROOT", victim.root())
        .env("TREESEAL_STATE", victim.path("state"));
    command.output().map(Run).context("starting treeseal")
}

/// What a run of `treeseal` gave.
pub(super) struct Run(Output);

impl Run {
    fn succeeded(self) -> Result<()> {
        ensure!(self.0.status.success(), "treeseal: {}: {}", self.0.status, self.messages());
        Ok(())
    }

    /// The exit code, if the program ended by itself.
    pub(super) fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    pub(super) fn messages(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }
}

/// The same tree again, of new directories and of further names of the same files. A copy would not have
/// fs-verity; nothing that attacks or is attacked writes to a file in place.
fn link_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to).with_context(|| format!("creating {}", to.display()))?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from).with_context(|| format!("listing {}", from.display()))? {
        let entry = entry?;
        let (old, new) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            link_tree(&old, &new)?;
        } else {
            fs::hard_link(&old, &new).with_context(|| format!("linking {}", old.display()))?;
        }
    }
    Ok(())
}

/// What the attacker reaches beside the store.
struct Attacker<'w> {
    disk: &'w Filesystem,
    without_verity: &'w Filesystem,
    clock: Cell<Option<(SystemTime, Instant)>>,
    used_keyring: Cell<bool>,
    used_filesystem: Cell<bool>,
}

impl<'w> Attacker<'w> {
    fn new(world: &'w World) -> Self {
        Self {
            disk: &world.disk,
            without_verity: &world.without_verity,
            clock: Cell::new(None),
            used_keyring: Cell::new(false),
            used_filesystem: Cell::new(false),
        }
    }

    /// Undoes what was done to the machine.
    fn undo(&self) -> Result<()> {
        if let Some((time, since)) = self.clock.get() {
            set_clock(time + since.elapsed())?;
        }
        if self.used_keyring.get() {
            run("keyctl", ["clear", "%keyring:.fs-verity"])?;
        }
        if self.used_filesystem.get() {
            let copy = self.without_verity.path().join("store");
            fs::remove_dir_all(copy).context("removing the store's copy")?;
        }
        Ok(())
    }
}

impl Reach for Attacker<'_> {
    fn overwrite_beneath(
        &self,
        file: &Path,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), Box<dyn Error>> {
        Ok(self.disk.overwrite_beneath(file, offset, bytes)?)
    }

    fn without_verity(&self) -> Result<PathBuf, Box<dyn Error>> {
        self.used_filesystem.set(true);
        Ok(self.without_verity.path().to_owned())
    }

    fn wait_until(&self, time: SystemTime) -> Result<(), Box<dyn Error>> {
        self.clock.set(Some((SystemTime::now(), Instant::now())));
        Ok(set_clock(time)?)
    }

    fn add_to_keyring(&self, certificate: &Path) -> Result<(), Box<dyn Error>> {
        self.used_keyring.set(true);
        let mut keyctl = Command::new("keyctl");
        keyctl.args(["padd", "asymmetric", "", "%keyring:.fs-verity"]);
        match keyctl.stdin(File::open(certificate)?).status()? {
            status if status.success() => Ok(()),
            status => Err(format!("keyctl: {status}").into()),
        }
    }
}

fn set_clock(time: SystemTime) -> Result<()> {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).context("before 1970")?.as_secs();
    run("date", ["-s", &format!("@{seconds}")]).map(drop)
}
