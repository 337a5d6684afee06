use std::io;
use std::path::PathBuf;

use treeseal_sys::{DurableError, FileError};
use treeseal_tree::{FileType, TreeError, display_path};

use super::{Checksum, Mode, ObjectError};

/// A repository, or a commit in it, that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OstreeError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The content of an object could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The object's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A directory is no repository, or one of a kind that is not read.
    #[error("`{}` is no OSTree repository that can be read: {why}", path.display())]
    Repository {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A name that no ref can have.
    #[error("`{}` can be neither a ref, a remote and a ref, nor a commit", name.escape_debug())]
    RefName {
        /// The name.
        name: String,
    },
    /// A ref that is not there.
    #[error("`{}` has no ref `{name}`", path.display())]
    NoRef {
        /// The repository.
        path: PathBuf,
        /// The ref.
        name: String,
    },
    /// A ref that does not hold a checksum.
    #[error("the ref `{name}` holds no checksum of a commit")]
    Ref {
        /// The ref.
        name: String,
    },
    /// An object that is not there.
    #[error("the object `{}` is missing", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// An object that is not the one with its name.
    #[error("`{}` is damaged or another object: its checksum is {found}", path.display())]
    Differs {
        /// The object's file, which names the checksum that it should have.
        path: PathBuf,
        /// The checksum of what is there.
        found: Checksum,
    },
    /// A file that has other content than when it was found right.
    #[error("`{}` was changed meanwhile", path.display())]
    Changed {
        /// The object's file.
        path: PathBuf,
    },
    /// An object that cannot be understood.
    #[error("`{}` is malformed", path.display())]
    Object {
        /// The object's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ObjectError,
    },
    /// More names than are read of a commit.
    #[error("the commit has more than {limit} names")]
    TooManyNames {
        /// How many it may have.
        limit: usize,
    },
    /// Something of the commit cannot be part of a tree.
    #[error("`{}` cannot be part of a tree", display_path(path))]
    Tree {
        /// The path in the commit.
        path: Vec<u8>,
        /// Why.
        #[source]
        source: TreeError,
    },
    /// A file could not be written.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The content of a new object could not be written.
    #[error("cannot write an object of `{}`", path.display())]
    Write {
        /// The repository.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A repository has another mode than it was to have.
    #[error("the repository `{}` has the mode `{}`, and not `{}`", path.display(), found.name(), asked.name())]
    OtherMode {
        /// The repository.
        path: PathBuf,
        /// Its mode.
        found: Mode,
        /// The mode that it was to have.
        asked: Mode,
    },
    /// Something of a tree that no commit has, or none of a repository of this mode.
    #[error("`{}` cannot be part of a commit: {problem}", display_path(path))]
    Unfit {
        /// The path in the tree.
        path: Vec<u8>,
        /// Why.
        problem: Unfit,
    },
}

/// What OSTree cannot keep of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// A commit has regular files, symlinks and directories.
    #[error("OSTree has no files of the type {0}")]
    Type(FileType),
    /// Names are text.
    #[error("its name is not UTF-8")]
    Name,
    /// Targets of symlinks are text.
    #[error("its target is not UTF-8")]
    Target,
    /// The repository has no owners.
    #[error("it has an owner, and a repository of mode `bare-user-only` keeps none")]
    Owner,
    /// The repository has no attributes.
    #[error("it has attributes, and a repository of mode `bare-user-only` keeps none")]
    Xattrs,
    /// The repository has few bits of the mode.
    #[error(
        "it has the permissions {0:o}, and a repository of mode `bare-user-only` keeps the bits 775"
    )]
    Permissions(u16),
}
