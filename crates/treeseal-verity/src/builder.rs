use treeseal_hash::{BlockHasher, HashAlgorithm};

use crate::descriptor::file_digest;
use crate::{FileDigest, Params};

/// Full hash blocks that a level gathers before they are hashed together. More than one, so that
/// wide implementations get something to do; few, so that a digest needs little memory.
const GATHERED_BLOCKS: usize = 16;

/// Computes a file digest from content that arrives in order, in pieces of any size.
pub struct Digester {
    params: Params,
    hasher: BlockHasher,
    keep_tree: bool,
    size: u64,
    /// The start of a data block that is not whole yet.
    pending: Vec<u8>,
    /// Leaves first.
    levels: Vec<Level>,
}

/// What a [`Digester`] found.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The file digest.
    pub digest: FileDigest,
    /// Bytes of content.
    pub size: u64,
    /// The root hash that the descriptor holds; all zero for an empty file.
    pub root_hash: Vec<u8>,
    /// The Merkle tree in the kernel's layout, root level first, when it was asked for; empty for
    /// content of at most one block.
    pub tree: Option<Vec<u8>>,
}

/// The hashes of the data blocks of a part of some content: the work of one thread, for a
/// [`Digester`] that gets the parts in order.
#[derive(Clone, Debug)]
pub struct Leaves {
    hashes: Vec<u8>,
    /// Bytes of the part.
    size: u64,
}

/// One level of hashes. Hash blocks before `hashed` have been worked into the level above.
#[derive(Default)]
struct Level {
    /// The level's hashes; without `keep_tree` only those not hashed yet.
    bytes: Vec<u8>,
    /// Bytes at the front of `bytes` that the level above has taken in.
    hashed: usize,
    /// Hashes that this level has received.
    count: u64,
}

impl Digester {
    /// Computes the digest alone, in memory that grows with the logarithm of the size.
    pub fn new(params: Params) -> Self {
        Self::build(params, false)
    }

    /// Computes the digest and keeps the Merkle tree: about 1/127 of the content for SHA-256 and
    /// 1/63 for SHA-512, with blocks of 4096 bytes.
    pub fn with_tree(params: Params) -> Self {
        Self::build(params, true)
    }

    fn build(params: Params, keep_tree: bool) -> Self {
        let hasher = params.block_hasher();
        Self { params, hasher, keep_tree, size: 0, pending: Vec::new(), levels: Vec::new() }
    }

    /// The digest of content that is at hand as a whole.
    pub fn digest_of(params: &Params, content: &[u8]) -> FileDigest {
        let mut digester = Self::new(params.clone());
        digester.update(content);
        digester.finish().digest
    }

    /// Takes in the next bytes of the content.
    pub fn update(&mut self, mut data: &[u8]) {
        self.size += data.len() as u64;
        let block_size = self.params.block_size();
        if !self.pending.is_empty() {
            let take = data.len().min(block_size - self.pending.len());
            self.pending.extend_from_slice(&data[..take]);
            data = &data[take..];
            if self.pending.len() < block_size {
                return;
            }
            let block = core::mem::take(&mut self.pending);
            self.add_blocks(&block);
        }
        let whole = data.len() - data.len() % block_size;
        self.add_blocks(&data[..whole]);
        self.pending.extend_from_slice(&data[whole..]);
    }

    /// Takes in the next part of the content, whose blocks were hashed elsewhere with the same
    /// parameters.
    ///
    /// What was taken in before is whole blocks. Anything else is a mistake of the caller and
    /// panics.
    pub fn update_leaves(&mut self, leaves: &Leaves) {
        assert!(self.size.is_multiple_of(self.params.block_size() as u64), "whole blocks");
        self.size += leaves.size;
        if !leaves.hashes.is_empty() {
            self.add_hashes(0, &leaves.hashes);
        }
    }

    /// The digest of everything taken in.
    pub fn finish(mut self) -> Measured {
        if !self.pending.is_empty() {
            let mut last = core::mem::take(&mut self.pending);
            last.resize(self.params.block_size(), 0);
            self.add_blocks(&last);
        }
        let root_hash = self.close_levels();
        let digest = file_digest(&self.params, self.size, &root_hash);
        let tree = self.keep_tree.then(|| {
            let stored = self.levels.iter().rev().filter(|level| level.count > 1);
            stored.map(|level| &level.bytes[..]).collect::<Vec<_>>().concat()
        });
        Measured { digest, size: self.size, root_hash, tree }
    }

    /// Hashes whole data blocks into level 0.
    fn add_blocks(&mut self, data: &[u8]) {
        let digest_size = self.params.algorithm().digest_size();
        let block_size = self.params.block_size();
        // A run at a time bounds what a level holds before its blocks are hashed on.
        for run in data.chunks(self.params.run_size()) {
            let mut hashes = vec![0; run.len() / block_size * digest_size];
            self.hasher.hash_blocks(run, block_size, &mut hashes);
            self.add_hashes(0, &hashes);
        }
    }

    /// Appends hashes to a level, and hashes its full blocks into the next when enough are there.
    fn add_hashes(&mut self, index: usize, hashes: &[u8]) {
        if index == self.levels.len() {
            self.levels.push(Level::default());
        }
        let digest_size = self.params.algorithm().digest_size();
        let level = &mut self.levels[index];
        level.bytes.extend_from_slice(hashes);
        level.count += (hashes.len() / digest_size) as u64;
        if level.bytes.len() - level.hashed >= GATHERED_BLOCKS * self.params.block_size() {
            self.hash_full_blocks(index);
        }
    }

    /// Hashes the full, not yet hashed blocks of a level into the level above.
    fn hash_full_blocks(&mut self, index: usize) {
        let block_size = self.params.block_size();
        let level = &mut self.levels[index];
        let open = &level.bytes[level.hashed..];
        let full = open.len() - open.len() % block_size;
        if full == 0 {
            return;
        }
        let mut hashes = vec![0; full / block_size * self.params.algorithm().digest_size()];
        self.hasher.hash_blocks(&open[..full], block_size, &mut hashes);
        level.hashed += full;
        if !self.keep_tree {
            level.bytes.drain(..level.hashed);
            level.hashed = 0;
        }
        self.add_hashes(index + 1, &hashes);
    }

    /// Pads and hashes every level from the leaves up, and gives the root hash.
    fn close_levels(&mut self) -> Vec<u8> {
        let digest_size = self.params.algorithm().digest_size();
        if self.levels.is_empty() {
            // The kernel's rule for an empty file: no block is hashed.
            return vec![0; digest_size];
        }
        for index in 0.. {
            let level = &mut self.levels[index];
            if level.count == 1 {
                return level.bytes[..digest_size].to_vec();
            }
            let padded = level.bytes.len().next_multiple_of(self.params.block_size());
            level.bytes.resize(padded, 0);
            self.hash_full_blocks(index);
        }
        unreachable!("each level is shorter than the one below, until one has a single hash")
    }
}

impl Leaves {
    /// Hashes a part that begins where a block does. All parts but the content's last are whole
    /// blocks.
    pub fn of(params: &Params, part: &[u8]) -> Self {
        let hasher = params.block_hasher();
        let (block_size, digest_size) = (params.block_size(), params.algorithm().digest_size());
        let whole = part.len() - part.len() % block_size;
        let mut hashes = vec![0; part.len().div_ceil(block_size) * digest_size];
        let (of_whole, of_last) = hashes.split_at_mut(whole / block_size * digest_size);
        hasher.hash_blocks(&part[..whole], block_size, of_whole);
        if whole < part.len() {
            let mut last = part[whole..].to_vec();
            last.resize(block_size, 0);
            hasher.hash_blocks(&last, block_size, of_last);
        }
        Self { hashes, size: part.len() as u64 }
    }
}

impl FileDigest {
    /// The digest that a plain hasher has computed, taken as a file digest.
    pub(crate) fn from_hasher(hasher: treeseal_hash::Hasher) -> Self {
        let algorithm: HashAlgorithm = hasher.algorithm();
        let mut bytes = [0; HashAlgorithm::MAX_DIGEST_SIZE];
        hasher.finish_into(&mut bytes[..algorithm.digest_size()]);
        Self::from_padded(algorithm, bytes)
    }
}
