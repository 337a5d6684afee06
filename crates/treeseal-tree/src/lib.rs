//! The checked model of a file tree, its text form, and what differs between two trees.
//!
//! A [`Tree`] holds names, types, owners, modes, times, extended attributes and, for each regular
//! file, its content or its file digest. [`TreeBuilder`] is the only way to make one, and it checks
//! every rule on the way: what holds a `Tree` need not check again. [`dump`] reads and writes the
//! composefs dump text; [`diff`] says why two trees are not the same.
//!
//! Trees of ten million entries are expected, so the model is arrays of small records that refer to
//! each other by number; content digests, attribute sets and paths are stored once however often
//! they occur.
//!
//! Pure: no I/O, no clock, no environment.

mod builder;
pub mod diff;
mod digests;
pub mod dump;
mod error;
mod intern;
mod meta;
mod tree;

pub use builder::{Node, NodeContent, TreeBuilder};
pub use error::{NameError, TreeError, XattrError, display_path};
pub use meta::{FileType, Metadata, Mtime};
pub use tree::{
    Content, DigestId, Entry, Inode, InodeId, PathId, Payload, Tree, XattrId, XattrSetId,
};

/// Limits of the model: what the composefs format can hold. `spec/image.md` says where each comes
/// from.
pub mod limits {
    /// Longest file name, in bytes.
    pub const NAME: usize = 255;
    /// Longest absolute path, in bytes: system calls take 4096 with the final NUL.
    pub const PATH: usize = 4096;
    /// Longest symlink target or object path, in bytes.
    pub const PAYLOAD: usize = 4095;
    /// Longest content that an image may hold itself, in bytes.
    pub const INLINE_CONTENT: usize = 5000;
    /// Longest attribute name with its prefix, in bytes.
    pub const XATTR_NAME: usize = 255;
    /// Longest attribute value, in bytes.
    pub const XATTR_VALUE: usize = 65535;
    /// Most room for the attributes of one inode, in bytes: 12, and for each attribute 7 and the
    /// lengths of its name and value.
    pub const XATTR_TOTAL: usize = 32767;
    /// Largest regular file, in bytes: 1024 chunks of 2^43.
    pub const FILE_SIZE: u64 = 1 << 53;
}
