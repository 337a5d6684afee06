//! What waits for signatures: a seal that was prepared, or the draft of a trust root.
//!
//! The file travels: from the machine that built to those that hold keys, and back. Each step changes
//! that one file, and only [`submit`] changes the store.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use treeseal_store::{Store, StoreError};
use treeseal_trust::json::{self, Json};
use treeseal_trust::{
    Envelope, KeyId, MAX_ENVELOPE_SIZE, PublicKey, RoleName, RootFile, Signers, Statement, Stream,
    ThresholdError, TrustRoot, TufKey,
};

use crate::files::{self, Readable};
use crate::identity::open_or_own;
use crate::keys::{KeyPlace, Passphrases, Signature, Signer};
use crate::root::{newest_root, pinned_root, trusted_root};
use crate::{Error, Locations, draft, memory, seal, sealed};

/// What waits for signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pending {
    Seal(Envelope, Box<Statement>),
    Root(Box<RootFile>),
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// A seal.
    Seal {
        /// Its stream.
        stream: Stream,
        /// Its sequence.
        sequence: u64,
    },
    /// That a seal is the newest of its stream.
    Freshness {
        /// The stream.
        stream: Stream,
        /// The sequence of the seal.
        sequence: u64,
    },
    /// A trust root.
    Root {
        /// Its version.
        version: u64,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seal { stream, sequence } => write!(f, "the seal {sequence} of `{stream}`"),
            Self::Freshness { stream, sequence } => {
                write!(f, "whether the seal {sequence} of `{stream}` is the newest")
            }
            Self::Root { version } => write!(f, "version {version} of the trust root"),
        }
    }
}

/// Who has signed, and who has still to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it is about.
    pub subject: Subject,
    /// Each role whose threshold must be met.
    pub roles: Vec<RoleStanding>,
    /// What people call the keys: in the present trust root or, for keys that it does not name, in
    /// the draft.
    pub names: BTreeMap<KeyId, String>,
}

/// How far a role is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleStanding {
    /// The role.
    pub role: RoleName,
    /// For a trust root, the version whose role it is: the present one, or the draft's own.
    pub root_version: Option<u64>,
    /// How many must sign.
    pub threshold: u32,
    /// The keys that signed.
    pub signed: Vec<KeyId>,
}

impl Standing {
    /// Whether all thresholds are met.
    pub fn is_complete(&self) -> bool {
        !self.roles.is_empty() && self.roles.iter().all(RoleStanding::is_met)
    }
}

impl RoleStanding {
    /// Whether enough have signed.
    pub fn is_met(&self) -> bool {
        usize::try_from(self.threshold).is_ok_and(|needed| self.signed.len() >= needed)
    }

    fn new(counted: Result<Signers, ThresholdError>, root_version: Option<u64>) -> Self {
        match counted {
            Ok(signers) => Self {
                role: signers.role().clone(),
                root_version,
                threshold: signers.threshold().get(),
                signed: signers.key_ids().collect(),
            },
            Err(error) => Self {
                role: error.role,
                root_version,
                threshold: error.required.get(),
                signed: error.found,
            },
        }
    }
}

/// The bytes that a key signs for this file, for signing anywhere else. What they are depends on the
/// key's algorithm.
pub fn request(path: &Path, key: &PublicKey) -> Result<Vec<u8>, Error> {
    let pending = Pending::read(path)?;
    Ok(key.bytes_to_sign(&pending.message()).into_owned())
}

/// Says who has signed a file, and who has still to.
pub fn standing(locations: &Locations, path: &Path) -> Result<Standing, Error> {
    Pending::read(path)?.standing(trusted_root(locations)?.as_ref())
}

/// Adds the signatures of the keys at `places`, or of the machine's own key.
///
/// A key that has no say in this is refused, and then the file stays as it is.
pub fn sign(
    locations: &Locations,
    path: &Path,
    places: &[KeyPlace],
    passphrases: &mut dyn Passphrases,
) -> Result<Standing, Error> {
    let mut pending = Pending::read(path)?;
    let root = trusted_root(locations)?;
    let signers = open_or_own(locations, places, passphrases)?;
    for signer in &signers {
        pending.require_say(root.as_ref(), &signer.tuf_key())?;
    }
    for signer in &signers {
        pending.sign(signer, locations)?;
    }
    let standing = pending.standing(root.as_ref())?;
    files::replace(path, &pending.to_bytes(), Readable::ByAll)?;
    Ok(standing)
}

/// Adds a signature that `key` made elsewhere over what [`request`] gave, after checking it.
pub fn attach(
    locations: &Locations,
    path: &Path,
    key: &PublicKey,
    signature: &[u8],
) -> Result<Standing, Error> {
    let mut pending = Pending::read(path)?;
    let root = trusted_root(locations)?;
    let key = TufKey::new(key.clone());
    pending.require_say(root.as_ref(), &key)?;
    pending.attach(&key, signature)?;
    let standing = pending.standing(root.as_ref())?;
    files::replace(path, &pending.to_bytes(), Readable::ByAll)?;
    Ok(standing)
}

/// Adds the signatures that another copy of the file has: holders of keys need not wait for each
/// other. Those that count for nothing are left out.
pub fn merge(locations: &Locations, path: &Path, copy: &Path) -> Result<Standing, Error> {
    let mut pending = Pending::read(path)?;
    let other = Pending::read(copy)?;
    if pending.message() != other.message() {
        return Err(Error::OtherCopy { path: path.to_owned(), copy: copy.to_owned() });
    }
    let root = trusted_root(locations)?;
    pending.adopt(&other, &pending.wanted_keys(root.as_ref())?)?;
    let standing = pending.standing(root.as_ref())?;
    files::replace(path, &pending.to_bytes(), Readable::ByAll)?;
    Ok(standing)
}

/// Puts a file that is signed by all who must into the store: a seal becomes the stream's current
/// one, a trust root the next of the chain.
pub fn submit(locations: &Locations, path: &Path) -> Result<Subject, Error> {
    let pending = Pending::read(path)?;
    let subject = pending.subject();
    let pinned = pinned_root(locations)?;
    match pending {
        Pending::Root(file) => submit_root(locations, pinned, path, &file)?,
        pending @ Pending::Seal(..) => submit_seal(locations, pinned, pending)?,
    }
    Ok(subject)
}

fn submit_root(
    locations: &Locations,
    pinned: TrustRoot,
    path: &Path,
    file: &RootFile,
) -> Result<(), Error> {
    let present = trusted_root(locations)?.unwrap_or_else(|| pinned.clone());
    if present.content() == file.content() && present.version() > pinned.version() {
        return memory::remember_root(locations, &present);
    }
    let bytes = file.to_bytes();
    let next = present.advance(&bytes).map_err(Error::root(path))?;
    draft::require_future(next.expires())?;
    // A trust root may be changed before anything was sealed under it.
    let store = Store::create_or_open(&locations.store)?;
    let mut writer = store.writer()?;
    // Again under the lock: somebody may have been faster.
    let next = newest_root(&store, pinned)?.advance(&bytes).map_err(Error::root(path))?;
    writer.put_root(next.version(), &bytes)?;
    memory::remember_root(locations, &next)
}

fn submit_seal(
    locations: &Locations,
    pinned: TrustRoot,
    mut pending: Pending,
) -> Result<(), Error> {
    let store = Store::open(&locations.store)?;
    let mut writer = store.writer()?;
    let root = newest_root(&store, pinned)?;
    let stored = pending.stored(&store)?;
    if let Some((_, copy)) = &stored {
        // What others attached to the copy in the store stays.
        pending.adopt(copy, &pending.wanted_keys(Some(&root))?)?;
    }
    let Pending::Seal(envelope, statement) = &pending else { return Ok(()) };
    let stream = &statement.stream;
    let state = memory::recall(locations)?.unwrap_or_default();
    let bytes = envelope.to_bytes();
    let accepted = seal::accept_own(locations, &bytes, &root, stream, &state, memory::now()?)?;
    // The pointer never goes back, so what is older than it would be stored for nothing.
    if let Some(current) = store.current(stream)?.filter(|current| *current > statement.sequence) {
        let (expected, found) = (current.number() + 1, statement.sequence.number());
        return Err(Error::Sequence { expected, found });
    }
    sealed::require_tree(&store, &accepted).map_err(|error| match error {
        Error::Store(source) => Error::TreeGone {
            stream: stream.clone(),
            sequence: accepted.sequence,
            source: Box::new(source),
        },
        other => other,
    })?;
    if let Some((present, _)) = &stored {
        writer.replace_seal(stream, accepted.sequence, present, &bytes)?;
    }
    seal::put_seal(locations, &mut writer, &root, envelope, &accepted)
}

impl Pending {
    /// Reads a file of either kind, which its fields tell apart.
    fn read(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Pending { path: path.to_owned(), source: Box::new(source) };
        let bytes = files::read(path, MAX_ENVELOPE_SIZE)?;
        let bytes = bytes.ok_or_else(|| Error::NoPending { path: path.to_owned() })?;
        let is_root = match json::parse(&bytes, MAX_ENVELOPE_SIZE) {
            Ok(Json::Object(fields)) => fields.contains_key("signed"),
            _ => false,
        };
        if is_root {
            let file = RootFile::parse(&bytes).map_err(Error::root(path))?;
            return Ok(Self::Root(Box::new(file)));
        }
        let envelope = Envelope::parse(&bytes).map_err(|error| failed(error.into()))?;
        let statement =
            Statement::parse(envelope.payload()).map_err(|error| failed(error.into()))?;
        Ok(Self::Seal(envelope, Box::new(statement)))
    }

    /// The copy of the same seal that the store has already: its bytes, and what they are.
    fn stored(&self, store: &Store) -> Result<Option<(Vec<u8>, Self)>, Error> {
        let Self::Seal(envelope, statement) = self else { return Ok(None) };
        let bytes = match store.seal(&statement.stream, statement.sequence) {
            Err(StoreError::NoSeal { .. }) => return Ok(None),
            bytes => bytes?,
        };
        let copy = Envelope::parse(&bytes).ok();
        let copy = copy.filter(|copy| copy.payload() == envelope.payload());
        Ok(copy.map(|copy| (bytes, Self::Seal(copy, statement.clone()))))
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Seal(envelope, _) => envelope.to_bytes(),
            Self::Root(file) => file.to_bytes(),
        }
    }

    /// What is signed, before a key's algorithm makes its own form of it.
    fn message(&self) -> Vec<u8> {
        match self {
            Self::Seal(envelope, _) => envelope.pae_bytes(),
            Self::Root(file) => file.bytes_to_sign(),
        }
    }

    fn subject(&self) -> Subject {
        match self {
            Self::Seal(_, statement) => Subject::Seal {
                stream: statement.stream.clone(),
                sequence: statement.sequence.number(),
            },
            Self::Root(file) => Subject::Root { version: file.content().version },
        }
    }

    fn attach(&mut self, key: &TufKey, signature: &[u8]) -> Result<(), Error> {
        match self {
            Self::Seal(envelope, _) => envelope.attach(key, signature).map_err(Error::Attach),
            Self::Root(file) => file.attach(key, signature.to_vec()).map_err(Error::AttachToRoot),
        }
    }

    /// Takes over the signatures of `other`, a copy of the same message, that are by one of `keys`.
    fn adopt(&mut self, other: &Self, keys: &[TufKey]) -> Result<(), Error> {
        let message = self.message();
        for key in keys {
            let is_by_key = |bytes: &&[u8]| key.public().verify(&message, bytes).is_ok();
            if let Some(signature) = other.signatures().into_iter().find(is_by_key) {
                self.attach(key, signature)?;
            }
        }
        Ok(())
    }

    fn signatures(&self) -> Vec<&[u8]> {
        match self {
            Self::Seal(envelope, _) => {
                envelope.signatures().iter().map(|signature| &signature.bytes[..]).collect()
            }
            Self::Root(file) => file.signatures().map(|(_, bytes)| bytes).collect(),
        }
    }

    fn sign(&mut self, signer: &Signer, locations: &Locations) -> Result<(), Error> {
        let what = match &*self {
            Self::Seal(_, statement) => {
                Signature::Seal { stream: &statement.stream, sequence: statement.sequence.number() }
            }
            Self::Root(file) => Signature::Root { version: file.content().version },
        };
        let signature = signer.sign(&self.message(), &what, &locations.signing_log())?;
        self.attach(&signer.tuf_key(), &signature)
    }

    /// Refuses a key whose signature would count for nothing.
    fn require_say(&self, root: Option<&TrustRoot>, key: &TufKey) -> Result<(), Error> {
        let wanted = self.wanted_keys(root)?;
        if wanted.iter().any(|wanted| wanted.public() == key.public()) {
            return Ok(());
        }
        Err(Error::NoSay { key: key.id(), what: self.subject() })
    }

    /// The keys whose signatures count.
    fn wanted_keys(&self, root: Option<&TrustRoot>) -> Result<Vec<TufKey>, Error> {
        match self {
            Self::Seal(_, statement) => {
                let root = root.ok_or(Error::NoRootToJudge)?;
                seal::sealing_keys(root, &statement.stream)
            }
            Self::Root(file) => {
                let present = root.filter(|root| root.version() < file.content().version);
                let contents = present.map(TrustRoot::content).into_iter().chain([file.content()]);
                let role = RoleName::root();
                Ok(contents.flat_map(|content| content.keys_of(&role)).cloned().collect())
            }
        }
    }

    fn standing(&self, root: Option<&TrustRoot>) -> Result<Standing, Error> {
        let roles = match self {
            Self::Seal(envelope, statement) => {
                let root = root.ok_or(Error::NoRootToJudge)?;
                let counted = root.sealers(&statement.stream, envelope).into_iter();
                counted.map(|counted| RoleStanding::new(counted, None)).collect()
            }
            Self::Root(file) => {
                let own = file.content();
                let present = root.filter(|root| root.version() < own.version);
                let judges = present.map(TrustRoot::content).into_iter().chain([own]);
                let judged = judges.map(|judge| {
                    RoleStanding::new(file.require_signers(judge), Some(judge.version))
                });
                judged.collect()
            }
        };
        Ok(Standing { subject: self.subject(), roles, names: self.names(root) })
    }

    /// A draft may call a key what it likes: the name of the present root goes first.
    fn names(&self, root: Option<&TrustRoot>) -> BTreeMap<KeyId, String> {
        let draft = match self {
            Self::Seal(..) => None,
            Self::Root(file) => Some(file.content()),
        };
        let contents = draft.into_iter().chain(root.map(TrustRoot::content));
        let extensions = contents.filter_map(|content| content.extension.as_ref());
        extensions.flat_map(|extension| extension.names.clone()).collect()
    }
}
