use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use super::{DurableError, Step, StepAction, StepHook};
use crate::file::has_verity;

/// A directory that is held by descriptor and changed only in [`Step`]s.
///
/// Names are relative and may have several components. They are resolved below the directory and
/// through no symlink when something is opened; a name that leads outside is an error.
#[derive(Clone)]
pub struct DurableDir {
    fd: Arc<OwnedFd>,
    path: PathBuf,
    shared: Arc<Shared>,
}

/// What all directories that were opened through one another have in common.
struct Shared {
    barrier: Barrier,
    hook: Option<Arc<dyn StepHook>>,
    /// Number of the next temporary file.
    next_temp: AtomicU64,
}

/// How several files are made durable at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// One `syncfs` for the whole filesystem.
    Filesystem,
    /// An `fsync` for each file and each directory: for filesystems whose `syncfs` is not known to
    /// reach the disk, such as FUSE, NFS or 9P.
    EachFile,
}

/// How a directory is opened.
#[derive(Clone, Debug, Default)]
pub struct DurableOptions {
    /// How several files are made durable; `None` lets the filesystem's type decide.
    pub barrier: Option<Barrier>,
    /// Is asked before every step.
    pub hook: Option<Arc<dyn StepHook>>,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name: one component.
    pub name: OsString,
    /// The type, of the link itself if it is one.
    pub kind: EntryKind,
}

/// What is seen of a file without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The type, of the link itself if it is one.
    pub kind: EntryKind,
    /// Size in bytes.
    pub size: u64,
    /// Whether fs-verity is enabled on it.
    pub has_verity: bool,
}

/// The type of a file, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file
    Regular,
    /// A directory
    Directory,
    /// A symlink
    Symlink,
    /// A device, FIFO or socket
    Special,
}

impl DurableDir {
    /// Opens a directory. The path may lead through symlinks; what is below may not.
    pub fn open(path: &Path, options: DurableOptions) -> Result<Self, DurableError> {
        let failed = |source: Errno| DurableError::io("open", path, source);
        // Not `O_PATH`: `syncfs` and `fsync` want a descriptor that is open. And opened before
        // anything is written, because `syncfs` reports the errors since then.
        let fd = fs::open(path, DIRECTORY, Mode::empty()).map_err(failed)?;
        let barrier = match options.barrier {
            Some(barrier) => barrier,
            None => Barrier::of(fd.as_fd()).map_err(failed)?,
        };
        let shared = Shared { barrier, hook: options.hook, next_temp: AtomicU64::new(0) };
        Ok(Self { fd: Arc::new(fd), path: path.to_owned(), shared: Arc::new(shared) })
    }

    /// Opens a directory below this one.
    pub fn open_dir(&self, name: &str) -> Result<Self, DurableError> {
        let fd = open_beneath(self.fd.as_fd(), name, DIRECTORY)
            .map_err(|errno| self.explain("open", name, EntryKind::Directory, errno))?;
        let shared = Arc::clone(&self.shared);
        Ok(Self { fd: Arc::new(fd), path: self.join(name), shared })
    }

    /// Makes a directory, unless it exists. The parent is not made durable.
    pub fn ensure_dir(&self, name: &str) -> Result<(), DurableError> {
        match fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => return self.expect_kind(name, EntryKind::Directory, kind_of(stat.st_mode)),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(self.io("look at", name, errno)),
        }
        self.step(StepAction::CreateDirectory, name)?;
        match fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => Ok(()),
            // Another thread was faster.
            Err(Errno::EXIST) => self.ensure_dir(name),
            Err(errno) => Err(self.io("create directory", name, errno)),
        }
    }

    /// Opens a regular file for reading, and gives its size in bytes.
    pub fn open_file(&self, name: &str) -> Result<(File, u64), DurableError> {
        // Non-blocking, so that opening a FIFO returns.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = open_beneath(self.fd.as_fd(), name, flags | OFlags::CLOEXEC)
            .map_err(|errno| self.explain("open", name, EntryKind::Regular, errno))?;
        let stat = fs::fstat(&fd).map_err(|errno| self.io("look at", name, errno))?;
        self.expect_kind(name, EntryKind::Regular, kind_of(stat.st_mode))?;
        Ok((File::from(fd), u64::try_from(stat.st_size).unwrap_or(0)))
    }

    /// What is seen of a file, or `None` when there is none. Symlinks are not followed at the end of
    /// the name.
    pub fn look(&self, name: &str) -> Result<Option<Seen>, DurableError> {
        let wanted = StatxFlags::TYPE | StatxFlags::SIZE;
        match fs::statx(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW, wanted) {
            Ok(stat) => Ok(Some(Seen {
                kind: kind_of(stat.stx_mode.into()),
                size: stat.stx_size,
                has_verity: has_verity(&stat),
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.io("look at", name, errno)),
        }
    }

    /// The names in this directory, sorted by their bytes.
    pub fn entries(&self) -> Result<Vec<Entry>, DurableError> {
        let failed = |errno| DurableError::io("list", &self.path, errno);
        let mut entries = Vec::new();
        for entry in fs::Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    match fs::statat(&self.fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(stat) => kind_of(stat.st_mode),
                        Err(Errno::NOENT) => continue,
                        Err(errno) => return Err(failed(errno)),
                    }
                }
                known => EntryKind::of(known),
            };
            entries.push(Entry { name: OsString::from_vec(name.to_vec()), kind });
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Removes a file. The directory is not made durable. A file that is not there is an error.
    pub fn remove(&self, name: &str) -> Result<(), DurableError> {
        self.step(StepAction::Remove, name)?;
        fs::unlinkat(&self.fd, name, AtFlags::empty())
            .map_err(|errno| self.io("remove", name, errno))
    }

    /// Removes everything in this directory, without following symlinks. It is not made durable.
    pub fn empty(&self) -> Result<(), DurableError> {
        for entry in self.entries()? {
            let path = self.path.join(&entry.name);
            let failed = |errno| DurableError::io("remove", &path, errno);
            let mut flags = AtFlags::empty();
            if entry.kind == EntryKind::Directory {
                let fd = fs::openat(&self.fd, &entry.name, DIRECTORY, Mode::empty());
                let fd = Arc::new(fd.map_err(failed)?);
                Self { fd, path: path.clone(), shared: Arc::clone(&self.shared) }.empty()?;
                flags = AtFlags::REMOVEDIR;
            }
            self.step_at(StepAction::Remove, &path)?;
            fs::unlinkat(&self.fd, &entry.name, flags).map_err(failed)?;
        }
        Ok(())
    }

    /// Makes the names in this directory durable.
    pub fn sync(&self) -> Result<(), DurableError> {
        self.step_at(StepAction::SyncDirectory, &self.path)?;
        fs::fsync(&self.fd).map_err(|errno| DurableError::io("sync", &self.path, errno))
    }

    /// Makes everything on the directory's filesystem durable. Since Linux 5.8 this also reports
    /// every error of writing back since the directory was opened.
    pub fn sync_filesystem(&self) -> Result<(), DurableError> {
        self.step_at(StepAction::SyncFilesystem, &self.path)?;
        fs::syncfs(&self.fd)
            .map_err(|errno| DurableError::io("sync the filesystem of", &self.path, errno))
    }

    /// How several files are made durable here.
    pub fn barrier(&self) -> Barrier {
        self.shared.barrier
    }

    /// Where the directory was opened; for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A name in this directory as a path; for messages.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn next_temp(&self) -> u64 {
        self.shared.next_temp.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks the hook about a step on a name in this directory.
    pub(super) fn step(&self, action: StepAction, name: &str) -> Result<(), DurableError> {
        if self.shared.hook.is_none() {
            return Ok(());
        }
        self.step_at(action, &self.join(name))
    }

    /// Asks the hook about a renaming from this directory to another.
    pub(super) fn rename_step(
        &self,
        name: &str,
        to: &Self,
        to_name: &str,
    ) -> Result<(), DurableError> {
        if self.shared.hook.is_none() {
            return Ok(());
        }
        let (from, path) = (self.join(name), to.join(to_name));
        self.announce(Step { action: StepAction::Rename, path: &path, from: Some(&from) })
    }

    fn step_at(&self, action: StepAction, path: &Path) -> Result<(), DurableError> {
        self.announce(Step { action, path, from: None })
    }

    fn announce(&self, step: Step<'_>) -> Result<(), DurableError> {
        let Some(hook) = &self.shared.hook else { return Ok(()) };
        hook.before(step).map_err(|source| DurableError::Io {
            action: "change",
            path: step.path.to_owned(),
            source,
        })
    }

    pub(super) fn io(&self, action: &'static str, name: &str, errno: Errno) -> DurableError {
        DurableError::io(action, &self.join(name), errno)
    }

    fn expect_kind(
        &self,
        name: &str,
        expected: EntryKind,
        found: EntryKind,
    ) -> Result<(), DurableError> {
        if found == expected {
            return Ok(());
        }
        Err(DurableError::Kind { path: self.join(name), expected, found })
    }

    /// Says of a failed opening that a file of another type is in the way, if that is why.
    fn explain(
        &self,
        action: &'static str,
        name: &str,
        expected: EntryKind,
        errno: Errno,
    ) -> DurableError {
        if matches!(errno, Errno::LOOP | Errno::NOTDIR | Errno::NXIO)
            && let Ok(Some(Seen { kind: found, .. })) = self.look(name)
            && found != expected
        {
            return DurableError::Kind { path: self.join(name), expected, found };
        }
        self.io(action, name, errno)
    }
}

impl AsFd for DurableDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Debug for DurableDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableDir")
            .field("path", &self.path)
            .field("barrier", &self.shared.barrier)
            .finish_non_exhaustive()
    }
}

impl DurableError {
    pub(super) fn io(action: &'static str, path: &Path, errno: Errno) -> Self {
        Self::Io { action, path: path.to_owned(), source: io::Error::from(errno) }
    }
}

impl Barrier {
    /// The barrier for the filesystem that a file is on.
    ///
    /// `syncfs` writes back all pages and commits the journal on the filesystems listed here. FUSE
    /// servers are not told about it at all, and what a network server does is its own affair; on
    /// those and all others each file is synced.
    fn of(fd: BorrowedFd<'_>) -> Result<Self, Errno> {
        let kind = fs::fstatfs(fd)?.f_type;
        // Types are magic numbers of at most 32 bits in a field whose width and sign differ by
        // architecture.
        let known = SYNCED_AS_A_WHOLE.iter().any(|&magic| i128::from(magic) == i128::from(kind));
        Ok(if known { Self::Filesystem } else { Self::EachFile })
    }
}

/// Magic numbers from `linux/magic.h` and the filesystems' own sources.
const SYNCED_AS_A_WHOLE: [u32; 8] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683E, // Btrfs
    0xF2F5_2010, // F2FS
    0xCA45_1A4E, // bcachefs
    0x2FC1_2FC1, // ZFS
    0x794C_7630, // overlayfs: syncs its upper layer
    0x0102_1994, // tmpfs: nothing survives in any case
];

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl EntryKind {
    fn of(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::Regular,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            _ => Self::Special,
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regular => "regular file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Special => "device, FIFO or socket",
        })
    }
}

fn kind_of(mode: u32) -> EntryKind {
    EntryKind::of(FileType::from_raw_mode(mode))
}

/// Opens a name below a directory, through no symlink and never outside.
fn open_beneath(dir: BorrowedFd<'_>, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match fs::openat2(dir, name, flags, Mode::empty(), resolve) {
        // Kernels before 5.6 lack the call, and filters of system calls may refuse it.
        Err(Errno::NOSYS | Errno::PERM) => open_step_by_step(dir, name, flags),
        result => result,
    }
}

/// What [`open_beneath`] does, one component at a time.
fn open_step_by_step(dir: BorrowedFd<'_>, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let name = OsStr::new(name).as_bytes();
    let mut components = name.split(|&byte| byte == b'/');
    let last = components.next_back().unwrap_or_default();
    let mut held: Option<OwnedFd> = None;
    for component in components {
        refuse_dots(component)?;
        let at = held.as_ref().map_or(dir, AsFd::as_fd);
        let way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        held = Some(fs::openat(at, component, way, Mode::empty())?);
    }
    refuse_dots(last)?;
    let at = held.as_ref().map_or(dir, AsFd::as_fd);
    fs::openat(at, last, flags | OFlags::NOFOLLOW, Mode::empty())
}

fn refuse_dots(component: &[u8]) -> Result<(), Errno> {
    // What `RESOLVE_BENEATH` answers to a name that leads outside.
    if component.is_empty() || component == b".." { Err(Errno::XDEV) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_opening_refuse_to_leave_the_directory() {
        let dir = std::env::temp_dir().join(format!("treeseal-beneath-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("inside/deep")).unwrap();
        std::fs::write(dir.join("secret"), "x").unwrap();
        std::fs::write(dir.join("inside/deep/file"), "x").unwrap();
        std::os::unix::fs::symlink("deep", dir.join("inside/link")).unwrap();
        std::os::unix::fs::symlink("../secret", dir.join("inside/out")).unwrap();
        let inside = fs::open(dir.join("inside"), DIRECTORY, Mode::empty()).unwrap();
        for open in [open_beneath, open_step_by_step] {
            let open = |name: &str| open(inside.as_fd(), name, OFlags::RDONLY);
            assert!(open("deep/file").is_ok());
            for (name, errno) in [
                ("../secret", Errno::XDEV),
                ("out", Errno::LOOP),
                ("/etc/passwd", Errno::XDEV),
                ("deep/../../secret", Errno::XDEV),
            ] {
                assert_eq!(open(name).unwrap_err(), errno, "{name}");
            }
            assert!(matches!(open("link/file"), Err(Errno::LOOP | Errno::NOTDIR)));
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
