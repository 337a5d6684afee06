use core::fmt;
use core::str::FromStr;

/// The algorithms that keys sign by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA over NIST P-256 with SHA-256 (FIPS 186-5).
    EcdsaP256,
    /// ML-DSA-65 (FIPS 204), which a quantum computer does not break.
    MlDsa65,
}

/// A text names no algorithm of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no type of key: expected `ed25519`, `p256` or `ml-dsa-65`")]
pub struct KeyAlgorithmError {
    /// The text.
    pub found: String,
}

impl KeyAlgorithm {
    const ALL: [Self; 3] = [Self::Ed25519, Self::EcdsaP256, Self::MlDsa65];

    /// The short name for people: `ed25519`, `p256` or `ml-dsa-65`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "p256",
            Self::MlDsa65 => "ml-dsa-65",
        }
    }

    /// TUF's `keytype`.
    pub const fn key_type(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa",
            Self::MlDsa65 => "ml-dsa",
        }
    }

    /// TUF's `scheme`; that of ML-DSA is from TAP 21.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::MlDsa65 => "ml-dsa-65/1",
        }
    }

    /// The algorithm of TUF's pair of names.
    pub(crate) fn find(key_type: &str, scheme: &str) -> Option<Self> {
        let fits = |known: &Self| known.key_type() == key_type && known.scheme() == scheme;
        Self::ALL.into_iter().find(fits)
    }
}

impl FromStr for KeyAlgorithm {
    type Err = KeyAlgorithmError;

    fn from_str(text: &str) -> Result<Self, KeyAlgorithmError> {
        let known = Self::ALL.into_iter().find(|known| known.name() == text);
        known.ok_or_else(|| KeyAlgorithmError { found: text.to_owned() })
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
