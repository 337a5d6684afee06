use core::num::NonZero;
use std::error::Error;

use treeseal_sys::{FileError, FileId};
use treeseal_tree::{Tree, TreeError, display_path};

/// How a directory becomes a tree.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// What becomes of files with several names.
    pub hard_links: HardLinks,
    /// Gives every file this time of last modification, in seconds since 1970.
    pub epoch: Option<i64>,
    /// Which extended attributes become part of the tree.
    pub xattrs: Xattrs,
    /// Leaves out block and character devices, whiteouts too.
    pub skip_devices: bool,
    /// Number of files that are read at once.
    pub threads: NonZero<usize>,
    /// Directories that may not be found in the tree: where the content goes, for one.
    pub exclude: Vec<FileId>,
}

/// What becomes of files with several names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HardLinks {
    /// They stay one file. Names outside the directory do not count as links.
    #[default]
    Keep,
    /// Each name becomes a file of its own with one link, as `mkcomposefs` does it.
    Separate,
}

/// Which extended attributes become part of a tree, of those that the kernel shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Xattrs {
    /// Every one.
    #[default]
    All,
    /// Those whose names begin with `user.`.
    UserOnly,
    /// None.
    Ignore,
}

impl Default for ImportOptions {
    /// Everything as it is, read by as many threads as this process may run at once.
    fn default() -> Self {
        Self {
            hard_links: HardLinks::default(),
            epoch: None,
            xattrs: Xattrs::default(),
            skip_devices: false,
            threads: std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
            exclude: Vec::new(),
        }
    }
}

/// A directory that has become a tree.
#[derive(Debug)]
pub struct Imported {
    /// The tree.
    pub tree: Tree,
    /// What was read for it.
    pub stats: ImportStats,
}

/// What an import has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportStats {
    /// Directories, the top one included.
    pub directories: u64,
    /// Regular files; one with several names counts once.
    pub files: u64,
    /// Bytes in those files.
    pub bytes: u64,
    /// Those of the files whose content went to the sink.
    pub objects: u64,
    /// Further names of files that were counted already.
    pub links: u64,
}

impl ImportStats {
    pub(super) fn add(&mut self, other: &Self) {
        self.directories += other.directories;
        self.files += other.files;
        self.bytes += other.bytes;
        self.objects += other.objects;
        self.links += other.links;
    }
}

/// A directory that could not be imported. Paths begin with the path that was to be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError<E: Error + 'static> {
    /// A file could not be read, or is gone.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file was changed while it was read.
    #[error("`{}` was changed while it was read", display_path(path))]
    Changed {
        /// The file.
        path: Vec<u8>,
    },
    /// A directory that must not be part of the tree is in it.
    #[error(
        "`{}` cannot be part of the tree: the tree's content is written there",
        display_path(path)
    )]
    Overlap {
        /// The directory.
        path: Vec<u8>,
    },
    /// A file of no type that a tree can hold.
    #[error("`{}` has mode {mode:o}, which is no known type of file", display_path(path))]
    FileType {
        /// The file.
        path: Vec<u8>,
        /// Its mode.
        mode: u16,
    },
    /// The content of a file could not be taken in.
    #[error("cannot take in the content of `{}`", display_path(path))]
    Sink {
        /// The file.
        path: Vec<u8>,
        /// What the sink says.
        #[source]
        source: E,
    },
    /// A file cannot be part of a tree.
    #[error("`{}` cannot be part of a tree", display_path(path))]
    Tree {
        /// The file, or the directory where it concerns the whole.
        path: Vec<u8>,
        /// Why.
        #[source]
        source: TreeError,
    },
}
