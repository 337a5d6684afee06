use core::fmt::Write as _;

use sha2::Digest as _;

/// Counter words: the little-endian words `i * 0x9e3779b1` modulo 2^32 for i = 0, 1, 2 and so on, cut
/// to `length` bytes. No two words are the same, so swapped blocks are noticed.
pub fn counter_words(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 4);
    let mut word = 0u32;
    while bytes.len() < length {
        bytes.extend_from_slice(&word.to_le_bytes());
        word = word.wrapping_add(0x9e37_79b1);
    }
    bytes.truncate(length);
    bytes
}

/// SHA-256 of `bytes` in lower-case hex, by an implementation that is not ours.
pub fn sha256_hex(bytes: &[u8]) -> String {
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
