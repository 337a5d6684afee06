//! When the newest commits were made that this machine accepted, by repository and ref.

use std::path::Path;

use treeseal_trust::json::{self, Json, JsonError, MAX_INTEGER};
use treeseal_trust::schema::Node;
use treeseal_trust::{SchemaError, Timestamp};

use super::CommitError;
use crate::Error;
use crate::files::{self, Readable};

/// A ref as this machine knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ref {
    /// Absolute path of the repository, without symlinks; bytes that are no text are escaped.
    pub(super) repository: String,
    pub(super) name: String,
}

/// What is remembered cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeenError {
    /// It is not the strict JSON that is read here.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A field is missing, unknown, or of the wrong kind.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A time is none.
    #[error("a time is out of range")]
    Time,
}

const FILE: &str = "ostree-seen.json";
const LOCK: &str = "lock";
const TYPE: &str = "treeseal:ostree-seen/v1";

/// Refs that are remembered. None is forgotten for another: whoever can name many could make room.
const MAX_REFS: usize = 4096;
/// Bytes of the file. Two paths of the longest kind take 8192 for each ref; bytes of a path may be escaped.
const MAX_SIZE: usize = MAX_REFS * 64 * 1024;

/// The newest commit's time under a ref, by what is remembered in `state`.
pub(super) fn newest(state: &Path, wanted: &Ref) -> Result<Option<Timestamp>, Error> {
    let seen = read(state)?;
    Ok(seen.into_iter().find(|(name, _)| name == wanted).map(|(_, time)| time))
}

/// Remembers the time of a commit that was accepted, if it is newer than what is remembered.
pub(super) fn remember(state: &Path, wanted: Ref, time: Timestamp) -> Result<(), Error> {
    let _lock = files::lock(&state.join(LOCK))?;
    let mut seen = read(state)?;
    match seen.iter().position(|(name, _)| *name == wanted) {
        Some(known) if seen[known].1 >= time => return Ok(()),
        Some(known) => seen[known].1 = time,
        None if seen.len() == MAX_REFS => {
            return Err(CommitError::TooManyRefs { path: state.join(FILE), limit: MAX_REFS }.into());
        }
        None => seen.push((wanted, time)),
    }
    let bytes = to_json(&seen).to_text().into_bytes();
    files::replace_locked(&state.join(FILE), &bytes, Readable::ByAll)
}

fn read(state: &Path) -> Result<Vec<(Ref, Timestamp)>, Error> {
    let path = state.join(FILE);
    let bytes = files::read(&path, MAX_SIZE)?;
    let seen = bytes.map(|bytes| parse(&bytes)).transpose();
    Ok(seen.map_err(|source| CommitError::Seen { path, source })?.unwrap_or_default())
}

fn parse(bytes: &[u8]) -> Result<Vec<(Ref, Timestamp)>, SeenError> {
    let mut fields = Node::top(json::parse(bytes, MAX_SIZE)?).fields()?;
    fields.required("_type")?.constant(TYPE)?;
    let refs = fields.required("refs")?.items(MAX_REFS)?;
    fields.end()?;
    let parse_ref = |node: Node| {
        let mut fields = node.fields()?;
        let repository = fields.required("repository")?.string()?;
        let name = fields.required("ref")?.string()?;
        let time = fields.required("timestamp")?.integer(0, MAX_INTEGER)?;
        fields.end()?;
        let time = Timestamp::from_unix(time).ok_or(SeenError::Time)?;
        Ok((Ref { repository, name }, time))
    };
    refs.into_iter().map(parse_ref).collect()
}

fn to_json(seen: &[(Ref, Timestamp)]) -> Json {
    let refs = seen.iter().map(|(known, time)| {
        Json::object([
            ("repository", known.repository.as_str().into()),
            ("ref", known.name.as_str().into()),
            ("timestamp", time.to_unix().into()),
        ])
    });
    Json::object([("_type", TYPE.into()), ("refs", Json::Array(refs.collect()))])
}
