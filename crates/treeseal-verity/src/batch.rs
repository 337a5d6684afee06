use treeseal_hash::BlockHasher;

use crate::descriptor::{DESCRIPTOR_SIZE, descriptor};
use crate::{FileDigest, Params};

/// Computes the digests of many short contents together, so that wide implementations are busy
/// where each content has only a block or two. Gives what a [`Digester`](crate::Digester) gives.
///
/// What is short, [`Params::is_short`] says. Needs memory of two runs ([`Params::run_size`]).
pub struct Batch {
    params: Params,
    hasher: BlockHasher,
    /// The salt is part of the descriptor and not put before it.
    descriptor_hasher: BlockHasher,
    /// The contents one after another, each padded with zeros to whole blocks.
    blocks: Vec<u8>,
    used: usize,
    /// Size of each content in bytes.
    sizes: Vec<usize>,
}

impl Batch {
    /// A batch with nothing in it.
    pub fn new(params: Params) -> Self {
        let hasher = params.block_hasher();
        let descriptor_hasher = BlockHasher::new(params.algorithm(), &[]);
        let capacity = 2 * params.run_size() + params.block_size();
        let blocks = vec![0; capacity];
        Self { params, hasher, descriptor_hasher, blocks, used: 0, sizes: Vec::new() }
    }

    /// Where to put the next content, and [`add`](Self::add) it then: at least `size` bytes. `None` if
    /// [`finish`](Self::finish) must make room first; never when the batch is empty and `size` is that
    /// of short content and one byte more at most.
    pub fn room(&mut self, size: usize) -> Option<&mut [u8]> {
        let room = &mut self.blocks[self.used..];
        (size <= room.len()).then_some(room)
    }

    /// Adds the content of `size` bytes that was put where [`room`](Self::room) said.
    ///
    /// More than was room for, or content that is not short, is a mistake of the caller and panics.
    pub fn add(&mut self, size: usize) {
        assert!(self.params.is_short(size as u64), "short content");
        let end = self.used + size;
        let padded = end.next_multiple_of(self.params.block_size());
        self.blocks[end..padded].fill(0);
        self.used = padded;
        self.sizes.push(size);
    }

    /// The digests of what was added, in that order. The batch is empty then.
    pub fn finish(&mut self) -> Vec<FileDigest> {
        let leaves = self.hash_all(&self.blocks[..self.used]);
        let roots = self.root_hashes(&leaves);
        let digests = self.digests(&roots);
        self.used = 0;
        self.sizes.clear();
        digests
    }

    /// Hashes whole blocks, and gives the hashes one after another.
    fn hash_all(&self, blocks: &[u8]) -> Vec<u8> {
        let block_size = self.params.block_size();
        let mut hashes = vec![0; blocks.len() / block_size * self.digest_size()];
        self.hasher.hash_blocks(blocks, block_size, &mut hashes);
        hashes
    }

    /// One hash a content: that of its only block, that of the hash block over its blocks, or zeros
    /// when it has none.
    fn root_hashes(&self, leaves: &[u8]) -> Vec<u8> {
        let mut hash_blocks = Vec::new();
        for hashes in self.each_content(leaves).filter(|hashes| hashes.len() > self.digest_size()) {
            hash_blocks.extend_from_slice(hashes);
            let padded = hash_blocks.len().next_multiple_of(self.params.block_size());
            hash_blocks.resize(padded, 0);
        }
        let hashed = self.hash_all(&hash_blocks);
        let mut upper = hashed.chunks(self.digest_size());
        let mut roots = Vec::with_capacity(self.sizes.len() * self.digest_size());
        for hashes in self.each_content(leaves) {
            let end = roots.len() + self.digest_size();
            match hashes.len() {
                length if length <= self.digest_size() => roots.extend_from_slice(hashes),
                _ => roots.extend_from_slice(upper.next().unwrap_or_default()),
            }
            roots.resize(end, 0);
        }
        roots
    }

    /// The hashes of each content's blocks.
    fn each_content<'h>(&'h self, leaves: &'h [u8]) -> impl Iterator<Item = &'h [u8]> {
        let mut rest = leaves;
        self.sizes.iter().map(move |size| {
            let length = size.div_ceil(self.params.block_size()) * self.digest_size();
            let (hashes, others) = rest.split_at(length);
            rest = others;
            hashes
        })
    }

    fn digests(&self, roots: &[u8]) -> Vec<FileDigest> {
        let digest_size = self.digest_size();
        let mut descriptors = Vec::with_capacity(self.sizes.len() * DESCRIPTOR_SIZE);
        for (size, root) in self.sizes.iter().zip(roots.chunks(digest_size)) {
            descriptors.extend_from_slice(&descriptor(&self.params, *size as u64, root));
        }
        let mut digests = vec![0; self.sizes.len() * digest_size];
        self.descriptor_hasher.hash_blocks(&descriptors, DESCRIPTOR_SIZE, &mut digests);
        let algorithm = self.params.algorithm();
        digests
            .chunks(digest_size)
            .map(|digest| {
                let mut bytes = [0; treeseal_hash::HashAlgorithm::MAX_DIGEST_SIZE];
                bytes[..digest_size].copy_from_slice(digest);
                FileDigest::from_padded(algorithm, bytes)
            })
            .collect()
    }

    fn digest_size(&self) -> usize {
        self.params.algorithm().digest_size()
    }
}
