//! fs-verity as the kernel defines it: parameters, Merkle tree, descriptor, file digest, formatted
//! digest, and the check of one block against stored hash blocks.
//!
//! A file's content is cut into blocks; their hashes form level 0 of a tree, the hashes of that
//! level's blocks form level 1, until a level is a single hash, the *root hash*. The *file digest*
//! is the hash of a 256-byte *descriptor* that holds the root hash, the size and the parameters.
//!
//! Pure: no I/O, no clock, no environment. Source: the kernel's
//! `Documentation/filesystems/fsverity.rst`; restated byte by byte in `spec/verity.md`.

mod batch;
mod builder;
mod descriptor;
mod digest;
mod geometry;
mod params;
mod verify;

pub use batch::Batch;
pub use builder::{Digester, Leaves, Measured};
pub use descriptor::{DESCRIPTOR_SIZE, descriptor, formatted_digest};
pub use digest::{DigestParseError, FileDigest};
pub use geometry::Geometry;
pub use params::{MAX_SALT_SIZE, Params, ParamsError};
pub use treeseal_hash::{
    AlreadyForced, HashAlgorithm, Hasher, Implementation, UnknownAlgorithm, UnknownImplementation,
    force as force_implementation,
};
pub use verify::{BlockError, BlockVerifier};
