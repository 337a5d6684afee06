//! The part that every in-toto Statement v1 has.

use crate::json::{self, Json};
use crate::schema::{Fields, Node};

use super::{StatementError, check_count};

/// The type of every in-toto statement of version 1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// Bytes of a statement. One without sources has some 600.
pub const MAX_PAYLOAD_SIZE: usize = 64 * 1024;

/// An in-toto statement of which the subjects and the predicate are still to be read.
pub(crate) struct InToto {
    pub(crate) subjects: Vec<Node>,
    pub(crate) predicate: Fields,
}

impl InToto {
    /// Reads a statement with this type of predicate and 1 to `max_subjects` subjects.
    pub(crate) fn parse(
        payload: &[u8],
        predicate_type: &'static str,
        max_subjects: usize,
    ) -> Result<Self, StatementError> {
        let mut top = Node::top(json::parse(payload, MAX_PAYLOAD_SIZE)?).fields()?;
        let found = top.required("_type")?.string()?;
        if found != STATEMENT_TYPE {
            return Err(StatementError::Type { found });
        }
        let found = top.required("predicateType")?.string()?;
        if found != predicate_type {
            return Err(StatementError::PredicateType { expected: predicate_type, found });
        }
        let subjects = top.required("subject")?.items(usize::MAX)?;
        check_count("/subject", max_subjects, subjects.len())?;
        let predicate = top.required("predicate")?.fields()?;
        top.end()?;
        Ok(Self { subjects, predicate })
    }

    /// A statement with these subjects, each a name and its digests.
    pub(crate) fn to_json(
        predicate_type: &'static str,
        subjects: Vec<(&str, Json)>,
        predicate: Json,
    ) -> Json {
        let subject = |(name, digest): (&str, Json)| {
            Json::object([("name", name.into()), ("digest", digest)])
        };
        Json::object([
            ("_type", STATEMENT_TYPE.into()),
            ("subject", Json::Array(subjects.into_iter().map(subject).collect())),
            ("predicateType", predicate_type.into()),
            ("predicate", predicate),
        ])
    }
}
