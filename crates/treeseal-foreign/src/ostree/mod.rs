//! The signatures of OSTree's commits: over a commit's bytes, kept in the metadata beside it.

mod keys;
mod signature;

pub use keys::{KeyFileError, Keys, parse_keys};
pub use signature::{SignatureKind, SignersError, signers};
