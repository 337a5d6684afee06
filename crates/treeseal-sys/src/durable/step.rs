use std::fmt;
use std::io;
use std::path::Path;

/// A step that changes what is on disk or makes it durable, told before it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// What is about to be done.
    pub action: StepAction,
    /// The file or directory that it is done to; of a renaming the new name.
    pub path: &'a Path,
    /// The old name, of a renaming.
    pub from: Option<&'a Path>,
}

/// What a [`Step`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepAction {
    /// A directory is made.
    CreateDirectory,
    /// A temporary file is made.
    CreateFile,
    /// Bytes are appended to a temporary file, or content is cloned into it.
    Write,
    /// fs-verity is enabled on a temporary file.
    EnableVerity,
    /// The content of one file is made durable.
    SyncFile,
    /// The names in one directory are made durable.
    SyncDirectory,
    /// Everything on the filesystem is made durable.
    SyncFilesystem,
    /// A file gets its name, and takes the place of one that had it.
    Rename,
    /// A file or an empty directory is removed.
    Remove,
}

/// Is asked before every [`Step`].
///
/// An error stops the step and everything that depends on it, as a failing disk would. A hook that
/// fails once and from then on simulates a crash: nothing after it reaches the disk, not even the
/// removal of temporary files.
pub trait StepHook: Send + Sync + fmt::Debug {
    /// Lets the step happen, or stops it.
    fn before(&self, step: Step<'_>) -> io::Result<()>;
}
