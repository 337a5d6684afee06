//! Content checked in runs ([`Params::run_size`]).
//!
//! The hashes of one run are exactly one hash block of the tree's leaf level, so a [`Digester`]
//! that is given a single run builds just that block. Those blocks in order are the leaf level,
//! and a `Digester` that is given the leaf level as if it were content builds all levels above and
//! ends with the same root hash as one that is given the content. So a file is checked against its
//! digest, and its tree against the file, while every byte is read once and the memory in use is
//! one run and 1/16384 of the size.

use treeseal_verity::{Digester, FileDigest, Hasher, Params, descriptor};

/// The hash block over a run that is not empty, padded to a whole block.
pub(crate) fn leaf_block(params: &Params, run: &[u8]) -> Vec<u8> {
    let mut digester = Digester::with_tree(params.clone());
    digester.update(run);
    let measured = digester.finish();
    match measured.tree {
        Some(tree) if !tree.is_empty() => tree,
        // A single block has no tree; its hash is the root hash.
        _ => {
            let mut block = measured.root_hash;
            block.resize(params.block_size(), 0);
            block
        }
    }
}

/// The levels above the leaves of content that has more than one block.
pub(crate) struct UpperLevels {
    params: Params,
    digester: Digester,
}

impl UpperLevels {
    pub(crate) fn new(params: Params) -> Self {
        Self { digester: Digester::with_tree(params.clone()), params }
    }

    /// Takes in the leaf level's next hash blocks.
    pub(crate) fn update(&mut self, leaf_blocks: &[u8]) {
        self.digester.update(leaf_blocks);
    }

    /// The digest of content of `size` bytes over these leaves, and the levels above them, root
    /// level first: in the kernel's layout they come before the leaf level.
    pub(crate) fn finish(self, size: u64) -> (FileDigest, Vec<u8>) {
        let measured = self.digester.finish();
        let digest = digest_of_root(&self.params, size, &measured.root_hash);
        (digest, measured.tree.unwrap_or_default())
    }
}

/// The digest of content of `size` bytes whose Merkle tree has this root hash.
pub(crate) fn digest_of_root(params: &Params, size: u64, root_hash: &[u8]) -> FileDigest {
    let algorithm = params.algorithm();
    let mut hasher = Hasher::new(algorithm);
    hasher.update(&descriptor(params, size, root_hash));
    let mut bytes = [0; treeseal_verity::HashAlgorithm::MAX_DIGEST_SIZE];
    hasher.finish_into(&mut bytes[..algorithm.digest_size()]);
    FileDigest::from_padded(algorithm, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use treeseal_verity::HashAlgorithm;

    #[test]
    fn runs_give_the_same_digest_and_tree_as_the_whole() {
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
            let params = Params::with_algorithm(algorithm);
            let run = params.run_size();
            for size in [4097, 8192, run - 1, run, run + 1, run + 4096, 3 * run + 5000] {
                let content: Vec<u8> = (0..=250u8).cycle().take(size).collect();
                let mut whole = Digester::with_tree(params.clone());
                whole.update(&content);
                let whole = whole.finish();

                let mut upper = UpperLevels::new(params.clone());
                let mut leaves = Vec::new();
                for run in content.chunks(run) {
                    let block = leaf_block(&params, run);
                    upper.update(&block);
                    leaves.extend_from_slice(&block);
                }
                let (digest, mut tree) = upper.finish(size as u64);
                tree.extend_from_slice(&leaves);
                assert_eq!(digest, whole.digest, "{algorithm} {size}");
                assert_eq!(Some(tree), whole.tree, "{algorithm} {size}");
            }
        }
    }
}
