use core::ops::Range;

use crate::Params;

/// Where each hash block of a file's Merkle tree lies in the kernel's layout: the root level first,
/// the leaves last, every level padded to whole blocks.
///
/// A file of at most one block has no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    block_size: u64,
    hashes_per_block: u64,
    data_size: u64,
    /// Hash blocks in each level, leaves first.
    level_blocks: Vec<u64>,
}

impl Geometry {
    /// The geometry for a file of `data_size` bytes.
    pub fn new(params: &Params, data_size: u64) -> Self {
        let block_size = params.block_size() as u64;
        let hashes_per_block = params.hashes_per_block() as u64;
        let mut level_blocks = Vec::new();
        let mut blocks = data_size.div_ceil(block_size);
        while blocks > 1 {
            blocks = blocks.div_ceil(hashes_per_block);
            level_blocks.push(blocks);
        }
        Self { block_size, hashes_per_block, data_size, level_blocks }
    }

    /// Data blocks of the file; the last may be short.
    pub const fn data_blocks(&self) -> u64 {
        self.data_size.div_ceil(self.block_size)
    }

    /// Levels of hash blocks; none for a file of at most one block.
    pub const fn levels(&self) -> usize {
        self.level_blocks.len()
    }

    /// Size of the whole tree in bytes.
    pub fn tree_size(&self) -> u64 {
        // At most a fraction 1/15 of a u64 file size, so neither sum nor product overflows.
        self.level_blocks.iter().sum::<u64>() * self.block_size
    }

    /// The byte range of data block `index` in the file, or `None` past the end.
    pub fn data_range(&self, index: u64) -> Option<Range<u64>> {
        let start = index.checked_mul(self.block_size)?;
        (start < self.data_size)
            .then(|| start..start.saturating_add(self.block_size).min(self.data_size))
    }

    /// The byte ranges in the tree of the hash blocks that prove data block `index`, leaf level
    /// first, root level last. Empty when the file has no tree.
    pub fn path(&self, index: u64) -> Vec<Range<u64>> {
        let mut block = index;
        (0..self.levels())
            .map(|level| {
                block /= self.hashes_per_block;
                let start = self.level_start(level) + block * self.block_size;
                start..start + self.block_size
            })
            .collect()
    }

    /// Where in its hash block on `level` (0 is the leaf level) the hash on the way to data block
    /// `index` stands, counted in hashes.
    pub(crate) fn slot(&self, index: u64, level: usize) -> usize {
        let below = (0..level).fold(index, |block, _| block / self.hashes_per_block);
        // A remainder of a number of hashes in a block: at most 2048.
        usize::try_from(below % self.hashes_per_block).unwrap_or(usize::MAX)
    }

    /// Offset of a level in the tree: all higher levels come before it.
    fn level_start(&self, level: usize) -> u64 {
        self.level_blocks[level + 1..].iter().sum::<u64>() * self.block_size
    }
}
