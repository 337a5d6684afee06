//! Freshness statements: which seal of a stream is current, said for a short time by an online role.

use crate::digest::Sha256Digest;
use crate::json::Json;
use crate::statement::{InToto, Sequence, StatementError, parse_sha256};
use crate::stream::Stream;
use crate::time::Timestamp;

/// The type of the predicate of a freshness statement.
pub const FRESH_PREDICATE_TYPE: &str = "treeseal:fresh/v1";

/// The longest time that one statement can speak of, in seconds: 31 days. What a stolen online key
/// can do ends with it.
pub const MAX_FRESH_SECONDS: u64 = 31 * 86_400;

/// What the online role says: this seal is the stream's newest, until then.
///
/// It points at a seal and never stands for one. The fields are plain data;
/// [`FreshStatement::to_payload`] and [`FreshStatement::parse`] check them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreshStatement {
    /// The stream; the name of in-toto's one subject.
    pub stream: Stream,
    /// SHA-256 of the payload of the seal that is current.
    pub payload: Sha256Digest,
    /// That seal's sequence.
    pub sequence: Sequence,
    /// When the statement was made, by the signer's clock.
    pub created: Timestamp,
    /// The last second of which it speaks.
    pub until: Timestamp,
}

impl FreshStatement {
    /// Reads a freshness statement, strictly: whatever is not in the format is refused.
    pub fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        let InToto { subjects, mut predicate } = InToto::parse(payload, FRESH_PREDICATE_TYPE, 1)?;
        let mut subject = subjects.into_iter();
        let Some(subject) = subject.next() else {
            let (path, expected) = ("/subject", "1".to_owned());
            return Err(StatementError::SubjectCount { path, expected, found: 0 });
        };
        let mut subject = subject.fields()?;
        let stream = subject.required("name")?.string()?.parse()?;
        let mut digest = subject.required("digest")?.fields()?;
        let sealed = parse_sha256(digest.required("sha256")?, "sha256")?;
        if let Some((found, _)) = digest.entries(usize::MAX)?.into_iter().next() {
            return Err(StatementError::UnknownDigest { found });
        }
        subject.end()?;
        let statement = Self {
            stream,
            payload: sealed,
            sequence: Sequence::parse(predicate.required("sequence")?)?,
            created: predicate.required("created")?.string()?.parse()?,
            until: predicate.required("until")?.string()?.parse()?,
        };
        predicate.end()?;
        statement.check()?;
        Ok(statement)
    }

    /// The statement's bytes, always the same for the same statement.
    pub fn to_payload(&self) -> Result<Vec<u8>, StatementError> {
        self.check()?;
        let digest = Json::object([("sha256", self.payload.to_hex().into())]);
        let predicate = Json::object([
            ("sequence", self.sequence.number().into()),
            ("created", self.created.to_string().into()),
            ("until", self.until.to_string().into()),
        ]);
        let subjects = vec![(self.stream.as_str(), digest)];
        Ok(InToto::to_json(FRESH_PREDICATE_TYPE, subjects, predicate).to_text().into_bytes())
    }

    fn check(&self) -> Result<(), StatementError> {
        let (created, until) = (self.created, self.until);
        let seconds = until.to_unix().checked_sub(created.to_unix());
        if seconds.is_some_and(|seconds| seconds <= MAX_FRESH_SECONDS) {
            return Ok(());
        }
        Err(StatementError::Until { created, until })
    }
}
