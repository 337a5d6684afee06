//! Who a filesystem is, by its superblock: identifier and label, for ext2 to ext4 and Btrfs.
//!
//! These are the filesystems for stores on disks: those that have fs-verity. Offsets are those of
//! `struct ext4_super_block` and `struct btrfs_super_block`.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// What a filesystem says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    /// In lower-case hex.
    pub(crate) uuid: String,
    pub(crate) label: Vec<u8>,
}

struct Format {
    /// Where the superblock begins on the device.
    offset: u64,
    /// Where these lie in it.
    magic: (usize, &'static [u8]),
    uuid: usize,
    label: (usize, usize),
}

const FORMATS: [Format; 2] = [
    Format { offset: 1024, magic: (56, &[0x53, 0xef]), uuid: 104, label: (120, 16) },
    Format { offset: 65536, magic: (64, b"_BHRfS_M"), uuid: 32, label: (299, 256) },
];

const UUID_SIZE: usize = 16;
/// As much of a superblock as is looked at.
const SIZE: usize = 1024;

/// Reads the superblock of a device; `None` if it has none that is known, or cannot be read.
pub(crate) fn read(device: &File) -> Option<Superblock> {
    FORMATS.iter().find_map(|format| {
        let mut bytes = [0; SIZE];
        device.read_exact_at(&mut bytes, format.offset).ok()?;
        parse(format, &bytes)
    })
}

fn parse(format: &Format, bytes: &[u8]) -> Option<Superblock> {
    let part = |at: usize, size: usize| bytes.get(at..at.checked_add(size)?);
    let (at, magic) = format.magic;
    part(at, magic.len()).filter(|found| *found == magic)?;
    let uuid = part(format.uuid, UUID_SIZE)?;
    let label = part(format.label.0, format.label.1)?;
    Some(Superblock {
        uuid: uuid.iter().map(|byte| format!("{byte:02x}")).collect(),
        label: label.split(|byte| *byte == 0).next().unwrap_or_default().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const UUID: &str = "01234567-89ab-cdef-0123-456789abcdef";

    /// A filesystem in a file, made by the program for it.
    fn made_by(program: &str, package: &str, arguments: &[&str]) -> Option<Superblock> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(128 << 20).unwrap();
        let mut command = Command::new(treeseal_testkit::program(program, package));
        treeseal_testkit::run(command.args(arguments).arg(file.path()));
        read(file.as_file())
    }

    fn expected(label: &str) -> Option<Superblock> {
        Some(Superblock { uuid: UUID.replace('-', ""), label: label.into() })
    }

    #[test]
    fn ext4_is_known_as_its_own_program_makes_it() {
        let found = made_by("mkfs.ext4", "e2fsprogs", &["-q", "-L", "acme data", "-U", UUID]);
        assert_eq!(found, expected("acme data"));
        let longest = "sixteen of bytes";
        let found = made_by("mkfs.ext4", "e2fsprogs", &["-q", "-L", longest, "-U", UUID]);
        assert_eq!(found, expected(longest));
    }

    #[test]
    fn btrfs_is_known_as_its_own_program_makes_it() {
        let found = made_by("mkfs.btrfs", "btrfs-progs", &["-q", "-L", "acme data", "-U", UUID]);
        assert_eq!(found, expected("acme data"));
    }

    #[test]
    fn what_is_no_filesystem_has_no_superblock() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(read(&file), None);
        file.set_len(1 << 20).unwrap();
        assert_eq!(read(&file), None);
    }
}
