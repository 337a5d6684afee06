use super::layout::{Layout, Placement, directory_groups};
use super::nodes::{DirectoryEntry, Node, NodeData, NodeId};
use super::xattrs::Area;
use crate::format::{
    BLOCK, CHUNK_BITS, COMPOSEFS_CONTAINER_VERSION, COMPOSEFS_MAGIC, EROFS_MAGIC, FEATURE_COMPAT,
    FLAG_HAS_ACL, LAYOUT_CHUNK_BASED, LAYOUT_FLAT_INLINE, LAYOUT_FLAT_PLAIN, LOG2_BLOCK,
    SUPERBLOCK_OFFSET, dirent_type,
};

/// Bytes that are gathered before they are handed out.
const PIECE: usize = 64 * 1024;

/// Hands out an image in order.
pub(super) fn emit<E>(
    layout: &Layout<'_>,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut out = Output { pending: Vec::with_capacity(2 * PIECE), position: 0, sink };
    write_header(layout, &mut out)?;
    write_superblock(layout, &mut out)?;
    write_inodes(layout, &mut out)?;
    for attribute in layout.xattrs.shared() {
        out.write(|bytes| layout.xattrs.write_entry(*attribute, bytes))?;
    }
    out.pad_to(layout.data_start())?;
    write_data_blocks(layout, &mut out)?;
    out.flush()
}

/// Gathers small writes and knows the position in the image.
struct Output<'s, E> {
    pending: Vec<u8>,
    /// Position in the image of the first pending byte.
    position: u64,
    sink: &'s mut dyn FnMut(&[u8]) -> Result<(), E>,
}

impl<E> Output<'_, E> {
    fn write(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> Result<(), E> {
        append(&mut self.pending);
        if self.pending.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    /// Writes zeros up to a position in the image.
    fn pad_to(&mut self, position: u64) -> Result<(), E> {
        // Padding never exceeds a block.
        let zeros = position.saturating_sub(self.position + self.pending.len() as u64);
        let zeros = usize::try_from(zeros).unwrap_or(0);
        self.write(|bytes| bytes.resize(bytes.len() + zeros, 0))
    }

    fn flush(&mut self) -> Result<(), E> {
        (self.sink)(&self.pending)?;
        self.position += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

fn write_header<E>(layout: &Layout<'_>, out: &mut Output<'_, E>) -> Result<(), E> {
    let flags = if layout.xattrs.has_acl() { FLAG_HAS_ACL } else { 0 };
    out.write(|bytes| {
        push_u32(bytes, COMPOSEFS_MAGIC);
        push_u32(bytes, COMPOSEFS_CONTAINER_VERSION);
        push_u32(bytes, flags);
        push_u32(bytes, layout.version().number());
    })?;
    out.pad_to(SUPERBLOCK_OFFSET)
}

fn write_superblock<E>(layout: &Layout<'_>, out: &mut Output<'_, E>) -> Result<(), E> {
    let root = layout.nodes.order[0];
    // The layout has checked that these fit: the root's number, and an image of 2^37 bytes.
    let root_nid = u16::try_from(layout.nid(root)).unwrap_or(u16::MAX);
    let block_number = |offset: u64| u32::try_from(offset / BLOCK).unwrap_or(u32::MAX);
    out.write(|bytes| {
        push_u32(bytes, EROFS_MAGIC);
        push_u32(bytes, 0); // checksum: absent
        push_u32(bytes, FEATURE_COMPAT);
        bytes.push(LOG2_BLOCK);
        bytes.push(0); // slots of superblock extension
        push_u16(bytes, root_nid);
        push_u64(bytes, layout.nodes.order.len() as u64);
        push_u64(bytes, layout.build_time.seconds.cast_unsigned());
        push_u32(bytes, layout.build_time.nanoseconds);
        push_u32(bytes, block_number(layout.image_size()));
        push_u32(bytes, 0); // block that inode numbers count from
        push_u32(bytes, block_number(layout.inodes_end)); // block that shared attributes count from
    })?;
    out.pad_to(Layout::inodes_start())
}

fn write_inodes<E>(layout: &Layout<'_>, out: &mut Output<'_, E>) -> Result<(), E> {
    let mut area = Area::default();
    let mut position = Layout::inodes_start();
    let mut next_block = layout.data_start() / BLOCK;
    for (number, id) in (0..).zip(&layout.nodes.order) {
        let node = layout.nodes.node(*id);
        layout.xattrs.area(*id, &node, &mut area);
        let placement = layout.place(*id, &node, area.size, position);
        out.pad_to(placement.offset)?;
        out.write(|bytes| {
            write_inode(bytes, &node, &placement, area.size, number, next_block);
            write_xattr_area(bytes, layout, &area);
            if placement.tail > 0 {
                write_tail(bytes, layout, *id, &node, &placement);
            }
        })?;
        position = placement.end;
        next_block += placement.blocks;
    }
    out.pad_to(layout.inodes_end)
}

fn write_inode(
    bytes: &mut Vec<u8>,
    node: &Node<'_>,
    placement: &Placement,
    xattr_size: u64,
    number: u32,
    first_block: u64,
) {
    let data_layout = match (placement.chunk_bits, placement.tail) {
        (Some(_), _) => LAYOUT_CHUNK_BASED,
        (None, 0) => LAYOUT_FLAT_PLAIN,
        (None, _) => LAYOUT_FLAT_INLINE,
    };
    // One more than the room for references and entries in units of four; 0 without attributes.
    let xattr_count = xattr_size.checked_sub(12).map_or(0, |room| room / 4 + 1);
    let data = inode_data(node, placement, first_block);
    push_u16(bytes, data_layout << 1 | u16::from(!placement.is_compact));
    push_u16(bytes, u16::try_from(xattr_count).unwrap_or(u16::MAX));
    push_u16(bytes, node.file_type.mode_bits() | node.permissions);
    let size = inode_size(node, placement);
    if placement.is_compact {
        // A compact inode was chosen because these fit.
        push_u16(bytes, low16(node.nlink));
        push_u32(bytes, u32::try_from(size).unwrap_or(u32::MAX));
        push_u32(bytes, 0);
        push_u32(bytes, data);
        push_u32(bytes, number);
        push_u16(bytes, low16(node.uid));
        push_u16(bytes, low16(node.gid));
        push_u32(bytes, 0);
    } else {
        push_u16(bytes, 0);
        push_u64(bytes, size);
        push_u32(bytes, data);
        push_u32(bytes, number);
        push_u32(bytes, node.uid);
        push_u32(bytes, node.gid);
        push_u64(bytes, node.mtime.seconds.cast_unsigned());
        push_u32(bytes, node.mtime.nanoseconds);
        push_u32(bytes, node.nlink);
        bytes.extend_from_slice(&[0; 16]);
    }
}

fn inode_size(node: &Node<'_>, placement: &Placement) -> u64 {
    match node.data {
        NodeData::Directory => placement.blocks * BLOCK + placement.tail,
        NodeData::Symlink(_) | NodeData::Inline(_) | NodeData::External { .. } => node.size,
        NodeData::Nothing | NodeData::Device(_) => 0,
    }
}

/// The field that depends on the type: the address of the first data block, the device number, or
/// the chunk format.
fn inode_data(node: &Node<'_>, placement: &Placement, first_block: u64) -> u32 {
    let block = match placement.blocks {
        0 => 0,
        _ => u32::try_from(first_block).unwrap_or(u32::MAX),
    };
    match (node.data, placement.chunk_bits) {
        (NodeData::Device(number), _) => number,
        // The chunk format takes the lower half, over whatever address is there.
        (_, Some(bits)) => block & 0xffff_0000 | (bits - CHUNK_BITS.0),
        (_, None) => block,
    }
}

fn write_xattr_area(bytes: &mut Vec<u8>, layout: &Layout<'_>, area: &Area) {
    if area.size == 0 {
        return;
    }
    push_u32(bytes, area.filter);
    // At most 128 of them.
    bytes.push(u8::try_from(area.shared.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(&[0; 7]);
    // References count from the block in which the shared attributes begin.
    let start = u32::try_from(layout.inodes_end % BLOCK / 4).unwrap_or(0);
    for place in &area.shared {
        push_u32(bytes, start + place);
    }
    for attribute in &area.inline {
        layout.xattrs.write_entry(*attribute, bytes);
    }
}

fn write_tail(
    bytes: &mut Vec<u8>,
    layout: &Layout<'_>,
    id: NodeId,
    node: &Node<'_>,
    placement: &Placement,
) {
    match node.data {
        NodeData::Directory => {
            let entries = layout.nodes.entries(id);
            if let Some(last) = directory_groups(&entries).last() {
                write_group(bytes, layout, last);
            }
        }
        NodeData::Symlink(target) => bytes.extend_from_slice(target),
        NodeData::Inline(content) => {
            let (_, tail) = split_content(content, placement);
            bytes.extend_from_slice(tail);
        }
        // No chunk has an address.
        NodeData::External { .. } => bytes.resize(bytes.len() + to_usize(placement.tail), 0xff),
        NodeData::Nothing | NodeData::Device(_) => {}
    }
}

fn write_data_blocks<E>(layout: &Layout<'_>, out: &mut Output<'_, E>) -> Result<(), E> {
    layout
        .with_blocks
        .iter()
        .try_for_each(|(id, placement)| write_blocks(layout, *id, placement, out))
}

fn write_blocks<E>(
    layout: &Layout<'_>,
    id: NodeId,
    placement: &Placement,
    out: &mut Output<'_, E>,
) -> Result<(), E> {
    match layout.nodes.node(id).data {
        NodeData::Directory => {
            let entries = layout.nodes.entries(id);
            for group in directory_groups(&entries).take(to_usize(placement.blocks)) {
                out.write(|bytes| padded(bytes, |bytes| write_group(bytes, layout, group)))?;
            }
            Ok(())
        }
        NodeData::Symlink(target) => {
            out.write(|bytes| padded(bytes, |bytes| bytes.extend_from_slice(target)))
        }
        NodeData::Inline(content) => {
            let (blocks, _) = split_content(content, placement);
            out.write(|bytes| padded(bytes, |bytes| bytes.extend_from_slice(blocks)))
        }
        // A chunk table that found no room behind its inode: a block without any address.
        NodeData::External { .. } => out.write(|bytes| bytes.extend_from_slice(&[0xff; 4096])),
        NodeData::Nothing | NodeData::Device(_) => Ok(()),
    }
}

/// Appends what `append` writes, with zeros to whole blocks.
fn padded(bytes: &mut Vec<u8>, append: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    append(bytes);
    let size = (bytes.len() - start).next_multiple_of(to_usize(BLOCK));
    bytes.resize(start + size, 0);
}

/// The parts of inline content that lie in blocks and behind the inode.
fn split_content<'a>(content: &'a [u8], placement: &Placement) -> (&'a [u8], &'a [u8]) {
    content.split_at(content.len() - to_usize(placement.tail))
}

/// One group of directory entries: the records, then the names back to back.
fn write_group(bytes: &mut Vec<u8>, layout: &Layout<'_>, group: &[DirectoryEntry<'_>]) {
    // Offsets stay within a block.
    let mut name_offset = group.len() * 12;
    for entry in group {
        push_u64(bytes, u64::from(layout.nid(entry.node)));
        push_u16(bytes, u16::try_from(name_offset).unwrap_or(u16::MAX));
        bytes.push(dirent_type(layout.nodes.file_type(entry.node)));
        bytes.push(0);
        name_offset += entry.name.len();
    }
    for entry in group {
        bytes.extend_from_slice(entry.name);
    }
}

fn push_u16(bytes: &mut Vec<u8>, value: u16) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn push_u32(bytes: &mut Vec<u8>, value: u32) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn push_u64(bytes: &mut Vec<u8>, value: u64) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn low16(value: u32) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// Sizes that were counted in memory and fit it.
fn to_usize(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
