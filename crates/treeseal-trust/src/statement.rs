use core::fmt;
use core::str::FromStr;

use treeseal_verity::{FileDigest, HashAlgorithm};

use crate::digest::Sha256Digest;
use crate::hex::{self, HexError};
use crate::json::{self, Json, JsonError, MAX_INTEGER};
use crate::schema::{Fields, Node, SchemaError, check_length};
use crate::stream::{Stream, StreamError};
use crate::time::{Timestamp, TimestampError};

/// The type of every in-toto statement of version 1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// The type of the predicate that is defined here.
pub const PREDICATE_TYPE: &str = "treeseal:tree/v1";

/// Bytes of a statement. One without sources has some 600.
pub const MAX_PAYLOAD_SIZE: usize = 64 * 1024;

/// Sources that one statement can name.
pub const MAX_SOURCES: usize = 64;

/// What a seal says: this image is the tree of this stream at this sequence.
///
/// The fields are plain data. [`Statement::to_payload`] and [`Statement::parse`] check them; what
/// is trusted is a [`Verified<Statement>`](crate::Verified) only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The stream that the tree belongs to; the name of in-toto's one subject.
    pub stream: Stream,
    /// The digests of the image; those of in-toto's one subject.
    pub digests: ImageDigests,
    /// The statement's place in its stream.
    pub sequence: Sequence,
    /// When the statement was made, by the signer's clock.
    pub created: Timestamp,
    /// The last second in which the statement holds, if it ends.
    pub not_after: Option<Timestamp>,
    /// The image's format.
    pub format: ImageFormat,
    /// Size of the image file in bytes.
    pub image_size: u64,
    /// The objects that the image refers to.
    pub objects: Objects,
    /// What the tree was made from, for people and audits; at most [`MAX_SOURCES`].
    pub sources: Vec<Source>,
    /// The payload digest of the stream's previous statement.
    pub previous: Option<Sha256Digest>,
}

/// The digests that name one image file. At least one of the two file digests is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageDigests {
    /// SHA-256 of the file's bytes, for tools that know no fs-verity.
    pub sha256: Sha256Digest,
    /// Its fs-verity digest with SHA-256, 4096-byte blocks and no salt.
    pub fsverity_sha256: Option<FileDigest>,
    /// Its fs-verity digest with SHA-512, 4096-byte blocks and no salt.
    pub fsverity_sha512: Option<FileDigest>,
}

/// A statement's place in its stream: from 1 to 2^53 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u64);

/// Formats of images, as the trust root names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ImageFormat {
    /// `composefs/0`: a composefs EROFS image of version 0.
    ComposefsV0,
    /// `composefs/1`: a composefs EROFS image of version 1.
    ComposefsV1,
}

/// The objects that an image refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objects {
    /// How many different objects there are.
    pub count: u64,
    /// How many bytes they have in all.
    pub bytes: u64,
    /// The algorithm of their digests; blocks of 4096 bytes, no salt.
    pub algorithm: HashAlgorithm,
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
    #[error(
        "the predicate is of type `{found}`, expected `{PREDICATE_TYPE}`: it is not about a tree"
    )]
    PredicateType {
        /// The type that the payload names.
        found: String,
    },
    /// A statement is about exactly one image.
    #[error("the statement has {found} subjects, expected 1")]
    SubjectCount {
        /// How many it has.
        found: usize,
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

const SHA256: &str = "sha256";
const FSVERITY_SHA256: &str = "fsverity-sha256-4096";
const FSVERITY_SHA512: &str = "fsverity-sha512-4096";

impl Statement {
    /// Reads a statement, strictly: whatever is not in the format is refused.
    pub fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        let mut top = Node::top(json::parse(payload, MAX_PAYLOAD_SIZE)?).fields()?;
        let found = top.required("_type")?.string()?;
        if found != STATEMENT_TYPE {
            return Err(StatementError::Type { found });
        }
        let found = top.required("predicateType")?.string()?;
        if found != PREDICATE_TYPE {
            return Err(StatementError::PredicateType { found });
        }
        let (stream, digests) = parse_subject(top.required("subject")?)?;
        let predicate = top.required("predicate")?.fields()?;
        top.end()?;
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
        self.digests.check()?;
        if let Some(not_after) = self.not_after.filter(|end| *end < self.created) {
            return Err(StatementError::NotAfter { created: self.created, not_after });
        }
        for (path, number) in [
            ("/predicate/image/size", self.image_size),
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
        let subject = Json::object([
            ("name", self.stream.as_str().into()),
            ("digest", self.digests.to_json()),
        ]);
        Json::object([
            ("_type", STATEMENT_TYPE.into()),
            ("subject", Json::Array(vec![subject])),
            ("predicateType", PREDICATE_TYPE.into()),
            ("predicate", self.predicate_to_json()),
        ])
    }

    fn predicate_to_json(&self) -> Json {
        let image = Json::object([
            ("format", self.format.name().into()),
            ("version", self.format.version().into()),
            ("size", self.image_size.into()),
        ]);
        let objects = Json::object([
            ("count", self.objects.count.into()),
            ("bytes", self.objects.bytes.into()),
            ("algorithm", format!("fsverity-{}-4096", self.objects.algorithm).into()),
        ]);
        let source = |source: &Source| {
            let (kind, name) = (source.kind.as_str(), source.name.as_str());
            Json::object([("type", kind.into()), ("name", name.into())])
        };
        let mut predicate = vec![
            ("sequence", self.sequence.0.into()),
            ("created", self.created.to_string().into()),
            ("image", image),
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

fn parse_subject(node: Node) -> Result<(Stream, ImageDigests), StatementError> {
    let subjects = node.items(usize::MAX)?;
    let found = subjects.len();
    let Ok([subject]) = <[Node; 1]>::try_from(subjects) else {
        return Err(StatementError::SubjectCount { found });
    };
    let mut fields = subject.fields()?;
    let stream = fields.required("name")?.string()?.parse()?;
    let digests = ImageDigests::parse(fields.required("digest")?)?;
    fields.end()?;
    Ok((stream, digests))
}

fn parse_predicate(
    stream: Stream,
    digests: ImageDigests,
    mut fields: Fields,
) -> Result<Statement, StatementError> {
    let sequence = Sequence::parse(fields.required("sequence")?)?;
    let created = fields.required("created")?.string()?.parse()?;
    let not_after = match fields.optional("notAfter") {
        Some(node) => Some(node.string()?.parse()?),
        None => None,
    };
    let (format, image_size) = parse_image(fields.required("image")?)?;
    let objects = Objects::parse(fields.required("objects")?)?;
    let sources = fields.required("sources")?.items(MAX_SOURCES)?;
    let sources = sources.into_iter().map(Source::parse).collect::<Result<_, _>>()?;
    let previous = match fields.optional("previous") {
        Some(node) => Some(parse_sha256(node, "previous")?),
        None => None,
    };
    fields.end()?;
    Ok(Statement {
        stream,
        digests,
        sequence,
        created,
        not_after,
        format,
        image_size,
        objects,
        sources,
        previous,
    })
}

fn parse_image(node: Node) -> Result<(ImageFormat, u64), StatementError> {
    let mut fields = node.fields()?;
    let format = fields.required("format")?.string()?;
    let version = fields.required("version")?.integer(0, MAX_INTEGER)?;
    let size = fields.required("size")?.integer(0, MAX_INTEGER)?;
    fields.end()?;
    match ImageFormat::find(&format, version) {
        Some(format) => Ok((format, size)),
        None => Err(StatementError::Format { format, version }),
    }
}

impl Objects {
    fn parse(node: Node) -> Result<Self, StatementError> {
        let mut fields = node.fields()?;
        let count = fields.required("count")?.integer(0, MAX_INTEGER)?;
        let bytes = fields.required("bytes")?.integer(0, MAX_INTEGER)?;
        let found = fields.required("algorithm")?.string()?;
        fields.end()?;
        let algorithm = match found.as_str() {
            FSVERITY_SHA256 => HashAlgorithm::Sha256,
            FSVERITY_SHA512 => HashAlgorithm::Sha512,
            _ => return Err(StatementError::Algorithm { found }),
        };
        Ok(Self { count, bytes, algorithm })
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

impl ImageDigests {
    /// Every digest of the image that this statement vouches for, as bytes.
    pub fn all(&self) -> impl Iterator<Item = &[u8]> {
        let files = [&self.fsverity_sha256, &self.fsverity_sha512];
        let files = files.into_iter().flatten().map(FileDigest::as_bytes);
        core::iter::once(self.sha256.as_bytes().as_slice()).chain(files)
    }

    fn parse(node: Node) -> Result<Self, StatementError> {
        let mut fields = node.fields()?;
        let sha256 = parse_sha256(fields.required(SHA256)?, SHA256)?;
        let mut file = |name, algorithm| match fields.optional(name) {
            Some(node) => parse_file_digest(node, name, algorithm).map(Some),
            None => Ok(None),
        };
        let fsverity_sha256 = file(FSVERITY_SHA256, HashAlgorithm::Sha256)?;
        let fsverity_sha512 = file(FSVERITY_SHA512, HashAlgorithm::Sha512)?;
        match fields.entries(usize::MAX)?.into_iter().next() {
            Some((found, _)) => Err(StatementError::UnknownDigest { found }),
            None => Ok(Self { sha256, fsverity_sha256, fsverity_sha512 }),
        }
    }

    fn check(&self) -> Result<(), StatementError> {
        if self.fsverity_sha256.is_none() && self.fsverity_sha512.is_none() {
            return Err(StatementError::NoFileDigest);
        }
        for (name, digest, algorithm) in [
            (FSVERITY_SHA256, &self.fsverity_sha256, HashAlgorithm::Sha256),
            (FSVERITY_SHA512, &self.fsverity_sha512, HashAlgorithm::Sha512),
        ] {
            if let Some(digest) = digest.filter(|digest| digest.algorithm() != algorithm) {
                let (expected, found) = (algorithm, digest.algorithm());
                let (expected, found) = (2 * expected.digest_size(), 2 * found.digest_size());
                let source = HexError::Length { expected, found };
                return Err(StatementError::Digest { name, source });
            }
        }
        Ok(())
    }

    fn to_json(&self) -> Json {
        let mut digests = vec![(SHA256, self.sha256.to_hex())];
        digests.extend(self.fsverity_sha256.map(|digest| (FSVERITY_SHA256, digest.to_hex())));
        digests.extend(self.fsverity_sha512.map(|digest| (FSVERITY_SHA512, digest.to_hex())));
        Json::Object(digests.into_iter().map(|(name, hex)| (name.to_owned(), hex.into())).collect())
    }
}

fn parse_sha256(node: Node, name: &'static str) -> Result<Sha256Digest, StatementError> {
    node.string()?.parse().map_err(|source| StatementError::Digest { name, source })
}

fn parse_file_digest(
    node: Node,
    name: &'static str,
    algorithm: HashAlgorithm,
) -> Result<FileDigest, StatementError> {
    let text = node.string()?;
    let bytes = hex::decode(&text).map_err(|source| StatementError::Digest { name, source })?;
    FileDigest::from_bytes(algorithm, &bytes).ok_or_else(|| StatementError::Digest {
        name,
        source: HexError::Length { expected: 2 * algorithm.digest_size(), found: text.len() },
    })
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

    pub(crate) fn parse(node: Node) -> Result<Self, SchemaError> {
        node.integer(1, MAX_INTEGER).map(Self)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ImageFormat {
    const ALL: [Self; 2] = [Self::ComposefsV0, Self::ComposefsV1];

    /// The format's name without its version.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ComposefsV0 | Self::ComposefsV1 => "composefs",
        }
    }

    /// The format's version.
    pub const fn version(self) -> u64 {
        match self {
            Self::ComposefsV0 => 0,
            Self::ComposefsV1 => 1,
        }
    }

    fn find(name: &str, version: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name && known.version() == version)
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name(), self.version())
    }
}

/// A text is not the name of a format of images.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("image format `{found}` is not known: expected `composefs/0` or `composefs/1`")]
pub struct ImageFormatError {
    /// The text.
    pub found: String,
}

impl FromStr for ImageFormat {
    type Err = ImageFormatError;

    fn from_str(text: &str) -> Result<Self, ImageFormatError> {
        Self::ALL
            .into_iter()
            .find(|known| known.to_string() == text)
            .ok_or_else(|| ImageFormatError { found: text.to_owned() })
    }
}
