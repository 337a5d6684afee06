use core::fmt;

use treeseal_source::ostree::{DetachedMetadata, ObjectError};
use treeseal_trust::{KeyAlgorithm, PublicKey};

use super::Keys;

/// The kinds of signatures that OSTree keeps apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureKind {
    /// Ed25519, by keys of 32 bytes.
    Ed25519,
    /// By keys that are a `SubjectPublicKeyInfo`; here Ed25519 and ECDSA over P-256 with SHA-256.
    Spki,
}

impl SignatureKind {
    const ALL: [Self; 2] = [Self::Ed25519, Self::Spki];

    /// The key under which signatures of the kind are kept.
    pub const fn metadata_key(self) -> &'static str {
        match self {
            Self::Ed25519 => "ostree.sign.ed25519",
            Self::Spki => "ostree.sign.spki",
        }
    }

    /// Whether a key makes signatures of the kind.
    pub const fn takes(self, key: &PublicKey) -> bool {
        matches!(
            (self, key.algorithm()),
            (_, KeyAlgorithm::Ed25519) | (Self::Spki, KeyAlgorithm::EcdsaP256)
        )
    }
}

impl fmt::Display for SignatureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metadata_key())
    }
}

/// Nobody who is trusted has signed a commit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignersError {
    /// There is no signature.
    #[error("the commit is not signed")]
    Unsigned,
    /// A signature is none. Nobody who signs puts such a thing there, so nothing beside it is believed.
    #[error("signature {position} of `{kind}` has {found} bytes and is none")]
    Malformed {
        /// Its kind.
        kind: SignatureKind,
        /// Which of its kind, from 1.
        position: usize,
        /// Its bytes.
        found: usize,
    },
    /// The signatures are kept in another form than OSTree's.
    #[error("the signatures cannot be read")]
    Metadata(#[from] ObjectError),
    /// All signatures are by others.
    #[error("none of its {found} signatures is by one of the {trusted} trusted keys")]
    Untrusted {
        /// Signatures.
        found: usize,
        /// Keys.
        trusted: usize,
    },
    /// It is signed by a key that was trusted, and is no more.
    #[error("it is signed by a revoked key, and by no other that is trusted")]
    Revoked {
        /// The key.
        key: Box<PublicKey>,
    },
}

/// The trusted keys that have signed a commit; one at least.
///
/// `commit` is the commit's bytes. A key that is revoked is not among them, and signatures that are none
/// are refused wherever they stand.
pub fn signers(
    commit: &[u8],
    metadata: &DetachedMetadata,
    keys: &Keys,
) -> Result<Vec<PublicKey>, SignersError> {
    let mut signatures = Vec::new();
    for kind in SignatureKind::ALL {
        let of_kind = metadata.list(kind.metadata_key())?;
        signatures.extend(of_kind.into_iter().map(|signature| (kind, signature)));
    }
    require_signatures(&signatures)?;
    let has_signed = |key: &PublicKey| {
        let mut fitting = signatures.iter().filter(|(kind, _)| kind.takes(key));
        fitting.any(|(_, signature)| key.verify(commit, signature) == Ok(()))
    };
    let (revoked, trusted): (Vec<_>, Vec<_>) =
        keys.trusted.iter().partition(|key| keys.revoked.contains(key));
    let mut signers: Vec<PublicKey> = Vec::new();
    for key in trusted.iter().copied().filter(|key| has_signed(key)) {
        if !signers.contains(key) {
            signers.push(key.clone());
        }
    }
    if !signers.is_empty() {
        return Ok(signers);
    }
    match revoked.into_iter().find(|key| has_signed(key)) {
        Some(key) => Err(SignersError::Revoked { key: Box::new(key.clone()) }),
        None => Err(SignersError::Untrusted { found: signatures.len(), trusted: trusted.len() }),
    }
}

/// There are signatures, and each could be one.
fn require_signatures(signatures: &[(SignatureKind, Vec<u8>)]) -> Result<(), SignersError> {
    if signatures.is_empty() {
        return Err(SignersError::Unsigned);
    }
    for kind in SignatureKind::ALL {
        let of_kind = signatures.iter().filter(|(other, _)| *other == kind);
        for ((_, signature), position) in of_kind.zip(1..) {
            if !could_be(kind, signature) {
                let found = signature.len();
                return Err(SignersError::Malformed { kind, position, found });
            }
        }
    }
    Ok(())
}

/// Whether the length is one that signatures of the kind have.
fn could_be(kind: SignatureKind, signature: &[u8]) -> bool {
    /// Of the kinds of SPKI, RSA has the longest: keys of 16384 bits.
    const LONGEST: usize = 2048;
    match kind {
        SignatureKind::Ed25519 => signature.len() == 64,
        SignatureKind::Spki => !signature.is_empty() && signature.len() <= LONGEST,
    }
}
