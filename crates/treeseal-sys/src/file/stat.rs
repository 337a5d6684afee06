use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Statx, StatxAttributes, StatxFlags, StatxTimestamp, statx};
use rustix::io::Errno;

use super::{FileError, Operation};

/// What the filesystem says of a file. Equal values taken at two times mean that the file was not
/// changed in between, as far as its times can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Which file it is.
    pub id: FileId,
    /// Type and permission bits.
    pub mode: u16,
    /// Number of names, here and elsewhere.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a block or character device, in the kernel's 32-bit form: minor bits 0 to 7,
    /// then 12 bits of major, then the rest of minor.
    pub device: u32,
    /// Size in bytes.
    pub size: u64,
    /// Whether fs-verity is enabled on it.
    pub has_verity: bool,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of content or metadata.
    pub ctime: Timestamp,
}

/// A file's identity on this machine while it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Number of the filesystem's device, in the same form as [`Stat::device`].
    pub device: u32,
    /// Inode number.
    pub inode: u64,
}

/// A time: seconds since 1970 and nanoseconds after them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since the epoch, negative before it.
    pub seconds: i64,
    /// Nanoseconds, below 10^9.
    pub nanoseconds: u32,
}

impl Stat {
    /// The `S_IFMT` bits of the mode.
    pub const fn type_bits(&self) -> u16 {
        self.mode & S_IFMT
    }

    pub(super) fn of_child(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Self, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        statx(directory, name, flags, StatxFlags::BASIC_STATS).map(Into::into)
    }
}

/// The bits of a mode that are the type.
pub(super) const S_IFMT: u16 = 0o170_000;
const S_IFREG: u16 = 0o100_000;
const S_IFDIR: u16 = 0o040_000;
pub(super) const S_IFLNK: u16 = 0o120_000;

/// What the filesystem says of an open file. An error names no path.
pub fn stat_file(file: impl AsFd) -> Result<Stat, FileError> {
    statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
        .map(Into::into)
        .map_err(|errno| FileError::os(Operation::Stat, b"", errno))
}

/// Whether an open file is a regular one.
pub(crate) fn is_regular(file: BorrowedFd<'_>) -> bool {
    stat_file(file).is_ok_and(|stat| stat.type_bits() == S_IFREG)
}

/// Whether an open file is a directory.
pub(crate) fn is_directory(file: BorrowedFd<'_>) -> bool {
    stat_file(file).is_ok_and(|stat| stat.type_bits() == S_IFDIR)
}

impl From<Statx> for Stat {
    fn from(stat: Statx) -> Self {
        Self {
            id: FileId {
                device: device_number(stat.stx_dev_major, stat.stx_dev_minor),
                inode: stat.stx_ino,
            },
            mode: stat.stx_mode,
            nlink: stat.stx_nlink,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            device: device_number(stat.stx_rdev_major, stat.stx_rdev_minor),
            size: stat.stx_size,
            has_verity: has_verity(&stat),
            mtime: stat.stx_mtime.into(),
            ctime: stat.stx_ctime.into(),
        }
    }
}

/// Whether the attribute is set. The mask that should say whether it is known is not asked: btrfs of
/// Linux 6.12 sets the attribute and leaves it out of the mask.
pub(crate) fn has_verity(stat: &Statx) -> bool {
    stat.stx_attributes.contains(StatxAttributes::VERITY)
}

impl From<StatxTimestamp> for Timestamp {
    fn from(time: StatxTimestamp) -> Self {
        Self { seconds: time.tv_sec, nanoseconds: time.tv_nsec }
    }
}

/// The kernel's own 32-bit form of a device number; it has 12 bits of major and 20 of minor.
pub(crate) const fn device_number(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_have_the_minor_number_around_the_major() {
        assert_eq!(device_number(1, 3), 0x103);
        assert_eq!(device_number(0xfff, 0), 0xf_ff00);
        assert_eq!(device_number(0, 0xf_ffff), 0xfff0_00ff);
        assert_eq!(device_number(259, 0x1234), 0x0121_0334);
    }
}
