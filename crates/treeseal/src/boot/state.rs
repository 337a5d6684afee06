use std::path::{Path, PathBuf};

use treeseal_sys::{DurableDir, DurableOptions};
use treeseal_trust::json::{self, Json, JsonError};
use treeseal_trust::schema::Node;
use treeseal_trust::{
    MAX_STATE_SIZE, RollbackState, SchemaError, Sequence, Sha256Digest, Statement, Stream,
    TrustRoot, Verified,
};

use crate::{Error, files};

/// What is kept from boot to boot: the floors, and how often trees were tried.
///
/// It lies in a directory outside of the store. What is missing there was never written, or was
/// removed; what is damaged is an error.
#[derive(Debug)]
pub struct BootState {
    directory: DurableDir,
    temporary: DurableDir,
    floors: RollbackState,
    attempts: Attempts,
}

/// How often trees were tried that are not marked good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts(Vec<Tried>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tried {
    /// For people.
    sequence: Sequence,
    payload: Sha256Digest,
    tries: u32,
}

/// The file of the tries cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TriesError {
    /// It is not the strict JSON that is read here.
    #[error("the tries are malformed: {0}")]
    Json(#[from] JsonError),
    /// A field is missing, unknown, or of the wrong kind.
    #[error("the tries are malformed: {0}")]
    Schema(#[from] SchemaError),
    /// A payload's digest is malformed.
    #[error("the tries are malformed: {path} is no SHA-256 in hex")]
    Digest {
        /// The field.
        path: String,
    },
}

const FLOORS: &str = "floors.json";
const TRIES: &str = "tries.json";
const TEMPORARY: &str = "tmp";

const TRIES_TYPE: &str = "treeseal:boot-tries/v1";

/// Trees that are counted at a time: those that one boot looks at.
pub(super) const MAX_ATTEMPTS: usize = 64;

/// Bytes of the tries. One takes up to 150.
const MAX_TRIES_SIZE: usize = 16 * 1024;

impl BootState {
    /// Opens the state in `directory` below `filesystem`, through no symlink. The directory is made if
    /// need be, and its name durable.
    pub fn open(filesystem: &Path, directory: &str) -> Result<Self, Error> {
        Self::open_with(filesystem, directory, DurableOptions::default())
    }

    pub(super) fn open_with(
        filesystem: &Path,
        directory: &str,
        options: DurableOptions,
    ) -> Result<Self, Error> {
        let mut opened = DurableDir::open(filesystem, options)?;
        for name in directory.split('/') {
            opened = make_durable(&opened, name)?;
        }
        let temporary = make_durable(&opened, TEMPORARY)?;
        let floors = read_floors(&opened)?;
        let attempts = read_attempts(&opened)?;
        Ok(Self { directory: opened, temporary, floors, attempts })
    }

    /// What was marked good: nothing older is accepted.
    pub const fn floors(&self) -> &RollbackState {
        &self.floors
    }

    /// How often trees were tried since.
    pub const fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// A directory beside the state, through no symlink, for what the system keeps from boot to boot.
    pub fn directory_for(&self, name: &str) -> Result<PathBuf, Error> {
        make_durable(&self.directory, name).map(|directory| directory.path().to_owned())
    }

    /// Whether this is what was marked good last.
    pub fn is_good(&self, stream: &Stream, sequence: Sequence, payload: Sha256Digest) -> bool {
        let floor = self.floors.floor(stream);
        floor.is_some_and(|floor| floor.sequence == sequence && floor.payload == Some(payload))
    }

    /// Counts a try, durably. Of other trees those in `known` stay counted.
    pub(super) fn count(
        &mut self,
        statement: &Verified<Statement>,
        known: &[Sha256Digest],
    ) -> Result<(), Error> {
        let counted = self.attempts.counted(statement, known);
        self.write(TRIES, &counted.to_bytes())?;
        self.attempts = counted;
        Ok(())
    }

    /// Raises the floors to a tree that is marked good, durably.
    pub(super) fn raise(
        &mut self,
        root: &TrustRoot,
        statement: &Verified<Statement>,
    ) -> Result<(), Error> {
        let mut raised = self.floors.clone();
        raised.raise_root(root);
        raised.raise(statement);
        if raised != self.floors {
            self.write(FLOORS, &raised.to_bytes())?;
            self.floors = raised;
        }
        Ok(())
    }

    /// Writes a file in the place of one that may be there. What a power cut left is removed first.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.temporary.empty()?;
        Ok(self.directory.write_file(name, bytes, &self.temporary)?)
    }
}

/// Opens a directory, which is made if need be.
///
/// Its name is made durable in any case: it may be left of a boot that was cut short, and state below
/// a name that is lost would be missing.
fn make_durable(parent: &DurableDir, name: &str) -> Result<DurableDir, Error> {
    parent.ensure_dir(name)?;
    parent.sync()?;
    Ok(parent.open_dir(name)?)
}

fn read_floors(directory: &DurableDir) -> Result<RollbackState, Error> {
    let Some((path, bytes)) = read(directory, FLOORS, MAX_STATE_SIZE)? else {
        return Ok(RollbackState::default());
    };
    RollbackState::from_bytes(&bytes).map_err(|source| Error::State { path, source })
}

fn read_attempts(directory: &DurableDir) -> Result<Attempts, Error> {
    let Some((path, bytes)) = read(directory, TRIES, MAX_TRIES_SIZE)? else {
        return Ok(Attempts::default());
    };
    Attempts::from_bytes(&bytes).map_err(|source| Error::Tries { path, source })
}

fn read(
    directory: &DurableDir,
    name: &str,
    limit: usize,
) -> Result<Option<(PathBuf, Vec<u8>)>, Error> {
    let (file, _) = match directory.open_file(name) {
        Err(error) if error.is_missing() => return Ok(None),
        opened => opened?,
    };
    let path = directory.join(name);
    let bytes = files::read_open(file, &path, limit)?;
    Ok(Some((path, bytes)))
}

impl Attempts {
    /// How often a tree was tried.
    pub fn of(&self, payload: &Sha256Digest) -> u32 {
        self.0.iter().find(|tried| tried.payload == *payload).map_or(0, |tried| tried.tries)
    }

    /// Every tree that was tried: its sequence, and how often.
    pub fn all(&self) -> impl Iterator<Item = (Sequence, u32)> {
        self.0.iter().map(|tried| (tried.sequence, tried.tries))
    }

    fn counted(&self, statement: &Verified<Statement>, known: &[Sha256Digest]) -> Self {
        let (sequence, payload) = (statement.sequence, statement.payload_digest());
        let tries = self.of(&payload).saturating_add(1);
        let others = self.0.iter().filter(|tried| tried.payload != payload);
        let others = others.filter(|tried| known.contains(&tried.payload)).cloned();
        let this = Tried { sequence, payload, tries };
        Self(others.chain([this]).take(MAX_ATTEMPTS).collect())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, TriesError> {
        let mut fields = Node::top(json::parse(bytes, MAX_TRIES_SIZE)?).fields()?;
        fields.required("_type")?.constant(TRIES_TYPE)?;
        let items = fields.required("tries")?.items(MAX_ATTEMPTS)?;
        fields.end()?;
        items.into_iter().map(Tried::parse).collect::<Result<_, _>>().map(Self)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let tries = Json::Array(self.0.iter().map(Tried::to_json).collect());
        Json::object([("_type", TRIES_TYPE.into()), ("tries", tries)]).to_text().into_bytes()
    }
}

impl Tried {
    fn parse(node: Node) -> Result<Self, TriesError> {
        let mut fields = node.fields()?;
        let sequence = Sequence::parse(fields.required("sequence")?)?;
        let payload = fields.required("payload")?;
        let path = payload.path().to_owned();
        let payload = payload.string()?.parse().map_err(|_| TriesError::Digest { path })?;
        let tries = fields.required("tries")?.integer(1, u32::MAX.into())?;
        fields.end()?;
        Ok(Self { sequence, payload, tries: u32::try_from(tries).unwrap_or(u32::MAX) })
    }

    fn to_json(&self) -> Json {
        Json::object([
            ("sequence", self.sequence.number().into()),
            ("payload", self.payload.to_hex().into()),
            ("tries", u64::from(self.tries).into()),
        ])
    }
}
