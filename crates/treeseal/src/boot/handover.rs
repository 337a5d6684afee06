use std::path::Path;

use treeseal_source::ostree::Deployment;
use treeseal_sys::TpmAddress;
use treeseal_trust::json::{self, Json, JsonError};
use treeseal_trust::schema::Node;
use treeseal_trust::{
    MAX_ENVELOPE_SIZE, MAX_ROOT_SIZE, SchemaError, Sequence, Sha256Digest, Statement, Stream,
    StreamError, Verified,
};

use super::{Attempt, Config};
use crate::Error;
use crate::files::{self, Readable};

/// What the booted system is told: files in `/run/treeseal`, which only the superuser can write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// What was started.
    pub started: Started,
    /// The bytes of its seal.
    pub seal: Vec<u8>,
    /// The bytes of the trust root that accepted it.
    pub root: Vec<u8>,
    /// The bytes of the freshness statement, where it was not accepted without.
    pub freshness: Option<Vec<u8>>,
}

/// What was started, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The stream.
    pub stream: Stream,
    /// The sequence.
    pub sequence: Sequence,
    /// SHA-256 of the statement.
    pub payload: Sha256Digest,
    /// The keys that vouch for it.
    pub signers: Vec<String>,
    /// What enforces that it is read as it was sealed.
    pub enforcement: String,
    /// What is known of its expiry: `in_force`, `unknown` or `expired`.
    pub expiry: String,
    /// Whether this boot cost a try.
    pub is_counted: bool,
    /// The directory of the store, or of the repository that the deployment is of.
    pub store: String,
    /// The directory of the deployment, from the top of its filesystem on.
    pub deployment: Option<String>,
    /// Where the filesystem with the boot state is mounted.
    pub state_filesystem: String,
    /// The directory of the boot state on it.
    pub state_directory: String,
    /// The TPM that keeps the floor as well.
    pub tpm: Option<String>,
}

/// What a system was told of its boot cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// It is not the strict JSON that is read here.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A field is missing, unknown, or of the wrong kind.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The name of the stream is malformed.
    #[error("/stream: {0}")]
    Stream(#[from] StreamError),
    /// The statement's digest is malformed.
    #[error("/payload is no SHA-256 in hex")]
    Payload,
}

const STARTED: &str = "boot.json";
const SEAL: &str = "seal.json";
const ROOT: &str = "root.json";
const FRESHNESS: &str = "fresh.json";

const STARTED_TYPE: &str = "treeseal:booted/v1";
const MAX_STARTED_SIZE: usize = 64 * 1024;
/// As many as roles and thresholds can ask for, and more.
pub(crate) const MAX_SIGNERS: usize = 1024;

impl Handover {
    /// What is to be said of a boot. `store` and `state_filesystem` are where the system will find them, and
    /// `store` is the repository where a deployment was started.
    pub fn new<T>(
        attempt: &Attempt<T>,
        config: &Config,
        enforcement: &str,
        (store, state_filesystem): (&str, &str),
    ) -> Self {
        let candidate = &attempt.candidate;
        let statement = &candidate.statement;
        let started = Started {
            stream: statement.stream.clone(),
            sequence: statement.sequence,
            payload: statement.payload_digest(),
            signers: signers(statement),
            enforcement: enforcement.to_owned(),
            expiry: statement.expiry().code().to_owned(),
            is_counted: candidate.is_counted,
            store: store.to_owned(),
            deployment: attempt.deployment.as_ref().map(directory_of),
            state_filesystem: state_filesystem.to_owned(),
            state_directory: config.state_directory.clone(),
            tpm: config.tpm.as_ref().map(address),
        };
        Self {
            started,
            seal: candidate.envelope.clone(),
            root: attempt.root.clone(),
            freshness: candidate.freshness.clone(),
        }
    }

    /// Writes it into a directory. `boot.json` comes last: where it is, the rest is too.
    pub fn write(&self, directory: &Path) -> Result<(), Error> {
        let write = |name: &str, bytes: &[u8]| {
            files::replace_locked(&directory.join(name), bytes, Readable::ByAll)
        };
        write(SEAL, &self.seal)?;
        write(ROOT, &self.root)?;
        if let Some(freshness) = &self.freshness {
            write(FRESHNESS, freshness)?;
        }
        write(STARTED, self.started.to_json().to_text().as_bytes())
    }

    /// Reads what [`write`](Self::write) wrote.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let read = |name: &str, limit| files::read(&directory.join(name), limit);
        let required = |name: &str, limit| {
            read(name, limit)?.ok_or_else(|| Error::missing(&directory.join(name)))
        };
        let path = directory.join(STARTED);
        let started = read(STARTED, MAX_STARTED_SIZE)?;
        let started = started.ok_or_else(|| Error::NotBooted { path: path.clone() })?;
        let started =
            Started::from_bytes(&started).map_err(|source| Error::Handover { path, source })?;
        Ok(Self {
            started,
            seal: required(SEAL, MAX_ENVELOPE_SIZE)?,
            root: required(ROOT, MAX_ROOT_SIZE)?,
            freshness: read(FRESHNESS, MAX_ENVELOPE_SIZE)?,
        })
    }
}

impl Started {
    fn from_bytes(bytes: &[u8]) -> Result<Self, HandoverError> {
        let mut fields = Node::top(json::parse(bytes, MAX_STARTED_SIZE)?).fields()?;
        fields.required("_type")?.constant(STARTED_TYPE)?;
        let payload = fields.required("payload")?.string()?;
        let signers = fields.required("signers")?.items(MAX_SIGNERS)?;
        let started = Self {
            stream: fields.required("stream")?.string()?.parse()?,
            sequence: Sequence::parse(fields.required("sequence")?)?,
            payload: payload.parse().map_err(|_| HandoverError::Payload)?,
            signers: signers.into_iter().map(Node::string).collect::<Result<_, _>>()?,
            enforcement: fields.required("enforcement")?.string()?,
            expiry: fields.required("expiry")?.string()?,
            is_counted: fields.required("counted")?.boolean()?,
            store: fields.required("store")?.string()?,
            deployment: fields.optional("deployment").map(Node::string).transpose()?,
            state_filesystem: fields.required("stateFilesystem")?.string()?,
            state_directory: fields.required("stateDirectory")?.string()?,
            tpm: fields.optional("tpm").map(Node::string).transpose()?,
        };
        fields.end()?;
        Ok(started)
    }

    fn to_json(&self) -> Json {
        let signers = self.signers.iter().map(|signer| signer.as_str().into()).collect();
        let mut fields = vec![
            ("_type", STARTED_TYPE.into()),
            ("stream", self.stream.as_str().into()),
            ("sequence", self.sequence.number().into()),
            ("payload", self.payload.to_hex().into()),
            ("signers", Json::Array(signers)),
            ("enforcement", self.enforcement.as_str().into()),
            ("expiry", self.expiry.as_str().into()),
            ("counted", Json::Bool(self.is_counted)),
            ("store", self.store.as_str().into()),
            ("stateFilesystem", self.state_filesystem.as_str().into()),
            ("stateDirectory", self.state_directory.as_str().into()),
        ];
        let deployment = self.deployment.as_ref();
        fields.extend(deployment.map(|deployment| ("deployment", deployment.as_str().into())));
        fields.extend(self.tpm.as_ref().map(|tpm| ("tpm", tpm.as_str().into())));
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Json::Object(fields.collect())
    }
}

fn directory_of(deployment: &Deployment) -> String {
    deployment.path().display().to_string()
}

/// The address of a TPM as it is given to commands.
fn address(tpm: &TpmAddress) -> String {
    match tpm {
        TpmAddress::Device(path) => path.display().to_string(),
        TpmAddress::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// The keys that vouch for a statement, as text.
pub(crate) fn signers(statement: &Verified<Statement>) -> Vec<String> {
    let keys = statement.signers().iter().flat_map(|role| role.key_ids().collect::<Vec<_>>());
    keys.map(|key| key.to_string()).collect()
}
