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
//! Long runs are what makes it fast. With AVX-512 one step works on sixteen blocks of SHA-256 or
//! eight of SHA-512, and a byte takes a ninth (SHA-256) or a fifth (SHA-512) of the time of portable
//! code; shorter runs and remainders go where they cost least. `docs/architecture.md`, "How blocks
//! are hashed", has what was measured and what was rejected.
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
