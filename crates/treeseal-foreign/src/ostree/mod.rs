//! The signatures of OSTree's commits: over a commit's bytes, kept in the metadata beside it.

mod keys;
mod secret;
mod signature;

pub use keys::{KeyFileError, Keys, parse_keys};
pub use secret::{SecretKeyError, parse_secret_key};
pub use signature::{SignatureKind, SignersError, signers};
