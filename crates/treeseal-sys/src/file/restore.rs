//! Making files with given attributes.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT, Uid,
    XattrFlags, chmodat, chownat, fchmod, fchown, flistxattr, fremovexattr, fsetxattr, futimens,
    linkat, listxattr, mkdirat, mknodat, openat, removexattr, renameat_with, setxattr, symlinkat,
    unlinkat, utimensat,
};
use rustix::io::Errno;

use super::name::component;
use super::stat::S_IFLNK;
use super::{Directory, FileError, Operation, Timestamp, stat_file};
use crate::proc;

/// What a file shall have besides its content.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// User and group; `None` leaves them as they are.
    pub owner: Option<Owner>,
    /// The low twelve bits of the mode. A symlink has none to set.
    pub permissions: u16,
    /// Time of last modification.
    pub mtime: Timestamp,
    /// Full names and values.
    pub xattrs: &'a [(&'a [u8], &'a [u8])],
}

/// User and group of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A file that is neither regular nor a directory nor a symlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// FIFO.
    Fifo,
    /// Socket that nobody listens on.
    Socket,
    /// Block device with its number, in the form of [`super::Stat::device`].
    BlockDevice(u32),
    /// Character device with its number.
    CharDevice(u32),
}

/// Access control lists that a directory hands down to what is made in it.
const INHERITED: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

const SET_ID_BITS: u16 = 0o6000;

/// Gives an open file or directory its attributes, after its content. An error names no path.
pub fn restore_attributes(file: impl AsFd, attributes: &Attributes<'_>) -> Result<(), FileError> {
    restore(&Subject::Descriptor(file.as_fd()), b"", attributes)
}

impl Directory {
    /// Makes a directory that only its owner can enter.
    pub fn create_directory(&self, name: &[u8]) -> Result<Self, FileError> {
        let name = component(name)?;
        mkdirat(self, name, Mode::RWXU).map_err(|errno| failed(Operation::Create, name, errno))?;
        self.open_directory(name)
    }

    /// Makes an empty file that only its owner can read, and opens it for writing.
    pub fn create_file(&self, name: &[u8]) -> Result<File, FileError> {
        let name = component(name)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(self, name, flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(|errno| failed(Operation::Create, name, errno))
    }

    /// Makes a symlink.
    pub fn create_symlink(&self, name: &[u8], target: &[u8]) -> Result<(), FileError> {
        let name = component(name)?;
        symlinkat(target, self, name).map_err(|errno| failed(Operation::Create, name, errno))
    }

    /// Makes a special file that only its owner can use. Devices need privilege.
    pub fn create_special(&self, name: &[u8], special: Special) -> Result<(), FileError> {
        let name = component(name)?;
        let (file_type, device) = match special {
            Special::Fifo => (FileType::Fifo, 0),
            Special::Socket => (FileType::Socket, 0),
            Special::BlockDevice(device) => (FileType::BlockDevice, device),
            Special::CharDevice(device) => (FileType::CharacterDevice, device),
        };
        mknodat(self, name, file_type, Mode::RUSR | Mode::WUSR, device.into())
            .map_err(|errno| failed(Operation::Create, name, errno))
    }

    /// Makes `name` a further name of the file `target_name` in `target_directory`.
    pub fn create_link(
        &self,
        name: &[u8],
        target_directory: &Self,
        target_name: &[u8],
    ) -> Result<(), FileError> {
        let name = component(name)?;
        linkat(target_directory, component(target_name)?, self, name, AtFlags::empty())
            .map_err(|errno| failed(Operation::Link, name, errno))
    }

    /// Renames a file within this directory; a name that exists is not replaced.
    pub fn rename_noreplace(&self, from: &[u8], to: &[u8]) -> Result<(), FileError> {
        let to = component(to)?;
        renameat_with(self, component(from)?, self, to, RenameFlags::NOREPLACE)
            .map_err(|errno| failed(Operation::Rename, to, errno))
    }

    /// Removes a file that is no directory.
    pub fn remove_file(&self, name: &[u8]) -> Result<(), FileError> {
        let name = component(name)?;
        unlinkat(self, name, AtFlags::empty())
            .map_err(|errno| failed(Operation::Remove, name, errno))
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, name: &[u8]) -> Result<(), FileError> {
        let name = component(name)?;
        unlinkat(self, name, AtFlags::REMOVEDIR)
            .map_err(|errno| failed(Operation::Remove, name, errno))
    }

    /// Gives a file in this directory its attributes without opening it: for symlinks and special
    /// files. A symlink is not followed.
    pub fn restore_child_attributes(
        &self,
        name: &[u8],
        attributes: &Attributes<'_>,
    ) -> Result<(), FileError> {
        restore_child_attributes(self.as_fd(), component(name)?, attributes)
    }
}

/// What [`Directory::restore_child_attributes`] does, in any open directory.
pub(crate) fn restore_child_attributes(
    directory: BorrowedFd<'_>,
    name: &[u8],
    attributes: &Attributes<'_>,
) -> Result<(), FileError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, Mode::empty())
        .map_err(|errno| failed(Operation::Open, name, errno))?;
    let stat = stat_file(&file).map_err(|error| error.with_path(name.to_vec()))?;
    let path = proc::descriptor_path(file.as_fd()).into_bytes();
    let is_symlink = stat.type_bits() == S_IFLNK;
    let subject = Subject::Path { file: file.as_fd(), path: &path, is_symlink };
    restore(&subject, name, attributes).map_err(|error| match error.kind() {
        Some(std::io::ErrorKind::NotFound) if !proc::is_there() => {
            FileError::NoProc { path: name.to_vec() }
        }
        _ => error,
    })
}

fn failed(operation: Operation, path: &[u8], errno: Errno) -> FileError {
    FileError::os(operation, path, errno)
}

/// The order matters. A new owner takes set-id bits and file capabilities away, so it comes before
/// both; attributes need write permission that the final bits may not give; an access control list
/// rewrites the group's bits, which the permissions then set for good; and everything but the last
/// step may touch the time.
fn restore(
    subject: &Subject<'_>,
    path: &[u8],
    attributes: &Attributes<'_>,
) -> Result<(), FileError> {
    if let Some(owner) = attributes.owner {
        if owner.uid == u32::MAX || owner.gid == u32::MAX {
            return Err(FileError::Owner { path: path.to_vec() });
        }
        subject.set_owner(owner).map_err(|errno| failed(Operation::SetOwner, path, errno))?;
    }
    restore_xattrs(subject, path, attributes.xattrs)?;
    subject
        .set_permissions(Mode::from_raw_mode(u32::from(attributes.permissions & 0o7777)))
        .map_err(|errno| failed(Operation::SetPermissions, path, errno))?;
    if attributes.permissions & SET_ID_BITS != 0 && !subject.is_symlink() {
        // The kernel leaves a set-group-id bit out, without a word, for who is not in the group.
        let stat = stat_file(subject.file()).map_err(|error| error.with_path(path.to_vec()))?;
        if stat.mode & SET_ID_BITS != attributes.permissions & SET_ID_BITS {
            return Err(failed(Operation::SetPermissions, path, Errno::PERM));
        }
    }
    subject
        .set_mtime(&modified(attributes.mtime))
        .map_err(|errno| failed(Operation::SetMtime, path, errno))
}

fn restore_xattrs(
    subject: &Subject<'_>,
    path: &[u8],
    xattrs: &[(&[u8], &[u8])],
) -> Result<(), FileError> {
    // Hardly any new file has attributes already, so one cheap question saves most removals.
    if subject.has_xattrs() {
        for inherited in INHERITED {
            if xattrs.iter().any(|(name, _)| *name == inherited) {
                continue;
            }
            match subject.remove_xattr(inherited) {
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(errno) => {
                    return Err(FileError::xattr(Operation::SetXattr, path, inherited, errno));
                }
            }
        }
    }
    for (name, value) in xattrs {
        subject
            .set_xattr(name, value)
            .map_err(|errno| FileError::xattr(Operation::SetXattr, path, name, errno))?;
    }
    Ok(())
}

fn modified(mtime: Timestamp) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds.into() },
    }
}

/// The two ways by which attributes can be set.
enum Subject<'a> {
    /// An open file.
    Descriptor(BorrowedFd<'a>),
    /// A file opened with `O_PATH`, and the path in `/proc` by which the calls reach it that do not
    /// take such a descriptor. That path leads to a symlink itself, not to the symlink's target.
    Path { file: BorrowedFd<'a>, path: &'a [u8], is_symlink: bool },
}

impl Subject<'_> {
    fn file(&self) -> BorrowedFd<'_> {
        match self {
            Self::Descriptor(file) | Self::Path { file, .. } => *file,
        }
    }

    fn is_symlink(&self) -> bool {
        matches!(self, Self::Path { is_symlink: true, .. })
    }

    fn set_owner(&self, owner: Owner) -> Result<(), Errno> {
        let (uid, gid) = (Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)));
        match self {
            Self::Descriptor(file) => fchown(file, uid, gid),
            Self::Path { file, .. } => chownat(file, c"", uid, gid, AtFlags::EMPTY_PATH),
        }
    }

    fn set_permissions(&self, mode: Mode) -> Result<(), Errno> {
        match self {
            Self::Descriptor(file) => fchmod(file, mode),
            Self::Path { is_symlink: true, .. } => Ok(()),
            Self::Path { path, .. } => chmodat(CWD, *path, mode, AtFlags::empty()),
        }
    }

    fn set_mtime(&self, times: &Timestamps) -> Result<(), Errno> {
        match self {
            Self::Descriptor(file) => futimens(file, times),
            Self::Path { path, .. } => utimensat(CWD, *path, times, AtFlags::empty()),
        }
    }

    fn has_xattrs(&self) -> bool {
        // A list that does not fit is a list.
        let mut list = [0; 1];
        let found = match self {
            Self::Descriptor(file) => flistxattr(file, &mut list),
            Self::Path { path, .. } => listxattr(*path, &mut list),
        };
        matches!(found, Ok(1..) | Err(Errno::RANGE))
    }

    fn set_xattr(&self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Descriptor(file) => fsetxattr(file, name, value, XattrFlags::empty()),
            Self::Path { path, .. } => setxattr(*path, name, value, XattrFlags::empty()),
        }
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Descriptor(file) => fremovexattr(file, name),
            Self::Path { path, .. } => removexattr(*path, name),
        }
    }
}
