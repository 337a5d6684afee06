//! The compression functions of SHA-256 and SHA-512 behind one choice of implementation.

mod portable;
#[cfg(target_arch = "x86_64")]
mod sha_ni;

use crate::HashAlgorithm;

/// Code that computes the compression functions. Every implementation gives the same digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Implementation {
    /// Plain Rust, one block at a time, on any processor.
    Portable,
    /// The SHA extensions of x86-64 for SHA-256, two blocks interleaved; SHA-512 is portable.
    #[cfg(target_arch = "x86_64")]
    ShaNi(sha_ni::Token),
}

impl Implementation {
    /// Every implementation that this processor can run, slowest first.
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        all.extend(sha_ni::Token::detect().map(Self::ShaNi));
        all
    }

    /// The fastest implementation that this processor can run.
    pub fn fastest() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = sha_ni::Token::detect() {
            return Self::ShaNi(token);
        }
        Self::Portable
    }

    /// A short name for reports: `portable`, `sha-ni`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::ShaNi(_) => "sha-ni",
        }
    }
}

/// The chaining value of a hash function.
#[derive(Clone, Copy)]
pub(crate) enum State {
    Sha256([u32; 8]),
    Sha512([u64; 8]),
}

impl State {
    /// The initial hash value: FIPS 180-4 section 5.3.
    pub(crate) const fn initial(algorithm: HashAlgorithm) -> Self {
        match algorithm {
            HashAlgorithm::Sha256 => Self::Sha256(portable::SHA256_INITIAL),
            HashAlgorithm::Sha512 => Self::Sha512(portable::SHA512_INITIAL),
        }
    }

    /// Works whole input blocks into the state. `data` is a multiple of the input block size.
    pub(crate) fn compress(&mut self, implementation: Implementation, data: &[u8]) {
        match (self, implementation) {
            #[cfg(target_arch = "x86_64")]
            (Self::Sha256(state), Implementation::ShaNi(token)) => {
                sha_ni::compress(token, [state], [data]);
            }
            (Self::Sha256(state), _) => portable::compress_sha256(state, data),
            (Self::Sha512(state), _) => portable::compress_sha512(state, data),
        }
    }

    /// As [`State::compress`] for two states and two equally long runs of input blocks at once.
    pub(crate) fn compress_pair(
        first: &mut Self,
        second: &mut Self,
        implementation: Implementation,
        data: [&[u8]; 2],
    ) {
        match (first, second, implementation) {
            #[cfg(target_arch = "x86_64")]
            (Self::Sha256(a), Self::Sha256(b), Implementation::ShaNi(token)) => {
                sha_ni::compress(token, [a, b], data);
            }
            (first, second, _) => {
                first.compress(implementation, data[0]);
                second.compress(implementation, data[1]);
            }
        }
    }

    /// Writes the digest. `out` is exactly as long as a digest of the state's algorithm.
    pub(crate) fn write_digest(&self, out: &mut [u8]) {
        match self {
            Self::Sha256(words) => {
                for (bytes, word) in out.chunks_exact_mut(4).zip(words) {
                    bytes.copy_from_slice(&word.to_be_bytes());
                }
            }
            Self::Sha512(words) => {
                for (bytes, word) in out.chunks_exact_mut(8).zip(words) {
                    bytes.copy_from_slice(&word.to_be_bytes());
                }
            }
        }
    }
}
