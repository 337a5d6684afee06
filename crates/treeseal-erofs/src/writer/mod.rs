//! Writes images, byte for byte as `mkcomposefs` does.
//!
//! An image is made in four steps, one module each, without ever holding it in memory:
//!
//! 1. [`nodes`]: the inodes that are written, which are the tree's and 256 stubs in the root that
//!    hide the object directories of the data layer; breadth first.
//! 2. [`xattrs`]: the attributes of each, with those that tie files to their objects; which of them
//!    are shared.
//! 3. [`layout`]: where each inode lies and what follows it.
//! 4. [`emit`]: the bytes, in order.

mod emit;
mod layout;
mod nodes;
mod xattrs;

use treeseal_tree::Tree;
use treeseal_verity::{Digester, FileDigest, Params};

use self::layout::Layout;

/// The format version of an image. They differ only in the attributes of directories that hold
/// whiteouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FormatVersion {
    /// Version 0.
    V0,
    /// Version 1: directories that hold whiteouts are also marked opaque.
    V1,
}

impl FormatVersion {
    /// The number in the header.
    pub const fn number(self) -> u32 {
        match self {
            Self::V0 => 0,
            Self::V1 => 1,
        }
    }

    /// The version with this number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::V0),
            1 => Some(Self::V1),
            _ => None,
        }
    }
}

/// Which format version to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersionChoice {
    /// Version 0, or 1 when the tree holds a whiteout: what `mkcomposefs` does by default.
    #[default]
    Auto,
    /// This one.
    Fixed(FormatVersion),
}

/// A tree that no image can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The image is larger than inode numbers can address.
    #[error("the image would be larger than 2^37 bytes, which inode numbers cannot address")]
    TooLarge,
    /// The root's attributes push it to where its number no longer fits.
    #[error("the root inode lies too far back for the superblock")]
    RootOutOfReach,
    /// The attributes of one inode do not fit its count.
    #[error("the attributes of one inode need {size} bytes: at most 262148 are allowed")]
    XattrArea {
        /// Size of the inode's attribute area in bytes.
        size: u64,
    },
}

/// An image of a tree, laid out and ready to be written.
pub struct ImageWriter<'t> {
    layout: Layout<'t>,
}

impl<'t> ImageWriter<'t> {
    /// Lays out the image.
    pub fn new(tree: &'t Tree, version: VersionChoice) -> Result<Self, WriteError> {
        let version = match version {
            VersionChoice::Fixed(version) => version,
            VersionChoice::Auto if nodes::has_whiteout(tree) => FormatVersion::V1,
            VersionChoice::Auto => FormatVersion::V0,
        };
        Ok(Self { layout: Layout::new(tree, version)? })
    }

    /// The version that is written.
    pub fn version(&self) -> FormatVersion {
        self.layout.version()
    }

    /// Size of the image in bytes: a multiple of 4096.
    pub fn size(&self) -> u64 {
        self.layout.image_size()
    }

    /// Hands out the bytes of the image in order, in pieces of at most 64 KiB and a little.
    pub fn write<E>(&self, sink: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        emit::emit(&self.layout, sink)
    }

    /// The image as a whole.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Ok(()) = self.write::<core::convert::Infallible>(&mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        bytes
    }

    /// The image's file digest, without keeping the image.
    pub fn digest(&self, params: Params) -> FileDigest {
        let mut digester = Digester::new(params);
        let Ok(()) = self.write::<core::convert::Infallible>(&mut |piece| {
            digester.update(piece);
            Ok(())
        });
        digester.finish().digest
    }
}
