mod image;
mod in_toto;

use core::fmt;

use crate::digest::Sha256Digest;
use crate::hex::HexError;
use crate::json::{Json, JsonError, MAX_INTEGER};
use crate::schema::{Fields, Node, SchemaError, check_length};
use crate::stream::{Stream, StreamError};
use crate::time::{Timestamp, TimestampError};

pub use image::{Image, ImageDigests, ImageFormat, ImageFormatError};
pub(crate) use image::{algorithm_name, find_algorithm, parse_sha256};
pub(crate) use in_toto::InToto;
pub use in_toto::{MAX_PAYLOAD_SIZE, STATEMENT_TYPE};

/// The type of the predicate that is defined here.
pub const PREDICATE_TYPE: &str = "treeseal:tree/v1";

/// Images that one statement can name: more than there are kinds of.
const MAX_IMAGES: usize = 8;

/// Sources that one statement can name.
pub const MAX_SOURCES: usize = 64;

/// What a seal says: these images are the tree of this stream at this sequence.
///
/// The fields are plain data. [`Statement::to_payload`] and [`Statement::parse`] check them; what
/// is trusted is a [`Verified<Statement>`](crate::Verified) only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The stream that the tree belongs to; the name of in-toto's subjects.
    pub stream: Stream,
    /// The images of the tree: 1 to 8, each of another kind. A [`Verified`](crate::Verified)
    /// statement has those only that the trust root allows.
    pub images: Vec<Image>,
    /// The statement's place in its stream.
    pub sequence: Sequence,
    /// When the statement was made, by the signer's clock.
    pub created: Timestamp,
    /// The last second in which the statement holds, if it ends.
    pub not_after: Option<Timestamp>,
    /// The objects that each image refers to.
    pub objects: Objects,
    /// What the tree was made from, for people and audits; at most [`MAX_SOURCES`].
    pub sources: Vec<Source>,
    /// The payload digest of the stream's previous statement.
    pub previous: Option<Sha256Digest>,
}

/// A statement's place in its stream: from 1 to 2^53 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u64);

/// The objects that an image refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objects {
    /// How many different objects there are.
    pub count: u64,
    /// How many bytes they have in all.
    pub bytes: u64,
}

/// Something that the tree was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What kind of thing: 1 to 32 bytes of `[a-z0-9-]`, such as `oci` or `ostree`.
    pub kind: String,
    /// Which one: 1 to 1024 bytes without control characters.
    pub name: String,
}

/// The bytes are no statement, or the fields cannot make one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// The statement is not the strict JSON that is read here.
    #[error("the statement is malformed: {0}")]
    Json(#[from] JsonError),
    /// The statement lacks a field, or has one that is unknown or of the wrong kind.
    #[error("the statement is malformed: {0}")]
    Schema(#[from] SchemaError),
    /// Another type of statement.
    #[error("the payload is of type `{found}`, expected `{STATEMENT_TYPE}`")]
    Type {
        /// The type that the payload names.
        found: String,
    },
    /// Another type of predicate.
    #[error("the predicate is of type `{found}`, expected `{expected}`")]
    PredicateType {
        /// The type that is wanted.
        expected: &'static str,
        /// The type that the payload names.
        found: String,
    },
    /// The number of subjects, or of what is said about them, is wrong.
    #[error("{path} has {found} entries, expected {expected}")]
    SubjectCount {
        /// Which list.
        path: &'static str,
        /// How many it must have.
        expected: String,
        /// How many it has.
        found: usize,
    },
    /// All subjects are the same tree.
    #[error("the statement's subjects are named `{first}` and `{found}`: all must be one stream")]
    SubjectName {
        /// The name of the first.
        first: Stream,
        /// The name of another.
        found: Stream,
    },
    /// Two images of the same kind.
    #[error("{path} is of the same format, version and algorithm as an earlier image")]
    Repeated {
        /// Which image.
        path: String,
    },
    /// A freshness statement speaks of no time, or of too long a time.
    #[error(
        "the freshness statement was made at {created} and holds until {until}: expected at most \
         31 days later, and not before"
    )]
    Until {
        /// When it was made.
        created: Timestamp,
        /// When it ends.
        until: Timestamp,
    },
    /// The subject's name is not a stream's.
    #[error("the statement's subject: {0}")]
    Stream(#[from] StreamError),
    /// A digest under a name that is not known here.
    #[error(
        "the digest `{found}` is unknown: expected `sha256`, `fsverity-sha256-4096` or \
         `fsverity-sha512-4096`"
    )]
    UnknownDigest {
        /// Its name.
        found: String,
    },
    /// Neither of the two file digests is there.
    #[error("the statement has neither `fsverity-sha256-4096` nor `fsverity-sha512-4096`")]
    NoFileDigest,
    /// A digest is malformed, or made by another algorithm than its name says.
    #[error("the digest `{name}` is malformed: {source}")]
    Digest {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        source: HexError,
    },
    /// A time is malformed.
    #[error("the statement's times: {0}")]
    Timestamp(#[from] TimestampError),
    /// The statement ends before it was made.
    #[error("the statement ends at {not_after}, before it was made at {created}")]
    NotAfter {
        /// When it was made.
        created: Timestamp,
        /// When it ends.
        not_after: Timestamp,
    },
    /// A format of images that is not known here.
    #[error(
        "image format `{format}` of version {version} is not known: expected composefs, 0 or 1"
    )]
    Format {
        /// The format's name.
        format: String,
        /// Its version.
        version: u64,
    },
    /// An algorithm of object digests that is not known here.
    #[error(
        "object digests by `{found}` are not known: expected `fsverity-sha256-4096` or \
         `fsverity-sha512-4096`"
    )]
    Algorithm {
        /// The algorithm's name.
        found: String,
    },
    /// A source's kind or name has characters that it may not have.
    #[error(
        "source {index}: a type has 1 to 32 characters of a-z, 0-9 and `-`; a name has 1 to 1024 \
         bytes without control characters"
    )]
    Source {
        /// Which of the sources.
        index: usize,
    },
}

impl StatementError {
    /// A stable name of the class of refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json(error) => error.code(),
            Self::Schema(error) => error.code(),
            Self::Type { .. } => "statement_type",
            Self::PredicateType { .. } => "predicate_type",
            Self::SubjectCount { .. } => "subject_count",
            Self::SubjectName { .. } => "subject_name",
            Self::Repeated { .. } => "repeated",
            Self::Until { .. } => "until_out_of_range",
            Self::Stream(_) => "stream_name",
            Self::UnknownDigest { .. } => "digest_unknown",
            Self::NoFileDigest => "digest_missing",
            Self::Digest { .. } => "digest_malformed",
            Self::Timestamp(_) => "time_malformed",
            Self::NotAfter { .. } => "not_after_before_created",
            Self::Format { .. } => "image_format_unknown",
            Self::Algorithm { .. } => "object_algorithm_unknown",
            Self::Source { .. } => "source_malformed",
        }
    }
}

impl Statement {
    /// Reads a statement, strictly: whatever is not in the format is refused.
    pub fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        let InToto { subjects, predicate } = InToto::parse(payload, PREDICATE_TYPE, MAX_IMAGES)?;
        let (stream, digests) = parse_subjects(subjects)?;
        let statement = parse_predicate(stream, digests, predicate)?;
        statement.check()?;
        Ok(statement)
    }

    /// The statement's bytes, always the same for the same statement.
    pub fn to_payload(&self) -> Result<Vec<u8>, StatementError> {
        self.check()?;
        let payload = self.to_json().to_text().into_bytes();
        if payload.len() > MAX_PAYLOAD_SIZE {
            return Err(
                JsonError::TooLarge { limit: MAX_PAYLOAD_SIZE, found: payload.len() }.into()
            );
        }
        Ok(payload)
    }

    /// The rules that bind fields to each other, and those that the fields' types do not express.
    fn check(&self) -> Result<(), StatementError> {
        check_count("the statement's images", MAX_IMAGES, self.images.len())?;
        for (index, image) in self.images.iter().enumerate() {
            let path = format!("/predicate/images/{index}");
            image.check(&path)?;
            if self.images.iter().take(index).any(|other| other.kind() == image.kind()) {
                return Err(StatementError::Repeated { path });
            }
        }
        if let Some(not_after) = self.not_after.filter(|end| *end < self.created) {
            return Err(StatementError::NotAfter { created: self.created, not_after });
        }
        for (path, number) in [
            ("/predicate/objects/count", self.objects.count),
            ("/predicate/objects/bytes", self.objects.bytes),
        ] {
            if number > MAX_INTEGER {
                let (path, found) = (path.to_owned(), number.into());
                return Err(SchemaError::Range { path, min: 0, max: MAX_INTEGER, found }.into());
            }
        }
        check_length("/predicate/sources", 0, MAX_SOURCES, self.sources.len())?;
        match self.sources.iter().position(|source| !source.is_well_formed()) {
            Some(index) => Err(StatementError::Source { index }),
            None => Ok(()),
        }
    }

    fn to_json(&self) -> Json {
        let subject = |image: &Image| (self.stream.as_str(), image.digests.to_json());
        InToto::to_json(
            PREDICATE_TYPE,
            self.images.iter().map(subject).collect(),
            self.predicate_to_json(),
        )
    }

    fn predicate_to_json(&self) -> Json {
        let objects = Json::object([
            ("count", self.objects.count.into()),
            ("bytes", self.objects.bytes.into()),
        ]);
        let source = |source: &Source| {
            let (kind, name) = (source.kind.as_str(), source.name.as_str());
            Json::object([("type", kind.into()), ("name", name.into())])
        };
        let mut predicate = vec![
            ("sequence", self.sequence.0.into()),
            ("created", self.created.to_string().into()),
            ("images", Json::Array(self.images.iter().map(Image::to_json).collect())),
            ("objects", objects),
            ("sources", Json::Array(self.sources.iter().map(source).collect())),
        ];
        if let Some(not_after) = self.not_after {
            predicate.push(("notAfter", not_after.to_string().into()));
        }
        if let Some(previous) = self.previous {
            predicate.push(("previous", previous.to_hex().into()));
        }
        Json::Object(predicate.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

/// The stream that all subjects name, and the digests of each.
fn parse_subjects(subjects: Vec<Node>) -> Result<(Stream, Vec<ImageDigests>), StatementError> {
    let mut stream: Option<Stream> = None;
    let mut digests = Vec::new();
    for subject in subjects {
        let mut fields = subject.fields()?;
        let found: Stream = fields.required("name")?.string()?.parse()?;
        match &stream {
            Some(first) if *first != found => {
                return Err(StatementError::SubjectName { first: first.clone(), found });
            }
            _ => stream = Some(found),
        }
        digests.push(ImageDigests::parse(fields.required("digest")?)?);
        fields.end()?;
    }
    let stream = stream.ok_or_else(|| subject_count("/subject", "at least 1".to_owned(), 0))?;
    Ok((stream, digests))
}

fn parse_predicate(
    stream: Stream,
    digests: Vec<ImageDigests>,
    mut fields: Fields,
) -> Result<Statement, StatementError> {
    let sequence = Sequence::parse(fields.required("sequence")?)?;
    let created = fields.required("created")?.string()?.parse()?;
    let not_after = match fields.optional("notAfter") {
        Some(node) => Some(node.string()?.parse()?),
        None => None,
    };
    let images = parse_images(fields.required("images")?, digests)?;
    let objects = Objects::parse(fields.required("objects")?)?;
    let sources = fields.required("sources")?.items(MAX_SOURCES)?;
    let sources = sources.into_iter().map(Source::parse).collect::<Result<_, _>>()?;
    let previous = match fields.optional("previous") {
        Some(node) => Some(parse_sha256(node, "previous")?),
        None => None,
    };
    fields.end()?;
    Ok(Statement { stream, images, sequence, created, not_after, objects, sources, previous })
}

/// One entry for each subject, in the same order.
fn parse_images(node: Node, digests: Vec<ImageDigests>) -> Result<Vec<Image>, StatementError> {
    let entries = node.items(usize::MAX)?;
    if entries.len() != digests.len() {
        let expected = format!("{}, one for each subject", digests.len());
        return Err(subject_count("/predicate/images", expected, entries.len()));
    }
    digests.into_iter().zip(entries).map(|(digests, entry)| Image::parse(digests, entry)).collect()
}

/// Refuses a list of no subjects, and one of more than `max`.
fn check_count(path: &'static str, max: usize, found: usize) -> Result<(), StatementError> {
    if (1..=max).contains(&found) {
        return Ok(());
    }
    let expected = if max == 1 { "1".to_owned() } else { format!("1 to {max}") };
    Err(subject_count(path, expected, found))
}

const fn subject_count(path: &'static str, expected: String, found: usize) -> StatementError {
    StatementError::SubjectCount { path, expected, found }
}

impl Objects {
    fn parse(node: Node) -> Result<Self, StatementError> {
        let mut fields = node.fields()?;
        let count = fields.required("count")?.integer(0, MAX_INTEGER)?;
        let bytes = fields.required("bytes")?.integer(0, MAX_INTEGER)?;
        fields.end()?;
        Ok(Self { count, bytes })
    }
}

impl Source {
    fn parse(node: Node) -> Result<Self, StatementError> {
        let mut fields = node.fields()?;
        let kind = fields.required("type")?.string()?;
        let name = fields.required("name")?.string()?;
        fields.end()?;
        Ok(Self { kind, name })
    }

    fn is_well_formed(&self) -> bool {
        let in_kind = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=32).contains(&self.kind.len())
            && self.kind.bytes().all(in_kind)
            && (1..=1024).contains(&self.name.len())
            && !self.name.chars().any(char::is_control)
    }
}

impl Sequence {
    /// The first sequence of a stream.
    pub const FIRST: Self = Self(1);

    /// A sequence; none if the number is 0 or above 2^53 - 1, which not every JSON reader keeps.
    pub const fn new(number: u64) -> Option<Self> {
        if number >= 1 && number <= MAX_INTEGER { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The sequence after this one.
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }

    /// A sequence in a JSON document.
    pub fn parse(node: Node) -> Result<Self, SchemaError> {
        node.integer(1, MAX_INTEGER).map(Self)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
