//! What tokens say of curves and points, in the spellings that are in use.

use cryptoki::object::KeyType;
use treeseal_trust::{KeyError, PublicKey};

/// What a key signs with (`spec/seal.md`, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Ed25519,
    EcdsaP256,
}

impl Algorithm {
    /// The algorithm of a key, from its type and the DER of its curve (`CKA_EC_PARAMS`).
    pub(crate) fn of(key_type: Option<KeyType>, curve: Option<&[u8]>) -> Option<Self> {
        match (key_type?, curve?) {
            (KeyType::EC_EDWARDS, curve) if ED25519_CURVES.contains(&curve) => Some(Self::Ed25519),
            (KeyType::EC, P256_CURVE) => Some(Self::EcdsaP256),
            _ => None,
        }
    }
}

/// The ways to write Ed25519's curve: the name `edwards25519`, which PKCS#11 3.0 introduced, the OID
/// 1.3.101.112 of RFC 8410, and the older OID 1.3.6.1.4.1.11591.15.1 of GnuPG's cards.
const ED25519_CURVES: [&[u8]; 3] = [
    b"\x13\x0cedwards25519",
    &[6, 3, 0x2b, 0x65, 0x70],
    &[6, 9, 0x2b, 6, 1, 4, 1, 0xda, 0x47, 15, 1],
];

/// The OID of prime256v1, 1.2.840.10045.3.1.7.
const P256_CURVE: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/// A token's public key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PointError {
    /// The bytes are none of the ways to write a point.
    #[error("expected {expected}, found {found} bytes of another form")]
    Form {
        /// What is read.
        expected: &'static str,
        /// Number of bytes.
        found: usize,
    },
    /// The bytes are a point's, but of no key that signatures can be checked with.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The public key of a point (`CKA_EC_POINT`).
///
/// PKCS#11 2.40 wants the point in an OCTET STRING, 3.0 wants Edwards points bare; tokens do both for
/// both. The lengths tell them apart.
pub(crate) fn public_key(algorithm: Algorithm, point: &[u8]) -> Result<PublicKey, PointError> {
    match algorithm {
        Algorithm::Ed25519 => {
            let bytes: &[u8; 32] = match point {
                [4, 32, bytes @ ..] if bytes.len() == 32 => bytes.try_into(),
                bytes => bytes.try_into(),
            }
            .map_err(|_| PointError::Form { expected: ED25519_FORM, found: point.len() })?;
            Ok(PublicKey::ed25519(bytes)?)
        }
        Algorithm::EcdsaP256 => {
            let bytes: &[u8; 65] = match point {
                [4, 65, bytes @ ..] if bytes.len() == 65 => bytes.try_into(),
                bytes => bytes.try_into(),
            }
            .map_err(|_| PointError::Form { expected: P256_FORM, found: point.len() })?;
            Ok(PublicKey::ecdsa_p256(bytes)?)
        }
    }
}

const ED25519_FORM: &str = "32 bytes, or an OCTET STRING of them";
const P256_FORM: &str = "the 65 bytes of an uncompressed point, or an OCTET STRING of them";

#[cfg(test)]
mod tests {
    use super::*;

    fn p256_point() -> [u8; 65] {
        let secret = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
        secret.verifying_key().to_sec1_point(false).as_bytes().try_into().unwrap()
    }

    fn wrapped(bytes: &[u8]) -> Vec<u8> {
        [&[4, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    /// The base point of Ed25519: y = 4/5.
    fn ed25519_point() -> [u8; 32] {
        let mut bytes = [0x66; 32];
        bytes[0] = 0x58;
        bytes
    }

    #[test]
    fn points_are_read_bare_and_wrapped() {
        let point = ed25519_point();
        for bytes in [point.to_vec(), wrapped(&point)] {
            let expected = PublicKey::ed25519(&point).unwrap();
            assert_eq!(public_key(Algorithm::Ed25519, &bytes), Ok(expected));
        }
        let point = p256_point();
        for bytes in [point.to_vec(), wrapped(&point)] {
            let expected = PublicKey::ecdsa_p256(&point).unwrap();
            assert_eq!(public_key(Algorithm::EcdsaP256, &bytes), Ok(expected));
        }
    }

    #[test]
    fn bytes_of_another_form_are_refused() {
        let form = |found| {
            Err(PointError::Form { expected: "32 bytes, or an OCTET STRING of them", found })
        };
        let point = ed25519_point();
        let bit_string = [&[3, 33, 0], point.as_slice()].concat();
        let trailing = [wrapped(&point).as_slice(), &[0]].concat();
        for bytes in [&[][..], &point[..31], &bit_string, &trailing, &wrapped(&point[..31])] {
            let found = bytes.len();
            assert_eq!(public_key(Algorithm::Ed25519, bytes), form(found));
        }

        let point = p256_point();
        let mut compressed = point[..33].to_vec();
        compressed[0] = 2;
        for bytes in [&[][..], &wrapped(&compressed), &point[..64]] {
            let error = public_key(Algorithm::EcdsaP256, bytes).unwrap_err();
            assert!(matches!(error, PointError::Form { .. }), "{error}");
        }
    }

    #[test]
    fn points_that_no_honest_key_has_are_refused() {
        let off_curve = [&[4], [1; 64].as_slice()].concat();
        for (algorithm, bytes) in
            [(Algorithm::Ed25519, vec![0; 32]), (Algorithm::EcdsaP256, wrapped(&off_curve))]
        {
            let error = public_key(algorithm, &bytes).unwrap_err();
            assert!(matches!(error, PointError::Key(_)), "{error}");
        }
    }

    #[test]
    fn curves_are_known_in_all_their_spellings() {
        for curve in ED25519_CURVES {
            let algorithm = Algorithm::of(Some(KeyType::EC_EDWARDS), Some(curve));
            assert_eq!(algorithm, Some(Algorithm::Ed25519));
            assert_eq!(Algorithm::of(Some(KeyType::EC), Some(curve)), None);
        }
        let p256 = Algorithm::of(Some(KeyType::EC), Some(P256_CURVE));
        assert_eq!(p256, Some(Algorithm::EcdsaP256));
        // secp384r1 and edwards448.
        let p384: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 0x22];
        assert_eq!(Algorithm::of(Some(KeyType::EC), Some(p384)), None);
        assert_eq!(Algorithm::of(Some(KeyType::EC_EDWARDS), Some(b"\x13\x0aedwards448")), None);
        assert_eq!(Algorithm::of(Some(KeyType::EC), None), None);
        assert_eq!(Algorithm::of(None, Some(P256_CURVE)), None);
    }
}
