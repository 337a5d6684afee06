//! Hashes many equal-sized blocks at once.
//!
//! fs-verity splits a file into blocks of one size and hashes each on its own, so the blocks are
//! independent: a wide implementation may work on several at a time. This crate is the one place
//! where hashing happens; everything above it deals in block runs.

mod algorithm;

pub use algorithm::HashAlgorithm;
