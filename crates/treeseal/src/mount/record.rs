use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use treeseal_trust::json::{self, Json, JsonError};
use treeseal_trust::schema::Node;
use treeseal_trust::{
    SchemaError, Sequence, Sha256Digest, Statement, Stream, StreamError, Verified,
};
use treeseal_verity::FileDigest;

use super::enforced::source_of;
use super::{EnforcedMount, Hold, MountOptions};
use crate::Error;
use crate::boot::{MAX_SIGNERS, signers};
use crate::files::{self, Readable};

/// What was written down of a mount when it was made, for whoever asks later. Nothing is trusted
/// because it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The stream.
    pub stream: Stream,
    /// The sequence.
    pub sequence: Sequence,
    /// SHA-256 of the statement.
    pub payload: Sha256Digest,
    /// The keys that vouch for it.
    pub signers: Vec<String>,
    /// What was known of its expiry: `in_force`, `unknown` or `expired`.
    pub expiry: String,
    /// The digest by which the image was checked.
    pub image: FileDigest,
    /// What keeps the image as it was checked.
    pub hold: Hold,
    /// The store's directory.
    pub store: String,
    /// The directory that changes go to.
    pub upper: Option<String>,
}

/// A record cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is not the strict JSON that is read here.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A field is missing, unknown, or of the wrong kind.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The name of the stream is malformed.
    #[error("/stream: {0}")]
    Stream(#[from] StreamError),
    /// A digest is malformed.
    #[error("{path} is no digest in hex")]
    Digest {
        /// The field.
        path: &'static str,
    },
}

/// Where records lie in the directory for them.
const DIRECTORY: &str = "mounts";

const TYPE: &str = "treeseal:mount/v1";
/// What enforces it: there is no other way yet that ends up in a record.
const ENFORCEMENT: &str = "kernel";
/// Bytes of a record: as many signers as there may be take 70 each.
const MAX_SIZE: usize = 128 * 1024;

impl Record {
    pub(super) fn new(
        statement: &Verified<Statement>,
        mount: &EnforcedMount,
        store: &Path,
        options: &MountOptions,
    ) -> Result<Self, Error> {
        let upper = options.changes.as_ref().map(|changes| absolute(&changes.upper));
        Ok(Self {
            stream: statement.stream.clone(),
            sequence: statement.sequence,
            payload: statement.payload_digest(),
            signers: signers(statement),
            expiry: statement.expiry().code().to_owned(),
            image: mount.image,
            hold: mount.hold,
            store: absolute(store)?,
            upper: upper.transpose()?,
        })
    }

    /// Writes the record of the filesystem with this device number, in the place of an old one.
    pub(super) fn write(&self, run: &Path, device: u32) -> Result<(), Error> {
        files::replace(&path_of(run, device), self.to_json().to_text().as_bytes(), Readable::ByAll)
    }

    /// Reads the record of the filesystem with this device number, if there is one.
    pub(super) fn read(run: &Path, device: u32) -> Result<Option<Self>, Error> {
        let path = path_of(run, device);
        let bytes = files::read(&path, MAX_SIZE)?;
        let record = bytes.map(|bytes| Self::from_bytes(&bytes)).transpose();
        record.map_err(|source| Error::Record { path, source })
    }

    /// Removes the record of the filesystem with this device number, if there is one.
    pub(super) fn remove(run: &Path, device: u32) -> Result<(), Error> {
        let path = path_of(run, device);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &path, error))
            }
            _ => Ok(()),
        }
    }

    /// What the mount table has as the source of the mount that this is about.
    pub(super) fn source(&self) -> String {
        source_of(&self.stream, self.sequence)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut fields = Node::top(json::parse(bytes, MAX_SIZE)?).fields()?;
        fields.required("_type")?.constant(TYPE)?;
        fields.required("enforcement")?.constant(ENFORCEMENT)?;
        let payload = fields.required("payload")?.string()?;
        let image = fields.required("image")?.string()?;
        let signers = fields.required("signers")?.items(MAX_SIGNERS)?;
        let record = Self {
            stream: fields.required("stream")?.string()?.parse()?,
            sequence: Sequence::parse(fields.required("sequence")?)?,
            payload: payload.parse().map_err(|_| RecordError::Digest { path: "/payload" })?,
            signers: signers.into_iter().map(Node::string).collect::<Result<_, _>>()?,
            expiry: fields.required("expiry")?.string()?,
            image: FileDigest::from_hex(image.as_bytes())
                .map_err(|_| RecordError::Digest { path: "/image" })?,
            hold: fields.required("imageHeldBy")?.choice(&Hold::NAMES, "fsverity or memory")?,
            store: fields.required("store")?.string()?,
            upper: fields.optional("upper").map(Node::string).transpose()?,
        };
        fields.end()?;
        Ok(record)
    }

    fn to_json(&self) -> Json {
        let signers = self.signers.iter().map(|signer| signer.as_str().into()).collect();
        let mut fields = vec![
            ("_type", TYPE.into()),
            ("enforcement", ENFORCEMENT.into()),
            ("stream", self.stream.as_str().into()),
            ("sequence", self.sequence.number().into()),
            ("payload", self.payload.to_hex().into()),
            ("signers", Json::Array(signers)),
            ("expiry", self.expiry.as_str().into()),
            ("image", self.image.to_hex().into()),
            ("imageHeldBy", self.hold.name().into()),
            ("store", self.store.as_str().into()),
        ];
        fields.extend(self.upper.as_ref().map(|upper| ("upper", upper.as_str().into())));
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Json::Object(fields.collect())
    }
}

impl Hold {
    const NAMES: [(&'static str, Self); 2] = [("fsverity", Self::Verity), ("memory", Self::Memory)];

    /// As it stands in a record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verity => "fsverity",
            Self::Memory => "memory",
        }
    }
}

fn path_of(run: &Path, device: u32) -> PathBuf {
    run.join(DIRECTORY).join(format!("{device}.json"))
}

/// A path for people, who may be in another directory by then.
fn absolute(path: &Path) -> Result<String, Error> {
    let absolute = std::path::absolute(path).map_err(|source| Error::io("find", path, source))?;
    Ok(absolute.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> String {
        let spec = treeseal_testkit::repository().join("spec/mounts.md");
        let text = fs::read_to_string(spec).unwrap();
        text.lines().find(|line| line.starts_with("{\"_type\"")).unwrap().to_owned()
    }

    #[test]
    fn the_example_of_the_specification_is_read_and_written_again() {
        let example = example();
        let record = Record::from_bytes(example.as_bytes()).unwrap();
        assert_eq!(record.source(), "treeseal:acme/tools/any/stable@1");
        assert_eq!((record.hold, record.upper.clone()), (Hold::Verity, None));
        assert_eq!(record.to_json().to_text(), example);
        let writable = Record { upper: Some("/changes".to_owned()), hold: Hold::Memory, ..record };
        let text = writable.to_json().to_text();
        assert_eq!(Record::from_bytes(text.as_bytes()).unwrap(), writable);
    }

    #[test]
    fn what_does_not_belong_in_a_record_is_refused() {
        let example = example();
        for (from, to, expected) in [
            (
                "mount/v1",
                "mount/v2",
                "/_type must be `treeseal:mount/v1`, found `treeseal:mount/v2`",
            ),
            ("\"kernel\"", "\"scan\"", "/enforcement must be `kernel`, found `scan`"),
            (
                "\"fsverity\"",
                "\"nothing\"",
                "/imageHeldBy must be fsverity or memory, found `nothing`",
            ),
            ("\"sequence\":1", "\"sequence\":0", "/sequence"),
            ("acme/", "/acme/", "/stream: "),
            ("\"17e8", "\"x7e8", "/image is no digest in hex"),
            ("\"5f70", "\"x5f7", "/payload is no digest in hex"),
            ("{", "{\"more\":1,", "/more is not a field of this format"),
        ] {
            let text = example.replacen(from, to, 1);
            assert_ne!(text, example, "{from}");
            let error = Record::from_bytes(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "expected `{expected}`, found `{error}`");
        }
    }
}
