//! Reads untrusted images within a budget.
//!
//! Reading goes in steps, and each gives a type that the next asks for:
//!
//! 1. [`Image::parse`], or [`Image::parse_pages`] for an image that is not held in memory: header and superblock are as a writer makes them.
//! 2. [`Image::inode`], [`Inode::entries`], [`Inode::xattrs`]: one inode at a time, each checked as
//!    far as it can be alone. Nothing is said about where its directory entries lead.
//! 3. [`Index::new`]: the directories form a tree, and no two inodes share bytes.
//! 4. [`Walk`], and what is made from it: [`write_dump`], [`write_list`], [`write_objects`],
//!    [`to_tree`], [`check()`].
//!
//! What the writers of format versions 0 and 1 never make is refused, so that nothing that the kernel
//! might see in an image can be missing from its listings. Other versions are refused as well.
//!
//! # Budget
//!
//! Work is linear in the size of the image and the text that is written. All offsets and lengths are
//! checked where they are read. An inode's attributes and data are its own, which the index has
//! checked, so all of them together are no larger than the image; only shared attributes are read
//! again for each inode, at most 65535 bytes. A hard link repeats the attributes of its inode in
//! dump text and costs as much.
//!
//! Memory, for an image of `n` bytes: `n / 128` bytes for the index and half as much again while it
//! is made, and at most 16 bytes for each directory. A walk holds a path of at most 4096 bytes, a block
//! and a name for each directory in it, the attributes and the content of one inode, at most 40 bytes
//! for each inode with several names, 16 for each directory on the way to one and the names of both,
//! and a table of what is marked for whiteouts. Lists of objects take 18 bytes and the path for each
//! external file, and never more than three times `n` for paths; a tree takes what it needs. Nothing is
//! allocated because of a number in the image alone. The image itself is the caller's, or as many of
//! its pages as [`Pages`] is told to keep.
//!
//! # Images that change
//!
//! An image in memory is a borrowed slice and cannot change. One that is read in [`Pages`] can: its
//! directories may lead elsewhere than when they were found to form a tree. So whatever is read is
//! checked again where it is used, and the names are counted: nobody reads more of them than the index
//! found. That ends the work, and what remains is an error or wrong text.

mod bytes;
mod check;
mod descent;
mod directory;
mod error;
mod file;
mod image;
mod index;
mod inode;
mod links;
mod objects;
mod pages;
mod slots;
mod strings;
mod text;
mod to_tree;
mod walk;
mod xattr;

pub use check::{InodeCounts, Report, check};
pub use directory::{Dirent, Entries};
pub use error::{
    CanonicalProblem, DirectoryProblem, ImageError, InodeProblem, ReadError, XattrProblem,
};
pub use file::{File, FileContent};
pub use image::Image;
pub use index::Index;
pub use inode::Inode;
pub use links::FirstName;
pub use objects::{Objects, objects};
pub use pages::Pages;
pub use text::{write_dump, write_list, write_objects};
pub use to_tree::to_tree;
pub use walk::{Walk, WalkEntry, WalkOptions};
pub use xattr::{Xattr, XattrName, Xattrs};

/// Limits of what is read.
mod limits {
    use treeseal_tree::limits;

    /// Longest path in bytes, counted from the root of the image with a slash before each name.
    pub(super) const PATH: usize = limits::PATH;
    /// Most room for the attributes of one inode, counted as in [`limits::XATTR_TOTAL`]: what a tree
    /// may have and the longer names and further attributes that the writer gives it stay below.
    pub(super) const XATTR_TOTAL: u64 = 65535;
    /// Largest regular file, in bytes.
    pub(super) const FILE_SIZE: u64 = limits::FILE_SIZE;
    /// Longest content that an image may hold itself, in bytes.
    pub(super) const INLINE_CONTENT: u64 = 5000;
    /// Longest symlink target, in bytes.
    pub(super) const TARGET: u64 = 4095;

    const _: () = assert!(limits::INLINE_CONTENT == 5000 && limits::PAYLOAD == 4095);
}
