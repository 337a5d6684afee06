//! Hashes many equal-sized blocks at once.
//!
//! fs-verity splits a file into blocks of one size and hashes each on its own, so the blocks are
//! independent: a wide implementation works on several at a time. This crate is the one place
//! where file content is hashed; everything above it deals in runs of blocks.
//!
//! * [`BlockHasher`] hashes runs of equal-sized blocks, each behind the same salt.
//! * [`Hasher`] hashes one message as it arrives.
//! * [`Implementation`] says which code does the work; all give the same digests.
//!
//! Pure but for asking the processor what it can do. One of the two islands of `unsafe`.

mod algorithm;
mod block;
mod compress;
mod message;

pub use algorithm::{HashAlgorithm, UnknownAlgorithm};
pub use block::BlockHasher;
pub use compress::{AlreadyForced, Implementation, UnknownImplementation, force};
pub use message::Hasher;
