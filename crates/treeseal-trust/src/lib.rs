//! Who vouches for a tree: statements, envelopes, keys, the trust root, and the rules by which a
//! seal is accepted.
//!
//! Data flows one way: the bytes of an envelope, a [`TrustRoot`] and a [`SealRequest`] go into
//! [`verify_seal`]; a [`Verified<Statement>`] comes out, or a reason. Nothing else makes that type.
//! [`RollbackState`] is what the caller keeps from one acceptance to the next.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use treeseal_trust::{Clock, SealRequest, TrustRoot, verify_seal};
//! # const VECTOR: &str = include_str!("../../../vectors/seal/one-signer.json");
//! # let vector: serde_json::Value = serde_json::from_str(VECTOR)?;
//! # let (root, seal) = (vector["root"].as_str().unwrap(), vector["envelope"].as_str().unwrap());
//! # let (root, seal) = (root.as_bytes(), seal.as_bytes());
//!
//! // The root comes from a place that is trusted, the seal from anywhere.
//! let root = TrustRoot::pinned(root)?;
//! let stream = "acme/os/x86_64/stable".parse()?;
//! let clock = Clock::Trusted("2026-06-01T00:00:00Z".parse()?);
//! let sealed = verify_seal(seal, &root, &SealRequest::first_contact(&stream, clock))?;
//! println!("{} sequence {}", sealed.stream, sealed.sequence);
//! for image in &sealed.images {
//!     println!("{image}: {} bytes, SHA-256 {}", image.size, image.digests.sha256);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! There is no other way to a [`Verified<Statement>`]:
//!
//! ```compile_fail
//! fn forge(statement: treeseal_trust::Statement) -> treeseal_trust::Verified<treeseal_trust::Statement> {
//!     treeseal_trust::Verified { value: statement }
//! }
//! ```
//!
//! The other way, [`sign_statement`] makes an envelope of a [`Statement`] and [`SigningKey`]s; with
//! [`Envelope::pae_bytes`] and [`Envelope::attach`] the keys can be on another machine.
//!
//! Pure: no I/O, no clock, no environment, no randomness. The formats are specified in
//! `spec/seal.md` and `spec/root.md`, with scenarios in `vectors/seal` and `vectors/root`.

mod digest;
mod edit;
mod envelope;
mod extension;
mod freshness;
mod hex;
mod key;
mod keyfile;
mod pem;
mod policy;
mod role;
mod rollback;
mod root;
mod signing;
mod statement;
mod stream;
mod threshold;
mod time;
mod verified;

pub mod canonical;
pub mod json;
pub mod schema;

pub use digest::Sha256Digest;
pub use edit::EditError;
pub use envelope::{
    Envelope, EnvelopeError, EnvelopeSignature, MAX_ENVELOPE_SIZE, PAYLOAD_TYPE,
    SignStatementError, sign_statement,
};
pub use extension::{AtBoot, Extension, FreshnessRule, RevokedDigest, StreamRule};
pub use freshness::{FRESH_PREDICATE_TYPE, FreshStatement, MAX_FRESH_SECONDS};
pub use hex::HexError;
pub use key::{
    EcdsaP256Key, Ed25519Key, KeyAlgorithm, KeyAlgorithmError, KeyError, KeyId, MlDsa65Key,
    PublicKey, SignatureError, TufKey,
};
pub use keyfile::{KeyFileError, KeyFileRandom, PasswordOrigin};
pub use policy::{Clock, FreshnessError, SealError, SealRequest, claimed_stream, verify_seal};
pub use role::{Role, RoleName, RoleNameError};
pub use rollback::{Floor, MAX_STATE_SIZE, RollbackState, StateError};
pub use root::{MAX_ROOT_SIZE, RootContent, RootError, RootFile, TrustRoot};
pub use schema::SchemaError;
pub use signing::SigningKey;
pub use statement::{
    Image, ImageDigests, ImageFormat, ImageFormatError, MAX_PAYLOAD_SIZE, MAX_SOURCES, Objects,
    PREDICATE_TYPE, STATEMENT_TYPE, Sequence, Source, Statement, StatementError,
};
pub use stream::{Stream, StreamError, StreamPattern};
pub use threshold::{Signers, ThresholdError};
pub use time::{Timestamp, TimestampError};
pub use verified::{Expired, Expiring, Expiry, Freshness, Standing, Verified};
