use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use treeseal_sys::{DurableError, LockError};
use treeseal_verity::FileDigest;

use crate::{FORMAT_VERSION, FeatureClass, Part};

/// The store, or what was to go into it, is not as it must be. Every path says which file is meant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The directory is no store.
    #[error(
        "`{}` is not a store: it has no treeseal-store.json; sealing a tree into it makes one",
        path.display()
    )]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// A store was to be made in a directory that holds other things.
    #[error(
        "`{}` is not empty and not a store (it holds `{found}`); name a new or empty directory",
        path.display()
    )]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// One of the things in it.
        found: String,
    },
    /// `treeseal-store.json` cannot be understood.
    #[error("`{}` does not describe a store", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The store was written by a later version.
    #[error(
        "`{}` has store format {found}, this version knows formats up to {FORMAT_VERSION}; \
         use the version of treeseal that wrote it, or a newer one",
        path.display()
    )]
    NewerFormat {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// The store has a feature that this version does not know.
    #[error(
        "`{}` has the {class} feature `{feature}`, which this version does not know; {}",
        path.display(),
        class.way_out()
    )]
    UnknownFeature {
        /// The store.
        path: PathBuf,
        /// What the feature forbids.
        class: FeatureClass,
        /// Its name.
        feature: String,
    },
    /// Another process writes to the store, or keeps others from writing.
    #[error("the store is in use; try again when that is done")]
    InUse(#[source] LockError),
    /// The store cannot be changed: it was opened for reading, or lies on a read-only filesystem.
    #[error("`{}` is read-only here; name a store that can be written", path.display())]
    ReadOnly {
        /// The store, or the file that was to be written.
        path: PathBuf,
    },
    /// The store belongs to someone else.
    #[error("no permission to write `{}`; run as its owner, or name another store", path.display())]
    Permission {
        /// The file that was to be written.
        path: PathBuf,
        /// The answer of the operating system.
        source: DurableError,
    },
    /// The filesystem is full, or the quota used up. Nothing half-written is visible.
    #[error(
        "no space left to write `{}`; make room, for example by `treeseal store gc`, and repeat: \
         what is already stored is not written again",
        path.display()
    )]
    Full {
        /// The file that was to be written.
        path: PathBuf,
        /// The answer of the operating system.
        source: DurableError,
    },
    /// A file of the store is not there.
    #[error(
        "{part} {digest} is missing: there is no `{}`; `treeseal store fsck --repair` can take it \
         from a good copy",
        path.display()
    )]
    Missing {
        /// What it is.
        part: Part,
        /// Its digest; of a sidecar, that of its object.
        digest: FileDigest,
        /// Where it should be.
        path: PathBuf,
    },
    /// A file does not have the content that its name stands for.
    #[error(
        "`{}` is damaged: its content has digest {found}, expected {expected}; \
         `treeseal store fsck --repair` can replace it by a good copy",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The digest in its name.
        expected: FileDigest,
        /// The digest of its content.
        found: FileDigest,
    },
    /// What was written is not what was to be written. It has no name, and is removed.
    #[error(
        "the kernel measures what was just written as {found}, expected {expected}: it is not \
         stored; check this machine's memory and disk"
    )]
    WrittenDiffers {
        /// The digest of what was to be written.
        expected: FileDigest,
        /// The digest by which the kernel would check the file.
        found: FileDigest,
    },
    /// A file does not have the size that it should have.
    #[error(
        "`{}` has {found} bytes, expected {expected}; `treeseal store fsck --repair` can replace \
         it by a good copy",
        path.display()
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// The right size in bytes.
        expected: u64,
        /// The size in bytes.
        found: u64,
    },
    /// A run of an object's blocks does not have the hashes that its digest vouches for.
    #[error("`{}` changed while it was read: bytes {start} to {end} do not match", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Offset of the first byte that was not given out.
        start: u64,
        /// Offset after the run.
        end: u64,
    },
    /// A file is larger than the caller takes.
    #[error("`{}` has {found} bytes, more than the limit of {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
        /// Its size in bytes.
        found: u64,
    },
    /// The store has no such seal.
    #[error("there is no seal `{}`", path.display())]
    NoSeal {
        /// Where it should be.
        path: PathBuf,
    },
    /// There is another seal, or root, of this number already.
    #[error("`{}` exists with other content, and is not replaced; use the next number", path.display())]
    Conflict {
        /// The file.
        path: PathBuf,
    },
    /// The pointer to the current seal was to go back.
    #[error(
        "`{}` points to sequence {present}, and is not lowered to {asked}; seal the older tree \
         again under a new sequence",
        path.display()
    )]
    Lowered {
        /// The pointer.
        path: PathBuf,
        /// The sequence it points to.
        present: u64,
        /// The sequence it was to point to.
        asked: u64,
    },
    /// The pointer to the current seal holds something else than a sequence.
    #[error("`{}` holds `{found}`, expected a sequence number", path.display())]
    Pointer {
        /// The pointer.
        path: PathBuf,
        /// What it holds.
        found: String,
    },
    /// The current seal cannot be removed.
    #[error("`{}` is the current seal; point to another one before it is removed", path.display())]
    CurrentSeal {
        /// The seal.
        path: PathBuf,
    },
    /// Nothing was removed, because it is not known what a seal reaches.
    #[error(
        "cannot tell what `{}` reaches, so nothing is removed; repair it or remove it",
        path.display()
    )]
    Unresolved {
        /// The seal.
        path: PathBuf,
        /// Why it is not known.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Nothing was removed, because a file among the seals is not understood.
    #[error(
        "`{}` is neither a seal nor a pointer, so nothing is removed; move it elsewhere",
        path.display()
    )]
    StrangeSeal {
        /// The file.
        path: PathBuf,
    },
    /// An earlier error keeps the objects of this sink from being committed.
    #[error("the objects cannot be committed: storing one of them failed before")]
    SinkFailed,
    /// Verified content could not be handed on.
    #[error("cannot hand on the content of `{}`", path.display())]
    Output {
        /// The file that was read.
        path: PathBuf,
        /// Why the receiver refused.
        source: io::Error,
    },
    /// The content to be stored could not be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A file could not be read or written.
    #[error(transparent)]
    Io(DurableError),
}

/// The content that was to be stored could not be read. The store is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// Reading failed.
    #[error("cannot read the content to be stored")]
    Read(#[source] io::Error),
    /// It was longer or shorter than it should have been.
    #[error("the content has {found} bytes, expected {expected}: it changed while it was read")]
    Size {
        /// The size that was announced.
        expected: u64,
        /// Bytes that were read.
        found: u64,
    },
}

impl From<DurableError> for StoreError {
    fn from(error: DurableError) -> Self {
        let path = error.path().to_owned();
        match error.io_kind() {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                Self::Full { path, source: error }
            }
            Some(io::ErrorKind::ReadOnlyFilesystem) => Self::ReadOnly { path },
            Some(io::ErrorKind::PermissionDenied) if changes(&error) => {
                Self::Permission { path, source: error }
            }
            _ => Self::Io(error),
        }
    }
}

impl From<LockError> for StoreError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Durable(error) => match error.io_kind() {
                // Only whoever wants to write is refused the lock.
                Some(io::ErrorKind::PermissionDenied) => {
                    Self::Permission { path: error.path().to_owned(), source: error }
                }
                _ => error.into(),
            },
            held => Self::InUse(held),
        }
    }
}

/// Whether the step that failed was to change something.
fn changes(error: &DurableError) -> bool {
    match error {
        DurableError::Io { action, .. } => !matches!(*action, "open" | "look at" | "list" | "read"),
        _ => false,
    }
}

impl StoreError {
    /// Whether something in the store is missing or not what its name says: the answer to whether
    /// the store holds what it should, which is no.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::Damaged { .. }
                | Self::Size { .. }
                | Self::Changed { .. }
                | Self::TooLarge { .. }
                | Self::NoSeal { .. }
                | Self::Pointer { .. }
                | Self::Io(DurableError::Kind { .. })
        )
    }

    pub(crate) fn reading(path: &Path, source: io::Error) -> Self {
        Self::Io(DurableError::Io { action: "read", path: path.to_owned(), source })
    }
}
