use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, RawDir, ResolveFlags, openat, openat2, readlinkat};
use rustix::io::Errno;

use super::name::component;
use super::{FileError, Operation, Stat, stat_file};

/// An open directory. Names are looked up in it, whatever happens to the path it was opened by.
#[derive(Debug)]
pub struct Directory {
    descriptor: OwnedFd,
}

/// Room for the names that the kernel gives at once.
#[derive(Debug, Default)]
pub struct ListBuffer(Vec<u8>);

/// Bytes of names to ask the kernel for at once: what a few hundred names need.
const LIST_BYTES: usize = 64 * 1024;

const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A FIFO that takes a file's place must not block, nor a terminal become ours.
const FILE_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Directory {
    /// Opens the directory at a path, following symlinks.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let descriptor = openat(CWD, path, DIRECTORY_FLAGS, Mode::empty())
            .map_err(|errno| FileError::os(Operation::Open, path.as_os_str().as_bytes(), errno))?;
        Ok(Self { descriptor })
    }

    /// Opens a directory in this one.
    pub fn open_directory(&self, name: &[u8]) -> Result<Self, FileError> {
        let name = component(name)?;
        let descriptor = openat(self, name, DIRECTORY_FLAGS | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|errno| FileError::os(Operation::Open, name, errno))?;
        Ok(Self { descriptor })
    }

    /// Opens a file in this directory for reading, without changing its time of last access where
    /// that is allowed. A symlink is not followed: it cannot be opened.
    pub fn open_file(&self, name: &[u8]) -> Result<File, FileError> {
        let name = component(name)?;
        self.open_child(name).map_err(|errno| FileError::os(Operation::Open, name, errno))
    }

    /// Opens a file as [`open_file`](Self::open_file) does; `None` where it is a symlink. One call tells
    /// what would else take another look at the file.
    pub fn open_unless_symlink(&self, name: &[u8]) -> Result<Option<File>, FileError> {
        let name = component(name)?;
        match self.open_child(name) {
            Err(Errno::LOOP) => Ok(None),
            opened => opened.map(Some).map_err(|errno| FileError::os(Operation::Open, name, errno)),
        }
    }

    fn open_child(&self, name: &[u8]) -> Result<File, Errno> {
        let flags = FILE_FLAGS | OFlags::NOFOLLOW;
        let opened = match openat(self, name, flags | OFlags::NOATIME, Mode::empty()) {
            // Only the owner of a file and root may leave its time alone.
            Err(Errno::PERM) => openat(self, name, flags, Mode::empty()),
            opened => opened,
        };
        opened.map(File::from)
    }

    /// Opens the file at a relative path for reading. The way to it may hold neither symlinks nor
    /// `..` that leads out of this directory.
    pub fn open_beneath(&self, path: &[u8]) -> Result<File, FileError> {
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        // The kernel gives up with EAGAIN when something on the way is renamed meanwhile.
        let mut attempts = 0..RENAME_ATTEMPTS;
        loop {
            return match openat2(self, path, FILE_FLAGS, Mode::empty(), resolve) {
                Err(Errno::AGAIN) if attempts.next().is_some() => continue,
                Err(Errno::NOSYS) => Err(FileError::Kernel { call: "openat2", needed: "5.6" }),
                opened => opened
                    .map(File::from)
                    .map_err(|errno| FileError::os(Operation::Open, path, errno)),
            };
        }
    }

    /// What the filesystem says of this directory. An error names no path.
    pub fn stat(&self) -> Result<Stat, FileError> {
        stat_file(self)
    }

    /// What the filesystem says of a file in this directory; a symlink is not followed.
    pub fn stat_child(&self, name: &[u8]) -> Result<Stat, FileError> {
        let name = component(name)?;
        Stat::of_child(self.as_fd(), name)
            .map_err(|errno| FileError::os(Operation::Stat, name, errno))
    }

    /// The target of a symlink in this directory.
    pub fn read_link(&self, name: &[u8]) -> Result<Vec<u8>, FileError> {
        let name = component(name)?;
        readlinkat(self, name, Vec::new())
            .map(std::ffi::CString::into_bytes)
            .map_err(|errno| FileError::os(Operation::ReadLink, name, errno))
    }

    /// Calls `each` with every name in this directory and the `S_IFMT` bits of its type, which are 0
    /// where the filesystem does not say. An error of listing names no path.
    ///
    /// Names come from where the last listing of the same descriptor stopped: once is all.
    pub fn list<E: From<FileError>>(
        &self,
        buffer: &mut ListBuffer,
        mut each: impl FnMut(u16, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        buffer.0.clear();
        buffer.0.reserve(LIST_BYTES);
        let mut entries = RawDir::new(self, buffer.0.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|errno| FileError::os(Operation::List, b"", errno))?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                each(type_bits(entry.file_type()), name)?;
            }
        }
        Ok(())
    }
}

/// How often a lookup is repeated that a rename disturbed.
const RENAME_ATTEMPTS: u32 = 100;

fn type_bits(file_type: rustix::fs::FileType) -> u16 {
    match file_type {
        rustix::fs::FileType::Unknown => 0,
        known => u16::try_from(known.as_raw_mode()).unwrap_or(0),
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl From<OwnedFd> for Directory {
    /// Takes a descriptor of a directory; of anything else, every operation fails.
    fn from(descriptor: OwnedFd) -> Self {
        Self { descriptor }
    }
}
