use core::num::NonZeroU32;
use std::collections::{BTreeMap, BTreeSet};

use crate::canonical;
use crate::envelope::{Envelope, MAX_SIGNATURE_SIZE, MAX_SIGNATURES};
use crate::extension::{Extension, StreamRule};
use crate::hex::{self, HexError};
use crate::json::{self, Json, JsonError, MAX_INTEGER};
use crate::key::{KeyError, KeyId, SignatureError, TufKey};
use crate::role::{Role, RoleName, RoleNameError};
use crate::schema::{Node, SchemaError, check_length};
use crate::signing::SigningKey;
use crate::statement::{ImageFormatError, StatementError};
use crate::stream::{Stream, StreamError, StreamPattern};
use crate::threshold::{
    Claim, RoleKeys, Signature, SignedMessage, Signers, ThresholdError, require_threshold,
};
use crate::time::{Timestamp, TimestampError};

/// Bytes of a `root.json`.
pub const MAX_ROOT_SIZE: usize = 256 * 1024;

/// Keys of a root, in all roles.
const MAX_KEYS: usize = 128;

/// Keys of one role. With [`MAX_SIGNATURES`] it bounds the work of counting.
const MAX_ROLE_KEYS: usize = 32;

/// A trust root that was verified: pinned, or reached from the pinned one step by step.
///
/// There is no other way to get one than [`TrustRoot::pinned`] and [`TrustRoot::advance`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRoot {
    content: RootContent,
    signers: Signers,
}

/// A `root.json` as it was read or is being made. Nothing in it is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootFile {
    content: RootContent,
    /// The signed part as it was read: what canonical JSON is made of.
    signed: Json,
    signatures: Vec<(KeyId, Vec<u8>)>,
}

/// What a trust root says.
///
/// The fields are plain data; [`RootFile::new`] checks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootContent {
    /// The version of TUF's specification: `1.` and one or two numbers.
    pub spec_version: String,
    /// The root's version, from 1 on.
    pub version: u64,
    /// From this second on the root is expired.
    pub expires: Timestamp,
    /// TUF's flag for the names of files on a server; means nothing here.
    pub consistent_snapshot: bool,
    /// All keys of all roles.
    pub keys: BTreeMap<KeyId, TufKey>,
    /// TUF's four roles: `root`, `snapshot`, `targets`, `timestamp`.
    pub roles: BTreeMap<RoleName, Role>,
    /// Who may seal what. Without it nobody may seal anything.
    pub extension: Option<Extension>,
}

/// A trust root is malformed, breaks a rule, or does not follow the one before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// The root is not the strict JSON that is read here.
    #[error("the trust root is malformed: {0}")]
    Json(#[from] JsonError),
    /// The root lacks a field, or has one that is unknown or of the wrong kind.
    #[error("the trust root is malformed: {0}")]
    Schema(#[from] SchemaError),
    /// The metadata is of another role.
    #[error("the file is TUF metadata of type `{found}`, expected `root`")]
    Type {
        /// The type that it names.
        found: String,
    },
    /// A version of TUF that is not known here.
    #[error("the trust root is for version `{found}` of TUF, expected 1.x")]
    SpecVersion {
        /// The version that it names.
        found: String,
    },
    /// The expiry is malformed.
    #[error("the trust root's expiry: {0}")]
    Timestamp(#[from] TimestampError),
    /// A key cannot be used.
    #[error("the trust root's key {id}: {source}")]
    Key {
        /// The id under which it is listed.
        id: String,
        /// What is wrong.
        source: KeyError,
    },
    /// A key's id is not the hash of the key.
    #[error("the trust root lists the key {expected} under the id {found}")]
    KeyId {
        /// The key's id.
        expected: KeyId,
        /// The id under which it is listed.
        found: String,
    },
    /// Two ids stand for the same key.
    #[error("the trust root lists one key under two ids, {first} and {second}")]
    SameKey {
        /// The one.
        first: KeyId,
        /// The other.
        second: KeyId,
    },
    /// A key id, a signature or a digest is not lower-case hex of the right length.
    #[error("the trust root has a malformed digest, key id or signature: {0}")]
    Hex(#[from] HexError),
    /// A list names something twice.
    #[error("{path} repeats an earlier entry of its list")]
    Repeated {
        /// Where.
        path: String,
    },
    /// A role's name is malformed.
    #[error(transparent)]
    RoleName(#[from] RoleNameError),
    /// TUF's roles are not the four that they must be.
    #[error("the trust root's roles must be root, snapshot, targets and timestamp; found {found}")]
    Roles {
        /// The roles that are there.
        found: String,
    },
    /// An added role has the name of one of TUF's.
    #[error("x-treeseal cannot define the role `{role}`: TUF does; choose another name")]
    RoleReserved {
        /// The name.
        role: RoleName,
    },
    /// A role lists a key that the root does not have.
    #[error("the role `{role}` lists the key {key}, which the trust root does not have")]
    UnknownKey {
        /// The role.
        role: RoleName,
        /// The key.
        key: KeyId,
    },
    /// A role has fewer keys than must sign.
    #[error("the role `{role}` needs {threshold} signers but has {keys} keys: nobody can meet it")]
    Unreachable {
        /// The role.
        role: RoleName,
        /// How many must sign.
        threshold: NonZeroU32,
        /// How many keys there are.
        keys: usize,
    },
    /// A pattern of streams is malformed.
    #[error("the trust root's streams: {0}")]
    Stream(#[from] StreamError),
    /// A stream is given to a role that cannot seal or does not exist.
    #[error(
        "the streams `{pattern}` are given to the role `{role}`; expected `targets` or a role \
         defined in x-treeseal"
    )]
    StreamRole {
        /// The streams.
        pattern: StreamPattern,
        /// The role.
        role: RoleName,
    },
    /// Two roles that must both sign have a key in common: its one signature would count twice.
    #[error("the roles of the streams `{pattern}` share the key {key}: give them different keys")]
    SharedKey {
        /// The streams.
        pattern: StreamPattern,
        /// The key.
        key: KeyId,
    },
    /// Who is to say what is fresh does not exist, or also seals.
    #[error(
        "the freshness of the streams `{pattern}` is given to the role `{role}`; expected \
         `timestamp` or a role defined in x-treeseal that seals no stream"
    )]
    FreshnessRole {
        /// The streams.
        pattern: StreamPattern,
        /// The role.
        role: RoleName,
    },
    /// A name for a key that the root does not have.
    #[error("the name `{name}` is given to the key {key}, which the trust root does not have")]
    NamedKey {
        /// The key.
        key: KeyId,
        /// The name.
        name: String,
    },
    /// A key's name is empty, too long, or has control characters.
    #[error("the name of the key {key} must have 1 to 64 characters and no control characters")]
    KeyName {
        /// The key.
        key: KeyId,
    },
    /// An algorithm of file digests that is not known here.
    #[error("the trust root's algorithms: {0}")]
    Algorithm(#[source] StatementError),
    /// A format of images that is not known here.
    #[error("the trust root's formats: {0}")]
    Format(#[from] ImageFormatError),
    /// Neither `warn` nor `refuse`.
    #[error("the trust root's atBoot is `{found}`, expected `warn` or `refuse`")]
    AtBoot {
        /// What it is.
        found: String,
    },
    /// A pinned root that its own root keys did not sign.
    #[error("the pinned trust root does not meet its own threshold: {0}")]
    Pinned(#[source] ThresholdError),
    /// The next root is not signed as the present one demands.
    #[error("the present trust root does not accept version {version}: {source}")]
    OldThreshold {
        /// The next root's version.
        version: u64,
        /// Who signed.
        source: ThresholdError,
    },
    /// The next root is not signed as it demands itself.
    #[error("version {version} of the trust root does not meet its own threshold: {source}")]
    NewThreshold {
        /// The next root's version.
        version: u64,
        /// Who signed.
        source: ThresholdError,
    },
    /// The next root does not have the next version.
    #[error(
        "version {expected} of the trust root must come next, found version {found}: give every \
         version in order"
    )]
    Version {
        /// The version that must come.
        expected: u64,
        /// The version that came.
        found: u64,
    },
    /// The signature to be added is not by the key over this root.
    #[error(
        "the signature to attach is not by this key over this trust root: sign exactly the bytes \
         of the signing request ({0})"
    )]
    Attach(#[source] SignatureError),
}

impl RootError {
    /// A stable name of the class of refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json(error) => error.code(),
            Self::Schema(error) => error.code(),
            Self::Type { .. } => "root_type",
            Self::SpecVersion { .. } => "root_spec_version",
            Self::Timestamp(_) => "time_malformed",
            Self::Key { source, .. } => source.code(),
            Self::KeyId { .. } => "key_id_mismatch",
            Self::SameKey { .. } => "key_under_two_ids",
            Self::Hex(_) => "hex_malformed",
            Self::Repeated { .. } => "repeated",
            Self::RoleName(_) => "role_name",
            Self::Roles { .. } => "role_set",
            Self::RoleReserved { .. } => "role_reserved",
            Self::UnknownKey { .. } => "role_key_unknown",
            Self::Unreachable { .. } => "threshold_unreachable",
            Self::Stream(_) => "stream_name",
            Self::StreamRole { .. } => "stream_role",
            Self::SharedKey { .. } => "roles_share_key",
            Self::FreshnessRole { .. } => "freshness_role",
            Self::NamedKey { .. } => "role_key_unknown",
            Self::KeyName { .. } => "key_name",
            Self::Algorithm(error) => error.code(),
            Self::Format(_) => "image_format_unknown",
            Self::AtBoot { .. } => "at_boot_unknown",
            Self::Pinned(_) => "threshold",
            Self::OldThreshold { .. } => "old_threshold",
            Self::NewThreshold { .. } => "new_threshold",
            Self::Version { .. } => "root_version",
            Self::Attach(_) => "signature",
        }
    }
}

impl TrustRoot {
    /// The root that a machine starts from.
    ///
    /// That it may be trusted is the caller's knowledge: the bytes come from an authenticated
    /// place, such as the initramfs. The check of its own threshold only finds mistakes.
    pub fn pinned(bytes: &[u8]) -> Result<Self, RootError> {
        let file = RootFile::parse(bytes)?;
        let signers = file.require_signers(&file.content).map_err(RootError::Pinned)?;
        Ok(Self { content: file.content, signers })
    }

    /// The next root, if this one and the next one itself both accept it.
    ///
    /// Expiry is not looked at: an expired root can be followed, as TUF wants it. Of the last
    /// one, [`verify_seal`](crate::verify_seal) judges the expiry.
    pub fn advance(&self, next: &[u8]) -> Result<Self, RootError> {
        let file = RootFile::parse(next)?;
        let version = file.content.version;
        // TUF 5.3.4: "Version N+1 of the root metadata file MUST have been signed by: (1) a
        // threshold of keys specified in the trusted root metadata file (version N), ...
        let signed = file.signed_message();
        require_threshold(&self.content.root_keys(), &signed)
            .map_err(|source| RootError::OldThreshold { version, source })?;
        // ... and (2) a threshold of keys specified in the new root metadata file being validated
        // (version N+1)."
        let signers = require_threshold(&file.content.root_keys(), &signed)
            .map_err(|source| RootError::NewThreshold { version, source })?;
        // TUF 5.3.5: "The version number of the new root metadata (version N+1) MUST be exactly the
        // version in the trusted root metadata (version N) incremented by one".
        let expected = self.content.version + 1;
        if version != expected {
            return Err(RootError::Version { expected, found: version });
        }
        Ok(Self { content: file.content, signers })
    }

    /// What the root says.
    pub const fn content(&self) -> &RootContent {
        &self.content
    }

    /// The root's version.
    pub const fn version(&self) -> u64 {
        self.content.version
    }

    /// From this second on the root is expired.
    pub const fn expires(&self) -> Timestamp {
        self.content.expires
    }

    /// Who signed the root, of its own root role.
    pub const fn signers(&self) -> &Signers {
        &self.signers
    }

    /// Who may seal `stream`, and from which sequence on, with the extension that says so; nobody
    /// if there is no rule for it.
    pub fn stream_rule(&self, stream: &Stream) -> Option<(&Extension, &StreamRule)> {
        let extension = self.content.extension.as_ref()?;
        Some((extension, extension.rule(stream)?))
    }

    /// What people call a key, if the root says so.
    pub fn key_name(&self, key: &KeyId) -> Option<&str> {
        self.content.extension.as_ref()?.names.get(key).map(String::as_str)
    }

    /// Who signed an envelope, for each role that seals `stream`; an error in the place of a role
    /// whose threshold is not met. Nobody, if there is no rule for the stream.
    ///
    /// It says who has still to sign, and vouches for nothing.
    pub fn sealers(
        &self,
        stream: &Stream,
        envelope: &Envelope,
    ) -> Vec<Result<Signers, ThresholdError>> {
        let roles = self.stream_rule(stream).map_or(&[][..], |(_, rule)| &rule.roles);
        let signed = envelope.signed_message();
        let keys = roles.iter().filter_map(|name| self.role_keys(name));
        keys.map(|role| require_threshold(&role, &signed)).collect()
    }

    /// The role by this name, with its keys.
    pub(crate) fn role_keys(&self, name: &RoleName) -> Option<RoleKeys> {
        self.content.role_keys(name)
    }
}

impl RootFile {
    /// A root that nobody has signed yet.
    pub fn new(content: RootContent) -> Result<Self, RootError> {
        content.check()?;
        let signed = content.to_json();
        Ok(Self { content, signed, signatures: Vec::new() })
    }

    /// Reads a `root.json`, strictly: whatever is not in the format is refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, RootError> {
        let mut fields = Node::top(json::parse(bytes, MAX_ROOT_SIZE)?).fields()?;
        let signatures = parse_signatures(fields.required("signatures")?)?;
        let signed = fields.required("signed")?;
        fields.end()?;
        let json = signed.json().clone();
        let content = RootContent::parse(signed)?;
        content.check()?;
        Ok(Self { content, signed: json, signatures })
    }

    /// The file as compact JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        let signature = |(id, bytes): &(KeyId, Vec<u8>)| {
            Json::object([("keyid", id.to_string().into()), ("sig", hex::encode(bytes).into())])
        };
        let file = Json::object([
            ("signatures", Json::Array(self.signatures.iter().map(signature).collect())),
            ("signed", self.signed.clone()),
        ]);
        file.to_text().into_bytes()
    }

    /// The bytes that are signed: the canonical JSON of the signed part.
    pub fn bytes_to_sign(&self) -> Vec<u8> {
        canonical::to_bytes(&self.signed)
    }

    /// What the root says, which nobody vouches for yet.
    pub const fn content(&self) -> &RootContent {
        &self.content
    }

    /// The ids that the signatures claim.
    pub fn claimed_signers(&self) -> impl Iterator<Item = KeyId> {
        self.signatures.iter().map(|(id, _)| *id)
    }

    /// The signatures as they were found, each with the id that it claims.
    pub fn signatures(&self) -> impl Iterator<Item = (KeyId, &[u8])> {
        self.signatures.iter().map(|(id, bytes)| (*id, &bytes[..]))
    }

    /// Signs with `key`, unless its signature is there already.
    ///
    /// The root before this one must accept it too: sign with enough of the old keys as well.
    pub fn sign(&mut self, key: &SigningKey) -> Result<(), RootError> {
        let signature = key.sign(&self.bytes_to_sign());
        self.attach(&TufKey::new(key.public_key().clone()), signature)
    }

    /// Adds a signature that `key` made elsewhere over [`RootFile::bytes_to_sign`], after checking
    /// it; it takes the place of one that claims the same key.
    pub fn attach(&mut self, key: &TufKey, signature: Vec<u8>) -> Result<(), RootError> {
        key.public().verify(&self.bytes_to_sign(), &signature).map_err(RootError::Attach)?;
        let id = key.id();
        self.signatures.retain(|(other, _)| *other != id);
        check_length("/signatures", 0, MAX_SIGNATURES, self.signatures.len() + 1)?;
        self.signatures.push((id, signature));
        Ok(())
    }

    /// Who signed, of the root role of `judge`; an error while they do not meet its threshold.
    pub fn require_signers(&self, judge: &RootContent) -> Result<Signers, ThresholdError> {
        require_threshold(&judge.root_keys(), &self.signed_message())
    }

    /// The file for counting.
    fn signed_message(&self) -> SignedMessage {
        let signature = |(id, bytes): &(KeyId, Vec<u8>)| Signature {
            claim: Claim::Key(*id),
            bytes: bytes.clone(),
        };
        let signatures = self.signatures.iter().map(signature).collect();
        SignedMessage::new(self.bytes_to_sign(), signatures)
    }
}

impl RootContent {
    /// A root of version 1 with these root and release keys, and no streams.
    ///
    /// TUF's other two roles are given to the root keys, so that no other key gets any authority.
    pub fn new(
        expires: Timestamp,
        root: (NonZeroU32, &[TufKey]),
        targets: (NonZeroU32, &[TufKey]),
    ) -> Self {
        let mut content = Self {
            spec_version: "1.0.31".to_owned(),
            version: 1,
            expires,
            consistent_snapshot: true,
            keys: BTreeMap::new(),
            roles: BTreeMap::new(),
            extension: None,
        };
        for name in [RoleName::root(), RoleName::snapshot(), RoleName::timestamp()] {
            content.set_role(name, root.0, root.1);
        }
        content.set_role(RoleName::targets(), targets.0, targets.1);
        content
    }

    /// Gives a role to these keys and to no others. Roles that TUF does not have go into the
    /// extension.
    pub fn set_role(&mut self, name: RoleName, threshold: NonZeroU32, keys: &[TufKey]) {
        self.keys.extend(keys.iter().map(|key| (key.id(), key.clone())));
        let role = Role { key_ids: keys.iter().map(TufKey::id).collect(), threshold };
        if name.is_tuf() {
            self.roles.insert(name, role);
        } else {
            self.extension.get_or_insert_default().roles.insert(name, role);
        }
        self.drop_unused_keys();
    }

    /// The role by this name.
    pub fn role(&self, name: &RoleName) -> Option<&Role> {
        self.all_roles().find(|(other, _)| *other == name).map(|(_, role)| role)
    }

    /// All roles: TUF's four, then those of the extension.
    pub fn all_roles(&self) -> impl Iterator<Item = (&RoleName, &Role)> {
        let added = self.extension.iter().flat_map(|extension| &extension.roles);
        self.roles.iter().chain(added)
    }

    /// The keys of a role; none if there is no such role.
    pub fn keys_of(&self, name: &RoleName) -> impl Iterator<Item = &TufKey> {
        let ids = self.role(name).into_iter().flat_map(|role| &role.key_ids);
        ids.filter_map(|id| self.keys.get(id))
    }

    pub(crate) fn drop_unused_keys(&mut self) {
        let used: BTreeSet<KeyId> =
            self.all_roles().flat_map(|(_, role)| role.key_ids.iter().copied()).collect();
        self.keys.retain(|id, _| used.contains(id));
        if let Some(extension) = &mut self.extension {
            extension.keep_names(|key| used.contains(key));
        }
    }

    fn parse(node: Node) -> Result<Self, RootError> {
        let mut fields = node.fields()?;
        let found = fields.required("_type")?.string()?;
        if found != RoleName::root().as_str() {
            return Err(RootError::Type { found });
        }
        let content = Self {
            spec_version: fields.required("spec_version")?.string()?,
            version: fields.required("version")?.integer(1, MAX_INTEGER)?,
            expires: fields.required("expires")?.string()?.parse()?,
            consistent_snapshot: fields.required("consistent_snapshot")?.boolean()?,
            keys: parse_keys(fields.required("keys")?)?,
            roles: parse_roles(fields.required("roles")?, RoleName::TUF.len())?,
            extension: fields.optional("x-treeseal").map(Extension::parse).transpose()?,
        };
        fields.end()?;
        Ok(content)
    }

    /// The rules that bind fields to each other, and those that the fields' types do not express.
    fn check(&self) -> Result<(), RootError> {
        if !is_spec_version(&self.spec_version) {
            return Err(RootError::SpecVersion { found: self.spec_version.clone() });
        }
        if !(1..=MAX_INTEGER).contains(&self.version) {
            let (path, found) = ("/signed/version".to_owned(), self.version.into());
            return Err(SchemaError::Range { path, min: 1, max: MAX_INTEGER, found }.into());
        }
        self.check_keys()?;
        if !self.roles.keys().map(RoleName::as_str).eq(RoleName::TUF) {
            let found: Vec<&str> = self.roles.keys().map(RoleName::as_str).collect();
            return Err(RootError::Roles { found: found.join(", ") });
        }
        for (name, role) in self.all_roles() {
            self.check_role(name, role)?;
        }
        self.extension.as_ref().map_or(Ok(()), |extension| extension.check(self))
    }

    fn check_keys(&self) -> Result<(), RootError> {
        check_length("/signed/keys", 0, MAX_KEYS, self.keys.len())?;
        for (index, (found, key)) in self.keys.iter().enumerate() {
            if *found != key.id() {
                return Err(RootError::KeyId { expected: key.id(), found: found.to_string() });
            }
            // Other TUF software counts ids. With one id for a key, it counts as we do.
            let same = |(_, other): &(&KeyId, &TufKey)| other.public() == key.public();
            if let Some((first, _)) = self.keys.iter().take(index).find(same) {
                return Err(RootError::SameKey { first: *first, second: *found });
            }
        }
        Ok(())
    }

    fn check_role(&self, name: &RoleName, role: &Role) -> Result<(), RootError> {
        let path = format!("/signed/roles/{name}/keyids");
        check_length(&path, 1, MAX_ROLE_KEYS, role.key_ids.len())?;
        let mut distinct = BTreeSet::new();
        for (index, key) in role.key_ids.iter().enumerate() {
            if !distinct.insert(key) {
                return Err(RootError::Repeated { path: format!("{path}/{index}") });
            }
        }
        if let Some(key) = role.key_ids.iter().find(|key| !self.keys.contains_key(key)) {
            return Err(RootError::UnknownKey { role: name.clone(), key: *key });
        }
        let (threshold, keys) = (role.threshold, distinct.len());
        match usize::try_from(threshold.get()) {
            Ok(needed) if needed <= keys => Ok(()),
            _ => Err(RootError::Unreachable { role: name.clone(), threshold, keys }),
        }
    }

    /// Refuses a key that is in two of these roles, under whichever id.
    pub(crate) fn check_disjoint(
        &self,
        pattern: &StreamPattern,
        roles: &[RoleName],
    ) -> Result<(), RootError> {
        let mut counted: Vec<TufKey> = Vec::new();
        for role in roles.iter().filter_map(|name| self.role_keys(name)) {
            let shared = |key: &&TufKey| counted.iter().any(|other| other.public() == key.public());
            if let Some(key) = role.keys.iter().find(shared) {
                return Err(RootError::SharedKey { pattern: pattern.clone(), key: key.id() });
            }
            counted.extend(role.keys);
        }
        Ok(())
    }

    fn role_keys(&self, name: &RoleName) -> Option<RoleKeys> {
        let threshold = self.role(name)?.threshold;
        Some(RoleKeys {
            name: name.clone(),
            keys: self.keys_of(name).cloned().collect(),
            threshold,
        })
    }

    /// The root role. `check` has made sure that it is there; were it not, no key would be in it
    /// and nothing could meet it.
    fn root_keys(&self) -> RoleKeys {
        let name = RoleName::root();
        self.role_keys(&name).unwrap_or(RoleKeys::unreachable(name))
    }

    fn to_json(&self) -> Json {
        let keys = self.keys.iter().map(|(id, key)| (id.to_string(), key.to_json()));
        let mut fields = BTreeMap::new();
        let mut add = |name: &str, value| fields.insert(name.to_owned(), value);
        add("_type", RoleName::root().as_str().into());
        add("spec_version", self.spec_version.as_str().into());
        add("version", self.version.into());
        add("expires", self.expires.to_string().into());
        add("consistent_snapshot", Json::Bool(self.consistent_snapshot));
        add("keys", Json::Object(keys.collect()));
        add("roles", roles_to_json(&self.roles));
        if let Some(extension) = &self.extension {
            add("x-treeseal", extension.to_json());
        }
        Json::Object(fields)
    }
}

/// `1.x` or `1.x.y`.
fn is_spec_version(text: &str) -> bool {
    let number = |part: &str| {
        (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut parts = text.split('.');
    parts.next() == Some("1") && (1..=2).contains(&parts.clone().count()) && parts.all(number)
}

fn parse_signatures(node: Node) -> Result<Vec<(KeyId, Vec<u8>)>, RootError> {
    let mut signatures: Vec<(KeyId, Vec<u8>)> = Vec::new();
    for node in node.items(MAX_SIGNATURES)? {
        let path = node.path.clone();
        let mut fields = node.fields()?;
        let id: KeyId = fields.required("keyid")?.string()?.parse()?;
        let bytes = hex::decode(&fields.required("sig")?.string()?)?;
        fields.end()?;
        check_length(&format!("{path}/sig"), 1, MAX_SIGNATURE_SIZE, bytes.len())?;
        if signatures.iter().any(|(other, _)| *other == id) {
            return Err(RootError::Repeated { path });
        }
        signatures.push((id, bytes));
    }
    Ok(signatures)
}

fn parse_keys(node: Node) -> Result<BTreeMap<KeyId, TufKey>, RootError> {
    let mut keys = BTreeMap::new();
    for (id, node) in node.fields()?.entries(MAX_KEYS)? {
        let key = match TufKey::from_json(node) {
            Ok(key) => key,
            Err(source) => return Err(RootError::Key { id, source }),
        };
        // Whether it is the key's id is checked with the rest.
        match id.parse() {
            Ok(id) => keys.insert(id, key),
            Err(_) => return Err(RootError::KeyId { expected: key.id(), found: id }),
        };
    }
    Ok(keys)
}

pub(crate) fn parse_roles(node: Node, max: usize) -> Result<BTreeMap<RoleName, Role>, RootError> {
    let entry = |(name, node): (String, Node)| Ok((name.parse()?, parse_role(node)?));
    node.fields()?.entries(max)?.into_iter().map(entry).collect()
}

fn parse_role(node: Node) -> Result<Role, RootError> {
    let mut fields = node.fields()?;
    let ids = fields.required("keyids")?.items(MAX_ROLE_KEYS)?;
    let ids = ids.into_iter().map(|node| Ok(node.string()?.parse()?));
    let key_ids = ids.collect::<Result<_, RootError>>()?;
    let threshold = fields.required("threshold")?;
    let path = threshold.path.clone();
    let number = threshold.integer(1, MAX_INTEGER)?;
    fields.end()?;
    let threshold = u32::try_from(number).ok().and_then(NonZeroU32::new);
    let max = u64::from(u32::MAX);
    let range = SchemaError::Range { path, min: 1, max, found: number.into() };
    Ok(Role { key_ids, threshold: threshold.ok_or(range)? })
}

pub(crate) fn roles_to_json(roles: &BTreeMap<RoleName, Role>) -> Json {
    let role = |role: &Role| {
        let key_ids = role.key_ids.iter().map(|id| id.to_string().into()).collect();
        Json::object([
            ("keyids", Json::Array(key_ids)),
            ("threshold", u64::from(role.threshold.get()).into()),
        ])
    };
    Json::Object(roles.iter().map(|(name, entry)| (name.to_string(), role(entry))).collect())
}
