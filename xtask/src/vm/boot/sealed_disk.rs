//! Disks with sealed trees, made once and kept below `target/vm`.

use crate::process::{output, run_quietly};
use crate::setup::archive::remove_dir;
use crate::vm::disk::Disk;
use crate::vm::host::Host;
use crate::vm::scenarios::{PREPARING_TIME, start};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The stream of all trees, as `crates/treeseal-vm/src/steps/boot.rs` has it as well.
pub(super) const STREAM: &str = "test/boot/any/stable";

/// What the filesystem is called.
pub(super) const LABEL: &str = "treeseal-test";

/// Where the store has the seals.
pub(super) const SEALS: &str = "store/seals/test/boot/any/stable";

/// Releases of the small tree; each has the sequence of its number.
pub(super) const RELEASES: u32 = 3;

static PREPARING: Mutex<()> = Mutex::new(());

/// A disk with a filesystem of these directories: `store`; `home`, with the keys, the pinned root and what
/// sealing remembers; and what `treeseal` was given to seal, in `source`.
pub(super) struct SealedDisk {
    dir: PathBuf,
}

impl SealedDisk {
    /// Three releases of a small tree, whose init is the program of the tests.
    pub(super) fn with_releases(host: &Host) -> Result<Self> {
        let programs = ["treeseal", "treeseal-vm"].map(|name| host.programs.join(name));
        let made_from = output(Command::new("sha256sum").args(&programs))?;
        Self::prepare(host, "releases", 256 << 20, &made_from, |disk| {
            let source = disk.files().join("source");
            make_small_tree(&source, &programs)?;
            for release in 1..=RELEASES {
                let mut write = Command::new(host.programs.join("treeseal-vm"));
                run_quietly(write.arg("write-release").arg(&source).arg(release.to_string()))?;
                disk.seal(host, &source)?;
            }
            Ok(())
        })
    }

    /// What `fill` puts into the files, with fs-verity on all that the kernel is to check. It is made again
    /// when it was made from something else.
    pub(super) fn prepare(
        host: &Host,
        name: &str,
        bytes: u64,
        made_from: &str,
        fill: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<Self> {
        // The machines of all kernels start with the same disk, and one of them makes it.
        let _one = PREPARING.lock().unwrap_or_else(PoisonError::into_inner);
        let disk = Self { dir: host.dir.join(format!("boot-{name}")) };
        // Written last, so a half-made disk is not taken for a whole one.
        let made = disk.dir.join("made-from.txt");
        if fs::read_to_string(&made).is_ok_and(|made| made == made_from) {
            return Ok(disk);
        }
        remove_dir(&disk.dir)?;
        fs::create_dir_all(disk.files()).context("creating a disk's files")?;
        fill(&disk)?;
        Disk::create(&disk.file(), bytes)?;
        disk.make_filesystem(&disk.file())?;
        let log = format!("boot-{name}-prepared");
        let machine = start(host, &log, &Disk::kept(&disk.file()), "boot-enable")?;
        machine.wait_for("said enabled", PREPARING_TIME)?;
        machine.wait_for_end(PREPARING_TIME)?;
        fs::write(&made, made_from).with_context(|| format!("writing {}", made.display()))?;
        Ok(disk)
    }

    /// The disk itself.
    pub(super) fn file(&self) -> PathBuf {
        self.dir.join("disk")
    }

    /// What was put into the filesystem.
    pub(super) fn files(&self) -> PathBuf {
        self.dir.join("files")
    }

    /// A place for a tree that is not to be on the disk itself.
    pub(super) fn tree(&self) -> PathBuf {
        self.dir.join("tree")
    }

    /// The trust root that was pinned.
    pub(super) fn root(&self) -> PathBuf {
        self.files().join("home/config/root.json")
    }

    /// Makes the filesystem on a disk, without fs-verity on any file.
    pub(super) fn make_filesystem(&self, disk: &Path) -> Result<()> {
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-F", "-b", "4096", "-O", "verity", "-L", LABEL]);
        make.args(["-E", "lazy_itable_init=0,lazy_journal_init=1", "-d"]);
        run_quietly(make.arg(self.files()).arg(disk))
    }

    /// Seals a tree as the stream's next one.
    pub(super) fn seal(&self, host: &Host, tree: &Path) -> Result<()> {
        let mut seal = self.seal_command(host);
        seal.arg("--json").arg(tree).env("TREESEAL_STORE", self.files().join("store"));
        let sealed: Value = serde_json::from_str(&output(&mut seal)?).context("reading a seal")?;
        let image = sealed["images"][0]["fsverity"][0].as_str().context("a seal has an image")?;
        let record =
            self.image_record(sealed["sequence"].as_u64().context("a seal has a sequence")?);
        fs::write(&record, image).with_context(|| format!("writing {}", record.display()))
    }

    /// What seals for the stream, with the keys of the disk.
    pub(super) fn seal_command(&self, host: &Host) -> Command {
        let mut seal = Command::new(host.programs.join("treeseal"));
        seal.args(["seal", "--stream", STREAM]).env("TREESEAL_ROOT", self.root());
        seal.env("TREESEAL_STATE", self.files().join("home/state"));
        seal
    }

    /// The image of a release: where it is on the disk.
    pub(super) fn image(&self, release: u32) -> Result<String> {
        let record = self.image_record(release.into());
        let digest = fs::read_to_string(&record);
        let digest = digest.with_context(|| format!("reading {}", record.display()))?;
        object_path("images", &digest)
    }

    /// The object of a file of the last release: where it is on the disk.
    pub(super) fn object(&self, host: &Host, file: &str) -> Result<String> {
        let file = self.files().join("source").join(file);
        let line = output(Command::new(host.programs.join("treeseal")).arg("digest").arg(&file))?;
        let digest = line.strip_prefix("sha256:").and_then(|rest| rest.split(' ').next());
        object_path("objects", digest.with_context(|| format!("no digest: {line}"))?)
    }

    fn image_record(&self, sequence: u64) -> PathBuf {
        self.dir.join(format!("image-{sequence}.txt"))
    }
}

fn object_path(kind: &str, digest: &str) -> Result<String> {
    let (directory, name) = digest.split_at_checked(2).context("a digest is longer")?;
    Ok(format!("store/{kind}/{directory}/{name}"))
}

pub(super) fn make_small_tree(tree: &Path, programs: &[PathBuf; 2]) -> Result<()> {
    for name in ["dev", "proc", "sys", "run", "tmp", "etc", "var", "sbin", "usr/bin", "usr/lib"] {
        let dir = tree.join(name);
        fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    }
    let [treeseal, init] = programs;
    for (program, at) in [(treeseal, "usr/bin/treeseal"), (init, "sbin/init")] {
        fs::copy(program, tree.join(at)).with_context(|| format!("copying {at}"))?;
    }
    symlink("sbin/init", tree.join("init")).context("linking init")
}

/// Changes one byte of a file on an ext4 disk that no machine has, behind the filesystem's back.
pub(super) fn change_byte(disk: &Path, file: &str, offset: u64) -> Result<()> {
    const BLOCK: u64 = 4096;
    let answer = debugfs(disk, &format!("bmap /{file} {}", offset / BLOCK))?;
    let block: u64 = answer.trim().parse().with_context(|| format!("{file}: {answer}"))?;
    ensure!(block != 0, "{file} has no block at {offset}");
    let place = block * BLOCK + offset % BLOCK;
    let opened = File::options().read(true).write(true).open(disk);
    let opened = opened.with_context(|| format!("opening {}", disk.display()))?;
    let mut byte = [0];
    opened.read_exact_at(&mut byte, place).context("reading the byte")?;
    opened.write_all_at(&[byte[0] ^ 1], place).context("changing the byte")
}

/// Does a request of `debugfs` on a disk that no machine has, and gives its answer.
pub(super) fn debugfs(disk: &Path, request: &str) -> Result<String> {
    let mut command = Command::new("debugfs");
    let output = command.args(["-w", "-R", request]).arg(disk).output();
    let output = output.context("starting debugfs")?;
    // Its version, and then what went wrong: it succeeds in any case.
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && messages.lines().count() == 1, "{request}: {messages}");
    String::from_utf8(output.stdout).context("debugfs prints text")
}

/// Writes to their places what a filesystem's journal has, so that it can be changed.
pub(super) fn replay_journal(disk: &Path) -> Result<()> {
    let output = Command::new("e2fsck").arg("-p").arg(disk).output().context("starting e2fsck")?;
    // 1 says that something was put right.
    let messages = String::from_utf8_lossy(&output.stdout);
    ensure!(matches!(output.status.code(), Some(0 | 1)), "e2fsck: {messages}");
    Ok(())
}
