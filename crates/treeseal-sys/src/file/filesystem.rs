use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{fstatfs, fstatvfs};
use rustix::io::Errno;

use super::{FileError, FileId, Operation};

/// A filesystem as it names itself: the same one after it was mounted again, where it can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FilesystemId(pub u64);

/// The filesystem of an open file, if it is one whose times of change can be relied on: this
/// machine's kernel sets them by its own clock whenever a file is written, and nobody else writes.
///
/// Not so on network filesystems and FUSE, where another machine or process sets them and what is
/// seen here may be old; on read-only images, whose times come from whoever made them; on overlayfs,
/// whose lower layers may be such images; and on loop devices, because a filesystem made there anew
/// from the same sources can have the same numbers and times. An error names no path.
pub fn filesystem_with_change_times(
    file: impl AsFd,
    id: FileId,
) -> Result<Option<FilesystemId>, FileError> {
    let failed = |errno| FileError::os(Operation::Stat, b"", errno);
    let kind = filesystem_type(file.as_fd()).map_err(failed)?;
    let is_listed = WITH_CHANGE_TIMES.contains(&kind);
    if !is_listed || major(id.device) == LOOP_MAJOR {
        return Ok(None);
    }
    Ok(Some(FilesystemId(fstatvfs(&file).map_err(failed)?.f_fsid)))
}

/// The magic number of the filesystem that a file is on, from `linux/magic.h` or the filesystem's own
/// source; 0 where it is none.
pub(crate) fn filesystem_type(file: BorrowedFd<'_>) -> Result<u32, Errno> {
    // At most 32 bits, in a field whose width and sign differ by architecture.
    let kind = i128::from(fstatfs(file)?.f_type) & i128::from(u32::MAX);
    Ok(u32::try_from(kind).unwrap_or(0))
}

/// ext2, ext3 and ext4.
pub(crate) const EXT4_MAGIC: u32 = 0xEF53;

/// F2FS.
pub(crate) const F2FS_MAGIC: u32 = 0xF2F5_2010;

const WITH_CHANGE_TIMES: [u32; 7] = [
    EXT4_MAGIC,
    0x5846_5342, // XFS
    0x9123_683E, // Btrfs
    F2FS_MAGIC,
    0xCA45_1A4E, // bcachefs
    0x2FC1_2FC1, // ZFS
    0x0102_1994, // tmpfs
];

/// Major number of loop devices: the kernel's `Documentation/admin-guide/devices.txt`.
const LOOP_MAJOR: u32 = 7;

/// The major number in the kernel's 32-bit form of a device number.
const fn major(device: u32) -> u32 {
    device >> 8 & 0xfff
}
