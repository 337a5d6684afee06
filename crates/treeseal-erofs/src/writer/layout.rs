use treeseal_tree::{FileType, Mtime, Tree};

use super::nodes::{DirectoryEntry, Node, NodeData, NodeId, Nodes};
use super::xattrs::{Area, Xattrs};
use super::{FormatVersion, WriteError};
use crate::format::{
    BLOCK, CHUNK_BITS, COMPACT_INODE, DIRENT, EXTENDED_INODE, SLOT, SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
};

/// Where everything lies in an image.
pub(super) struct Layout<'t> {
    pub(super) nodes: Nodes<'t>,
    pub(super) xattrs: Xattrs<'t>,
    version: FormatVersion,
    /// The earliest time of all inodes, which compact inodes share.
    pub(super) build_time: Mtime,
    /// The inode number (offset divided by 32) of each node.
    nids: Vec<u32>,
    /// End of the last inode, aligned to 32 bytes: where the shared attributes begin.
    pub(super) inodes_end: u64,
    /// The nodes that have blocks of data behind the shared attributes, in order.
    pub(super) with_blocks: Vec<(NodeId, Placement)>,
}

/// How one inode is placed, and how its data is split.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    /// Offset of the inode.
    pub(super) offset: u64,
    /// Whether the inode has the form of 32 bytes.
    pub(super) is_compact: bool,
    /// Bytes of data that follow the inode and its attributes.
    pub(super) tail: u64,
    /// Blocks of data behind the shared attributes.
    pub(super) blocks: u64,
    /// For external files: the logarithm of the chunk size.
    pub(super) chunk_bits: Option<u32>,
    /// First byte behind the inode, its attributes and its tail.
    pub(super) end: u64,
}

impl Placement {
    pub(super) fn nid(&self) -> u64 {
        self.offset / SLOT
    }
}

impl<'t> Layout<'t> {
    pub(super) fn new(tree: &'t Tree, version: FormatVersion) -> Result<Self, WriteError> {
        let nodes = Nodes::new(tree);
        let xattrs = Xattrs::new(&nodes, version);
        let mtimes = tree.inode_ids().map(|id| tree.inode(id).metadata().mtime);
        let mut layout = Self {
            build_time: mtimes.min().unwrap_or_default(),
            nids: vec![0; nodes.count()],
            inodes_end: 0,
            with_blocks: Vec::new(),
            version,
            nodes,
            xattrs,
        };
        layout.place_all()?;
        Ok(layout)
    }

    pub(super) fn version(&self) -> FormatVersion {
        self.version
    }

    /// Where the first inode may begin.
    pub(super) const fn inodes_start() -> u64 {
        SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE
    }

    /// Where the data blocks begin.
    pub(super) fn data_start(&self) -> u64 {
        (self.inodes_end + self.xattrs.shared_size()).next_multiple_of(BLOCK)
    }

    pub(super) fn image_size(&self) -> u64 {
        let blocks: u64 = self.with_blocks.iter().map(|(_, placement)| placement.blocks).sum();
        self.data_start() + blocks * BLOCK
    }

    pub(super) fn nid(&self, node: NodeId) -> u32 {
        self.nids[node.index()]
    }

    fn place_all(&mut self) -> Result<(), WriteError> {
        let mut area = Area::default();
        let mut position = Self::inodes_start();
        for index in 0..self.nodes.order.len() {
            let id = self.nodes.order[index];
            let node = self.nodes.node(id);
            self.xattrs.area(id, &node, &mut area);
            if (area.size / 4) > u64::from(u16::MAX) {
                return Err(WriteError::XattrArea { size: area.size });
            }
            let placement = self.place(id, &node, area.size, position);
            self.nids[id.index()] =
                u32::try_from(placement.nid()).map_err(|_| WriteError::TooLarge)?;
            if placement.blocks > 0 {
                self.with_blocks.push((id, placement));
            }
            position = placement.end;
        }
        self.inodes_end = position.next_multiple_of(SLOT);
        if self.nids[Tree::ROOT.index()] >= u32::from(u16::MAX) {
            return Err(WriteError::RootOutOfReach);
        }
        if self.image_size() > u64::from(u32::MAX) * SLOT {
            return Err(WriteError::TooLarge);
        }
        Ok(())
    }

    /// Places a node at or behind `position`.
    pub(super) fn place(
        &self,
        id: NodeId,
        node: &Node<'_>,
        xattr_size: u64,
        position: u64,
    ) -> Placement {
        let mut split = self.split_data(id, node);
        let is_compact = self.is_compact(node, &split);
        let inode_size = if is_compact { COMPACT_INODE } else { EXTENDED_INODE };
        let fixed = inode_size + xattr_size;
        let aligned = position.next_multiple_of(SLOT);
        let offset = if node.file_type == FileType::Symlink {
            place_symlink(aligned, fixed, &mut split)
        } else {
            place_with_tail(aligned, fixed, &mut split)
        };
        Placement {
            offset,
            is_compact,
            tail: split.tail,
            blocks: split.blocks,
            chunk_bits: split.chunk_bits,
            end: offset + fixed + split.tail,
        }
    }

    fn split_data(&self, id: NodeId, node: &Node<'_>) -> DataSplit {
        match node.data {
            NodeData::Nothing | NodeData::Device(_) => DataSplit::default(),
            NodeData::Directory => split_directory(&self.nodes.entries(id)),
            NodeData::Symlink(target) => {
                DataSplit { tail: target.len() as u64, ..DataSplit::default() }
            }
            NodeData::Inline(content) => {
                let size = content.len() as u64;
                DataSplit::with_rounded_tail(size / BLOCK, size % BLOCK)
            }
            NodeData::External { .. } => split_external(node.size),
        }
    }

    /// Whether the small form of an inode holds everything.
    fn is_compact(&self, node: &Node<'_>, split: &DataSplit) -> bool {
        let size = match node.data {
            NodeData::Directory => split.size(),
            _ => node.size,
        };
        let fits = |value: u32| value <= u32::from(u16::MAX);
        node.mtime == self.build_time
            && fits(node.nlink)
            && fits(node.uid)
            && fits(node.gid)
            && size <= u64::from(u32::MAX)
    }
}

/// How the data of an inode is split between blocks and the tail behind the inode.
#[derive(Clone, Copy, Default)]
struct DataSplit {
    blocks: u64,
    tail: u64,
    chunk_bits: Option<u32>,
}

impl DataSplit {
    /// A tail of more than half a block gets a block of its own.
    fn with_rounded_tail(blocks: u64, tail: u64) -> Self {
        if tail > BLOCK / 2 {
            Self { blocks: blocks + 1, tail: 0, chunk_bits: None }
        } else {
            Self { blocks, tail, chunk_bits: None }
        }
    }

    fn size(&self) -> u64 {
        self.blocks * BLOCK + self.tail
    }
}

/// Cuts the entries of a directory into the groups that fill a block each.
pub(super) fn directory_groups<'e, 'a>(
    entries: &'e [DirectoryEntry<'a>],
) -> impl Iterator<Item = &'e [DirectoryEntry<'a>]> {
    let mut rest = entries;
    core::iter::from_fn(move || {
        let mut size = 0;
        let fits = |entry: &&DirectoryEntry<'_>| {
            size += entry_size(entry);
            size <= BLOCK
        };
        let count = rest.iter().take_while(fits).count();
        let (group, remaining) = rest.split_at(count);
        rest = remaining;
        (!group.is_empty()).then_some(group)
    })
}

fn entry_size(entry: &DirectoryEntry<'_>) -> u64 {
    DIRENT + entry.name.len() as u64
}

fn split_directory(entries: &[DirectoryEntry<'_>]) -> DataSplit {
    let mut groups = 0;
    let mut last = 0;
    for group in directory_groups(entries) {
        groups += 1;
        last = group.iter().map(entry_size).sum();
    }
    // `.` and `..` are always there, so there is a last group.
    DataSplit::with_rounded_tail(groups - 1, last)
}

/// An external file has a table of chunks without addresses. Most files need a single chunk.
fn split_external(size: u64) -> DataSplit {
    let (least, most) = CHUNK_BITS;
    let bits = (size - 1).checked_ilog2().map_or(least, |log2| log2 + 1).clamp(least, most);
    let chunks = size.div_ceil(1 << bits);
    DataSplit { blocks: 0, tail: 4 * chunks, chunk_bits: Some(bits) }
}

/// Kernels before 6.12 want an inode and its inline target in one block, and no target of a whole
/// block.
fn place_symlink(position: u64, fixed: u64, split: &mut DataSplit) -> u64 {
    let total = fixed + split.tail;
    let crosses = position / BLOCK != (position + total - 1) / BLOCK;
    if total >= BLOCK {
        *split = DataSplit { blocks: split.blocks + 1, tail: 0, chunk_bits: None };
    }
    if crosses { position.next_multiple_of(BLOCK) } else { position }
}

/// The tail must not cross a block; the inode and its attributes may.
fn place_with_tail(position: u64, fixed: u64, split: &mut DataSplit) -> u64 {
    let room = room_behind(position + fixed);
    if room >= split.tail {
        return position;
    }
    let moved = position + room.next_multiple_of(SLOT);
    if room_behind(moved + fixed) >= split.tail {
        return moved;
    }
    // Only chunk tables of nearly a block come here.
    split.blocks += 1;
    split.tail = 0;
    position.next_multiple_of(BLOCK)
}

/// Bytes from `position` to the end of its block.
const fn room_behind(position: u64) -> u64 {
    BLOCK - position % BLOCK
}
