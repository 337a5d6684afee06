use treeseal_hash::BlockHasher;

use crate::descriptor::file_digest;
use crate::{FileDigest, Geometry, Params};

/// Checks single blocks of a file against its digest, given the hash blocks that lead to them.
///
/// The parameters and the size are the caller's, from a source that it trusts as it trusts the
/// digest: the digest covers them, so wrong ones refuse every block.
pub struct BlockVerifier {
    params: Params,
    hasher: BlockHasher,
    geometry: Geometry,
    data_size: u64,
    digest: FileDigest,
}

/// A block, or a hash block on its way to the root, is not what the digest vouches for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The file has no such block.
    #[error("block {index} of a file with {blocks} blocks")]
    OutOfRange {
        /// The block that was asked for.
        index: u64,
        /// Blocks that the file has.
        blocks: u64,
    },
    /// A data or hash block of the wrong length.
    #[error("{what} has {found} bytes, expected {expected}")]
    Length {
        /// `data block` or `hash block`.
        what: &'static str,
        /// The right length in bytes.
        expected: u64,
        /// The length that was given.
        found: u64,
    },
    /// The number of hash blocks is not the number of levels.
    #[error("{found} hash blocks lead to the root, expected {expected}")]
    PathLength {
        /// Levels of the tree.
        expected: usize,
        /// Hash blocks that were given.
        found: usize,
    },
    /// The data block does not have the hash that its leaf holds.
    #[error("data block {index} does not match its hash")]
    Data {
        /// The block.
        index: u64,
    },
    /// A hash block does not have the hash that the block above it holds.
    #[error("hash block on level {level} over data block {index} does not match its hash")]
    Tree {
        /// The data block that was checked.
        index: u64,
        /// Level of the hash block; 0 is the leaf level.
        level: usize,
    },
    /// The root does not give the file digest.
    #[error("root over data block {index} gives file digest {found}, expected {expected}")]
    Root {
        /// The data block that was checked.
        index: u64,
        /// The digest that was asked for.
        expected: FileDigest,
        /// The digest that the root gives.
        found: FileDigest,
    },
}

impl BlockVerifier {
    /// A verifier for a file of `data_size` bytes with this digest.
    pub fn new(params: Params, data_size: u64, digest: FileDigest) -> Self {
        let geometry = Geometry::new(&params, data_size);
        Self { hasher: params.block_hasher(), params, geometry, data_size, digest }
    }

    /// Where the hash blocks lie that [`BlockVerifier::check`] wants.
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Checks data block `index`. `path` is the hash blocks at [`Geometry::path`], leaf level
    /// first, each a whole block. `Ok` means that the digest vouches for every byte of `data`.
    pub fn check(&self, index: u64, data: &[u8], path: &[&[u8]]) -> Result<(), BlockError> {
        self.check_lengths(index, data, path)?;
        let mut hash = self.hash_padded(data);
        for (level, block) in path.iter().enumerate() {
            let start = self.geometry.slot(index, level) * hash.len();
            if block.get(start..start + hash.len()) != Some(&hash[..]) {
                return Err(match level.checked_sub(1) {
                    None => BlockError::Data { index },
                    Some(level) => BlockError::Tree { index, level },
                });
            }
            hash = self.hash_padded(block);
        }
        let found = file_digest(&self.params, self.data_size, &hash);
        if found != self.digest {
            return Err(BlockError::Root { index, expected: self.digest, found });
        }
        Ok(())
    }

    fn check_lengths(&self, index: u64, data: &[u8], path: &[&[u8]]) -> Result<(), BlockError> {
        let blocks = self.geometry.data_blocks();
        let range =
            self.geometry.data_range(index).ok_or(BlockError::OutOfRange { index, blocks })?;
        expect_length("data block", range.end - range.start, data)?;
        if path.len() != self.geometry.levels() {
            return Err(BlockError::PathLength {
                expected: self.geometry.levels(),
                found: path.len(),
            });
        }
        path.iter().try_for_each(|block| {
            expect_length("hash block", self.params.block_size() as u64, block)
        })
    }

    /// The hash of one block, zero padded to the block size.
    fn hash_padded(&self, block: &[u8]) -> Vec<u8> {
        let block_size = self.params.block_size();
        let mut hash = vec![0; self.params.algorithm().digest_size()];
        if block.len() == block_size {
            self.hasher.hash_blocks(block, block_size, &mut hash);
        } else {
            let mut padded = block.to_vec();
            padded.resize(block_size, 0);
            self.hasher.hash_blocks(&padded, block_size, &mut hash);
        }
        hash
    }
}

fn expect_length(what: &'static str, expected: u64, bytes: &[u8]) -> Result<(), BlockError> {
    let found = bytes.len() as u64;
    if found == expected { Ok(()) } else { Err(BlockError::Length { what, expected, found }) }
}
