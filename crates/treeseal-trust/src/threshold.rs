//! Counts who signed. This is the only place where a signature turns into authority.

use core::cell::RefCell;
use core::num::NonZeroU32;

use crate::key::{KeyId, TufKey};
use crate::role::RoleName;

/// A signature as it was found, before anything is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// Whose it may be.
    pub(crate) claim: Claim,
    /// The bytes, in the form of the key's algorithm.
    pub(crate) bytes: Vec<u8>,
}

/// What a signature says about who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// TUF: the key with this id, and no other.
    Key(KeyId),
    /// DSSE: any key. The envelope's `keyid` is a hint in whatever form the signer's tool likes; it
    /// says which signature to try first, and decides nothing.
    Anyone {
        /// The hint.
        hint: String,
    },
}

/// A message and its signatures.
///
/// What was found out about a key is kept, because the roles of two trust roots have most of their
/// keys in common, and checking a signature is what costs.
#[derive(Debug)]
pub(crate) struct SignedMessage {
    message: Vec<u8>,
    signatures: Vec<Signature>,
    checked: RefCell<Vec<(TufKey, bool)>>,
}

/// A role with its keys at hand.
#[derive(Clone, Debug)]
pub(crate) struct RoleKeys {
    pub(crate) name: RoleName,
    pub(crate) keys: Vec<TufKey>,
    pub(crate) threshold: NonZeroU32,
}

impl RoleKeys {
    /// A role that the root does not have: nobody can meet it.
    pub(crate) const fn unreachable(name: RoleName) -> Self {
        Self { name, keys: Vec::new(), threshold: NonZeroU32::MAX }
    }
}

/// The proof that a role's threshold was met: who signed which role's message.
///
/// Only the one function that counts makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signers {
    role: RoleName,
    threshold: NonZeroU32,
    keys: Vec<TufKey>,
}

/// Too few of a role's keys signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} of the role `{role}`'s {keys} keys signed this, {required} must: {}",
    found.len(), missing_hint(found)
)]
pub struct ThresholdError {
    /// The role.
    pub role: RoleName,
    /// How many keys the role has.
    pub keys: usize,
    /// How many of them must sign.
    pub required: NonZeroU32,
    /// The keys that did.
    pub found: Vec<KeyId>,
}

impl Signers {
    /// The role that the signers have.
    pub const fn role(&self) -> &RoleName {
        &self.role
    }

    /// How many signers the role needs.
    pub const fn threshold(&self) -> NonZeroU32 {
        self.threshold
    }

    /// The keys that signed: at least [`Signers::threshold`], all different.
    pub fn keys(&self) -> &[TufKey] {
        &self.keys
    }

    /// The ids of the keys that signed, as the trust root has them.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.iter().map(TufKey::id)
    }
}

impl SignedMessage {
    pub(crate) const fn new(message: Vec<u8>, signatures: Vec<Signature>) -> Self {
        Self { message, signatures, checked: RefCell::new(Vec::new()) }
    }

    /// Whether any of the signatures is by this key, in the spelling that its id is made of.
    fn is_signed_by(&self, key: &TufKey) -> bool {
        let known = self.checked.borrow().iter().find(|(known, _)| known == key).map(|(_, is)| *is);
        known.unwrap_or_else(|| {
            let is_signed = self.check(key);
            self.checked.borrow_mut().push((key.clone(), is_signed));
            is_signed
        })
    }

    fn check(&self, key: &TufKey) -> bool {
        let id = key.id().to_string();
        let (hinted, others): (Vec<_>, Vec<_>) =
            self.signatures.iter().partition(|signature| match &signature.claim {
                Claim::Key(_) => true,
                Claim::Anyone { hint } => *hint == id,
            });
        hinted.into_iter().chain(others).any(|signature| {
            let may_be = match signature.claim {
                Claim::Key(claimed) => claimed == key.id(),
                Claim::Anyone { .. } => true,
            };
            may_be && matches!(key.public().verify(&self.message, &signature.bytes), Ok(()))
        })
    }
}

/// Checks that enough of the role's keys signed.
///
/// All keys are tried, so that the answer names everybody who signed.
pub(crate) fn require_threshold(
    role: &RoleKeys,
    signed: &SignedMessage,
) -> Result<Signers, ThresholdError> {
    let signers = count_signers(role, signed);
    let enough = u32::try_from(signers.len()).is_ok_and(|count| count >= role.threshold.get());
    if enough {
        return Ok(Signers { role: role.name.clone(), threshold: role.threshold, keys: signers });
    }
    Err(ThresholdError {
        role: role.name.clone(),
        keys: role.keys.len(),
        required: role.threshold,
        found: signers.iter().map(TufKey::id).collect(),
    })
}

/// The role's keys that signed, each once.
///
/// The loop goes over keys, not over signatures: a key is counted once however many signatures it
/// made, and a second entry for a key that was counted is not another key. The work is bounded by
/// the limits of envelopes and roots: 64 signatures times 32 keys.
fn count_signers(role: &RoleKeys, signed: &SignedMessage) -> Vec<TufKey> {
    let mut signers: Vec<TufKey> = Vec::new();
    for key in &role.keys {
        if signers.iter().any(|counted| counted.public() == key.public()) {
            continue;
        }
        if signed.is_signed_by(key) {
            signers.push(key.clone());
        }
    }
    signers
}

fn missing_hint(found: &[KeyId]) -> String {
    if found.is_empty() {
        return "it is signed by other keys or was changed after it was signed".to_owned();
    }
    let ids: Vec<String> = found.iter().map(ToString::to_string).collect();
    format!("found signatures by {}", ids.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyAlgorithm;
    use crate::signing::SigningKey;

    fn role(keys: Vec<TufKey>, threshold: u32) -> RoleKeys {
        RoleKeys { name: RoleName::targets(), keys, threshold: NonZeroU32::new(threshold).unwrap() }
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    fn by(key: &SigningKey, claim: Claim) -> Signature {
        Signature { claim, bytes: key.sign(b"message") }
    }

    fn judge(role: &RoleKeys, signatures: &[Signature]) -> Result<Signers, ThresholdError> {
        require_threshold(role, &SignedMessage::new(b"message".to_vec(), signatures.to_vec()))
    }

    fn keys(seeds: &[u8]) -> Vec<TufKey> {
        seeds.iter().map(|seed| TufKey::new(key(*seed).public_key().clone())).collect()
    }

    #[test]
    fn different_keys_reach_the_threshold() {
        let signatures = [
            by(&key(1), Claim::Anyone { hint: String::new() }),
            by(&key(3), Claim::Key(key(3).key_id())),
        ];
        let signers = judge(&role(keys(&[1, 2, 3]), 2), &signatures);
        assert_eq!(signers.unwrap().keys(), keys(&[1, 3]));
    }

    #[test]
    fn one_key_counts_once_however_often_it_signed_or_is_listed() {
        let signatures = vec![by(&key(1), Claim::Anyone { hint: String::new() }); 3];
        let twice = role(keys(&[1, 1, 2]), 2);
        let error = judge(&twice, &signatures).unwrap_err();
        assert_eq!(error.found, [key(1).key_id()]);
        assert_eq!(
            error.to_string(),
            format!(
                "1 of the role `targets`'s 3 keys signed this, 2 must: found signatures by {}",
                key(1).key_id()
            )
        );
    }

    #[test]
    fn one_key_under_two_ids_counts_once() {
        let secret = SigningKey::from_secret(KeyAlgorithm::EcdsaP256, &[7; 32]).unwrap();
        let usual = TufKey::new(secret.public_key().clone());
        let bare = usual.clone().without_line_feed();
        assert_ne!(usual.id(), bare.id());
        let signatures = [&usual, &bare].map(|key| by(&secret, Claim::Key(key.id())));
        let role = role(vec![usual, bare], 2);
        assert!(judge(&role, &signatures).is_err());
    }

    #[test]
    fn a_hint_decides_nothing() {
        let hint = |key: &SigningKey| Claim::Anyone { hint: key.key_id().to_string() };
        // Each names the other's key.
        let signatures = [by(&key(1), hint(&key(2))), by(&key(2), hint(&key(1)))];
        let signers = judge(&role(keys(&[1, 2]), 2), &signatures).unwrap();
        assert_eq!(signers.keys(), keys(&[1, 2]));
        let foreign = [by(&key(3), hint(&key(1)))];
        assert!(judge(&role(keys(&[1]), 1), &foreign).is_err());
    }

    #[test]
    fn what_was_found_out_for_one_role_holds_for_another() {
        let signatures = vec![by(&key(1), Claim::Key(key(1).key_id()))];
        let signed = SignedMessage::new(b"message".to_vec(), signatures);
        for _ in 0..2 {
            assert!(require_threshold(&role(keys(&[1, 2]), 1), &signed).is_ok());
            assert!(require_threshold(&role(keys(&[2, 3]), 1), &signed).is_err());
        }
    }

    #[test]
    fn a_signature_that_claims_another_key_is_not_counted() {
        let signatures = [by(&key(1), Claim::Key(key(2).key_id()))];
        assert!(judge(&role(keys(&[1, 2]), 1), &signatures).is_err());
    }

    #[test]
    fn nothing_and_foreign_signatures_reach_no_threshold() {
        let role = role(keys(&[1]), 1);
        assert!(judge(&role, &[]).is_err());
        let foreign = [by(&key(2), Claim::Anyone { hint: String::new() })];
        assert_eq!(
            judge(&role, &foreign).unwrap_err().to_string(),
            "0 of the role `targets`'s 1 keys signed this, 1 must: it is signed by other keys or \
             was changed after it was signed"
        );
        let other_message = [by(&key(1), Claim::Anyone { hint: String::new() })];
        let other = SignedMessage::new(b"massage".to_vec(), other_message.to_vec());
        assert!(require_threshold(&role, &other).is_err());
    }
}
