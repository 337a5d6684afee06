use core::fmt;
use std::path::PathBuf;

use treeseal_sys::EntryKind;
use treeseal_verity::FileDigest;

use crate::{Part, StoreError};

/// Something in a store that is not as it should be.
#[derive(Debug)]
pub struct Finding {
    /// Where, seen from the store's directory.
    pub path: PathBuf,
    /// What.
    pub problem: Problem,
}

/// What can be wrong with a file in a store.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// The content does not have the digest in the name.
    Damaged {
        /// What it should be.
        part: Part,
        /// The digest in the name.
        expected: FileDigest,
        /// The digest of the content.
        found: FileDigest,
    },
    /// The content is that of another object or image.
    Swapped {
        /// What it should be.
        part: Part,
        /// The digest in the name.
        expected: FileDigest,
        /// The digest of the content: one that the store has a name for.
        found: FileDigest,
    },
    /// The content does not have the size that images refer to.
    WrongSize {
        /// The digest in the name.
        digest: FileDigest,
        /// The right size in bytes.
        expected: u64,
        /// The size in bytes.
        found: u64,
    },
    /// It is referred to, and not there.
    Missing {
        /// What it is.
        part: Part,
        /// Its digest.
        digest: FileDigest,
        /// Its size in bytes, if that is known.
        size: Option<u64>,
    },
    /// A good object of more than one run has no sidecar.
    SidecarMissing {
        /// The object.
        digest: FileDigest,
    },
    /// The sidecar is not the Merkle tree of its object, which is good.
    SidecarDamaged {
        /// The object.
        digest: FileDigest,
        /// Size of the tree in bytes.
        expected: u64,
        /// Size of the file in bytes.
        found: u64,
    },
    /// The file cannot be read.
    Unreadable {
        /// What it is.
        part: Part,
        /// Its digest; of a sidecar, that of its object.
        digest: FileDigest,
        /// Why not.
        error: StoreError,
    },
    /// The pointer to the current seal holds something else than a sequence.
    PointerDamaged {
        /// What it holds.
        found: String,
    },
    /// The pointer to the current seal leads to none.
    PointerDangling {
        /// The sequence that it names.
        sequence: u64,
    },
    /// A file of another type stands in the place of a file or directory.
    WrongKind {
        /// What belongs there.
        expected: EntryKind,
        /// What is there.
        found: EntryKind,
    },
    /// The content is right, and the kernel could check it and does not: it has no fs-verity, or not
    /// with this digest.
    Unenforced {
        /// What it is.
        part: Part,
        /// Its digest.
        digest: FileDigest,
    },
    /// Nothing in a store has such a name.
    StrangeName,
    /// Something that an interrupted writer left.
    Leftover,
    /// A sidecar of an object that needs none, having one run at most.
    SidecarNeedless,
    /// A sidecar without an object.
    SidecarOrphan,
    /// Nothing refers to the object or image.
    Unreferenced {
        /// What it is.
        part: Part,
        /// Its digest.
        digest: FileDigest,
        /// Its size in bytes.
        size: u64,
    },
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something that is needed cannot be read, or not as it should be.
    Damage,
    /// Something is right, and a mount that has the kernel check it refuses it.
    Unenforced,
    /// Something lies there that does not belong there. It does no harm.
    Stray,
    /// Something is not needed. That is as it should be until the next `gc`.
    Unreferenced,
}

impl Problem {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Damaged { .. }
            | Self::Swapped { .. }
            | Self::WrongSize { .. }
            | Self::Missing { .. }
            | Self::SidecarMissing { .. }
            | Self::SidecarDamaged { .. }
            | Self::Unreadable { .. }
            | Self::PointerDamaged { .. }
            | Self::PointerDangling { .. }
            | Self::WrongKind { .. } => Severity::Damage,
            Self::Unenforced { .. } => Severity::Unenforced,
            Self::StrangeName | Self::Leftover | Self::SidecarNeedless | Self::SidecarOrphan => {
                Severity::Stray
            }
            Self::Unreferenced { .. } => Severity::Unreferenced,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.as_os_str().as_encoded_bytes().escape_ascii(), self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { found, .. } => write!(f, "damaged: its content has digest {found}"),
            Self::Swapped { part, found, .. } => {
                write!(f, "swapped: it holds the content of {part} {found}")
            }
            Self::WrongSize { expected, found, .. } if found < expected => {
                write!(f, "truncated: it has {found} of {expected} bytes")
            }
            Self::WrongSize { expected, found, .. } => {
                write!(f, "too long: it has {found} bytes, expected {expected}")
            }
            Self::Missing { size: Some(size), .. } => write!(f, "missing: {size} bytes"),
            Self::Missing { size: None, .. } => f.write_str("missing"),
            Self::SidecarMissing { .. } => f.write_str("missing: its object is good"),
            Self::SidecarDamaged { expected, found, .. } if found != expected => {
                write!(f, "wrong Merkle tree: it has {found} bytes, expected {expected}")
            }
            Self::SidecarDamaged { .. } => f.write_str("wrong Merkle tree: its object is good"),
            Self::Unreadable { error, .. } => write!(f, "cannot be read: {error}"),
            Self::PointerDamaged { found } => {
                write!(f, "damaged: it holds `{found}`, expected a sequence number")
            }
            Self::PointerDangling { sequence } => {
                write!(f, "points to sequence {sequence}, of which there is no seal")
            }
            Self::WrongKind { expected, found } => write!(f, "is a {found}, expected a {expected}"),
            Self::Unenforced { .. } => {
                f.write_str("unenforced: it lacks fs-verity, so the kernel does not check it")
            }
            Self::StrangeName => f.write_str("stray: nothing in a store has this name"),
            Self::Leftover => f.write_str("stray: left by a writer that was interrupted"),
            Self::SidecarNeedless => f.write_str("stray: its object is too small to have one"),
            Self::SidecarOrphan => f.write_str("stray: there is no object for it"),
            Self::Unreferenced { size, .. } => {
                write!(f, "unreferenced: {size} bytes that no seal reaches")
            }
        }
    }
}
