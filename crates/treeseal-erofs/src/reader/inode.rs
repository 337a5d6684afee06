use treeseal_tree::{FileType, Mtime};

use super::bytes::{Fields, is_zero};
use super::directory::Entries;
use super::{Image, ImageError, InodeProblem, limits};
use crate::format::{
    BLOCK, CHUNK_BITS, COMPACT_INODE, EXTENDED_INODE, LAYOUT_CHUNK_BASED, LAYOUT_FLAT_INLINE,
    LAYOUT_FLAT_PLAIN, SLOT, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, XATTR_HEADER,
};

/// An inode of an image, as it is stored: its fields are well formed, and it lies in the image with
/// its attributes and its data.
#[derive(Clone, Copy)]
pub struct Inode<'a> {
    pub(super) image: Image<'a>,
    nid: u64,
    is_compact: bool,
    layout: u16,
    fields: InodeFields,
    file_type: FileType,
    pub(super) xattr_size: u64,
    data: Data,
}

/// The fields of both forms of an inode.
#[derive(Clone, Copy)]
struct InodeFields {
    xattr_count: u16,
    mode: u16,
    size: u64,
    /// Address of the first block, device number or chunk format.
    union: u32,
    number: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    mtime: Mtime,
}

/// Where the data of an inode is.
#[derive(Clone, Copy, Default)]
pub(super) struct Data {
    /// Offset of the first block.
    pub(super) start: u64,
    pub(super) blocks: u64,
    /// Bytes behind the inode and its attributes.
    pub(super) tail: u64,
    /// Whether there is a block that cannot be found: the chunk table of a huge file.
    pub(super) has_lost_block: bool,
}

impl<'a> Inode<'a> {
    /// The number that addresses the inode: its offset divided by 32.
    pub fn nid(&self) -> u64 {
        self.nid
    }

    /// The number of the inode in `stat`: its place in breadth-first order.
    pub fn number(&self) -> u32 {
        self.fields.number
    }

    /// Whether the inode has the form of 32 bytes.
    pub fn is_compact(&self) -> bool {
        self.is_compact
    }

    /// The type.
    pub fn file_type(&self) -> FileType {
        self.file_type
    }

    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        self.file_type == FileType::Directory
    }

    /// Type and permission bits, as `st_mode` has them.
    pub fn mode(&self) -> u16 {
        self.fields.mode
    }

    /// Number of links that the inode states. Except for directories it is not to be relied on.
    pub fn nlink(&self) -> u32 {
        self.fields.nlink
    }

    /// Owner.
    pub fn uid(&self) -> u32 {
        self.fields.uid
    }

    /// Group.
    pub fn gid(&self) -> u32 {
        self.fields.gid
    }

    /// Size in bytes: of the content, the target, or the data of a directory.
    pub fn size(&self) -> u64 {
        self.fields.size
    }

    /// Time of last modification.
    pub fn mtime(&self) -> Mtime {
        self.fields.mtime
    }

    /// Low 32 bits of the device number; 0 if this is no device.
    pub fn rdev(&self) -> u32 {
        if self.is_device() { self.fields.union } else { 0 }
    }

    /// Whether this is a character device 0.
    pub fn is_bare_whiteout(&self) -> bool {
        self.file_type == FileType::CharDevice && self.fields.union == 0
    }

    /// Whether the content is an object: the image has none of it.
    pub fn is_external(&self) -> bool {
        self.layout == LAYOUT_CHUNK_BASED
    }

    /// Replaces `out` by what the image holds of a file: the target of a symlink, or the content of
    /// a regular file that is no object.
    pub(super) fn read_data(&self, out: &mut Vec<u8>) -> Result<(), ImageError> {
        out.clear();
        let in_blocks = self.fields.size.saturating_sub(self.data.tail);
        self.image.bytes.append(self.data.start, in_blocks, out)?;
        self.image.bytes.append(self.tail_offset(), self.data.tail, out)?;
        if self.file_type == FileType::Symlink && out.contains(&0) {
            return Err(self.error(InodeProblem::TargetNul));
        }
        Ok(())
    }

    /// The entries of a directory, `.` and `..` among them; none for anything else.
    pub fn entries(&self) -> Entries<'a> {
        Entries::new(self)
    }

    pub(super) fn offset(&self) -> u64 {
        self.nid * SLOT
    }

    pub(super) fn fixed_size(&self) -> u64 {
        if self.is_compact { COMPACT_INODE } else { EXTENDED_INODE }
    }

    pub(super) fn data(&self) -> Data {
        self.data
    }

    /// First byte behind the inode, its attributes and its tail.
    pub(super) fn end(&self) -> u64 {
        self.tail_offset() + self.data.tail
    }

    pub(super) fn error(&self, problem: InodeProblem) -> ImageError {
        ImageError::Inode { nid: self.nid, path: Vec::new(), problem }
    }

    fn is_device(&self) -> bool {
        matches!(self.file_type, FileType::CharDevice | FileType::BlockDevice)
    }

    pub(super) fn xattr_offset(&self) -> u64 {
        self.offset() + self.fixed_size()
    }

    pub(super) fn tail_offset(&self) -> u64 {
        self.xattr_offset() + self.xattr_size
    }

    pub(super) fn read(image: Image<'a>, nid: u64) -> Result<Self, ImageError> {
        let malformed = |problem| ImageError::Inode { nid, path: Vec::new(), problem };
        let first = (SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE) / SLOT;
        if !(first..image.slots()).contains(&nid) {
            let offset = nid.saturating_mul(SLOT);
            return Err(malformed(InodeProblem::Bounds { what: "the inode", offset }));
        }
        // As long as the larger of the two forms, unless the image ends before.
        let mut record = [0; 64];
        let record = image.bytes.copy(nid * SLOT, &mut record)?;
        let inode = Self::parse(image, nid, record).map_err(malformed)?;
        // A reader that asked the kernel would get what is at the address.
        if inode.is_external() && !inode.has_null_chunks()? {
            return Err(malformed(InodeProblem::ChunkAddress));
        }
        Ok(inode)
    }

    fn has_null_chunks(&self) -> Result<bool, ImageError> {
        self.image.bytes.is_filled_with(0xff, self.tail_offset(), self.data.tail)
    }

    fn parse(image: Image<'a>, nid: u64, record: &[u8]) -> Result<Self, InodeProblem> {
        let bounds = |what| InodeProblem::Bounds { what, offset: nid * SLOT };
        let format = Fields(record).u16().ok_or(bounds("the inode"))?;
        let layout = format >> 1;
        if !matches!(layout, LAYOUT_FLAT_PLAIN | LAYOUT_FLAT_INLINE | LAYOUT_CHUNK_BASED) {
            return Err(InodeProblem::Format { found: format });
        }
        let is_compact = format & 1 == 0;
        let fields = if is_compact {
            let record = record.first_chunk().ok_or(bounds("the inode"))?;
            InodeFields::compact(record, image.build_time())
        } else {
            InodeFields::extended(record.first_chunk().ok_or(bounds("the inode"))?)
        };
        let fields =
            fields.ok_or(InodeProblem::Field { field: "reserved bytes", expected: 0, found: 1 })?;
        let file_type =
            FileType::from_mode(fields.mode).ok_or(InodeProblem::Mode { found: fields.mode })?;
        let xattr_size = match fields.xattr_count {
            0 => 0,
            count => XATTR_HEADER + 4 * (u64::from(count) - 1),
        };
        let data = Data::default();
        let mut inode =
            Self { image, nid, is_compact, layout, fields, file_type, xattr_size, data };
        inode.data = inode.locate_data()?;
        if inode.end() > image.size() {
            return Err(bounds("the inode, with what follows it,"));
        }
        if inode.data.tail > BLOCK - inode.tail_offset() % BLOCK {
            return Err(InodeProblem::TailCrossesBlock { offset: inode.tail_offset() });
        }
        Ok(inode)
    }

    /// Splits the data between blocks and the tail, as the writer does for this type and layout.
    fn locate_data(&self) -> Result<Data, InodeProblem> {
        let size = self.fields.size;
        let end = size % BLOCK;
        // A last part of more than half a block has a block of its own.
        let has_tail = (1..=BLOCK / 2).contains(&end);
        let is_inline_content = (1..=limits::INLINE_CONTENT).contains(&size);
        let is_target = (1..=limits::TARGET).contains(&size);
        let (blocks, tail) = match (self.file_type, self.layout) {
            (FileType::Directory, LAYOUT_FLAT_PLAIN) if size > 0 && end == 0 => (size / BLOCK, 0),
            (FileType::Directory, LAYOUT_FLAT_INLINE) if has_tail => (size / BLOCK, end),
            (FileType::Symlink, LAYOUT_FLAT_INLINE) if is_target => (0, size),
            (FileType::Symlink, LAYOUT_FLAT_PLAIN) if is_target => (1, 0),
            (FileType::Regular, LAYOUT_CHUNK_BASED) => return self.locate_chunks(),
            (FileType::Regular, LAYOUT_FLAT_INLINE) if is_inline_content && has_tail => {
                (size / BLOCK, end)
            }
            (FileType::Regular, LAYOUT_FLAT_PLAIN) if is_inline_content && !has_tail => {
                (size.div_ceil(BLOCK), 0)
            }
            (FileType::Directory | FileType::Symlink, _) => return Err(self.size_problem()),
            (_, LAYOUT_FLAT_PLAIN) if size == 0 => (0, 0),
            _ => return Err(self.size_problem()),
        };
        self.locate_blocks(blocks, tail)
    }

    fn locate_blocks(&self, blocks: u64, tail: u64) -> Result<Data, InodeProblem> {
        let address = u64::from(self.fields.union);
        if blocks == 0 && address != 0 && !self.is_device() {
            return Err(InodeProblem::Field { field: "address", expected: 0, found: address });
        }
        let in_image = self.image.size() / BLOCK;
        if blocks > 0 && in_image.checked_sub(blocks).is_none_or(|last| address > last) {
            return Err(InodeProblem::Bounds { what: "the data", offset: address * BLOCK });
        }
        let start = if blocks == 0 { 0 } else { address * BLOCK };
        Ok(Data { start, blocks, tail, has_lost_block: false })
    }

    /// An external file has a table with a null address for each chunk. A table that fits no block
    /// behind the inode is in a block whose address the inode does not hold.
    fn locate_chunks(&self) -> Result<Data, InodeProblem> {
        let size = self.fields.size;
        if !(1..=limits::FILE_SIZE).contains(&size) {
            return Err(self.size_problem());
        }
        let (least, most) = CHUNK_BITS;
        let bits = (size - 1).checked_ilog2().map_or(least, |log2| log2 + 1).clamp(least, most);
        let tail = 4 * size.div_ceil(1 << bits);
        let fits = tail <= BLOCK - self.tail_offset() % BLOCK;
        let (expected, compared) = (u64::from(bits - least), if fits { u32::MAX } else { 0xffff });
        let found = u64::from(self.fields.union & compared);
        if found != expected {
            return Err(InodeProblem::Field { field: "chunk format", expected, found });
        }
        let tail = if fits { tail } else { 0 };
        Ok(Data { start: 0, blocks: 0, tail, has_lost_block: !fits })
    }

    fn size_problem(&self) -> InodeProblem {
        let (file_type, layout) = (self.file_type, self.layout);
        InodeProblem::Size { file_type, layout, found: self.fields.size }
    }
}

impl InodeFields {
    /// `None` when reserved bytes are not zero.
    fn compact(record: &[u8; 32], mtime: Mtime) -> Option<Self> {
        let mut fields = Fields(record);
        fields.u16()?;
        let xattr_count = fields.u16()?;
        let mode = fields.u16()?;
        let nlink = fields.u16()?.into();
        let size = fields.u32()?.into();
        let reserved = fields.u32()?;
        let union = fields.u32()?;
        let number = fields.u32()?;
        let uid = fields.u16()?.into();
        let gid = fields.u16()?.into();
        let is_reserved_zero = reserved == 0 && is_zero(fields.0);
        let fields = Self { xattr_count, mode, size, union, number, uid, gid, nlink, mtime };
        is_reserved_zero.then_some(fields)
    }

    fn extended(record: &[u8; 64]) -> Option<Self> {
        let mut fields = Fields(record);
        fields.u16()?;
        let xattr_count = fields.u16()?;
        let mode = fields.u16()?;
        let reserved = fields.u16()?;
        let size = fields.u64()?;
        let union = fields.u32()?;
        let number = fields.u32()?;
        let uid = fields.u32()?;
        let gid = fields.u32()?;
        let seconds = fields.take().copied().map(i64::from_le_bytes)?;
        let nanoseconds = fields.u32()?;
        let nlink = fields.u32()?;
        let mtime = Mtime { seconds, nanoseconds };
        let is_reserved_zero = reserved == 0 && is_zero(fields.0);
        let fields = Self { xattr_count, mode, size, union, number, uid, gid, nlink, mtime };
        is_reserved_zero.then_some(fields)
    }
}
