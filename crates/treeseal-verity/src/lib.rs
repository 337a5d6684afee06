//! fs-verity as the kernel defines it: parameters, Merkle tree, descriptor, file digest, formatted
//! digest, and the check of one block against stored hash blocks.
//!
//! Pure: no I/O, no clock, no environment. Source: the kernel's
//! `Documentation/filesystems/fsverity.rst`; restated byte by byte in `spec/verity.md`.

mod digest;

pub use digest::{DigestParseError, FileDigest};
pub use treeseal_hash::HashAlgorithm;
