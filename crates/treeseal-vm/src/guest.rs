//! What the virtual machine gives to a test: disks, filesystems, programs, and ways to damage things.

use anyhow::{Context, Result, bail, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::cell::Cell;
use std::ffi::{CStr, OsStr};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Empty disks of the machine; `cargo xtask vm` attaches as many.
const DISKS: [&str; 3] = ["/dev/vda", "/dev/vdb", "/dev/vdc"];

/// The disk that outlives the machine, in scenarios that have one.
pub(crate) const PERSISTENT_DISK: &str = "/dev/vda";

/// The machine as one test sees it. Each test starts with all disks free.
pub(crate) struct Guest {
    disks_used: Cell<usize>,
}

/// Whether an ext4 filesystem is made with the feature `verity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verity {
    On,
    Off,
}

impl Guest {
    pub(crate) fn new() -> Self {
        Self { disks_used: Cell::new(0) }
    }

    /// A new ext4 filesystem with blocks of so many bytes.
    pub(crate) fn ext4(&self, block_size: u32, verity: Verity) -> Result<Filesystem> {
        let disk = self.disk()?;
        make_ext4(disk, block_size, verity)?;
        Filesystem::mount(c"ext4", Some(disk), MountFlags::empty(), c"")
    }

    /// A new btrfs filesystem.
    pub(crate) fn btrfs(&self) -> Result<Filesystem> {
        let disk = self.disk()?;
        run("mkfs.btrfs", ["--quiet", "--force", "--nodiscard", disk])?;
        Filesystem::mount(c"btrfs", Some(disk), MountFlags::empty(), c"")
    }

    pub(crate) fn tmpfs(&self) -> Result<Filesystem> {
        Filesystem::mount(c"tmpfs", None, MountFlags::empty(), c"")
    }

    /// The next disk that this test has not used.
    pub(crate) fn disk(&self) -> Result<&'static str> {
        let used = self.disks_used.get();
        self.disks_used.set(used + 1);
        DISKS.get(used).copied().context("the machine has no more disks")
    }
}

/// Makes an ext4 filesystem at once: the rest of its tables would be written while a test runs.
pub(crate) fn make_ext4(disk: &str, block_size: u32, verity: Verity) -> Result<()> {
    let block_size = block_size.to_string();
    let features = match verity {
        Verity::On => "verity",
        Verity::Off => "^verity",
    };
    let options = "nodiscard,lazy_itable_init=0,lazy_journal_init=1";
    run("mkfs.ext4", ["-q", "-F", "-b", &block_size, "-O", features, "-E", options, disk])?;
    Ok(())
}

/// A mounted filesystem; it is unmounted when this goes.
pub(crate) struct Filesystem {
    device: Option<&'static str>,
    path: PathBuf,
}

impl Filesystem {
    /// Mounts the device, or what needs none, in a directory that has the mount's name.
    pub(crate) fn mount(
        kind: &CStr,
        device: Option<&'static str>,
        flags: MountFlags,
        options: &CStr,
    ) -> Result<Self> {
        let source = device.unwrap_or("none");
        let name = kind.to_str().context("a filesystem's name is text")?;
        let path = Path::new("/run/mounts").join(format!("{name}-{}", source.replace('/', "-")));
        fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        mount(source, &path, kind, flags, options)
            .with_context(|| format!("mounting {source} as {name}"))?;
        Ok(Self { device, path })
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a new file.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// Writes `bytes` to the disk where it has the byte of `file` at `offset`, behind the filesystem's
    /// back. The filesystem is ext4, and the bytes do not leave the block.
    pub(crate) fn overwrite_beneath(&self, file: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
        let device = self.device.context("this filesystem has no device")?;
        let meta = fs::metadata(file).with_context(|| format!("looking at {}", file.display()))?;
        let block_size = meta.blksize();
        let inside = offset % block_size;
        ensure!(inside + bytes.len() as u64 <= block_size, "{offset} is too near a block's end");
        let block = physical_block(device, meta.ino(), offset / block_size)?;
        let disk = File::options().write(true).open(device);
        let disk = disk.with_context(|| format!("opening {device}"))?;
        disk.write_all_at(bytes, block * block_size + inside)
            .and_then(|()| disk.sync_all())
            .with_context(|| format!("writing to {device}"))?;
        drop_caches()
    }
}

impl Drop for Filesystem {
    /// What cannot be unmounted is found when the test has ended.
    fn drop(&mut self) {
        let _ = unmount(&self.path, UnmountFlags::empty());
    }
}

/// Where on an ext4 disk a block of a file lies, in blocks.
fn physical_block(device: &str, inode: u64, block: u64) -> Result<u64> {
    rustix::fs::sync();
    let request = format!("bmap <{inode}> {block}");
    let answer = run("debugfs", ["-R", &request, device])?;
    let number = answer.trim().parse().with_context(|| format!("`{request}` gives {answer}"))?;
    ensure!(number != 0, "block {block} of inode {inode} is a hole");
    Ok(number)
}

/// Has the kernel forget what it read, so that it reads it from the disk again.
pub(crate) fn drop_caches() -> Result<()> {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").context("dropping the caches")
}

/// Runs a program and gives what it prints; when it fails, that is an error with its messages.
pub(crate) fn run<A: AsRef<OsStr>>(
    program: &str,
    args: impl IntoIterator<Item = A>,
) -> Result<String> {
    let output = output(program, args)?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        bail!("{program}: {}: {}", output.status, messages.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{program} prints text"))
}

/// Runs a program that is expected to fail and gives its messages.
pub(crate) fn run_refused<A: AsRef<OsStr>>(
    program: &str,
    args: impl IntoIterator<Item = A>,
) -> Result<String> {
    let output = output(program, args)?;
    ensure!(!output.status.success(), "{program} succeeded and should not have");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn output<A: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = A>) -> Result<Output> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command.output().with_context(|| format!("starting {program}"))
}
