use core::fmt;
use core::str::FromStr;

/// A hash function that fs-verity can use, numbered as in the kernel's `<linux/fsverity.h>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HashAlgorithm {
    /// SHA-256 (FIPS 180-4): 32-byte digests, 64-byte input blocks.
    #[default]
    Sha256,
    /// SHA-512 (FIPS 180-4): 64-byte digests, 128-byte input blocks.
    Sha512,
}

impl HashAlgorithm {
    /// The longest digest of any algorithm, in bytes.
    pub const MAX_DIGEST_SIZE: usize = 64;

    /// Length of a digest in bytes: 32 or 64.
    pub const fn digest_size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// Length in bytes of the input block of the compression function: 64 or 128.
    ///
    /// fs-verity pads a salt with zeros to a multiple of this.
    pub const fn input_block_size(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    /// The algorithm's number in the kernel's interface: `FS_VERITY_HASH_ALG_*`.
    pub const fn kernel_number(self) -> u8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    /// The algorithm with this number in the kernel's interface, if it is one of ours.
    pub const fn from_kernel_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Sha256),
            2 => Some(Self::Sha512),
            _ => None,
        }
    }

    /// The kernel's name of the algorithm: `sha256` or `sha512`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is not the name of a hash algorithm that fs-verity can use here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm(String);

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown hash algorithm `{}`: expected `sha256` or `sha512`", self.0)
    }
}

impl core::error::Error for UnknownAlgorithm {}

impl FromStr for HashAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            other => Err(UnknownAlgorithm(other.to_owned())),
        }
    }
}
