//! Machines that boot from a disk by the boot program, one after the other.

use super::sealed_disk::{LABEL, STREAM, SealedDisk};
use crate::boot_program;
use crate::vm::disk::Disk;
use crate::vm::host::{BOOT_TIME, Host, add_modules};
use crate::vm::initramfs::{Contents, concatenate};
use crate::vm::machine::{Machine, MachineBuilder};
use crate::vm::report::READY;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::{Path, PathBuf};

/// What the boot program has to load.
const MODULES: [&str; 3] = ["virtio_blk", "erofs", "overlay"];

/// What the initramfs has beside the boot program and its modules.
pub(super) struct Settings {
    /// `boot.json`.
    pub(super) configuration: Option<Value>,
    /// The file that is `root.json`.
    pub(super) root: Option<PathBuf>,
}

impl Settings {
    /// What boots the trees on a disk. A boot that fails switches the machine off at once.
    pub(super) fn of(disk: &SealedDisk) -> Self {
        let store =
            json!({"device": format!("LABEL={LABEL}"), "filesystem": "ext4", "directory": "store"});
        Self::from(disk, "store", store).with("tries", 100)
    }

    /// What boots the deployments on a disk.
    pub(super) fn of_deployments(disk: &SealedDisk) -> Self {
        let sysroot = json!({"device": format!("LABEL={LABEL}"), "filesystem": "ext4"});
        Self::from(disk, "sysroot", sysroot).with("etc", "persistent").with("var", "persistent")
    }

    fn from(disk: &SealedDisk, source: &str, value: Value) -> Self {
        let configuration = json!({
            "_type": "treeseal:boot/v1", "stream": STREAM, "state": {"directory": "boot"}, "wait": 1,
            "failure": {"action": "poweroff", "delay": 0},
        });
        Self { configuration: Some(configuration), root: Some(disk.root()) }.with(source, value)
    }

    /// The same with another value of a field.
    pub(super) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        if let Some(configuration) = &mut self.configuration {
            configuration[field] = value.into();
        }
        self
    }
}

/// A copy of a disk, and what boots it. The next trial takes its place.
pub(super) struct Trial<'a> {
    host: &'a Host<'a>,
    name: &'static str,
    disk: PathBuf,
    boots: Cell<u32>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(host: &'a Host, name: &'static str, disk: &SealedDisk) -> Result<Self> {
        let copy = host.disk_file("boot");
        Disk::copy(&disk.file(), &copy)?;
        Ok(Self { host, name, disk: copy, boots: Cell::new(0) })
    }

    pub(super) fn disk(&self) -> &Path {
        &self.disk
    }

    /// An initramfs with these settings, whose first process is the boot program.
    pub(super) fn initramfs(&self, settings: &Settings) -> Result<PathBuf> {
        let modules = self.host.kernel.modules(&MODULES, self.host.tools)?;
        let contents = self.contents("init", settings, &modules)?;
        add_modules(&contents, &modules)?;
        let archive = self.archive("boot");
        contents.pack(&archive)?;
        Ok(archive)
    }

    /// That of the tests, with the boot program among the programs, and with what `add` adds.
    pub(super) fn initramfs_of_tests(
        &self,
        settings: &Settings,
        add: impl FnOnce(&Contents) -> Result<()>,
    ) -> Result<PathBuf> {
        let (own, whole) = (self.archive("own"), self.archive("boot"));
        let contents = self.contents("usr/bin/treeseal-boot", settings, &[])?;
        add(&contents)?;
        contents.pack(&own)?;
        concatenate(&[self.host.initramfs(), &own], &whole)?;
        Ok(whole)
    }

    fn archive(&self, what: &str) -> PathBuf {
        self.disk.with_extension(format!("{what}.cpio"))
    }

    fn contents(&self, boot: &str, settings: &Settings, modules: &[PathBuf]) -> Result<Contents> {
        let contents = Contents::in_dir(&self.host.contents_dir())?;
        contents.add(&boot_program::build(self.host.workspace)?, boot)?;
        if let Some(configuration) = &settings.configuration {
            let configuration = with_modules(configuration, modules);
            contents.write("etc/treeseal/boot.json", &configuration.to_string())?;
        }
        if let Some(root) = &settings.root {
            contents.add(root, "etc/treeseal/root.json")?;
        }
        Ok(contents)
    }

    /// Starts the next machine, with this on the kernel's command line.
    pub(super) fn start(&self, initramfs: &Path, disk: Disk, words: &[&str]) -> Result<Machine> {
        self.next(initramfs, disk, words).start()
    }

    /// The next machine, not started yet.
    pub(super) fn next(&self, initramfs: &Path, disk: Disk, words: &[&str]) -> MachineBuilder {
        self.boots.set(self.boots.get() + 1);
        let log = format!("{}-{}", self.name, self.boots.get());
        let machine = self.host.machine_from(initramfs, &log).disk(disk);
        words.iter().fold(machine, |machine, word| machine.argument(*word))
    }

    /// A machine boots, says these things in this order, and ends by itself.
    pub(super) fn boots(&self, initramfs: &Path, words: &[&str], said: &[&str]) -> Result<()> {
        let machine = self.start(initramfs, Disk::kept(&self.disk), words)?;
        said.iter().try_for_each(|said| machine.wait_for(said, BOOT_TIME).map(drop))?;
        machine.wait_for_end(BOOT_TIME).map(drop)
    }

    /// A machine starts no tree, says these things in this order, and ends by itself.
    pub(super) fn refuses(&self, initramfs: &Path, words: &[&str], said: &[&str]) -> Result<()> {
        let machine = self.start(initramfs, Disk::kept(&self.disk), words)?;
        let lines = machine.wait_for_end(BOOT_TIME)?;
        let mut rest = lines.iter();
        for said in said {
            let found = rest.any(|line| line.contains(said));
            ensure!(found, "the machine did not say `{said}`; it said:\n{}", lines.join("\n"));
        }
        ensure!(!lines.iter().any(|line| line.contains(READY)), "a tree was started: {lines:?}");
        Ok(())
    }
}

/// The configuration with the modules, in the order in which they are loaded.
fn with_modules(configuration: &Value, modules: &[PathBuf]) -> Value {
    let names = modules.iter().map(|module| module.file_stem().unwrap_or_default());
    let mut whole = configuration.clone();
    whole["modules"] = names.map(|name| format!("/modules/{}", name.to_string_lossy())).collect();
    whole
}
