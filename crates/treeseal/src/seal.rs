use std::fs::File;
use std::path::{Path, PathBuf};

use treeseal_erofs::{FormatVersion, ImageWriter, VersionChoice};
use treeseal_source::{ImportOptions, import_directory, read_dump};
use treeseal_store::{SinkOptions, SinkStats, Store, Writer};
use treeseal_sys::{Directory, FileId};
use treeseal_tree::dump::Strictness;
use treeseal_tree::{Content, Payload, Tree};
use treeseal_trust::{
    Clock, ImageDigests, ImageFormat, Objects, RollbackState, SealRequest, Sequence, Sha256Digest,
    Statement, Stream, Verified, sign_statement, verify_seal,
};
use treeseal_verity::{HashAlgorithm, Hasher};

use crate::progress::{Progress, SinkListener};
use crate::sealed::{self, read_seal};
use crate::{Error, Identity, Locations, NewIdentity, default_stream, memory};

/// What to seal, and how.
#[derive(Clone, Debug)]
pub struct SealOptions {
    /// What the tree comes from.
    pub source: SealSource,
    /// The stream; `None` for `local/` and the path of the directory.
    pub stream: Option<Stream>,
    /// The sequence; `None` for the one after the last.
    pub sequence: Option<u64>,
    /// Key files to sign with; none for the machine's own key.
    pub keys: Vec<PathBuf>,
    /// Format version of the image.
    pub version: VersionChoice,
}

/// Where a tree to be sealed comes from.
#[derive(Clone, Debug)]
pub enum SealSource {
    /// A directory, whose files are imported into the store.
    Directory(PathBuf, ImportOptions),
    /// A dump, whose objects are in the store already.
    Dump(PathBuf),
}

/// A tree that was sealed.
#[derive(Debug)]
pub struct Sealed {
    /// The statement, as the trust root accepts it.
    pub statement: Verified<Statement>,
    /// What was made on first use.
    pub made: Option<NewIdentity>,
    /// What was stored.
    pub stored: SinkStats,
}

/// Imports a tree into the store, writes its image, and signs a statement about it.
///
/// The order is that of the store: objects, image, seal, pointer. A seal that the machine's own
/// trust root would not accept is not stored.
pub fn seal(
    locations: &Locations,
    options: &SealOptions,
    progress: &dyn Progress,
) -> Result<Sealed, Error> {
    let now = memory::now()?;
    let stream = options.stream()?;
    let source = options.source.absolute()?;
    let identity = Identity::load(locations, &options.keys)?;
    let state = memory::recall(locations)?;
    let store = Store::create_or_open(&locations.store)?;
    let mut writer = store.writer()?;
    let previous = previous_seal(&store, &stream)?;
    let least = least_sequence(&store, identity.as_ref(), previous.as_ref(), &state, &stream)?;
    let sequence = sequence(options.sequence, least)?;

    let (tree, stored) = import(&mut writer, &source, progress)?;
    let objects = objects(&tree)?;
    let image = store_image(&mut writer, &tree, options.version)?;
    // Nothing is made for a tree that cannot be sealed.
    let Identity { root, keys, made } = match identity {
        Some(identity) => identity,
        None => Identity::make(locations, now)?,
    };
    let root = sealed::newest_root(&store, root)?;
    let statement = Statement {
        stream: stream.clone(),
        digests: image.digests,
        sequence,
        created: now,
        not_after: None,
        format: image.format,
        image_size: image.size,
        objects,
        sources: vec![source.name()],
        previous: previous.map(|(_, digest)| digest),
    };
    let keys: Vec<_> = keys.iter().collect();
    let envelope = sign_statement(&statement, &keys)?.to_bytes();
    let request = SealRequest::new(&stream, &state, Clock::Trusted(now));
    let statement = verify_seal(&envelope, &root, &request)
        .map_err(|source| Error::OwnSeal { stream: stream.clone(), source })?;
    writer.put_seal(&stream, sequence, &envelope)?;
    writer.set_current(&stream, sequence)?;
    memory::remember(locations, &root, &statement)?;
    Ok(Sealed { statement, made, stored })
}

impl SealOptions {
    fn stream(&self) -> Result<Stream, Error> {
        if let Some(stream) = &self.stream {
            return Ok(stream.clone());
        }
        let path = self.source.absolute()?;
        let path = path.path();
        default_stream(path).ok_or_else(|| Error::NoDefaultStream { path: path.to_owned() })
    }
}

impl SealSource {
    fn path(&self) -> &Path {
        match self {
            Self::Directory(path, _) | Self::Dump(path) => path,
        }
    }

    /// The source by its real path, for the names that are made from it.
    fn absolute(&self) -> Result<Self, Error> {
        let path = self.path();
        let path = path.canonicalize().map_err(|source| Error::io("read", path, source))?;
        Ok(match self {
            Self::Directory(_, options) => Self::Directory(path, options.clone()),
            Self::Dump(_) => Self::Dump(path),
        })
    }

    /// What the statement says of the source, for people: its kind and path, as far as that is
    /// text.
    fn name(&self) -> treeseal_trust::Source {
        let kind = match self {
            Self::Directory(..) => "dir",
            Self::Dump(_) => "dump",
        };
        let path = self.path().to_string_lossy();
        let printable = path.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
        let mut name = String::new();
        for character in printable {
            if name.len() + character.len_utf8() > MAX_SOURCE_NAME {
                break;
            }
            name.push(character);
        }
        treeseal_trust::Source { kind: kind.to_owned(), name }
    }
}

/// Longest name of a source in a statement, in bytes: `spec/seal.md`.
const MAX_SOURCE_NAME: usize = 1024;

/// The sequence and payload digest of the seal that the store has as current.
fn previous_seal(
    store: &Store,
    stream: &Stream,
) -> Result<Option<(Sequence, Sha256Digest)>, Error> {
    let Some(sequence) = store.current(stream)? else { return Ok(None) };
    let envelope = read_seal(store, stream, sequence)?;
    Ok(Some((sequence, envelope.payload_digest())))
}

/// The sequence after everything that was seen, and not below what the trust root accepts.
fn least_sequence(
    store: &Store,
    identity: Option<&Identity>,
    previous: Option<&(Sequence, Sha256Digest)>,
    state: &RollbackState,
    stream: &Stream,
) -> Result<u64, Error> {
    let after_previous = previous.map_or(1, |(sequence, _)| sequence.number() + 1);
    let after_seen = state.floor(stream).map_or(1, |floor| floor.sequence.number() + 1);
    let accepted = match identity {
        None => 1,
        Some(identity) => {
            let root = sealed::newest_root(store, identity.root.clone())?;
            root.stream_rule(stream).map_or(1, |rule| rule.min_sequence.number())
        }
    };
    Ok(after_previous.max(after_seen).max(accepted))
}

/// The sequence asked for, or the least that can be.
fn sequence(asked: Option<u64>, least: u64) -> Result<Sequence, Error> {
    let found = asked.unwrap_or(least);
    let error = Error::Sequence { expected: least, found };
    Sequence::new(found).filter(|_| found >= least).ok_or(error)
}

fn import(
    writer: &mut Writer,
    source: &SealSource,
    progress: &dyn Progress,
) -> Result<(Tree, SinkStats), Error> {
    match source {
        SealSource::Directory(path, options) => {
            let mut options = options.clone();
            options.exclude.push(store_id(writer)?);
            import_into(writer, path, &options, progress)
        }
        SealSource::Dump(path) => {
            let file = File::open(path).map_err(|source| Error::io("read", path, source))?;
            let tree = read_dump(file, Strictness::Lenient)
                .map_err(|source| Error::Dump { path: path.clone(), source })?;
            sealed::require_objects(writer.store(), &tree)?;
            Ok((tree, SinkStats::default()))
        }
    }
}

/// The store's directory, which must not become part of a tree that is imported into it.
fn store_id(writer: &Writer) -> Result<FileId, Error> {
    Ok(Directory::open(writer.store().path())?.stat()?.id)
}

pub(crate) fn import_into(
    writer: &mut Writer,
    directory: &Path,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<(Tree, SinkStats), Error> {
    let listener = SinkListener::new(progress);
    let report = |stored| listener.stored(stored);
    let sink = writer
        .object_sink(SinkOptions { algorithm: HashAlgorithm::Sha256, progress: Some(&report) });
    let imported = import_directory(directory, options, &sink, &())
        .map_err(|error| Error::Import(Box::new(error)))?;
    let stored = sink.commit()?;
    Ok((imported.tree, stored))
}

/// An image in the store.
struct StoredImage {
    digests: ImageDigests,
    size: u64,
    format: ImageFormat,
}

fn store_image(
    writer: &mut Writer,
    tree: &Tree,
    version: VersionChoice,
) -> Result<StoredImage, Error> {
    let image = ImageWriter::new(tree, version)?;
    let mut file = writer.image_writer(HashAlgorithm::Sha256)?;
    let mut sha256 = Hasher::new(HashAlgorithm::Sha256);
    image.write(&mut |piece| {
        sha256.update(piece);
        file.append(piece)
    })?;
    let (digest, size) = file.finish()?;
    let mut bytes = [0; 32];
    sha256.finish_into(&mut bytes);
    let sha256 = Sha256Digest::from_bytes(bytes);
    Ok(StoredImage {
        digests: ImageDigests { sha256, fsverity_sha256: Some(digest), fsverity_sha512: None },
        size,
        format: match image.version() {
            FormatVersion::V0 => ImageFormat::ComposefsV0,
            FormatVersion::V1 => ImageFormat::ComposefsV1,
        },
    })
}

/// Counts a tree's objects. Every file must have a digest, and its object must lie at that digest's
/// path: otherwise there would be bytes in the tree that the seal does not vouch for.
fn objects(tree: &Tree) -> Result<Objects, Error> {
    for id in tree.inode_ids() {
        if let Content::External { digest, payload } = tree.inode(id).content()
            && digest.map(Payload::Object) != Some(payload)
        {
            return Err(Error::Unsealable { path: sealed::path_of(tree, id) });
        }
    }
    let objects = sealed::objects_of(tree)?;
    Ok(Objects {
        count: objects.len() as u64,
        bytes: objects.iter().map(|(_, size)| size).sum(),
        algorithm: objects.last().map_or(HashAlgorithm::Sha256, |(digest, _)| digest.algorithm()),
    })
}
