//! The machine's own key and pinned trust root, made on first use.

use std::num::NonZeroU32;
use std::path::PathBuf;

use treeseal_trust::{
    Extension, KeyAlgorithm, KeyId, PasswordOrigin, RoleName, RootContent, RootFile, Sequence,
    StreamPattern, StreamRule, Timestamp, TrustRoot,
};

use crate::files::{self, Readable};
use crate::keys::{self, KeyPlace, Passphrases, Signature, Signer, SigningLog};
use crate::root::pinned_root;
use crate::{Error, Locations};

/// How long a root that is made on first use holds, in seconds: ten years.
const ROOT_LIFETIME: u64 = 10 * 365 * 24 * 3600;

/// What is needed to seal: the pinned root and the keys to sign with.
pub(crate) struct Identity {
    /// The pinned root.
    pub(crate) root: TrustRoot,
    /// The keys to sign with.
    pub(crate) signers: Vec<Signer>,
    /// What was made, if this is the first use.
    pub(crate) made: Option<NewIdentity>,
}

/// A key and a root that were made on first use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIdentity {
    /// The key's id.
    pub key: KeyId,
    /// Where the encrypted key lies.
    pub key_file: PathBuf,
    /// Where the root lies that is pinned now.
    pub root_file: PathBuf,
}

impl Identity {
    /// The pinned root and the keys at `places`, or the machine's own key where none are named.
    /// `None` on first use: there is neither a root nor a key.
    pub(crate) fn load(
        locations: &Locations,
        places: &[KeyPlace],
        passphrases: &mut dyn Passphrases,
    ) -> Result<Option<Self>, Error> {
        let root = match pinned_root(locations) {
            // A key without a root would be trusted by nobody, and a root cannot be guessed: it was
            // lost, or was meant to come from elsewhere. So this is no first use.
            Err(Error::NoRoot { .. }) if places.is_empty() && !own_key_file(locations).exists() => {
                return Ok(None);
            }
            root => root?,
        };
        let signers = open_or_own(locations, places, passphrases)?;
        Ok(Some(Self { root, signers, made: None }))
    }

    /// Makes a key, and pins a root that trusts it alone.
    pub(crate) fn make(locations: &Locations, now: Timestamp) -> Result<Self, Error> {
        let key_file = own_key_file(locations);
        let key = keys::random_key(KeyAlgorithm::Ed25519)?;
        let password = hex(&keys::random::<32>()?);
        // The root last: with it the identity is there.
        let password_file = keys::password_file(&key_file);
        files::replace(&password_file, password.as_bytes(), Readable::ByOwner)?;
        let origin = PasswordOrigin::Generator;
        keys::write_key(&key_file, &key, (password.as_bytes(), origin), files::replace)?;
        let (id, root_file) = (key.key_id(), locations.root.clone());
        let signer = Signer::of_file(key_file.clone(), key);
        let root = own_root(&signer, now, &locations.signing_log())?;
        files::replace(&locations.root, &root, Readable::ByAll)?;
        let root = pinned_root(locations)?;
        let made = NewIdentity { key: id, key_file, root_file };
        Ok(Self { root, signers: vec![signer], made: Some(made) })
    }
}

/// Opens the keys at `places`, or the machine's own key where none are named.
pub(crate) fn open_or_own(
    locations: &Locations,
    places: &[KeyPlace],
    passphrases: &mut dyn Passphrases,
) -> Result<Vec<Signer>, Error> {
    let own = [KeyPlace::File(own_key_file(locations))];
    keys::open_all(if places.is_empty() { &own } else { places }, passphrases)
}

fn own_key_file(locations: &Locations) -> PathBuf {
    locations.keys.join("own.pem")
}

/// A root with one key for everything: it may seal every stream from the first sequence on.
fn own_root(signer: &Signer, now: Timestamp, log: &SigningLog) -> Result<Vec<u8>, Error> {
    let key = signer.tuf_key();
    let key_of_all = [key.clone()];
    let one = NonZeroU32::MIN;
    let expires = now.saturating_add(ROOT_LIFETIME);
    let mut content = RootContent::new(expires, (one, &key_of_all), (one, &key_of_all));
    let roles = vec![RoleName::targets()];
    let rule = StreamRule { roles, min_sequence: Sequence::FIRST, freshness: None };
    let mut extension = Extension::default();
    extension.streams.insert(StreamPattern::all(), rule);
    content.extension = Some(extension);
    let own = |source| Error::MakeRoot { source };
    let mut file = RootFile::new(content).map_err(own)?;
    let what = Signature::Root { version: file.content().version };
    let signature = signer.sign(&file.bytes_to_sign(), &what, log)?;
    file.attach(&key, signature).map_err(own)?;
    Ok(file.to_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
