use std::io;
use std::path::{Path, PathBuf};

use super::EntryKind;
use crate::VerityError;

/// A step on a directory or file failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DurableError {
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried: `open`, `write`, `rename` and so on.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// The kernel does not check the file as it was asked to.
    #[error("cannot enable fs-verity on `{}`", path.display())]
    Verity {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: VerityError,
    },
    /// A file of another type stands where a regular file or a directory belongs.
    #[error("`{}` is a {found}, expected a {expected}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What belongs there.
        expected: EntryKind,
        /// What is there.
        found: EntryKind,
    },
}

impl DurableError {
    /// The kind of the system's error; `None` when it is none of the system's.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. }
            | Self::Verity { source: VerityError::Os { source, .. }, .. } => Some(source.kind()),
            Self::Verity { .. } | Self::Kind { .. } => None,
        }
    }

    /// Whether there is no such file or directory.
    pub fn is_missing(&self) -> bool {
        self.io_kind() == Some(io::ErrorKind::NotFound)
    }

    /// The file or directory that the step was about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. } | Self::Verity { path, .. } | Self::Kind { path, .. } => path,
        }
    }
}
