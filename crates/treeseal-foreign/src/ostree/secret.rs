use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use treeseal_trust::{PublicKey, SigningKey};
use zeroize::Zeroizing;

/// A file that is no secret key of OSTree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretKeyError {
    /// There is something else in it.
    #[error("it is no Ed25519 secret key: expected 64 bytes as base64")]
    Malformed,
    /// The halves are of two keys. Who signs with such a key gives it away.
    #[error("its public half is not that of its secret half")]
    Halves,
}

/// Bytes of each half.
const HALF: usize = 32;

/// Reads a secret key as `ostree sign` takes it: base64 of the seed of Ed25519 and the public key.
pub fn parse_secret_key(text: &[u8]) -> Result<SigningKey, SecretKeyError> {
    let bytes = STANDARD.decode(text.trim_ascii()).map_err(|_| SecretKeyError::Malformed)?;
    let bytes = Zeroizing::new(bytes);
    let halves: Option<(&[u8; HALF], &[u8])> = bytes.split_first_chunk();
    let (seed, public) = halves.ok_or(SecretKeyError::Malformed)?;
    let public: &[u8; HALF] = public.try_into().map_err(|_| SecretKeyError::Malformed)?;
    let key = SigningKey::from_seed(seed);
    match PublicKey::ed25519(public) {
        Ok(public) if public == *key.public_key() => Ok(key),
        _ => Err(SecretKeyError::Halves),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn a_key_is_read_from_its_two_halves() {
        let text = STANDARD.encode([bytes(SEED), bytes(PUBLIC)].concat());
        let key = parse_secret_key(format!("{text}\n").as_bytes()).unwrap();
        let public: [u8; 32] = bytes(PUBLIC).try_into().unwrap();
        assert_eq!(*key.public_key(), PublicKey::ed25519(&public).unwrap());
    }

    #[test]
    fn halves_that_do_not_fit_and_other_text_are_refused() {
        let refused = |bytes: &[u8]| parse_secret_key(STANDARD.encode(bytes).as_bytes()).err();
        let mut halves = [bytes(SEED), bytes(PUBLIC)].concat();
        assert_eq!(refused(&halves[..32]), Some(SecretKeyError::Malformed));
        assert_eq!(refused(&halves[..63]), Some(SecretKeyError::Malformed));
        assert_eq!(refused(&[&halves[..], &[0]].concat()), Some(SecretKeyError::Malformed));
        halves[0] ^= 1;
        assert_eq!(refused(&halves), Some(SecretKeyError::Halves));
        assert_eq!(parse_secret_key(b"no base64").err(), Some(SecretKeyError::Malformed));
    }
}
