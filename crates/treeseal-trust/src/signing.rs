use core::fmt;

use ed25519_dalek::Signer as _;
use ml_dsa::MlDsa65;
use zeroize::Zeroizing;

use crate::key::{KeyAlgorithm, KeyId, PublicKey, TufKey};

/// A private key. Its memory is overwritten when it is dropped.
///
/// All three algorithms have a secret of 32 bytes, of which the rest is made.
#[derive(Clone)]
pub struct SigningKey {
    secret: Secret,
    public: PublicKey,
}

#[derive(Clone)]
enum Secret {
    Ed25519(ed25519_dalek::SigningKey),
    EcdsaP256(p256::ecdsa::SigningKey),
    // Large: the matrix and vectors that are made of the seed.
    MlDsa65(Box<ml_dsa::SigningKey<MlDsa65>>),
}

impl SigningKey {
    /// The Ed25519 key of a 32-byte seed (RFC 8032's private key).
    ///
    /// The seed must come from a random number generator that is fit for keys. The caller
    /// overwrites its own copy.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = PublicKey::from(&secret);
        Self { secret: Secret::Ed25519(secret), public }
    }

    /// The key of a secret: a seed for Ed25519 and ML-DSA-65 (FIPS 204's xi), the big-endian scalar
    /// for P-256.
    ///
    /// `None` if it is no scalar of P-256: zero, or not below the group's order. A random one is that
    /// once in 2^32 times; draw again. Otherwise as [`SigningKey::from_seed`].
    pub fn from_secret(algorithm: KeyAlgorithm, secret: &[u8; 32]) -> Option<Self> {
        match algorithm {
            KeyAlgorithm::Ed25519 => Some(Self::from_seed(secret)),
            KeyAlgorithm::EcdsaP256 => {
                let secret = p256::ecdsa::SigningKey::from_slice(secret).ok()?;
                let public = PublicKey::from(&secret);
                Some(Self { secret: Secret::EcdsaP256(secret), public })
            }
            KeyAlgorithm::MlDsa65 => {
                let secret = ml_dsa::SigningKey::from_seed(&(*secret).into());
                let public = PublicKey::from(&secret);
                Some(Self { secret: Secret::MlDsa65(Box::new(secret)), public })
            }
        }
    }

    /// The public half.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The id of the public half.
    pub fn key_id(&self) -> KeyId {
        TufKey::new(self.public.clone()).id()
    }

    /// Signs `message`, in the form of [`PublicKey::bytes_to_sign`]; the same message always gives
    /// the same signature, in the form that [`PublicKey::verify`] reads.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let message = self.public.bytes_to_sign(message);
        match &self.secret {
            Secret::Ed25519(secret) => secret.sign(&message).to_vec(),
            Secret::EcdsaP256(secret) => {
                let signature: p256::ecdsa::Signature = secret.sign(&message);
                signature.to_der().as_bytes().to_vec()
            }
            Secret::MlDsa65(secret) => {
                let signature: ml_dsa::Signature<MlDsa65> = secret.sign(&message);
                signature.encode().to_vec()
            }
        }
    }

    /// The 32 bytes that [`SigningKey::from_secret`] takes.
    pub(crate) fn to_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(match &self.secret {
            Secret::Ed25519(secret) => secret.to_bytes(),
            Secret::EcdsaP256(secret) => secret.to_bytes().into(),
            Secret::MlDsa65(secret) => secret.to_seed().into(),
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey {{ public: {:?}, .. }}", self.public)
    }
}
