//! Commits of OSTree repositories: who has signed them, whether they are what they say, and which image
//! they are mounted as.

mod error;
mod keys;
mod seen;
mod sign;
mod verify;

pub use error::CommitError;
pub use keys::KeySources;
pub use seen::SeenError;
pub use sign::{SignedCommit, sign_commit};
pub use verify::{CommitRequest, VerifiedCommit, verify_commit};
