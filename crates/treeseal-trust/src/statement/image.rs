//! The images of a statement: what they are, and the digests that name them.

use core::fmt;
use core::str::FromStr;

use treeseal_verity::{FileDigest, HashAlgorithm};

use crate::digest::Sha256Digest;
use crate::hex::{self, HexError};
use crate::json::{Json, MAX_INTEGER};
use crate::schema::{Node, SchemaError};

use super::StatementError;

/// An image of a tree. One tree may have several, each as good as the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The digests of the image file.
    pub digests: ImageDigests,
    /// The image's format.
    pub format: ImageFormat,
    /// Size of the image file in bytes.
    pub size: u64,
    /// The algorithm of the digests that the image names its objects by; blocks of 4096 bytes, no
    /// salt.
    pub objects: HashAlgorithm,
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

/// Formats of images, as the trust root names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ImageFormat {
    /// `composefs/0`: a composefs EROFS image of version 0.
    ComposefsV0,
    /// `composefs/1`: a composefs EROFS image of version 1.
    ComposefsV1,
}

const SHA256: &str = "sha256";
const FSVERITY_SHA256: &str = "fsverity-sha256-4096";
const FSVERITY_SHA512: &str = "fsverity-sha512-4096";

/// The name of the file digests of an algorithm: 4096-byte blocks, no salt.
pub(crate) fn algorithm_name(algorithm: HashAlgorithm) -> String {
    format!("fsverity-{algorithm}-4096")
}

/// The algorithm of file digests with this name.
pub(crate) fn find_algorithm(name: &str) -> Option<HashAlgorithm> {
    match name {
        FSVERITY_SHA256 => Some(HashAlgorithm::Sha256),
        FSVERITY_SHA512 => Some(HashAlgorithm::Sha512),
        _ => None,
    }
}

impl fmt::Display for Image {
    /// The kind of image, like `composefs/0 fsverity-sha256-4096`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.format, algorithm_name(self.objects))
    }
}

impl Image {
    /// What kind of image it is: no two of one statement have the same.
    pub(crate) const fn kind(&self) -> (ImageFormat, HashAlgorithm) {
        (self.format, self.objects)
    }

    /// Reads the predicate's entry about the image with these digests.
    pub(super) fn parse(digests: ImageDigests, node: Node) -> Result<Self, StatementError> {
        let mut fields = node.fields()?;
        let format = fields.required("format")?.string()?;
        let version = fields.required("version")?.integer(0, MAX_INTEGER)?;
        let size = fields.required("size")?.integer(0, MAX_INTEGER)?;
        let objects = fields.required("objects")?.string()?;
        fields.end()?;
        let Some(format) = ImageFormat::find(&format, version) else {
            return Err(StatementError::Format { format, version });
        };
        let algorithm = find_algorithm(&objects);
        let objects = algorithm.ok_or(StatementError::Algorithm { found: objects })?;
        Ok(Self { digests, format, size, objects })
    }

    pub(super) fn check(&self, path: &str) -> Result<(), StatementError> {
        self.digests.check()?;
        if self.size > MAX_INTEGER {
            let (path, found) = (format!("{path}/size"), self.size.into());
            return Err(SchemaError::Range { path, min: 0, max: MAX_INTEGER, found }.into());
        }
        Ok(())
    }

    /// The predicate's entry.
    pub(super) fn to_json(&self) -> Json {
        Json::object([
            ("format", self.format.name().into()),
            ("version", self.format.version().into()),
            ("size", self.size.into()),
            ("objects", algorithm_name(self.objects).into()),
        ])
    }
}

impl ImageDigests {
    /// The file digest of one of the algorithms, if the statement names it.
    pub fn file(&self, algorithm: HashAlgorithm) -> Option<&FileDigest> {
        self.files().find(|digest| digest.algorithm() == algorithm)
    }

    /// The file digests that the statement names, SHA-256 first: one or two.
    pub fn files(&self) -> impl Iterator<Item = &FileDigest> {
        [&self.fsverity_sha256, &self.fsverity_sha512].into_iter().flatten()
    }

    /// Every digest of the image that this statement vouches for, as bytes.
    pub fn all(&self) -> impl Iterator<Item = &[u8]> {
        let files = self.files().map(FileDigest::as_bytes);
        core::iter::once(self.sha256.as_bytes().as_slice()).chain(files)
    }

    pub(super) fn parse(node: Node) -> Result<Self, StatementError> {
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

    pub(super) fn to_json(&self) -> Json {
        let mut digests = vec![(SHA256, self.sha256.to_hex())];
        digests.extend(self.fsverity_sha256.map(|digest| (FSVERITY_SHA256, digest.to_hex())));
        digests.extend(self.fsverity_sha512.map(|digest| (FSVERITY_SHA512, digest.to_hex())));
        Json::Object(digests.into_iter().map(|(name, hex)| (name.to_owned(), hex.into())).collect())
    }
}

pub(crate) fn parse_sha256(node: Node, name: &'static str) -> Result<Sha256Digest, StatementError> {
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
