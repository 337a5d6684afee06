use core::fmt;
use core::str::FromStr;

use crate::canonical;
use crate::digest::Sha256Digest;
use crate::hex::{self, HexError};
use crate::json::Json;
use crate::schema::Node;

use super::{KeyAlgorithm, KeyError, PublicKey};

/// A key as TUF writes it down, which decides its id.
///
/// A key that is written as PEM has two texts, with and without a line feed at the end, as TUF
/// libraries write both; they have different ids. An Ed25519 key has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TufKey {
    public: PublicKey,
    /// Whether the PEM ends with a line feed; always true for Ed25519.
    line_feed: bool,
    id: KeyId,
}

/// A TUF key id: SHA-256 of the canonical JSON of the key object.
///
/// It finds keys; it never proves that two keys are different.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

impl TufKey {
    /// The usual spelling of a key.
    pub fn new(public: PublicKey) -> Self {
        Self::spelled(public, true)
    }

    fn spelled(public: PublicKey, line_feed: bool) -> Self {
        let text = canonical::to_bytes(&object(&public, line_feed));
        Self { id: KeyId(*Sha256Digest::of(&text).as_bytes()), public, line_feed }
    }

    /// The key itself.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The id of this spelling of the key.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The spelling without a line feed after the PEM; an Ed25519 key has no second spelling.
    #[cfg(test)]
    pub(crate) fn without_line_feed(self) -> Self {
        let line_feed = matches!(self.public, PublicKey::Ed25519(_));
        Self::spelled(self.public, line_feed)
    }

    /// The key object: exactly `keytype`, `scheme` and `keyval` with `public`.
    pub(crate) fn from_json(node: Node) -> Result<Self, KeyError> {
        let mut fields = node.fields()?;
        let keytype = fields.required("keytype")?.string()?;
        let scheme = fields.required("scheme")?.string()?;
        let mut value = fields.required("keyval")?.fields()?;
        let public = value.required("public")?.string()?;
        value.end()?;
        fields.end()?;
        match KeyAlgorithm::find(&keytype, &scheme) {
            None => Err(KeyError::UnknownAlgorithm { keytype, scheme }),
            Some(KeyAlgorithm::Ed25519) => {
                let bytes = hex::decode_array(&public).map_err(KeyError::Hex)?;
                Ok(Self::new(PublicKey::ed25519(&bytes)?))
            }
            Some(algorithm) => {
                let key = PublicKey::from_pem(&public)?;
                let line_feed = public.ends_with('\n');
                let fits = key.algorithm() == algorithm;
                if fits { Ok(Self::spelled(key, line_feed)) } else { Err(KeyError::Pem) }
            }
        }
    }

    pub(crate) fn to_json(&self) -> Json {
        object(&self.public, self.line_feed)
    }
}

/// The key object in one of its spellings.
fn object(key: &PublicKey, line_feed: bool) -> Json {
    let public = match key {
        PublicKey::Ed25519(key) => hex::encode(key.as_bytes()),
        PublicKey::EcdsaP256(_) | PublicKey::MlDsa65(_) => {
            let mut text = key.to_pem();
            if !line_feed {
                text.pop();
            }
            text
        }
    };
    let algorithm = key.algorithm();
    Json::object([
        ("keytype", algorithm.key_type().into()),
        ("scheme", algorithm.scheme().into()),
        ("keyval", Json::object([("public", public.into())])),
    ])
}

impl From<PublicKey> for TufKey {
    fn from(public: PublicKey) -> Self {
        Self::new(public)
    }
}

impl KeyId {
    /// An id computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The id's 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = HexError;

    /// Reads 64 lower-case hex digits.
    fn from_str(text: &str) -> Result<Self, HexError> {
        hex::decode_array(text).map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}
