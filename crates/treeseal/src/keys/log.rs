//! The signing log: a line of JSON for every signature, written before it is made.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use treeseal_source::ostree::Checksum;
use treeseal_trust::json::Json;
use treeseal_trust::{KeyId, Sha256Digest, Stream};

use super::KeyPlace;
use crate::{Error, files, memory};

/// The log of one machine. Lines are only ever added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningLog {
    path: PathBuf,
}

/// What is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signature<'a> {
    /// The seal of a tree.
    Seal {
        /// Its stream.
        stream: &'a Stream,
        /// Its sequence.
        sequence: u64,
    },
    /// A statement on which seal of a stream is current.
    Freshness {
        /// The stream.
        stream: &'a Stream,
        /// The sequence that is current.
        sequence: u64,
    },
    /// A trust root.
    Root {
        /// Its version.
        version: u64,
    },
    /// A commit of an OSTree repository.
    OstreeCommit {
        /// Its name.
        checksum: &'a Checksum,
    },
}

impl SigningLog {
    /// The log at `path`, which is made with its first line.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Adds a line and makes it durable.
    pub(crate) fn record(
        &self,
        key: &KeyId,
        place: &KeyPlace,
        what: &Signature<'_>,
        message: &[u8],
    ) -> Result<(), Error> {
        let mut fields = vec![
            ("time", memory::now()?.to_string().into()),
            ("key", key.to_string().into()),
            ("place", place.to_string().into()),
            ("sha256", Sha256Digest::of(message).to_hex().into()),
        ];
        fields.extend(what.fields());
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.append(&(Json::Object(fields).to_text() + "\n"))
    }

    /// One write to a file opened for appending: lines of two processes do not mix.
    fn append(&self, line: &str) -> Result<(), Error> {
        let failed = |source| Error::io("write", &self.path, source);
        files::make_directory(files::directory_of(&self.path))?;
        let mut options = fs::OpenOptions::new();
        let mut file =
            options.append(true).create(true).mode(0o600).open(&self.path).map_err(failed)?;
        file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
    }
}

impl Signature<'_> {
    fn fields(&self) -> Vec<(&'static str, Json)> {
        let of_stream = |kind: &str, stream: &Stream, sequence: u64| {
            vec![
                ("kind", kind.into()),
                ("stream", stream.as_str().into()),
                ("sequence", sequence.into()),
            ]
        };
        match self {
            Self::Seal { stream, sequence } => of_stream("seal", stream, *sequence),
            Self::Freshness { stream, sequence } => of_stream("freshness", stream, *sequence),
            Self::Root { version } => vec![("kind", "root".into()), ("version", (*version).into())],
            Self::OstreeCommit { checksum } => {
                vec![("kind", "ostree-commit".into()), ("commit", checksum.to_hex().into())]
            }
        }
    }
}
