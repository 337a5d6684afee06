use treeseal_tree::Mtime;

use super::bytes::{Bytes, Fields};
use super::{DirectoryProblem, ImageError, Inode, Pages};
use crate::FormatVersion;
use crate::format::{
    BLOCK, COMPOSEFS_CONTAINER_VERSION, COMPOSEFS_HEADER, COMPOSEFS_MAGIC, EROFS_MAGIC,
    FEATURE_COMPAT, FLAG_HAS_ACL, LOG2_BLOCK, SLOT, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE,
};

/// An image whose header and superblock are as the writers of format versions 0 and 1 make them.
///
/// Nothing else has been looked at: [`Image::inode`] checks the inode it is asked for, and
/// [`Index`](super::Index) that the directories form a tree.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    pub(super) bytes: Bytes<'a>,
    version: FormatVersion,
    has_acl: bool,
    root_nid: u16,
    inode_count: u64,
    build_time: Mtime,
    /// Where the addresses of shared attributes count from.
    pub(super) xattr_base: u64,
}

impl<'a> Image<'a> {
    /// Reads header and superblock of an image, which is given as a whole.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        Self::read(Bytes::Memory(bytes))
    }

    /// Reads header and superblock of an image that is read in pages.
    pub fn parse_pages(pages: &'a Pages) -> Result<Self, ImageError> {
        Self::read(Bytes::Paged(pages))
    }

    fn read(bytes: Bytes<'a>) -> Result<Self, ImageError> {
        let found = bytes.len();
        if found == 0 || !found.is_multiple_of(BLOCK) {
            return Err(ImageError::Length { found });
        }
        let (version, has_acl) = parse_header(bytes)?;
        let superblock = Superblock::parse(bytes)?;
        let image = Self {
            bytes,
            version,
            has_acl,
            root_nid: superblock.root_nid,
            inode_count: superblock.inode_count,
            build_time: superblock.build_time,
            xattr_base: u64::from(superblock.xattr_block) * BLOCK,
        };
        image.check_counts(&superblock)?;
        Ok(image)
    }

    /// The format version in the header.
    pub fn version(&self) -> FormatVersion {
        self.version
    }

    /// Whether the header says that some inode has a POSIX ACL.
    pub fn has_acl(&self) -> bool {
        self.has_acl
    }

    /// Size of the image in bytes: a multiple of 4096.
    pub fn size(&self) -> u64 {
        self.bytes.len()
    }

    /// The number of inodes that the superblock states, with the stubs that hide the object
    /// directories.
    pub fn inode_count(&self) -> u64 {
        self.inode_count
    }

    /// The time in the superblock, which is that of all compact inodes.
    pub fn build_time(&self) -> Mtime {
        self.build_time
    }

    /// The inode of the root directory.
    pub fn root(&self) -> Result<Inode<'a>, ImageError> {
        let nid = self.root_nid();
        let root = self.inode(nid)?;
        if root.is_directory() {
            return Ok(root);
        }
        let problem = DirectoryProblem::Dots { name: "/", expected: nid, found: None };
        Err(ImageError::Directory { nid, path: b"/".to_vec(), problem })
    }

    /// The inode at this number: its offset divided by 32.
    pub fn inode(&self, nid: u64) -> Result<Inode<'a>, ImageError> {
        Inode::read(*self, nid)
    }

    pub(super) fn root_nid(&self) -> u64 {
        self.root_nid.into()
    }

    /// Number of slots, which is more than the number of any inode.
    pub(super) fn slots(&self) -> u64 {
        self.size() / SLOT
    }

    fn check_counts(&self, superblock: &Superblock) -> Result<(), ImageError> {
        let found = self.size() / BLOCK;
        let expected = u64::from(superblock.blocks);
        if found != expected {
            return Err(ImageError::Blocks { expected, found });
        }
        if self.xattr_base > self.size() {
            return Err(ImageError::Field {
                field: "superblock: block of shared attributes",
                offset: SUPERBLOCK_OFFSET + 44,
                expected: "at most the number of blocks",
                found: superblock.xattr_block.into(),
            });
        }
        Ok(())
    }
}

/// Reads the composefs header and the zeros behind it.
fn parse_header(bytes: Bytes<'_>) -> Result<(FormatVersion, bool), ImageError> {
    let short = ImageError::Length { found: bytes.len() };
    let mut record = [0; COMPOSEFS_HEADER];
    let mut fields = Fields(bytes.copy(0, &mut record)?);
    let mut next = || fields.u32().map(u64::from).ok_or(short.clone());
    let magic = u64::from(COMPOSEFS_MAGIC);
    require("composefs header: magic", 0, "0xd078629a", next()?, |found| found == magic)?;
    let container = u64::from(COMPOSEFS_CONTAINER_VERSION);
    require("composefs header: container version", 4, "1", next()?, |found| found == container)?;
    let flags = next()?;
    require("composefs header: flags", 8, "0 or 1", flags, |found| found <= FLAG_HAS_ACL.into())?;
    let version = next()?;
    let known = u32::try_from(version).ok().and_then(FormatVersion::from_number);
    let Some(known) = known else {
        return Err(ImageError::Field {
            field: "composefs header: format version",
            offset: 12,
            expected: "0 or 1",
            found: version,
        });
    };
    require_zero(bytes, "composefs header: reserved bytes", 16, SUPERBLOCK_OFFSET)?;
    Ok((known, flags & u64::from(FLAG_HAS_ACL) != 0))
}

/// What an EROFS superblock says; all its other fields are the same in every image.
struct Superblock {
    root_nid: u16,
    inode_count: u64,
    build_time: Mtime,
    blocks: u32,
    xattr_block: u32,
}

impl Superblock {
    fn parse(bytes: Bytes<'_>) -> Result<Self, ImageError> {
        let short = ImageError::Length { found: bytes.len() };
        let mut record = [0; 128];
        let mut fields = Fields(bytes.copy(SUPERBLOCK_OFFSET, &mut record)?);
        Self::parse_fields(bytes, &mut fields).ok_or(short)?
    }

    /// `None` when the record is too short.
    fn parse_fields(bytes: Bytes<'_>, fields: &mut Fields<'_>) -> Option<Result<Self, ImageError>> {
        let magic = fields.u32()?;
        let checksum = fields.u32()?;
        let compat = fields.u32()?;
        let log2_block = fields.u8()?;
        let extra_slots = fields.u8()?;
        let root_nid = fields.u16()?;
        let inode_count = fields.u64()?;
        let seconds = fields.take().copied().map(i64::from_le_bytes)?;
        let nanoseconds = fields.u32()?;
        let blocks = fields.u32()?;
        let inode_block = fields.u32()?;
        let xattr_block = fields.u32()?;
        let constants = [
            ("superblock: magic", 0, "0xe0f5e1e2", magic, EROFS_MAGIC),
            ("superblock: checksum", 4, "none", checksum, 0),
            ("superblock: compatible features", 8, "0x6", compat, FEATURE_COMPAT),
            ("superblock: block size", 12, "2^12", log2_block.into(), LOG2_BLOCK.into()),
            ("superblock: extra slots", 13, "0", extra_slots.into(), 0),
            ("superblock: block of inodes", 40, "0", inode_block, 0),
        ];
        for (field, offset, expected, found, only) in constants {
            let offset = SUPERBLOCK_OFFSET + offset;
            let checked =
                require(field, offset, expected, found.into(), |found| found == only.into());
            if let Err(error) = checked {
                return Some(Err(error));
            }
        }
        // Identifiers, incompatible features and all newer fields.
        let rest = SUPERBLOCK_OFFSET + 48;
        let end = SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE;
        if let Err(error) = require_zero(bytes, "superblock: fields not in use", rest, end) {
            return Some(Err(error));
        }
        let build_time = Mtime { seconds, nanoseconds };
        Some(Ok(Self { root_nid, inode_count, build_time, blocks, xattr_block }))
    }
}

fn require(
    field: &'static str,
    offset: u64,
    expected: &'static str,
    found: u64,
    is_allowed: impl FnOnce(u64) -> bool,
) -> Result<(), ImageError> {
    if is_allowed(found) {
        return Ok(());
    }
    Err(ImageError::Field { field, offset, expected, found })
}

fn require_zero(
    bytes: Bytes<'_>,
    field: &'static str,
    start: u64,
    end: u64,
) -> Result<(), ImageError> {
    let mut reserved = Vec::new();
    bytes.append(start, end - start, &mut reserved)?;
    match (start..).zip(reserved).find(|(_, byte)| *byte != 0) {
        None => Ok(()),
        Some((offset, found)) => {
            Err(ImageError::Field { field, offset, expected: "zeros", found: found.into() })
        }
    }
}
