//! Constants of the on-disk format, shared by the writer and the reader. All numbers on disk are
//! little endian. Sources: the kernel's `fs/erofs/erofs_fs.h`, and composefs for its own header;
//! `spec/image.md` restates both.

use treeseal_tree::FileType;

/// Size of a block.
pub(crate) const BLOCK: u64 = 4096;
/// Unit of inode addresses: an inode's number (nid) is its offset in the image divided by this.
pub(crate) const SLOT: u64 = 32;

/// First four bytes of a composefs image.
pub(crate) const COMPOSEFS_MAGIC: u32 = 0xd078_629a;
/// Version of the container; never changed.
pub(crate) const COMPOSEFS_CONTAINER_VERSION: u32 = 1;
/// Size of the composefs header; zeros follow it up to the superblock.
pub(crate) const COMPOSEFS_HEADER: usize = 32;
/// Header flag: some inode has a POSIX ACL.
pub(crate) const FLAG_HAS_ACL: u32 = 1;

/// Offset of the superblock.
pub(crate) const SUPERBLOCK_OFFSET: u64 = 1024;
/// Size of the superblock; inodes begin behind it.
pub(crate) const SUPERBLOCK_SIZE: u64 = 128;
/// Magic of the superblock.
pub(crate) const EROFS_MAGIC: u32 = 0xe0f5_e1e2;
/// Compatible features: times in inodes are modification times (2), name filters of attributes (4).
pub(crate) const FEATURE_COMPAT: u32 = 2 | 4;
/// Base-2 logarithm of the block size.
pub(crate) const LOG2_BLOCK: u8 = 12;

/// Size of a compact inode.
pub(crate) const COMPACT_INODE: u64 = 32;
/// Size of an extended inode.
pub(crate) const EXTENDED_INODE: u64 = 64;

/// Data layout, in bits 1 to 3 of an inode's format: all data in blocks.
pub(crate) const LAYOUT_FLAT_PLAIN: u16 = 0;
/// Data layout: the last part of the data follows the inode.
pub(crate) const LAYOUT_FLAT_INLINE: u16 = 2;
/// Data layout: a table of chunk addresses follows the inode.
pub(crate) const LAYOUT_CHUNK_BASED: u16 = 4;

/// Size of a directory entry without its name.
pub(crate) const DIRENT: u64 = 12;

/// The number of a file type in directory entries.
pub(crate) const fn dirent_type(file_type: FileType) -> u8 {
    match file_type {
        FileType::Regular => 1,
        FileType::Directory => 2,
        FileType::CharDevice => 3,
        FileType::BlockDevice => 4,
        FileType::Fifo => 5,
        FileType::Socket => 6,
        FileType::Symlink => 7,
    }
}

/// Size of the header of an inode's attribute area.
pub(crate) const XATTR_HEADER: u64 = 12;
/// Shared attributes that one inode may refer to; more are written inline.
pub(crate) const MAX_SHARED_XATTRS: usize = 128;
/// Seed of the name filter; the prefix index is added.
pub(crate) const XATTR_FILTER_SEED: u32 = 0x25bb_e08f;

/// Attribute name prefixes by their index, in the order in which the writer tries them. A name that
/// starts with none has index 0 and stands in full.
pub(crate) const XATTR_PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];
/// A prefix that the reader knows and the writer does not use.
pub(crate) const XATTR_PREFIX_LUSTRE: (u8, &[u8]) = (5, b"lustre.");

/// Smallest and largest base-2 logarithm of a chunk's size.
pub(crate) const CHUNK_BITS: (u32, u32) = (12, 43);
