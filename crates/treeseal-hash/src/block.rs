use crate::HashAlgorithm;
use crate::compress::{Implementation, Run, State};
use crate::message::padding;

/// Hashes runs of equal-sized blocks, each behind the same salt.
///
/// The salt is padded with zeros to whole input blocks, so its share of the work is done once.
#[derive(Clone)]
pub struct BlockHasher {
    implementation: Implementation,
    algorithm: HashAlgorithm,
    /// The state after the padded salt.
    salted: State,
    /// Bytes of the padded salt.
    salt_length: u64,
}

impl BlockHasher {
    /// A hasher with the fastest implementation. An empty salt is no salt.
    pub fn new(algorithm: HashAlgorithm, salt: &[u8]) -> Self {
        Self::with_implementation(algorithm, salt, Implementation::fastest(algorithm))
    }

    /// A hasher with a chosen implementation.
    pub fn with_implementation(
        algorithm: HashAlgorithm,
        salt: &[u8],
        implementation: Implementation,
    ) -> Self {
        let mut padded = salt.to_vec();
        padded.resize(salt.len().next_multiple_of(algorithm.input_block_size()), 0);
        let mut salted = State::initial(algorithm);
        salted.compress(implementation, &padded);
        Self { implementation, algorithm, salted, salt_length: padded.len() as u64 }
    }

    /// The algorithm of the digests.
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// Hashes each `block_size` bytes of `data` and writes the digests one after another.
    ///
    /// `block_size` is a multiple of 128; `data` is whole blocks, and `out` has room for exactly
    /// one digest a block. Anything else is a mistake of the caller and panics.
    pub fn hash_blocks(&self, data: &[u8], block_size: usize, out: &mut [u8]) {
        let digest_size = self.algorithm.digest_size();
        assert!(block_size > 0 && block_size.is_multiple_of(128), "whole input blocks");
        assert!(data.len().is_multiple_of(block_size), "whole blocks");
        assert_eq!(out.len(), data.len() / block_size * digest_size, "one digest a block");

        let total = self.salt_length + block_size as u64;
        let (padding, used) = padding(self.algorithm, &[], 0, total);
        let (mut data, mut out) = (data, out);
        while !data.is_empty() {
            let run = Run { data, block_size, tail: &padding[..used] };
            let hashed = self.salted.hash_some(self.implementation, run, out);
            data = &data[hashed * block_size..];
            out = &mut out[hashed * digest_size..];
        }
    }
}
