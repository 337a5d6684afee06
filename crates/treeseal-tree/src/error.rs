use core::fmt;

use crate::{FileType, limits};

/// A path for a message: its bytes where they are printable ASCII, `\xHH` where not.
pub fn display_path(path: &[u8]) -> impl fmt::Display + '_ {
    path.escape_ascii()
}

/// A name that no directory may hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The empty name.
    #[error("empty file name")]
    Empty,
    /// `.` or `..`.
    #[error("`{0}` is not a file name")]
    Dots(&'static str),
    /// Longer than 255 bytes.
    #[error("file name of {found} bytes: at most {} are allowed", limits::NAME)]
    Long {
        /// Length of the name in bytes.
        found: usize,
    },
    /// A `/` or NUL byte.
    #[error("file name `{}` holds a slash or NUL byte", display_path(name))]
    Byte {
        /// The name.
        name: Vec<u8>,
    },
}

/// An extended attribute that an image cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XattrError {
    /// The name is empty or longer than 255 bytes.
    #[error("attribute name of {found} bytes: expected 1 to {}", limits::XATTR_NAME)]
    NameLength {
        /// Length of the name in bytes.
        found: usize,
    },
    /// The name holds a NUL byte.
    #[error("attribute name `{}` holds a NUL byte", display_path(name))]
    NameByte {
        /// The name.
        name: Vec<u8>,
    },
    /// The value is longer than 65535 bytes.
    #[error("attribute value of {found} bytes: at most {} are allowed", limits::XATTR_VALUE)]
    ValueLength {
        /// Length of the value in bytes.
        found: usize,
    },
    /// The attributes of one inode do not fit.
    #[error("attributes need {found} bytes: at most {} are allowed", limits::XATTR_TOTAL)]
    Total {
        /// Room that the attributes need in bytes.
        found: usize,
    },
}

/// A tree that breaks a rule of the model. Paths are in bytes, absolute, without a final slash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A file name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An attribute is out of bounds.
    #[error(transparent)]
    Xattr(#[from] XattrError),
    /// The tree has no root directory.
    #[error("the tree is empty: it has no root directory")]
    NoRoot,
    /// The root is not a directory.
    #[error("the root is a {found}, expected a directory")]
    Root {
        /// Type of the root.
        found: FileType,
    },
    /// Nanoseconds that are a second or more.
    #[error("{found} nanoseconds: expected less than 1000000000")]
    Nanoseconds {
        /// The value that was given.
        found: u32,
    },
    /// A regular file that is too large for an image.
    #[error("file of {found} bytes: at most {} are allowed", limits::FILE_SIZE)]
    FileSize {
        /// Size in bytes.
        found: u64,
    },
    /// Content that is too large to be part of an image.
    #[error("inline content of {found} bytes: at most {} are allowed", limits::INLINE_CONTENT)]
    InlineContent {
        /// Size in bytes.
        found: usize,
    },
    /// A symlink target or object path of the wrong length, or with a NUL byte.
    #[error(
        "symlink target or object path of {found} bytes: expected 1 to {} without NUL",
        limits::PAYLOAD
    )]
    Payload {
        /// Length in bytes.
        found: usize,
    },
    /// Two files of one name in a directory.
    #[error("`{}` occurs twice", display_path(path))]
    Duplicate {
        /// The path.
        path: Vec<u8>,
    },
    /// A path that is longer than any system call takes.
    #[error(
        "path of {found} bytes below `{}`: at most {} are allowed",
        display_path(directory),
        limits::PATH
    )]
    PathLength {
        /// Length of the path in bytes.
        found: usize,
        /// The directory that the file is in.
        directory: Vec<u8>,
    },
    /// A hard link to a path that is not in the tree.
    #[error(
        "hard link `{}`: its target `{}` is not in the tree",
        display_path(path),
        display_path(target)
    )]
    LinkTarget {
        /// The link.
        path: Vec<u8>,
        /// Where it points.
        target: Vec<u8>,
    },
    /// Hard links that lead to each other.
    #[error(
        "hard link `{}`: its target `{}` leads back to it",
        display_path(path),
        display_path(target)
    )]
    LinkLoop {
        /// The link.
        path: Vec<u8>,
        /// Where it points.
        target: Vec<u8>,
    },
    /// A hard link to a directory.
    #[error(
        "hard link `{}`: its target `{}` is a directory",
        display_path(path),
        display_path(target)
    )]
    LinkToDirectory {
        /// The link.
        path: Vec<u8>,
        /// Where it points.
        target: Vec<u8>,
    },
    /// More than the model can number.
    #[error("the tree has more {0} than fit: at most 2^32 - 1025")]
    TooLarge(&'static str),
}
