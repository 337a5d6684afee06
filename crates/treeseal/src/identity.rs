//! The machine's own key and pinned trust root, made on first use.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use treeseal_trust::{
    Extension, KeyFileRandom, KeyId, MAX_ROOT_SIZE, RoleName, RootContent, RootFile, Sequence,
    SigningKey, StreamPattern, StreamRule, Timestamp, TrustRoot, TufKey,
};

use crate::files::{self, Readable};
use crate::{Error, Locations};

/// How long a root that is made on first use holds: ten years.
const ROOT_LIFETIME: u64 = 10 * 365 * 24 * 3600;

/// Largest key or password file that is read, in bytes.
const MAX_KEY_FILE: usize = 16 * 1024;

/// What is needed to seal: the pinned root and the keys to sign with.
pub(crate) struct Identity {
    /// The pinned root.
    pub(crate) root: TrustRoot,
    /// The keys to sign with.
    pub(crate) keys: Vec<SigningKey>,
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
    /// The pinned root and the keys in `key_files`, or the machine's own key where none are named.
    /// `None` on first use: there is neither a root nor a key.
    pub(crate) fn load(
        locations: &Locations,
        key_files: &[PathBuf],
    ) -> Result<Option<Self>, Error> {
        let own = own_key_file(locations);
        let root = match pinned_root(locations) {
            // A key without a root would be trusted by nobody, and a root cannot be guessed: it was
            // lost, or was meant to come from elsewhere. So this is no first use.
            Err(Error::NoRoot { .. }) if key_files.is_empty() && !own.exists() => return Ok(None),
            root => root?,
        };
        let own = std::slice::from_ref(&own);
        let key_files = if key_files.is_empty() { own } else { key_files };
        let keys = key_files.iter().map(|path| load_key(path)).collect::<Result<_, _>>()?;
        Ok(Some(Self { root, keys, made: None }))
    }

    /// Makes a key, and pins a root that trusts it alone.
    pub(crate) fn make(locations: &Locations, now: Timestamp) -> Result<Self, Error> {
        let key_file = own_key_file(locations);
        let key = SigningKey::from_seed(&random()?);
        let password = hex(&random::<32>()?);
        let random = KeyFileRandom { salt: random()?, iv: random()? };
        let pem = key
            .to_encrypted_pem(password.as_bytes(), &random)
            .map_err(Error::key_file(&key_file))?;
        let root = own_root(&key, now)?;

        // The root last: with it the identity is there.
        files::replace(&password_file(&key_file), password.as_bytes(), Readable::ByOwner)?;
        files::replace(&key_file, pem.as_bytes(), Readable::ByOwner)?;
        files::replace(&locations.root, &root, Readable::ByAll)?;
        let root = pinned_root(locations)?;
        let made = NewIdentity { key: key.key_id(), key_file, root_file: locations.root.clone() };
        Ok(Self { root, keys: vec![key], made: Some(made) })
    }
}

/// The pinned trust root.
pub(crate) fn pinned_root(locations: &Locations) -> Result<TrustRoot, Error> {
    let path = &locations.root;
    refuse_root_in_store(locations)?;
    let bytes =
        files::read(path, MAX_ROOT_SIZE)?.ok_or_else(|| Error::NoRoot { path: path.clone() })?;
    TrustRoot::pinned(&bytes).map_err(|source| Error::Root { path: path.clone(), source })
}

/// A root that lies in the store could be changed by whoever can change the store.
fn refuse_root_in_store(locations: &Locations) -> Result<(), Error> {
    let real = |path: &Path| path.canonicalize().ok();
    match (real(&locations.root), real(&locations.store)) {
        (Some(root), Some(store)) if root.starts_with(&store) => {
            Err(Error::RootInStore { path: locations.root.clone(), store })
        }
        _ => Ok(()),
    }
}

/// Reads an encrypted private key. Its password is in the file beside it that ends in `.password`.
pub fn load_key(path: &Path) -> Result<SigningKey, Error> {
    let read = |path: &Path| {
        files::read(path, MAX_KEY_FILE)?.ok_or_else(|| Error::NoKey { path: path.to_owned() })
    };
    let pem = read(path)?;
    let password = read(&password_file(path))?;
    let pem = String::from_utf8_lossy(&pem);
    let password = password.strip_suffix(b"\n").unwrap_or(&password);
    SigningKey::from_encrypted_pem(&pem, password).map_err(Error::key_file(path))
}

fn own_key_file(locations: &Locations) -> PathBuf {
    locations.keys.join("own.pem")
}

fn password_file(key_file: &Path) -> PathBuf {
    key_file.with_extension("password")
}

/// A root with one key for everything: it may seal every stream from the first sequence on.
fn own_root(key: &SigningKey, now: Timestamp) -> Result<Vec<u8>, Error> {
    let key_of_all = [TufKey::new(*key.public_key())];
    let one = NonZeroU32::MIN;
    let expires = Timestamp::from_unix(now.to_unix() + ROOT_LIFETIME).unwrap_or(Timestamp::MAX);
    let mut content = RootContent::new(expires, (one, &key_of_all), (one, &key_of_all));
    let mut extension = Extension::default();
    let rule = StreamRule { role: RoleName::targets(), min_sequence: Sequence::FIRST };
    extension.streams.insert(StreamPattern::all(), rule);
    content.extension = Some(extension);
    let own = |source| Error::MakeRoot { source };
    let mut file = RootFile::new(content).map_err(own)?;
    file.sign(key).map_err(own)?;
    Ok(file.to_bytes())
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Random { source: error.into() })?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
