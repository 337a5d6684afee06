use std::os::fd::AsFd;

use rustix::fs::{fstatfs, fstatvfs};

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
    // Types are magic numbers of at most 32 bits in a field whose width and sign differ by
    // architecture.
    let kind = i128::from(fstatfs(&file).map_err(failed)?.f_type);
    let is_listed = WITH_CHANGE_TIMES.iter().any(|&magic| i128::from(magic) == kind);
    if !is_listed || major(id.device) == LOOP_MAJOR {
        return Ok(None);
    }
    Ok(Some(FilesystemId(fstatvfs(&file).map_err(failed)?.f_fsid)))
}

/// Magic numbers from `linux/magic.h` and the filesystems' own sources.
const WITH_CHANGE_TIMES: [u32; 7] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683E, // Btrfs
    0xF2F5_2010, // F2FS
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
