//! `/etc` and `/var`: as they were sealed, or with changes in memory or on a disk.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MountFlags, mount, mount_bind, mount_remount};
use treeseal::boot::{BootState, Config, Writable};

use crate::Failure;
use crate::filesystem::RUN;

/// Makes `/etc` and `/var` of the tree at `sysroot` what the configuration says.
pub(crate) fn apply(sysroot: &Path, config: &Config, state: &BootState) -> Result<(), Failure> {
    let etc = Place::new(sysroot, "etc");
    match config.etc {
        Writable::Sealed => {}
        Writable::Transient => etc.overlay(&in_memory("etc")?)?,
        Writable::Persistent => etc.overlay(&on_disk(state, "etc")?)?,
    }
    let var = Place::new(sysroot, "var");
    match config.var {
        Writable::Sealed => Ok(()),
        Writable::Transient => var.overlay(&in_memory("var")?),
        Writable::Persistent => var.replace_by(&on_disk(state, "var")?),
    }
}

/// A directory of the tree.
pub(crate) struct Place {
    name: &'static str,
    path: PathBuf,
}

impl Place {
    pub(crate) fn new(sysroot: &Path, name: &'static str) -> Self {
        Self { name, path: sysroot.join(name) }
    }

    /// Puts changes over it that are kept in `changes`.
    pub(crate) fn overlay(&self, changes: &Path) -> Result<(), Failure> {
        self.overlay_with(&self.open()?, changes)
    }

    /// Puts another directory in its place, with changes over that which are kept in `changes`.
    ///
    /// Those may come from a disk that anyone has written to. They can name no other files of the tree
    /// than those with the same name: redirects are not followed, and metadata comes with its content.
    /// There is no index either, which would bind them to one tree: the next one has another `/etc` below.
    pub(crate) fn overlay_with(&self, lower: &OwnedFd, changes: &Path) -> Result<(), Failure> {
        let upper = make_like(lower, &changes.join("upper"))?;
        let work = open(&changes.join("work"), make_private)?;
        let options = format!(
            "lowerdir={},upperdir={},workdir={},redirect_dir=nofollow,metacopy=off,index=off",
            by_descriptor(lower),
            by_descriptor(&upper),
            by_descriptor(&work)
        );
        let options = std::ffi::CString::new(options)
            .map_err(|error| Failure::io("mount", &self.path)(error.into()))?;
        let place = self.open()?;
        let target = by_descriptor(&place);
        mount("overlay", target, "overlay", MountFlags::empty(), options.as_c_str())
            .map_err(Failure::os("mount an overlay at", &self.path))
    }

    /// Puts a directory in its place that is made like it where there is none.
    fn replace_by(&self, other: &Path) -> Result<(), Failure> {
        self.bind_whole(&make_like(&self.open()?, &other.join("files"))?)
    }

    /// Puts another directory in its place, with programs and devices: the filesystem is mounted without
    /// them, the directory need not be.
    pub(crate) fn bind_whole(&self, other: &impl AsFd) -> Result<(), Failure> {
        self.bind(other)?;
        mount_remount(&self.path, MountFlags::BIND, c"").map_err(Failure::os("mount", &self.path))
    }

    /// Puts another directory in its place, as it is mounted.
    pub(crate) fn bind(&self, other: &impl AsFd) -> Result<(), Failure> {
        let bound = mount_bind(by_descriptor(other), by_descriptor(&self.open()?));
        bound.map_err(Failure::os("mount", &self.path))
    }

    pub(crate) fn open(&self) -> Result<OwnedFd, Failure> {
        open_directory(&self.path).map_err(|_| Failure::NoDirectory { name: self.name })
    }
}

/// A directory for changes that are gone with the next boot.
pub(crate) fn in_memory(name: &str) -> Result<PathBuf, Failure> {
    let path = Path::new(RUN).join(name);
    make_private(&path).map_err(Failure::io("create", &path))?;
    Ok(path)
}

/// A directory for changes that stay, through no symlink.
fn on_disk(state: &BootState, name: &str) -> Result<PathBuf, Failure> {
    Ok(state.directory_for(name)?)
}

/// Makes a directory with the owner and the mode of another, where there is none: an overlay shows its
/// own.
fn make_like(other: &OwnedFd, path: &Path) -> Result<OwnedFd, Failure> {
    open(path, |path| {
        if path.symlink_metadata().is_ok() {
            return Ok(());
        }
        make_private(path)?;
        let metadata = fs::metadata(by_descriptor(other))?;
        chown(path, Some(metadata.uid()), Some(metadata.gid()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(metadata.mode() & 0o7777))
    })
}

fn open(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<OwnedFd, Failure> {
    make(path).map_err(Failure::io("create", path))?;
    open_directory(path).map_err(Failure::io("open", path))
}

fn make_private(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?)
}

/// A path to what is open, without a character that separates options or layers.
fn by_descriptor(directory: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd())
}
