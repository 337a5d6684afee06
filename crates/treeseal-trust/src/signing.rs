use core::fmt;

use ed25519_dalek::Signer as _;

use crate::key::{KeyId, PublicKey, TufKey};

/// An Ed25519 private key. Its memory is overwritten when it is dropped.
#[derive(Clone)]
pub struct SigningKey {
    secret: ed25519_dalek::SigningKey,
    public: PublicKey,
}

impl SigningKey {
    /// The key of a 32-byte seed (RFC 8032's private key).
    ///
    /// The seed must come from a random number generator that is fit for keys. The caller
    /// overwrites its own copy.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = PublicKey::from(&secret);
        Self { secret, public }
    }

    /// The public half.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The id of the public half.
    pub fn key_id(&self) -> KeyId {
        TufKey::new(self.public).id()
    }

    /// Signs `message` as it is; the same message always gives the same 64 bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.secret.sign(message).to_vec()
    }

    pub(crate) const fn secret(&self) -> &ed25519_dalek::SigningKey {
        &self.secret
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey {{ public: {:?}, .. }}", self.public)
    }
}
