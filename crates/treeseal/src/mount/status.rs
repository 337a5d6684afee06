use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use treeseal_sys::{Directory, MountEntry, MountError, Unmount, mount_of, mount_table, unmount};

use super::Record;
use super::enforced::SOURCE;
use crate::Error;

/// A mounted tree, as the kernel has it now and as it was recorded.
#[derive(Debug)]
pub struct MountStatus {
    /// Where it lies, as bytes.
    pub mount_point: Vec<u8>,
    /// What the mount table has as its source, as bytes.
    pub source: Vec<u8>,
    /// Whether nothing can be changed.
    pub is_read_only: bool,
    /// Whether the kernel refuses objects that are not what the image names.
    pub is_enforced: bool,
    /// What was recorded when it was mounted. Nothing of it is verified again.
    pub recorded: Recorded,
}

/// What there is of a record.
#[derive(Debug)]
pub enum Recorded {
    /// The mount was made by this program, and this was written down.
    Record(Box<Record>),
    /// Nothing says what the mount is.
    Missing,
    /// Something does, and cannot be understood.
    Damaged(Box<Error>),
}

/// The sealed trees that are mounted in this mount namespace, in the order of the mount table.
///
/// Mounts are those that the kernel has; records below `run` are asked for no more than what they are.
pub fn status(run: &Path) -> Result<Vec<MountStatus>, Error> {
    let table = mount_table()?;
    table.iter().filter(|entry| is_ours(entry)).map(|entry| MountStatus::of(entry, run)).collect()
}

impl MountStatus {
    fn of(entry: &MountEntry, run: &Path) -> Result<Self, Error> {
        Ok(Self {
            mount_point: entry.mount_point.clone(),
            source: entry.source.clone(),
            is_read_only: entry.is_read_only(),
            is_enforced: entry.filesystem_option(b"verity").as_deref() == Some(b"require"),
            recorded: Recorded::of(entry, run)?,
        })
    }
}

impl Recorded {
    fn of(entry: &MountEntry, run: &Path) -> Result<Self, Error> {
        match Record::read(run, entry.device) {
            // One of another mount was left behind, and the device's number is in use again.
            Ok(Some(record)) if record.source().as_bytes() != entry.source => Ok(Self::Missing),
            Ok(Some(record)) => Ok(Self::Record(Box::new(record))),
            Ok(None) => Ok(Self::Missing),
            Err(error @ (Error::Record { .. } | Error::FileTooLarge { .. })) => {
                Ok(Self::Damaged(Box::new(error)))
            }
            Err(error) => Err(error),
        }
    }
}

/// Unmounts a sealed tree, and removes its record when it is mounted nowhere else.
pub fn umount(directory: &Path, how: Unmount, run: &Path) -> Result<(), Error> {
    let refused = |source| Error::Unmount { path: directory.to_owned(), source };
    let place = directory.canonicalize().map_err(|source| Error::io("find", directory, source))?;
    let entry = mount_of(Directory::open(&place)?)?;
    if entry.mount_point != place.as_os_str().as_bytes() {
        return Err(refused(MountError::NotMounted));
    }
    if !is_ours(&entry) {
        return Err(Error::NotSealed { path: directory.to_owned(), what: entry.source });
    }
    unmount(&place, how).map_err(refused)?;
    if mount_table()?.iter().any(|other| other.device == entry.device) {
        return Ok(());
    }
    Record::remove(run, entry.device)
}

/// Whether a mount is one that [`enforce`](super::enforce) made.
fn is_ours(entry: &MountEntry) -> bool {
    entry.filesystem == b"overlay" && entry.source.starts_with(SOURCE)
}
