use std::collections::BTreeMap;

use crate::digest::Sha256Digest;
use crate::hex::HexError;
use crate::json::{self, Json, JsonError, MAX_INTEGER};
use crate::root::TrustRoot;
use crate::schema::{Node, SchemaError};
use crate::statement::{Sequence, Statement};
use crate::stream::{Stream, StreamError};
use crate::time::{Timestamp, TimestampError};
use crate::verified::Verified;

/// What a machine remembers so that nothing older is accepted again.
///
/// Values only grow. Where they are kept, and when they are raised (at boot, only after the boot
/// has succeeded), is the caller's matter; the place must be out of reach of whoever serves seals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollbackState {
    /// The highest version of the trust root; 0 for none.
    root_version: u64,
    /// The newest time that was seen signed.
    newest_time: Option<Timestamp>,
    streams: BTreeMap<Stream, Floor>,
}

/// The highest sequence of a stream that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Lower sequences are refused.
    pub sequence: Sequence,
    /// The payload that was accepted with this sequence, if it is known: no other is accepted.
    pub payload: Option<Sha256Digest>,
    /// The last second for which somebody said that nothing newer was current.
    pub fresh_until: Option<Timestamp>,
}

/// The remembered state cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The state is not the strict JSON that is read here.
    #[error("the rollback state is malformed: {0}")]
    Json(#[from] JsonError),
    /// The state lacks a field, or has one that is unknown or of the wrong kind.
    #[error("the rollback state is malformed: {0}")]
    Schema(#[from] SchemaError),
    /// A stream's name is malformed.
    #[error("the rollback state is malformed: {0}")]
    Stream(#[from] StreamError),
    /// A time is malformed.
    #[error("the rollback state is malformed: {0}")]
    Timestamp(#[from] TimestampError),
    /// A digest is malformed.
    #[error("the rollback state is malformed: a payload digest: {0}")]
    Digest(#[from] HexError),
}

/// Bytes of a state. One stream takes up to 410.
pub const MAX_STATE_SIZE: usize = 1024 * 1024;

/// Streams that one state can remember: as many as fit into [`MAX_STATE_SIZE`].
const MAX_STREAMS: usize = 2048;

const STATE_TYPE: &str = "treeseal:rollback-state/v1";

impl RollbackState {
    /// Reads what [`RollbackState::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut fields = Node::top(json::parse(bytes, MAX_STATE_SIZE)?).fields()?;
        fields.required("_type")?.constant(STATE_TYPE)?;
        let root_version = fields.required("rootVersion")?.integer(0, MAX_INTEGER)?;
        let newest_time = match fields.optional("newestTime") {
            Some(node) => Some(node.string()?.parse()?),
            None => None,
        };
        let mut streams = BTreeMap::new();
        for (stream, node) in fields.required("streams")?.fields()?.entries(MAX_STREAMS)? {
            streams.insert(stream.parse()?, Floor::parse(node)?);
        }
        fields.end()?;
        Ok(Self { root_version, newest_time, streams })
    }

    /// The state as compact JSON, always the same for the same state.
    pub fn to_bytes(&self) -> Vec<u8> {
        let floors =
            self.streams.iter().map(|(stream, floor)| (stream.to_string(), floor.to_json()));
        let mut fields = vec![
            ("_type", STATE_TYPE.into()),
            ("rootVersion", self.root_version.into()),
            ("streams", Json::Object(floors.collect())),
        ];
        fields.extend(self.newest_time.map(|time| ("newestTime", time.to_string().into())));
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Json::Object(fields.collect()).to_text().into_bytes()
    }

    /// Remembers a seal that was accepted. Does nothing where more is remembered already.
    pub fn raise(&mut self, seal: &Verified<Statement>) {
        let payload = Some(seal.payload_digest());
        let first = Floor { sequence: seal.sequence, payload, fresh_until: None };
        let floor = self.streams.entry(seal.stream.clone()).or_insert(first);
        let unknown = floor.sequence == seal.sequence && floor.payload.is_none();
        if floor.sequence < seal.sequence || unknown {
            (floor.sequence, floor.payload) = (seal.sequence, payload);
        }
        floor.fresh_until = floor.fresh_until.max(seal.freshness().seen);
        self.root_version = self.root_version.max(seal.root_version());
        self.newest_time = self.newest_time.max(Some(seal.created));
    }

    /// Remembers a trust root that was accepted.
    pub fn raise_root(&mut self, root: &TrustRoot) {
        self.root_version = self.root_version.max(root.version());
    }

    /// The highest sequence of `stream` that was accepted.
    pub fn floor(&self, stream: &Stream) -> Option<Floor> {
        self.streams.get(stream).copied()
    }

    /// The highest version of the trust root that was accepted; 0 for none.
    pub const fn root_version(&self) -> u64 {
        self.root_version
    }

    /// The newest time that was seen signed: it is this late or later.
    pub const fn newest_time(&self) -> Option<Timestamp> {
        self.newest_time
    }

    /// All floors.
    pub fn floors(&self) -> impl Iterator<Item = (&Stream, &Floor)> {
        self.streams.iter()
    }
}

impl Floor {
    fn parse(node: Node) -> Result<Self, StateError> {
        let mut fields = node.fields()?;
        let sequence = Sequence::parse(fields.required("sequence")?)?;
        let payload = match fields.optional("payload") {
            Some(node) => Some(node.string()?.parse()?),
            None => None,
        };
        let fresh_until = match fields.optional("freshUntil") {
            Some(node) => Some(node.string()?.parse()?),
            None => None,
        };
        fields.end()?;
        Ok(Self { sequence, payload, fresh_until })
    }

    fn to_json(self) -> Json {
        let mut fields = vec![("sequence", self.sequence.number().into())];
        fields.extend(self.payload.map(|payload| ("payload", payload.to_hex().into())));
        fields.extend(self.fresh_until.map(|until| ("freshUntil", until.to_string().into())));
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Json::Object(fields.collect())
    }
}

impl StateError {
    /// A stable name of the class of refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json(error) => error.code(),
            Self::Schema(error) => error.code(),
            Self::Stream(_) => "stream_name",
            Self::Timestamp(_) => "time_malformed",
            Self::Digest(_) => "hex_malformed",
        }
    }
}
