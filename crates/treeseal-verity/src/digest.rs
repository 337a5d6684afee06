use core::fmt;
use core::hash::{Hash, Hasher};

use treeseal_hash::HashAlgorithm;

/// An fs-verity file digest: the hash of a file's descriptor, with the algorithm that made it.
///
/// It depends on the content, the algorithm, the block size and the salt; the latter two are not
/// part of the value. Equality takes the same time whatever the bytes are.
#[derive(Clone, Copy, Eq)]
pub struct FileDigest {
    algorithm: HashAlgorithm,
    /// `algorithm.digest_size()` bytes, then zeros.
    bytes: [u8; HashAlgorithm::MAX_DIGEST_SIZE],
}

/// A text that should be a digest in hex is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestParseError {
    /// Neither 64 (SHA-256) nor 128 (SHA-512) hex digits.
    #[error("a digest has 64 or 128 hex digits, found {found} characters")]
    Length {
        /// Number of bytes in the text.
        found: usize,
    },
    /// A character that is no hex digit.
    #[error("byte {offset} of the digest is not a hex digit")]
    NotHex {
        /// Offset of the offending byte in the text.
        offset: usize,
    },
}

impl FileDigest {
    /// A digest from its raw bytes, or `None` when their number does not fit the algorithm.
    pub fn from_bytes(algorithm: HashAlgorithm, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != algorithm.digest_size() {
            return None;
        }
        let mut padded = [0; HashAlgorithm::MAX_DIGEST_SIZE];
        padded[..bytes.len()].copy_from_slice(bytes);
        Some(Self { algorithm, bytes: padded })
    }

    /// A digest from its bytes, of which only the first `algorithm.digest_size()` count; the rest
    /// is zero.
    pub const fn from_padded(
        algorithm: HashAlgorithm,
        bytes: [u8; HashAlgorithm::MAX_DIGEST_SIZE],
    ) -> Self {
        Self { algorithm, bytes }
    }

    /// A digest from 64 (SHA-256) or 128 (SHA-512) hex digits of either case.
    pub fn from_hex(text: &[u8]) -> Result<Self, DigestParseError> {
        let algorithm = match text.len() {
            64 => HashAlgorithm::Sha256,
            128 => HashAlgorithm::Sha512,
            found => return Err(DigestParseError::Length { found }),
        };
        let mut bytes = [0; HashAlgorithm::MAX_DIGEST_SIZE];
        let mut seen = 0;
        for (byte, [high, low]) in bytes.iter_mut().zip(text.as_chunks::<2>().0) {
            let (high, low) = (HEX_VALUES[usize::from(*high)], HEX_VALUES[usize::from(*low)]);
            seen |= high | low;
            *byte = high << 4 | low;
        }
        if seen >= NO_HEX_DIGIT {
            let is_bad = |digit: &u8| HEX_VALUES[usize::from(*digit)] == NO_HEX_DIGIT;
            let offset = text.iter().position(is_bad).unwrap_or(0);
            return Err(DigestParseError::NotHex { offset });
        }
        Ok(Self { algorithm, bytes })
    }

    /// The algorithm that made the digest.
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The digest's bytes, 32 or 64 of them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.digest_size()]
    }

    /// The digest in lower-case hex.
    pub fn to_hex(&self) -> String {
        let mut text = String::with_capacity(2 * self.as_bytes().len());
        for byte in self.as_bytes() {
            text.push(HEX_DIGITS[usize::from(byte >> 4)]);
            text.push(HEX_DIGITS[usize::from(byte & 15)]);
        }
        text
    }

    /// Where the digest's content lies in an object directory: `aa/REST`, lower-case hex.
    pub fn object_path(&self) -> String {
        let mut path = self.to_hex();
        path.insert(2, '/');
        path
    }
}

const HEX_DIGITS: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];

/// The value of each byte as a hex digit. A table, because dumps hold millions of digests.
const HEX_VALUES: [u8; 256] = {
    let mut values = [NO_HEX_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value as usize];
        values[digit as usize] = value;
        values[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    values
};

/// In [`HEX_VALUES`]: larger than the bits of any two digits together.
const NO_HEX_DIGIT: u8 = 0x80;

impl PartialEq for FileDigest {
    fn eq(&self, other: &Self) -> bool {
        // No early exit: how long a comparison takes must not tell where two digests differ.
        let difference = self.bytes.iter().zip(&other.bytes).fold(0, |sum, (a, b)| sum | (a ^ b));
        self.algorithm == other.algorithm && core::hint::black_box(difference) == 0
    }
}

impl PartialOrd for FileDigest {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FileDigest {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.algorithm, self.bytes).cmp(&(other.algorithm, other.bytes))
    }
}

impl Hash for FileDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.to_hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_of_either_case_parses_and_prints_in_lower_case() {
        let digest = FileDigest::from_hex("aB".repeat(32).as_bytes()).unwrap();
        assert_eq!(digest.to_hex(), "ab".repeat(32));
        assert_eq!(digest.object_path(), format!("ab/{}", "ab".repeat(31)));
    }

    #[test]
    fn wrong_lengths_and_characters_are_named() {
        assert_eq!(
            FileDigest::from_hex(b"abc").unwrap_err().to_string(),
            "a digest has 64 or 128 hex digits, found 3 characters"
        );
        let mut text = "0".repeat(64).into_bytes();
        text[17] = b'g';
        assert_eq!(
            FileDigest::from_hex(&text).unwrap_err(),
            DigestParseError::NotHex { offset: 17 }
        );
    }

    #[test]
    fn digests_of_different_algorithms_differ() {
        let a = FileDigest::from_bytes(HashAlgorithm::Sha256, &[0; 32]).unwrap();
        let b = FileDigest::from_bytes(HashAlgorithm::Sha512, &[0; 64]).unwrap();
        assert_ne!(a, b);
        assert_eq!(FileDigest::from_bytes(HashAlgorithm::Sha512, &[0; 32]), None);
    }
}
