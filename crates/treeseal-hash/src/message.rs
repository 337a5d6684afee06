use crate::HashAlgorithm;
use crate::compress::{Implementation, State};

/// Longest input block of any algorithm, in bytes.
const MAX_INPUT_BLOCK: usize = 128;

/// Hashes one message as it arrives, in pieces of any size.
#[derive(Clone)]
pub struct Hasher {
    implementation: Implementation,
    algorithm: HashAlgorithm,
    state: State,
    /// Bytes that do not fill an input block yet; `length` says how many.
    pending: [u8; MAX_INPUT_BLOCK],
    /// Bytes taken in so far.
    length: u64,
}

impl Hasher {
    /// A hasher that has taken in nothing, with the fastest implementation.
    pub fn new(algorithm: HashAlgorithm) -> Self {
        Self::with_implementation(algorithm, Implementation::fastest(algorithm))
    }

    /// A hasher that has taken in nothing, with a chosen implementation.
    pub fn with_implementation(algorithm: HashAlgorithm, implementation: Implementation) -> Self {
        Self {
            implementation,
            algorithm,
            state: State::initial(algorithm),
            pending: [0; MAX_INPUT_BLOCK],
            length: 0,
        }
    }

    /// The algorithm of the digest.
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// Takes in the next bytes of the message.
    pub fn update(&mut self, mut data: &[u8]) {
        let size = self.algorithm.input_block_size();
        let filled = self.filled();
        self.length = self.length.wrapping_add(data.len() as u64);
        if filled > 0 {
            let take = data.len().min(size - filled);
            self.pending[filled..filled + take].copy_from_slice(&data[..take]);
            data = &data[take..];
            if filled + take < size {
                return;
            }
            self.state.compress(self.implementation, &self.pending[..size]);
        }
        let whole = data.len() - data.len() % size;
        self.state.compress(self.implementation, &data[..whole]);
        self.pending[..data.len() - whole].copy_from_slice(&data[whole..]);
    }

    /// Writes the digest of everything taken in to `out`, which is exactly a digest long.
    pub fn finish_into(mut self, out: &mut [u8]) {
        assert_eq!(out.len(), self.algorithm.digest_size(), "room for one digest");
        let (padding, used) = padding(self.algorithm, &self.pending, self.filled(), self.length);
        self.state.compress(self.implementation, &padding[..used]);
        self.state.write_digest(out);
    }

    fn filled(&self) -> usize {
        let size = self.algorithm.input_block_size() as u64;
        // Less than an input block, so it fits any width.
        (self.length % size) as usize
    }
}

/// The last one or two input blocks of a message: its unfinished block, the padding and the length
/// (FIPS 180-4 section 5.1). Gives the bytes and how many of them count.
pub(crate) fn padding(
    algorithm: HashAlgorithm,
    pending: &[u8],
    filled: usize,
    length: u64,
) -> ([u8; 2 * MAX_INPUT_BLOCK], usize) {
    let size = algorithm.input_block_size();
    // SHA-512 has a length field of 128 bits; messages stay below 2^61 bytes, so its upper half
    // holds only what the multiplication by eight shifts out.
    let bits = u128::from(length) * 8;
    let length_field = size / 8;
    let used = if filled + 1 + length_field <= size { size } else { 2 * size };
    let mut bytes = [0; 2 * MAX_INPUT_BLOCK];
    bytes[..filled].copy_from_slice(&pending[..filled]);
    bytes[filled] = 0x80;
    bytes[used - length_field..used]
        .copy_from_slice(&bits.to_be_bytes()[size_of::<u128>() - length_field..]);
    (bytes, used)
}
