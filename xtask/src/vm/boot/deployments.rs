//! Scenarios that boot what the real `ostree` has deployed, and whose commits are sealed.

use super::sealed_disk::{RELEASES, SealedDisk, make_small_tree};
use super::show_times;
use super::trial::{Settings, Trial};
use crate::process::{output, run_quietly};
use crate::setup;
use crate::vm::disk::Disk;
use crate::vm::host::Host;
use crate::vm::initramfs::Contents;
use crate::vm::tools::libraries_of;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The system that is deployed, and the ref of its commits.
pub(super) const STATEROOT: &str = "test";
const REF: &str = "test/os";

/// By this the image of a deployment is that which its commit states, and is checked by the kernel.
const PREPARE_ROOT: &str = "[composefs]\nenabled=verity\n";

/// A deployment boots as the boot loader names it. Marking one good takes those before it away, whatever
/// the boot loader names.
pub(in crate::vm) fn sealed_deployments_boot(host: &Host) -> Result<()> {
    let disk = disk_with_deployments(host)?;
    let trial = Trial::new(host, "boot-ostree", &disk)?;
    let initramfs = trial.initramfs(&Settings::of_deployments(&disk))?;
    let boots = |release: u32, step: &str, said: &str| {
        let named = Deployed::of_release(&disk, release)?.argument;
        let mounting = format!("mounting test/boot/any/stable sequence {release}");
        trial.boots(&initramfs, &[&named, &format!("vm.step={step}")], &[&mounting, said])
    };

    boots(1, "boot-look", "said booted release 1, /etc is as sealed")?;
    boots(1, "boot-look", "said booted release 1, /etc is changed")?;
    boots(2, "boot-mark-good", "said marked good: release 2")?;
    let below = "the seal has sequence 1, but 2 was accepted before: it is an older tree";
    trial.refuses(&initramfs, &[&Deployed::of_release(&disk, 1)?.argument], &[below])?;
    boots(3, "boot-look", "said booted release 3, /etc is as sealed")
}

/// The boot program takes less than it may for a deployment. Shown are its time and that of
/// `ostree-prepare-root`, which verifies no seal, and for which the filesystem is mounted.
pub(in crate::vm) fn deployments_boot_quickly(host: &Host) -> Result<()> {
    let disk = disk_with_deployments(host)?;
    let trial = Trial::new(host, "boot-ostree-time", &disk)?;
    let (program, root) = setup::ostree_prepare_root(host.workspace)?;
    let add = |contents: &Contents| {
        contents.add(&program, "usr/bin/ostree-prepare-root")?;
        contents.write("usr/lib/ostree/prepare-root.conf", PREPARE_ROOT)?;
        libraries_of(&program, &root)?
            .iter()
            .try_for_each(|library| contents.add(library, library.strip_prefix(&root)?))
    };
    let initramfs = trial.initramfs_of_tests(&Settings::of_deployments(&disk), add)?;
    let words = [&*Deployed::of_release(&disk, RELEASES)?.argument, "vm.step=boot-deployment-time"];
    let machine = trial.next(&initramfs, Disk::kept(trial.disk()), &words);
    show_times(host, machine, ["treeseal-boot", "ostree-prepare-root"])
}

/// Releases of the small tree as deployments, each sealed beside its commit and in the repository's store.
pub(super) fn disk_with_deployments(host: &Host) -> Result<SealedDisk> {
    let programs = ["treeseal", "treeseal-vm"].map(|name| host.programs.join(name));
    let made_from = output(Command::new("sha256sum").args(&programs))?;
    SealedDisk::prepare(host, "deployments", 512 << 20, &made_from, |disk| {
        let system = System { ostree: setup::ostree(host.workspace)?, root: disk.files() };
        system.create()?;
        let tree = disk.tree();
        make_small_tree(&tree, &programs)?;
        add_what_is_deployed(&tree)?;
        for release in 1..=RELEASES {
            let mut write = Command::new(host.programs.join("treeseal-vm"));
            run_quietly(write.arg("write-release").arg(&tree).arg(release.to_string()))?;
            system.commit(&tree)?;
            let mut seal = disk.seal_command(host);
            seal.args(["--from", "ostree", "--embed"]).arg(system.repository()).arg(REF);
            output(&mut seal)?;
            system.deploy()?;
        }
        Ok(())
    })
}

/// What `ostree admin deploy` asks of a tree, and what boots it with the image that its commit states.
fn add_what_is_deployed(tree: &Path) -> Result<()> {
    fs::rename(tree.join("etc"), tree.join("usr/etc")).context("moving etc")?;
    let files = [
        ("usr/lib/modules/1/vmlinuz", "kernel"),
        ("usr/lib/modules/1/initramfs.img", "initramfs"),
        ("usr/lib/os-release", "ID=test\n"),
        ("usr/lib/ostree/prepare-root.conf", PREPARE_ROOT),
    ];
    for (name, content) in files {
        let path = tree.join(name);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all);
        written
            .and_then(|()| fs::write(path, content))
            .with_context(|| format!("writing {name}"))?;
    }
    Ok(())
}

/// A system that `ostree` deploys to.
struct System {
    ostree: PathBuf,
    root: PathBuf,
}

impl System {
    fn create(&self) -> Result<()> {
        run_quietly(self.admin("init-fs").arg("--modern").arg(&self.root))?;
        run_quietly(self.admin("os-init").arg(self.sysroot()).arg(STATEROOT))
    }

    fn commit(&self, tree: &Path) -> Result<()> {
        let mut commit = Command::new(&self.ostree);
        commit.arg("commit").arg(format!("--repo={}", self.repository().display()));
        commit.args([&format!("--branch={REF}"), "--generate-composefs-metadata", "--no-xattrs"]);
        output(commit.args(["--owner-uid=0", "--owner-gid=0"]).arg(tree)).map(drop)
    }

    fn deploy(&self) -> Result<()> {
        let mut deploy = self.admin("deploy");
        deploy.arg(self.sysroot()).arg(format!("--os={STATEROOT}")).args(["--retain", REF]);
        run_quietly(&mut deploy)
    }

    fn repository(&self) -> PathBuf {
        self.root.join("ostree/repo")
    }

    fn sysroot(&self) -> String {
        format!("--sysroot={}", self.root.display())
    }

    fn admin(&self, what: &str) -> Command {
        let mut ostree = Command::new(&self.ostree);
        ostree.args(["admin", what]);
        // Immutable directories could not be removed with the rest.
        ostree.env("OSTREE_SYSROOT_DEBUG", "mutable-deployments");
        ostree
    }
}

/// A release as it was deployed. Paths are those on the disk.
pub(super) struct Deployed {
    /// The word on the kernel's command line by which the boot loader names it.
    pub(super) argument: String,
    /// Its directory.
    pub(super) directory: String,
}

impl Deployed {
    pub(super) fn of_release(disk: &SealedDisk, release: u32) -> Result<Self> {
        let root = disk.files();
        let entries = root.join("boot/loader/entries");
        let read = fs::read_dir(&entries);
        for entry in read.with_context(|| format!("reading {}", entries.display()))? {
            let link = deployment_of_entry(&entry.context("reading an entry")?.path())?;
            let directory = fs::canonicalize(root.join(&link)).context("finding a deployment")?;
            let found = fs::read_to_string(directory.join("usr/lib/release"));
            if found.context("reading a release")?.trim() == release.to_string() {
                let below = directory.strip_prefix(fs::canonicalize(&root)?)?;
                let directory = below.to_string_lossy().into_owned();
                return Ok(Self { argument: format!("ostree=/{link}"), directory });
            }
        }
        bail!("no entry leads to release {release}")
    }

    /// A file of its tree.
    pub(super) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    pub(super) fn image(&self) -> String {
        self.file(".ostree.cfs")
    }

    /// What lies beside its commit.
    pub(super) fn metadata(&self) -> String {
        object_path(self.commit(), "commitmeta")
    }

    /// The object of a file of its tree.
    pub(super) fn object(&self, host: &Host, disk: &SealedDisk, file: &str) -> Result<String> {
        let system = System { ostree: setup::ostree(host.workspace)?, root: disk.files() };
        let mut list = Command::new(&system.ostree);
        list.arg("ls").arg(format!("--repo={}", system.repository().display()));
        let line = output(list.arg("--checksum").arg(self.commit()).arg(format!("/{file}")))?;
        let checksum = line.split_ascii_whitespace().nth_back(1);
        Ok(object_path(checksum.with_context(|| format!("no checksum: {line}"))?, "file"))
    }

    fn commit(&self) -> &str {
        let name = self.directory.rsplit('/').next().unwrap_or_default();
        name.split('.').next().unwrap_or_default()
    }
}

/// Where an entry of the boot loader leads, without the `/` in front.
fn deployment_of_entry(entry: &Path) -> Result<String> {
    let text = fs::read_to_string(entry);
    let text = text.with_context(|| format!("reading {}", entry.display()))?;
    let named = text.split_ascii_whitespace().find_map(|word| word.strip_prefix("ostree=/"));
    Ok(named.with_context(|| format!("{} names no deployment", entry.display()))?.to_owned())
}

fn object_path(checksum: &str, kind: &str) -> String {
    let (directory, name) = checksum.split_at(2);
    format!("ostree/repo/objects/{directory}/{name}.{kind}")
}
