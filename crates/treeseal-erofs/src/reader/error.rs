use core::fmt;
use std::io;
use std::sync::Arc;

use treeseal_tree::{FileType, TreeError, display_path};

use super::limits;

/// An image that cannot be read, and where.
///
/// A path is absolute, in bytes, and empty where it is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file is too short for an image or does not end with a block.
    #[error("image of {found} bytes: expected a multiple of 4096, and at least one block")]
    Length {
        /// Length of the image in bytes.
        found: u64,
    },
    /// The composefs header or the EROFS superblock says what no image does.
    #[error("{field} (byte {offset}): expected {expected}, found {found:#x}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// Offset of the field in the image.
        offset: u64,
        /// What is allowed.
        expected: &'static str,
        /// What is there; for bytes that must be zero the first that is not.
        found: u64,
    },
    /// The superblock's count of blocks is not the image's.
    #[error(
        "superblock: {expected} blocks, but the image has {found}: it is cut short or was added to"
    )]
    Blocks {
        /// The superblock's count.
        expected: u64,
        /// What the image has.
        found: u64,
    },
    /// The superblock's count of inodes is not what the directories lead to.
    #[error("superblock: {expected} inodes, found {found} through the directories")]
    InodeCount {
        /// The superblock's count.
        expected: u64,
        /// Inodes that were found.
        found: u64,
    },
    /// An inode is malformed.
    #[error("{}: {problem}", Place(path, *nid))]
    Inode {
        /// Number of the inode.
        nid: u64,
        /// Its path.
        path: Vec<u8>,
        /// What is wrong.
        problem: InodeProblem,
    },
    /// The attributes of an inode are malformed.
    #[error("{}: attributes: {problem}", Place(path, *nid))]
    Xattrs {
        /// Number of the inode.
        nid: u64,
        /// Its path.
        path: Vec<u8>,
        /// What is wrong.
        problem: XattrProblem,
    },
    /// A directory is malformed.
    #[error("{}: directory: {problem}", Place(path, *nid))]
    Directory {
        /// Number of the directory's inode.
        nid: u64,
        /// Its path.
        path: Vec<u8>,
        /// What is wrong.
        problem: DirectoryProblem,
    },
    /// A path is longer than any that a system call takes.
    #[error("path of {found} bytes: at most {} are allowed", limits::PATH)]
    PathLength {
        /// Length of the path in bytes.
        found: usize,
    },
    /// The image states what no writer would.
    #[error("{}: {problem}", Place(path, *nid))]
    NotCanonical {
        /// Number of the inode, 0 for the image as a whole.
        nid: u64,
        /// Its path.
        path: Vec<u8>,
        /// What is wrong.
        problem: CanonicalProblem,
    },
    /// The paths of distinct objects are larger than the image that they are in.
    #[error("object paths of {found} bytes: the image has only {limit}")]
    ObjectPaths {
        /// Size of the image in bytes.
        limit: u64,
        /// Bytes of the paths.
        found: u64,
    },
    /// The image is read in pages, and one of them cannot be.
    #[error("the page at byte {offset} cannot be read")]
    Read {
        /// Offset of the page.
        offset: u64,
        /// Why.
        #[source]
        problem: ReadError,
    },
    /// The image is read in pages, and has more names than a moment ago.
    #[error("the image changed while it was read")]
    Changed,
    /// The files cannot be a tree.
    #[error("{}: {problem}", Place(path, 0))]
    Tree {
        /// The path.
        path: Vec<u8>,
        /// What is wrong.
        #[source]
        problem: TreeError,
    },
}

impl ImageError {
    /// The same error with the path of the inode, where it has none yet.
    pub(super) fn at(mut self, place: &[u8]) -> Self {
        match &mut self {
            Self::Inode { path, .. }
            | Self::Xattrs { path, .. }
            | Self::Directory { path, .. }
            | Self::NotCanonical { path, .. }
            | Self::Tree { path, .. }
                if path.is_empty() =>
            {
                *path = place.to_vec();
            }
            _ => {}
        }
        self
    }
}

/// Why a page cannot be read. Two are the same when they are of the same kind.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct ReadError(Arc<io::Error>);

impl ReadError {
    pub(super) fn new(error: io::Error) -> Self {
        Self(Arc::new(error))
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> io::ErrorKind {
        self.0.kind()
    }
}

impl PartialEq for ReadError {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind()
    }
}

impl Eq for ReadError {}

struct Place<'a>(&'a [u8], u64);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self(b"", 0) => f.write_str("image"),
            Self(b"", nid) => write!(f, "inode {nid}"),
            Self(path, 0) => write!(f, "`{}`", display_path(path)),
            Self(path, nid) => write!(f, "`{}` (inode {nid})", display_path(path)),
        }
    }
}

/// What is wrong with an inode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InodeProblem {
    /// Something lies outside the image.
    #[error("{what} at byte {offset} leaves the image")]
    Bounds {
        /// What it is.
        what: &'static str,
        /// Where it begins.
        offset: u64,
    },
    /// The form or data layout is none that composefs uses.
    #[error("unknown format {found:#x}")]
    Format {
        /// The format field.
        found: u16,
    },
    /// The mode has no known file type.
    #[error("mode {found:o} has no known file type")]
    Mode {
        /// The mode.
        found: u16,
    },
    /// A field says what no image does.
    #[error("{field}: expected {expected:#x}, found {found:#x}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// What is allowed.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The size does not fit the type and the data layout.
    #[error("{file_type} of {found} bytes with data layout {layout}")]
    Size {
        /// Type of the file.
        file_type: FileType,
        /// Number of the data layout.
        layout: u16,
        /// Size in bytes.
        found: u64,
    },
    /// The data behind the inode crosses the end of a block.
    #[error("the data at byte {offset} crosses the end of a block")]
    TailCrossesBlock {
        /// Where the data begins.
        offset: u64,
    },
    /// Parts of two inodes share bytes.
    #[error("{what} at byte {offset} overlaps another inode or its data")]
    Overlap {
        /// What it is.
        what: &'static str,
        /// Where it begins.
        offset: u64,
    },
    /// A file without content of its own has an address in the image.
    #[error("a chunk has an address in the image")]
    ChunkAddress,
    /// A symlink's target holds a NUL byte.
    #[error("the target holds a NUL byte")]
    TargetNul,
    /// A character device 0, which an overlayfs takes for a whiteout, where none can be.
    #[error("a whiteout that is not marked as one")]
    BareWhiteout,
}

/// What is wrong with the attributes of an inode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XattrProblem {
    /// An attribute leaves the inode's area or the image.
    #[error("the attribute at byte {offset} leaves its area")]
    Bounds {
        /// Offset from the start of the area, or for shared ones of the image.
        offset: u64,
    },
    /// Bytes that must be zero are not.
    #[error("bytes that must be zero are not")]
    Reserved,
    /// A prefix index that is unknown.
    #[error("unknown prefix index {found}")]
    Prefix {
        /// The index.
        found: u8,
    },
    /// A name that is empty, holds a NUL byte, or is stored in full though its prefix has an index.
    #[error("`{}` is not a name", display_path(found))]
    Name {
        /// The name.
        found: Vec<u8>,
    },
    /// Names out of order, or one that occurs twice.
    #[error("`{}` is out of order or occurs twice", display_path(found))]
    Order {
        /// The name.
        found: Vec<u8>,
    },
    /// The attributes are larger than those of any inode.
    #[error("the attributes need {found} bytes: at most {} are allowed", limits::XATTR_TOTAL)]
    Total {
        /// Room that they need in bytes.
        found: u64,
    },
    /// The name filter would hide an attribute from the kernel, or is not the writer's.
    #[error("name filter: expected {expected:#x}, found {found:#x}")]
    Filter {
        /// What the names give.
        expected: u32,
        /// What is there.
        found: u32,
    },
    /// An attribute of overlayfs where the writer puts none.
    #[error("`{}` where overlayfs must not find it", display_path(name))]
    Overlay {
        /// The name.
        name: Vec<u8>,
    },
    /// A file without content of its own that does not say where its content is.
    #[error("no `trusted.overlay.metacopy` on a file without content")]
    NoMetacopy,
    /// A digest that is none.
    #[error("`trusted.overlay.metacopy` of {found} bytes holds no digest")]
    Metacopy {
        /// Length of the value in bytes.
        found: usize,
    },
    /// An object path that is none.
    #[error("`trusted.overlay.redirect` of {found} bytes is not a path below the object directory")]
    Redirect {
        /// Length of the value in bytes.
        found: usize,
    },
}

/// What is wrong with a directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryProblem {
    /// A block whose entries or names leave it.
    #[error("the name offset {found} of entry {entry} of block {block} leads nowhere")]
    NameOffset {
        /// Number of the block in the directory.
        block: u64,
        /// Number of the entry in the block.
        entry: u64,
        /// The offset.
        found: u64,
    },
    /// A name that is none.
    #[error("`{}` is not a file name", display_path(found))]
    Name {
        /// The name.
        found: Vec<u8>,
    },
    /// Names out of order, or one that occurs twice.
    #[error("`{}` is out of order or occurs twice", display_path(found))]
    Order {
        /// The name.
        found: Vec<u8>,
    },
    /// Bytes that must be zero are not.
    #[error("bytes that must be zero are not, in block {block}")]
    Reserved {
        /// Number of the block in the directory.
        block: u64,
    },
    /// `.` or `..` is missing or leads elsewhere.
    #[error("`{name}`: expected inode {expected}, found {}", Found(*found))]
    Dots {
        /// Which of them.
        name: &'static str,
        /// Where it must lead.
        expected: u64,
        /// Where it leads, if it is there.
        found: Option<u64>,
    },
    /// An entry whose type is unknown or not its inode's.
    #[error("`{}`: file type {found}, but the inode is {}", display_path(name), Type(*expected))]
    Type {
        /// Name of the entry.
        name: Vec<u8>,
        /// Type of the inode, where it is known.
        expected: Option<FileType>,
        /// Number of the type in the entry.
        found: u8,
    },
    /// A second name of a directory.
    #[error("`{}` is a second name of a directory", display_path(name))]
    SecondName {
        /// Name of the entry.
        name: Vec<u8>,
    },
    /// An inode that is numbered or placed out of turn.
    #[error(
        "`{}` (inode {nid}): inode number {found}, expected {expected}, in order of place",
        display_path(name)
    )]
    Number {
        /// Name of the entry.
        name: Vec<u8>,
        /// Place of the inode.
        nid: u64,
        /// The number whose turn it is.
        expected: u64,
        /// The number that is there.
        found: u64,
    },
}

struct Found(Option<u64>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nid) => write!(f, "{nid}"),
            None => f.write_str("nothing"),
        }
    }
}

struct Type(Option<FileType>);

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(file_type) => write!(f, "a {file_type}"),
            None => f.write_str("of another type"),
        }
    }
}

/// What a well-formed image states that no writer would.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CanonicalProblem {
    /// A directory's number of links.
    #[error("directory with {found} links, expected {expected}")]
    Links {
        /// Two, and one for each directory in it.
        expected: u64,
        /// What the inode states.
        found: u64,
    },
    /// The wrong one of the two forms of an inode.
    #[error("the inode has the wrong form: it {}", if *.is_compact { "is compact but does not fit" } else { "would fit the compact form" })]
    Form {
        /// Whether it has the compact form.
        is_compact: bool,
    },
    /// The superblock's time is not the earliest.
    #[error("the superblock's time is not the earliest of all inodes")]
    BuildTime,
    /// The header's ACL flag is wrong.
    #[error("the header's ACL flag is {found}, but the attributes say otherwise")]
    AclFlag {
        /// Whether the flag is set.
        found: bool,
    },
    /// One of the names that hide the object directories is missing, or is not as written.
    #[error("the stub `{}` is missing or not as written", display_path(name))]
    Stub {
        /// Its name.
        name: Vec<u8>,
    },
    /// The root is not marked opaque.
    #[error("the root is not marked opaque")]
    RootNotOpaque,
    /// Bytes outside all inodes and data that are not as written.
    #[error("unused bytes at byte {offset} are not as written")]
    Unused {
        /// Where they begin.
        offset: u64,
    },
}
