//! The programs that a virtual machine has, from one Debian suite, with the libraries that they need.

use super::initramfs::Contents;
use crate::process::output;
use crate::setup::archive::{Archive, extract, loader};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The suite that has the tools of composefs as well.
const SUITE: &str = "forky";

/// `kmod` is for this machine: it finds out which modules need which.
const PACKAGES: [&str; 8] = [
    "btrfs-progs",
    "busybox-static",
    "composefs",
    "e2fsprogs",
    "fsverity",
    "keyutils",
    "kmod",
    "mount",
];

/// Static, and does what no other program is taken for.
const BUSYBOX: &str = "usr/bin/busybox";

/// Programs that need libraries.
const PROGRAMS: [&str; 12] = [
    "usr/bin/composefs-info",
    "usr/bin/fsverity",
    "usr/bin/keyctl",
    "usr/bin/mkcomposefs",
    "usr/bin/mount",
    "usr/bin/umount",
    "usr/sbin/debugfs",
    "usr/sbin/losetup",
    "usr/sbin/mkfs.btrfs",
    "usr/sbin/mkfs.ext4",
    "usr/sbin/mount.composefs",
    "usr/sbin/tune2fs",
];

const SETTINGS: &str = "etc/mke2fs.conf";

/// The loader, where programs look for it.
const LOADER: &str = "usr/lib64/ld-linux-x86-64.so.2";

/// The packages, unpacked.
pub(super) struct Tools {
    root: PathBuf,
}

impl Tools {
    /// Those below `dir`, fetched when they are not there.
    pub(super) fn fetch(dir: &Path) -> Result<Self> {
        let tools = Self { root: dir.join("tools") };
        let wanted = packages();
        // Written last, so a half-made root is not taken for a whole one.
        let made_from = tools.root.join("made-from.txt");
        if fs::read_to_string(&made_from).is_ok_and(|made| made == wanted) {
            return Ok(tools);
        }
        let archive = Archive::of(SUITE, &dir.join("apt"))?;
        extract(&archive.download_with_dependencies(&PACKAGES)?, &tools.root)?;
        fs::write(&made_from, wanted)
            .with_context(|| format!("writing {}", made_from.display()))?;
        Ok(tools)
    }

    /// What is in them, for those who keep something made of it.
    pub(super) fn description(&self) -> String {
        format!("{}{} {BUSYBOX} {SETTINGS}", packages(), PROGRAMS.join(" "))
    }

    /// A program of the packages, to be run on this machine.
    pub(super) fn command(&self, program: &str) -> Result<Command> {
        let mut command = loader(&self.root)?;
        command.arg(self.root.join(program));
        Ok(command)
    }

    /// Adds the programs, their libraries, and a name for everything that busybox can do besides.
    pub(super) fn add_to(&self, contents: &Contents) -> Result<()> {
        for (link, target) in [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib64", "usr/lib64")] {
            contents.link(link, target)?;
        }
        contents.add(&self.root.join(LOADER), LOADER)?;
        for library in self.libraries()? {
            let at = library.strip_prefix(&self.root).context("a library of another root")?;
            contents.add(&library, at)?;
        }
        for file in PROGRAMS.into_iter().chain([BUSYBOX, SETTINGS]) {
            contents.add(&self.root.join(file), file)?;
        }
        let busybox = output(Command::new(self.root.join(BUSYBOX)).arg("--list"))?;
        let is_taken = |name: &&str| {
            let mut programs = PROGRAMS.iter().chain([&BUSYBOX]);
            programs.any(|program| Path::new(program).ends_with(name))
        };
        let mut rest = busybox.lines().filter(|name| !is_taken(name));
        rest.try_for_each(|name| contents.link(format!("usr/bin/{name}"), "busybox"))
    }

    /// The libraries of all programs, as the loader finds them.
    fn libraries(&self) -> Result<BTreeSet<PathBuf>> {
        let mut found = BTreeSet::new();
        for program in PROGRAMS {
            found.extend(libraries_of(&self.root.join(program), &self.root)?);
        }
        Ok(found)
    }
}

/// The libraries in `root` of a program, as the loader there finds them.
pub(super) fn libraries_of(program: &Path, root: &Path) -> Result<Vec<PathBuf>> {
    let listed = output(loader(root)?.arg("--list").arg(program))?;
    let paths = listed.lines().filter_map(|line| line.split_once(" => ")?.1.split(" (").next());
    Ok(paths.map(PathBuf::from).filter(|path| path.starts_with(root)).collect())
}

fn packages() -> String {
    format!("{SUITE}: {}\n", PACKAGES.join(" "))
}
