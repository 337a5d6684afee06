use treeseal_hash::{BlockHasher, HashAlgorithm};

/// Longest salt, in bytes: the room that the descriptor has for it.
pub const MAX_SALT_SIZE: usize = 32;

/// What a file digest depends on besides the content.
///
/// The default is what composefs uses: SHA-256, blocks of 4096 bytes, no salt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    algorithm: HashAlgorithm,
    log2_block_size: u8,
    salt: Vec<u8>,
}

/// The parameters are none that fs-verity has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// The block size is no power of two from 1024 to 65536.
    #[error("block size {found}: expected a power of two from 1024 to 65536")]
    BlockSize {
        /// The size that was asked for.
        found: u32,
    },
    /// The salt does not fit the descriptor.
    #[error("salt of {found} bytes: at most {MAX_SALT_SIZE} are allowed")]
    SaltSize {
        /// Length of the salt in bytes.
        found: usize,
    },
}

impl Params {
    /// Checked parameters. `block_size` is in bytes; an empty salt is no salt.
    pub fn new(
        algorithm: HashAlgorithm,
        block_size: u32,
        salt: &[u8],
    ) -> Result<Self, ParamsError> {
        let log2_block_size = match block_size {
            1024 => 10,
            2048 => 11,
            4096 => 12,
            8192 => 13,
            16384 => 14,
            32768 => 15,
            65536 => 16,
            found => return Err(ParamsError::BlockSize { found }),
        };
        if salt.len() > MAX_SALT_SIZE {
            return Err(ParamsError::SaltSize { found: salt.len() });
        }
        Ok(Self { algorithm, log2_block_size, salt: salt.to_vec() })
    }

    /// Blocks of 4096 bytes and no salt: what composefs objects use.
    pub const fn with_algorithm(algorithm: HashAlgorithm) -> Self {
        Self { algorithm, log2_block_size: 12, salt: Vec::new() }
    }

    /// The hash function.
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// Size of data and hash blocks in bytes.
    pub const fn block_size(&self) -> usize {
        1 << self.log2_block_size
    }

    /// Base-2 logarithm of the block size.
    pub const fn log2_block_size(&self) -> u8 {
        self.log2_block_size
    }

    /// The salt, at most 32 bytes.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Hashes in one hash block.
    pub const fn hashes_per_block(&self) -> usize {
        self.block_size() / self.algorithm.digest_size()
    }

    /// Bytes in a *run*, the content whose hashes fill one hash block: 512 KiB for SHA-256 and
    /// 256 KiB for SHA-512 with blocks of 4096 bytes.
    pub const fn run_size(&self) -> usize {
        self.block_size() * self.hashes_per_block()
    }

    /// Whether content of `size` bytes is *short*: no longer than a run, so that its tree is one hash
    /// block or none.
    pub const fn is_short(&self, size: u64) -> bool {
        size <= self.run_size() as u64
    }

    pub(crate) fn block_hasher(&self) -> BlockHasher {
        BlockHasher::new(self.algorithm, &self.salt)
    }
}

impl Default for Params {
    fn default() -> Self {
        Self::with_algorithm(HashAlgorithm::Sha256)
    }
}
