use core::fmt;
use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// What could not be done to a file. Reads well after "cannot".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Opening a file or directory.
    Open,
    /// Reading the names in a directory.
    List,
    /// Reading type, owner, size and times.
    Stat,
    /// Reading content.
    Read,
    /// Reading a symlink's target.
    ReadLink,
    /// Reading extended attributes.
    ReadXattrs,
    /// Setting an extended attribute.
    SetXattr,
    /// Making a file, directory, symlink or special file.
    Create,
    /// Making a hard link.
    Link,
    /// Setting user and group.
    SetOwner,
    /// Setting permission bits.
    SetPermissions,
    /// Setting the time of last modification.
    SetMtime,
    /// Giving a file its name.
    Rename,
    /// Removing a file or directory.
    Remove,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::List => "list",
            Self::Stat => "read the metadata of",
            Self::Read => "read",
            Self::ReadLink => "read the target of",
            Self::ReadXattrs => "read the extended attributes of",
            Self::SetXattr => "set an extended attribute of",
            Self::Create => "create",
            Self::Link => "link",
            Self::SetOwner => "set the owner of",
            Self::SetPermissions => "set the permissions of",
            Self::SetMtime => "set the modification time of",
            Self::Rename => "rename",
            Self::Remove => "remove",
        })
    }
}

/// Something could not be done to a file.
///
/// `path` is what the caller gave: a name within a directory, or nothing where it gave a
/// descriptor. [`FileError::with_path`] replaces it by a path that tells a person more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {operation} `{}`", path.escape_ascii())]
    Os {
        /// What was tried.
        operation: Operation,
        /// On which file.
        path: Vec<u8>,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The operating system refused to read, set or remove an extended attribute.
    #[error("attribute `{}`: cannot {operation} `{}`", attribute.escape_ascii(), path.escape_ascii())]
    Xattr {
        /// What was tried.
        operation: Operation,
        /// On which file.
        path: Vec<u8>,
        /// The attribute's name.
        attribute: Vec<u8>,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The extended attributes changed each time they were read.
    #[error("the extended attributes of `{}` change while they are read", path.escape_ascii())]
    Unsettled {
        /// The file.
        path: Vec<u8>,
    },
    /// No more files can be open at once.
    #[error(
        "cannot open `{}`: {limit} files are open, and more are not allowed (see `ulimit -n`)",
        path.escape_ascii()
    )]
    TooManyOpen {
        /// The file.
        path: Vec<u8>,
        /// How many this process may have open.
        limit: u64,
    },
    /// A name that is empty, `.` or `..`, or holds a slash or NUL byte.
    #[error("`{}` is not a file name", name.escape_ascii())]
    Name {
        /// The name.
        name: Vec<u8>,
    },
    /// A user or group of 4294967295, which system calls take for "leave it".
    #[error("cannot set the owner of `{}`: 4294967295 is no user or group", path.escape_ascii())]
    Owner {
        /// The file.
        path: Vec<u8>,
    },
    /// More content than the caller takes.
    #[error("`{}` is larger than {limit} bytes", path.escape_ascii())]
    TooLarge {
        /// The file.
        path: Vec<u8>,
        /// The most that the caller takes, in bytes.
        limit: usize,
    },
    /// The kernel lacks a system call.
    #[error("this kernel has no {call}: Linux {needed} or newer is needed")]
    Kernel {
        /// The system call.
        call: &'static str,
        /// The first version of Linux that has it.
        needed: &'static str,
    },
    /// `/proc` is not there, by which files are reached that cannot be opened.
    #[error("/proc is not mounted: it is needed for the attributes of `{}`", path.escape_ascii())]
    NoProc {
        /// The file.
        path: Vec<u8>,
    },
}

impl FileError {
    pub(super) fn os(operation: Operation, path: &[u8], errno: Errno) -> Self {
        let path = path.to_vec();
        match errno {
            Errno::MFILE => {
                let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
                Self::TooManyOpen { path, limit }
            }
            _ => Self::Os { operation, path, source: errno.into() },
        }
    }

    pub(super) fn xattr(operation: Operation, path: &[u8], attribute: &[u8], errno: Errno) -> Self {
        let (path, attribute) = (path.to_vec(), attribute.to_vec());
        Self::Xattr { operation, path, attribute, source: errno.into() }
    }

    /// The same error about the file at `path`, for messages.
    #[must_use]
    pub fn with_path(mut self, new: Vec<u8>) -> Self {
        match &mut self {
            Self::Os { path, .. }
            | Self::Xattr { path, .. }
            | Self::Unsettled { path }
            | Self::TooManyOpen { path, .. }
            | Self::Owner { path }
            | Self::TooLarge { path, .. }
            | Self::NoProc { path } => *path = new,
            Self::Name { .. } | Self::Kernel { .. } => {}
        }
        self
    }

    /// What the operating system said, where it was asked.
    pub fn kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Os { source, .. } | Self::Xattr { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_open_files_are_told_with_their_limit() {
        let text = FileError::os(Operation::Open, b"a\n", Errno::MFILE).to_string();
        assert!(text.starts_with("cannot open `a\\n`: "), "{text}");
        assert!(text.ends_with(" files are open, and more are not allowed (see `ulimit -n`)"));
    }
}
