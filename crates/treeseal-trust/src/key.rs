mod algorithm;
mod tuf;

use core::fmt;
use std::borrow::Cow;

use ed25519_dalek::VerifyingKey;
use ml_dsa::MlDsa65;
use p256::ecdsa::signature::Verifier as _;
use sha2::{Digest as _, Sha512};

use crate::hex::{self, HexError};
use crate::pem;
use crate::schema::SchemaError;

pub use algorithm::{KeyAlgorithm, KeyAlgorithmError};
pub use tuf::{KeyId, TufKey};

/// A public key that signatures are checked with.
///
/// Two of them are equal when they are the same key, whatever text they were read from. That is
/// the sense in which thresholds count keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicKey {
    /// Ed25519 (RFC 8032), verified strictly.
    Ed25519(Ed25519Key),
    /// ECDSA over NIST P-256 with SHA-256 (FIPS 186-5), signatures in DER.
    EcdsaP256(EcdsaP256Key),
    /// ML-DSA-65 (FIPS 204), over the message of TUF's TAP 21.
    MlDsa65(MlDsa65Key),
}

/// An Ed25519 public key: the one encoding of a point of prime order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ed25519Key(VerifyingKey);

/// A public key on the curve P-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EcdsaP256Key(p256::ecdsa::VerifyingKey);

/// An ML-DSA-65 public key: its encoding, every value of which is a key.
#[derive(Clone, PartialEq, Eq)]
pub struct MlDsa65Key(Box<[u8; ML_DSA_65_KEY_SIZE]>);

/// Bytes of an ML-DSA-65 public key (FIPS 204, table 2).
const ML_DSA_65_KEY_SIZE: usize = 1952;

/// A public key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The bytes are no point of the curve, or not its one encoding.
    #[error("the {algorithm} public key is not the encoding of a point of the curve")]
    NotAPoint {
        /// The key's algorithm.
        algorithm: &'static str,
    },
    /// The point has small order, or a part of small order: no honest key has.
    #[error(
        "the Ed25519 public key is weak: signatures by it can be made without a private key, \
             or it stands for several keys"
    )]
    Weak,
    /// The hex text of an Ed25519 key is malformed.
    #[error("the Ed25519 public key is malformed: {0}")]
    Hex(#[source] HexError),
    /// The PEM text is not what is read here.
    #[error(
        "the public key is not a PEM text of an Ed25519, P-256 or ML-DSA-65 public key as `openssl \
         pkey -pubout` writes it"
    )]
    Pem,
    /// The key's type and scheme are not a pair that is known here.
    #[error(
        "key type `{keytype}` with scheme `{scheme}` is not known: expected `ed25519` with \
         `ed25519`, `ecdsa` with `ecdsa-sha2-nistp256` or `ml-dsa` with `ml-dsa-65/1`"
    )]
    UnknownAlgorithm {
        /// The key's `keytype`.
        keytype: String,
        /// The key's `scheme`.
        scheme: String,
    },
    /// The key object has the wrong fields.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// A signature is not by this key over this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The bytes are no signature of this algorithm.
    #[error("the bytes are not a signature of the key's algorithm")]
    Malformed,
    /// The signature is by another key, or over another message.
    #[error("the signature is not by this key over this message")]
    Mismatch,
}

impl PublicKey {
    /// An Ed25519 key from its 32 bytes.
    ///
    /// Refused are encodings of no point, encodings that are not the shortest one, and points
    /// outside the group of prime order. The all-zero key is one of the latter.
    pub fn ed25519(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes)
            .map_err(|_| KeyError::NotAPoint { algorithm: "Ed25519" })?;
        let point = key.to_edwards();
        if point.compress().as_bytes() != bytes {
            return Err(KeyError::NotAPoint { algorithm: "Ed25519" });
        }
        // A key with a part of small order has seven siblings for which the holder of the one
        // private key can sign as well; each would count towards a threshold.
        if point.is_small_order() || !point.is_torsion_free() {
            return Err(KeyError::Weak);
        }
        Ok(Self::Ed25519(Ed25519Key(key)))
    }

    /// A P-256 key from its uncompressed point: 4, then 32 bytes each of x and y.
    pub fn ecdsa_p256(point: &[u8; 65]) -> Result<Self, KeyError> {
        let not_a_point = KeyError::NotAPoint { algorithm: "P-256" };
        if point.first() != Some(&4) {
            return Err(not_a_point);
        }
        match p256::ecdsa::VerifyingKey::from_sec1_bytes(point) {
            Ok(key) => Ok(Self::EcdsaP256(EcdsaP256Key(key))),
            Err(_) => Err(not_a_point),
        }
    }

    /// An ML-DSA-65 key from its encoding.
    pub fn ml_dsa_65(bytes: &[u8; ML_DSA_65_KEY_SIZE]) -> Self {
        Self::MlDsa65(MlDsa65Key(Box::new(*bytes)))
    }

    /// A key from the PEM text of its `SubjectPublicKeyInfo`, as `openssl pkey -pubout` writes it.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = pem::decode(text).ok_or(KeyError::Pem)?;
        if let Some(bytes) = der.strip_prefix(ED25519_SPKI) {
            return Self::ed25519(bytes.try_into().map_err(|_| KeyError::Pem)?);
        }
        if let Some(bytes) = der.strip_prefix(ML_DSA_65_SPKI) {
            return Ok(Self::ml_dsa_65(bytes.try_into().map_err(|_| KeyError::Pem)?));
        }
        let point = der.strip_prefix(P256_SPKI).ok_or(KeyError::Pem)?;
        Self::ecdsa_p256(point.try_into().map_err(|_| KeyError::Pem)?)
    }

    /// The key's `SubjectPublicKeyInfo` as PEM.
    pub fn to_pem(&self) -> String {
        pem::encode(&match self {
            Self::Ed25519(key) => [ED25519_SPKI, key.as_bytes()].concat(),
            Self::EcdsaP256(key) => [P256_SPKI, key.0.to_sec1_point(false).as_bytes()].concat(),
            Self::MlDsa65(key) => [ML_DSA_65_SPKI, key.0.as_slice()].concat(),
        })
    }

    /// What a key of this algorithm signs of `message`: the message itself, or for ML-DSA the 68
    /// bytes of TUF's TAP 21: `tuf`, the byte 1, and the SHA-512 of the message.
    pub fn bytes_to_sign<'m>(&self, message: &'m [u8]) -> Cow<'m, [u8]> {
        match self {
            Self::Ed25519(_) | Self::EcdsaP256(_) => Cow::Borrowed(message),
            Self::MlDsa65(_) => Cow::Owned([b"tuf\x01", &Sha512::digest(message)[..]].concat()),
        }
    }

    /// Checks that `signature` is by this key over `message`.
    ///
    /// Ed25519 is checked strictly: the scalar is reduced, neither point has small order, and the
    /// equation holds without the cofactor. For ECDSA the DER must be strict, while both `s` and
    /// `-s` are accepted, as TUF and cosign do; the number of signatures is never counted, so it
    /// does not matter that a second one can be made from the first.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let message = self.bytes_to_sign(message);
        match self {
            Self::Ed25519(key) => {
                let signature = ed25519_dalek::Signature::from_slice(signature)
                    .map_err(|_| SignatureError::Malformed)?;
                key.0.verify_strict(&message, &signature).map_err(|_| SignatureError::Mismatch)
            }
            Self::EcdsaP256(key) => {
                let signature = p256::ecdsa::Signature::from_der(signature)
                    .map_err(|_| SignatureError::Malformed)?;
                key.0.verify(&message, &signature).map_err(|_| SignatureError::Mismatch)
            }
            Self::MlDsa65(key) => {
                let signature = ml_dsa::Signature::<MlDsa65>::try_from(signature)
                    .map_err(|_| SignatureError::Malformed)?;
                let key = ml_dsa::VerifyingKey::<MlDsa65>::decode(&(*key.0).into());
                key.verify(&message, &signature).map_err(|_| SignatureError::Mismatch)
            }
        }
    }

    /// The key's algorithm.
    pub const fn algorithm(&self) -> KeyAlgorithm {
        match self {
            Self::Ed25519(_) => KeyAlgorithm::Ed25519,
            Self::EcdsaP256(_) => KeyAlgorithm::EcdsaP256,
            Self::MlDsa65(_) => KeyAlgorithm::MlDsa65,
        }
    }
}

impl Ed25519Key {
    /// The encoding of the point.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// DER of a `SubjectPublicKeyInfo` of Ed25519 up to the key's 32 bytes (RFC 8410).
const ED25519_SPKI: &[u8] = &[0x30, 42, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 33, 0];

/// DER of a `SubjectPublicKeyInfo` of P-256 up to the 65 bytes of the uncompressed point (RFC 5480).
const P256_SPKI: &[u8] = &[
    0x30, 89, 0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 3, 1, 7, 3, 66, 0,
];

/// DER of a `SubjectPublicKeyInfo` of ML-DSA-65 up to the key's 1952 bytes (RFC 9881).
const ML_DSA_65_SPKI: &[u8] = &[
    0x30, 0x82, 0x07, 0xb2, 0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 0x12, 3, 0x82,
    0x07, 0xa1, 0,
];

impl From<&ed25519_dalek::SigningKey> for PublicKey {
    /// What a private key multiplies is a point of prime order: there is nothing to check.
    fn from(secret: &ed25519_dalek::SigningKey) -> Self {
        Self::Ed25519(Ed25519Key(secret.verifying_key()))
    }
}

impl From<&p256::ecdsa::SigningKey> for PublicKey {
    fn from(secret: &p256::ecdsa::SigningKey) -> Self {
        Self::EcdsaP256(EcdsaP256Key(*secret.verifying_key()))
    }
}

impl From<&ml_dsa::SigningKey<MlDsa65>> for PublicKey {
    fn from(secret: &ml_dsa::SigningKey<MlDsa65>) -> Self {
        Self::ml_dsa_65(&secret.expanded_key().verifying_key().encode().into())
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for EcdsaP256Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.to_sec1_point(true).as_bytes()))
    }
}

impl fmt::Debug for MlDsa65Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.as_slice()))
    }
}

impl KeyError {
    /// A stable name of the class of refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAPoint { .. } => "key_not_a_point",
            Self::Weak => "key_weak",
            Self::Hex(_) => "key_hex",
            Self::Pem => "key_pem",
            Self::UnknownAlgorithm { .. } => "key_unknown_algorithm",
            Self::Schema(error) => error.code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{self, Json};
    use crate::schema::Node;
    use crate::signing::SigningKey;

    fn ed25519(text: &str) -> Result<PublicKey, KeyError> {
        PublicKey::ed25519(&hex::decode_array(text).unwrap())
    }

    /// The little-endian bytes of y and the sign of x.
    fn encoded(low: u8, high: u8, fill: u8) -> String {
        format!("{low:02x}{}{high:02x}", format!("{fill:02x}").repeat(30))
    }

    fn p256_key() -> p256::ecdsa::SigningKey {
        p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap()
    }

    fn ml_dsa_key() -> SigningKey {
        SigningKey::from_secret(KeyAlgorithm::MlDsa65, &[3; 32]).unwrap()
    }

    fn p256_public() -> PublicKey {
        let point = p256_key().verifying_key().to_sec1_point(false);
        PublicKey::ecdsa_p256(point.as_bytes().try_into().unwrap()).unwrap()
    }

    #[test]
    fn points_of_small_order_are_no_keys() {
        for text in [
            encoded(0, 0, 0),
            encoded(1, 0, 0),
            encoded(0, 0x80, 0),
            encoded(0xec, 0x7f, 0xff),
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05".to_owned(),
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a".to_owned(),
        ] {
            assert_eq!(ed25519(&text), Err(KeyError::Weak), "{text}");
        }
    }

    #[test]
    fn a_key_plus_a_point_of_small_order_is_no_key() {
        // The base point plus the point of order 2 is (-x, -y).
        let base = "5866666666666666666666666666666666666666666666666666666666666666";
        assert!(ed25519(base).is_ok());
        let shifted = "9599999999999999999999999999999999999999999999999999999999999999";
        assert_eq!(ed25519(shifted), Err(KeyError::Weak));
    }

    #[test]
    fn encodings_that_are_not_the_shortest_are_no_keys() {
        // p and p + 1 stand for 0 and 1; -0 is 0.
        for text in [encoded(0xed, 0x7f, 0xff), encoded(0xee, 0x7f, 0xff), encoded(1, 0x80, 0)] {
            let error = ed25519(&text).unwrap_err();
            assert_eq!(error, KeyError::NotAPoint { algorithm: "Ed25519" }, "{text}");
        }
        // y = 2 has no x.
        assert!(matches!(ed25519(&encoded(2, 0, 0)), Err(KeyError::NotAPoint { .. })));
    }

    #[test]
    fn points_off_the_curve_p256_are_no_keys() {
        let error = KeyError::NotAPoint { algorithm: "P-256" };
        assert_eq!(PublicKey::ecdsa_p256(&[4; 65]), Err(error.clone()));
        assert_eq!(PublicKey::ecdsa_p256(&[0; 65]), Err(error));
    }

    #[test]
    fn pem_reads_back_and_names_the_key() {
        let ed25519 = SigningKey::from_seed(&[1; 32]).public_key().clone();
        for key in [ed25519, p256_public(), ml_dsa_key().public_key().clone()] {
            assert_eq!(PublicKey::from_pem(&key.to_pem()), Ok(key));
        }
        assert_eq!(PublicKey::from_pem("-----BEGIN PUBLIC KEY-----\n"), Err(KeyError::Pem));
    }

    #[test]
    fn key_objects_read_back_in_both_spellings() {
        let ed25519 = TufKey::new(SigningKey::from_seed(&[1; 32]).public_key().clone());
        assert_eq!(TufKey::from_json(Node::top(ed25519.to_json())), Ok(ed25519));
        for key in [p256_public(), ml_dsa_key().public_key().clone()] {
            let line_feed = TufKey::new(key);
            let bare = line_feed.clone().without_line_feed();
            assert_ne!(line_feed.id(), bare.id());
            assert_eq!(line_feed.public(), bare.public());
            for key in [line_feed, bare] {
                assert_eq!(TufKey::from_json(Node::top(key.to_json())), Ok(key));
            }
        }
    }

    #[test]
    fn a_key_of_another_type_than_its_object_says_is_refused() {
        let mut key = TufKey::new(p256_public()).to_json();
        let Json::Object(fields) = &mut key else { panic!() };
        let pem = SigningKey::from_seed(&[1; 32]).public_key().to_pem();
        fields.insert("keyval".to_owned(), Json::object([("public", pem.into())]));
        assert_eq!(TufKey::from_json(Node::top(key)), Err(KeyError::Pem));

        let text = br#"{"keytype":"rsa","scheme":"rsassa-pss-sha256","keyval":{"public":""}}"#;
        let error = TufKey::from_json(Node::top(json::parse(text, 100).unwrap())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "key type `rsa` with scheme `rsassa-pss-sha256` is not known: expected `ed25519` with \
             `ed25519`, `ecdsa` with `ecdsa-sha2-nistp256` or `ml-dsa` with `ml-dsa-65/1`"
        );
    }

    #[test]
    fn both_halves_of_an_ecdsa_signature_are_accepted_but_no_garbage_around_them() {
        use p256::ecdsa::signature::Signer as _;

        let low: p256::ecdsa::Signature = p256_key().sign(b"message");
        let (r, s) = low.split_scalars();
        let high = p256::ecdsa::Signature::from_scalars(r, -s).unwrap();
        assert_ne!(low, high);
        for signature in [low, high] {
            let der = signature.to_der();
            assert_eq!(p256_public().verify(b"message", der.as_bytes()), Ok(()));
            let longer = [der.as_bytes(), &[0]].concat();
            assert_eq!(p256_public().verify(b"message", &longer), Err(SignatureError::Malformed));
            assert_eq!(
                p256_public().verify(b"massage", der.as_bytes()),
                Err(SignatureError::Mismatch)
            );
        }
        assert_eq!(p256_public().verify(b"", &low.to_bytes()), Err(SignatureError::Malformed));
    }

    #[test]
    fn ed25519_signatures_are_strict() {
        let key = SigningKey::from_seed(&[1; 32]);
        let signature = key.sign(b"message");
        assert_eq!(key.public_key().verify(b"message", &signature), Ok(()));
        for length in 0..64 {
            let cut = &signature[..length];
            assert_eq!(key.public_key().verify(b"message", cut), Err(SignatureError::Malformed));
        }
        // s + the group's order: the same signature in a second spelling.
        let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
        let mut carry = 0;
        let mut doubled = signature.clone();
        for (byte, add) in doubled[32..].iter_mut().zip(hex::decode(order).unwrap()) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            carry = sum >> 8;
            *byte = u8::try_from(sum & 255).unwrap();
        }
        assert!(key.public_key().verify(b"message", &doubled).is_err());
    }

    #[test]
    fn ml_dsa_signs_the_digest_message_and_nothing_else() {
        let (key, public) = (ml_dsa_key(), ml_dsa_key().public_key().clone());
        let signature = key.sign(b"message");
        assert_eq!(signature.len(), 3309);
        assert_eq!(public.verify(b"message", &signature), Ok(()));
        assert_eq!(public.verify(b"massage", &signature), Err(SignatureError::Mismatch));
        for length in [0, 1, 64, 3308] {
            let cut = &signature[..length];
            assert_eq!(public.verify(b"message", cut), Err(SignatureError::Malformed));
        }
        let longer = [&signature[..], &[0]].concat();
        assert_eq!(public.verify(b"message", &longer), Err(SignatureError::Malformed));
        for at in (0..signature.len()).step_by(97) {
            let mut changed = signature.clone();
            changed[at] ^= 1;
            assert!(public.verify(b"message", &changed).is_err(), "byte {at}");
        }
        let bytes = public.bytes_to_sign(b"message");
        assert!(bytes.starts_with(b"tuf\x01") && bytes.len() == 68);
    }

    #[test]
    fn debug_output_shows_no_secret() {
        for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::EcdsaP256, KeyAlgorithm::MlDsa65] {
            let key = SigningKey::from_secret(algorithm, &[0x5a; 32]).unwrap();
            assert!(!format!("{key:?}").contains("5a5a"));
        }
    }
}
