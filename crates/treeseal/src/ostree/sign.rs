use std::path::Path;

use treeseal_foreign::ostree::{Keys, SignatureKind, SignersError, parse_secret_key, signers};
use treeseal_source::ostree::{Checksum, DetachedMetadata, Repository};
use treeseal_trust::{PublicKey, TufKey};
use zeroize::Zeroizing;

use super::CommitError;
use super::change::Change;
use super::keys::read_file;
use crate::files::{self, Readable};
use crate::identity::open_or_own;
use crate::keys::{KeyPlace, MAX_KEY_FILE, Passphrases, Signature, Signer};
use crate::{Error, Locations};

/// A commit that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCommit {
    /// The commit's name.
    pub checksum: Checksum,
    /// The keys that signed it now.
    pub signers: Vec<PublicKey>,
}

/// The kind of signatures that are made.
const KIND: SignatureKind = SignatureKind::Ed25519;

/// What the text of a key file of this project begins with. Those of OSTree are base64 and nothing else.
const PEM: &[u8] = b"-----BEGIN";

/// Signs a commit with the keys at `places`, or with the machine's own, as `ostree sign` does: over the
/// commit's bytes, in the metadata beside it, of which everything else stays.
///
/// Files of keys may be OSTree's own as well. A key that has signed the commit, or that OSTree's Ed25519
/// signatures are not made with, is refused, and then nothing is signed.
pub fn sign_commit(
    locations: &Locations,
    repository: &Path,
    name: &str,
    places: &[KeyPlace],
    passphrases: &mut dyn Passphrases,
) -> Result<SignedCommit, Error> {
    let repository = Repository::open(repository)?;
    let mut change = Change::begin(&repository, name)?;
    let checksum = change.checksum;
    let (_, commit) = repository.commit(&checksum)?;
    let keys = open(locations, places, passphrases)?;
    let refused = |source| CommitError::Signers { commit: checksum, source };
    for (signer, position) in keys.iter().zip(0..) {
        require_ed25519(signer)?;
        let is_named_before =
            keys.iter().take(position).any(|other| other.public_key() == signer.public_key());
        let has_signed =
            has_signed(signer.public_key(), &commit, &change.metadata).map_err(refused)?;
        if is_named_before || has_signed {
            return Err(
                CommitError::SignedBefore { commit: checksum, key: signer.tuf_key().id() }.into()
            );
        }
    }
    let what = Signature::OstreeCommit { checksum: &checksum };
    for signer in &keys {
        let signature = signer.sign(&commit, &what, &locations.signing_log())?;
        let added = change.metadata.add_to_list(KIND.metadata_key(), &signature);
        added.map_err(SignersError::from).map_err(refused)?;
    }
    let trusted = keys.iter().map(|signer| signer.public_key().clone()).collect();
    let keys = Keys { trusted, revoked: Vec::new() };
    let signers = signers(&commit, &change.metadata, &keys).map_err(refused)?;
    change.write()?;
    Ok(SignedCommit { checksum, signers })
}

/// Writes the bytes of a commit, which are what is signed, to a file that may not exist: for signing
/// anywhere else.
pub fn write_request(repository: &Path, name: &str, file: &Path) -> Result<Checksum, Error> {
    let repository = Repository::open(repository)?;
    let checksum = repository.resolve(name)?;
    let (_, commit) = repository.commit(&checksum)?;
    files::create(file, &commit, Readable::ByAll)?;
    Ok(checksum)
}

/// Adds a signature that was made elsewhere over the bytes of a commit, by one of the public keys in the
/// file `keys`, after checking it. Everything else beside the commit stays.
pub fn attach_signature(
    repository: &Path,
    name: &str,
    keys: &Path,
    signature: &[u8],
) -> Result<SignedCommit, Error> {
    let repository = Repository::open(repository)?;
    let mut change = Change::begin(&repository, name)?;
    let checksum = change.checksum;
    let (_, commit) = repository.commit(&checksum)?;
    let made_it = |key: &PublicKey| key.verify(&commit, signature) == Ok(());
    let key = read_file(keys)?.into_iter().filter(|key| KIND.takes(key)).find(made_it);
    let key =
        key.ok_or_else(|| CommitError::Signature { commit: checksum, keys: keys.to_owned() })?;
    let refused = |source| CommitError::Signers { commit: checksum, source };
    if has_signed(&key, &commit, &change.metadata).map_err(refused)? {
        let key = TufKey::new(key).id();
        return Err(CommitError::SignedBefore { commit: checksum, key }.into());
    }
    let added = change.metadata.add_to_list(KIND.metadata_key(), signature);
    added.map_err(SignersError::from).map_err(refused)?;
    change.write()?;
    Ok(SignedCommit { checksum, signers: vec![key] })
}

fn open(
    locations: &Locations,
    places: &[KeyPlace],
    passphrases: &mut dyn Passphrases,
) -> Result<Vec<Signer>, Error> {
    if places.is_empty() {
        return open_or_own(locations, places, passphrases);
    }
    places.iter().map(|place| open_one(place, passphrases)).collect()
}

fn open_one(place: &KeyPlace, passphrases: &mut dyn Passphrases) -> Result<Signer, Error> {
    if let KeyPlace::File(path) = place
        && let Some(text) = files::read(path, MAX_KEY_FILE)?.map(Zeroizing::new)
        && !text.trim_ascii_start().starts_with(PEM)
    {
        let failed = |source| CommitError::SecretKey { path: path.clone(), source };
        return Ok(Signer::of_file(path.clone(), parse_secret_key(&text).map_err(failed)?));
    }
    Signer::open(place, passphrases)
}

fn require_ed25519(signer: &Signer) -> Result<(), CommitError> {
    let key = signer.public_key();
    if KIND.takes(key) {
        return Ok(());
    }
    Err(CommitError::KeyKind { key: signer.tuf_key().id(), found: key.algorithm() })
}

/// Whether a signature of the key is there: another would count for nothing more.
fn has_signed(
    key: &PublicKey,
    commit: &[u8],
    metadata: &DetachedMetadata,
) -> Result<bool, SignersError> {
    let signatures = metadata.list(KIND.metadata_key())?;
    Ok(signatures.iter().any(|signature| key.verify(commit, signature) == Ok(())))
}
