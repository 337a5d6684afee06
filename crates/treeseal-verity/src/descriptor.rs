use treeseal_hash::Hasher;

use crate::{FileDigest, MAX_SALT_SIZE, Params};

/// Length of the descriptor in bytes.
pub const DESCRIPTOR_SIZE: usize = 256;

/// The descriptor whose hash is the file digest: `struct fsverity_descriptor` of the kernel, with
/// the size of the signature left zero as hashing wants it.
///
/// `root_hash` is one digest long; a longer one is cut.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 1 | version, 1 |
/// | 1 | 1 | hash algorithm: 1 SHA-256, 2 SHA-512 |
/// | 2 | 1 | base-2 logarithm of the block size |
/// | 3 | 1 | size of the salt |
/// | 4 | 4 | zero |
/// | 8 | 8 | file size, little endian |
/// | 16 | 64 | root hash, zero padded |
/// | 80 | 32 | salt, zero padded |
/// | 112 | 144 | zero |
pub fn descriptor(params: &Params, data_size: u64, root_hash: &[u8]) -> [u8; DESCRIPTOR_SIZE] {
    let mut bytes = [0; DESCRIPTOR_SIZE];
    bytes[0] = 1;
    bytes[1] = params.algorithm().kernel_number();
    bytes[2] = params.log2_block_size();
    bytes[3] = u8::try_from(params.salt().len()).unwrap_or(u8::MAX);
    bytes[8..16].copy_from_slice(&data_size.to_le_bytes());
    for (byte, value) in bytes[16..80].iter_mut().zip(root_hash) {
        *byte = *value;
    }
    for (byte, value) in bytes[80..80 + MAX_SALT_SIZE].iter_mut().zip(params.salt()) {
        *byte = *value;
    }
    bytes
}

/// The digest that belongs to a root hash: the hash of the descriptor. The salt is part of the
/// descriptor and not put before it.
pub(crate) fn file_digest(params: &Params, data_size: u64, root_hash: &[u8]) -> FileDigest {
    let mut hasher = Hasher::new(params.algorithm());
    hasher.update(&descriptor(params, data_size, root_hash));
    FileDigest::from_hasher(hasher)
}

/// The bytes that a kernel signature covers: `struct fsverity_formatted_digest`, that is
/// `FSVerity`, the algorithm's number and the digest's size (little endian, 16 bits each), and the
/// digest.
pub fn formatted_digest(digest: &FileDigest) -> Vec<u8> {
    let bytes = digest.as_bytes();
    let number = u16::from(digest.algorithm().kernel_number());
    let size: u16 = if bytes.len() == 32 { 32 } else { 64 };
    [b"FSVerity", &number.to_le_bytes()[..], &size.to_le_bytes(), bytes].concat()
}
