use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use treeseal_erofs::{FormatVersion, ImageWriter, VersionChoice};
use treeseal_source::ostree::{CommitFile, ReadCommit, Repository, read_commit};
use treeseal_source::{ImportOptions, Phase, Progress, import_directory, read_dump};
use treeseal_store::{ObjectSink, SinkOptions, SinkStats, Store, Writer};
use treeseal_sys::{Directory, FileId};
use treeseal_tree::Tree;
use treeseal_tree::dump::Strictness;
use treeseal_trust::{
    Clock, Envelope, Image, ImageDigests, ImageFormat, Objects, RollbackState, SealError, Sequence,
    Sha256Digest, Statement, Stream, Timestamp, TrustRoot, TufKey, Verified, verify_seal,
};
use treeseal_verity::{Digester, FileDigest, HashAlgorithm, Hasher, Params};

use crate::digest_cache::{CacheNote, CachedSink, DigestCache};
use crate::files::{self, Readable};
use crate::identity::Identity;
use crate::keys::{KeyPlace, Passphrases, Signature};
use crate::ostree::{CommitError, image_digest, put_beside};
use crate::pending::Subject;
use crate::root::{newest_root, pinned_root};
use crate::sealed::{self, read_seal};
use crate::{Error, Locations, NewIdentity, default_stream, memory};

/// What to seal, and how.
#[derive(Clone, Debug)]
pub struct SealOptions {
    /// What the tree comes from.
    pub source: SealSource,
    /// The stream; `None` for `local/` and the path of the directory.
    pub stream: Option<Stream>,
    /// The sequence; `None` for the one after the last.
    pub sequence: Option<u64>,
    /// The last second in which the seal holds, if it ends.
    pub not_after: Option<Timestamp>,
    /// Format versions of the images: one image for each, the first being the one to be used first.
    pub versions: Vec<VersionChoice>,
    /// Whether the statement also has the images' file digests by SHA-512.
    pub sha512: bool,
    /// Which files of a directory are read.
    pub reading: Reading,
}

/// Which files are read when a directory is sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// Those that may have changed since a seal on this machine read them. `docs/semantics.md` says
    /// how that is told.
    #[default]
    Changed,
    /// Every one. What was learnt for other seals is neither used nor added to.
    All,
}

/// Where a tree to be sealed comes from.
#[derive(Clone, Debug)]
pub enum SealSource {
    /// A directory, whose files are imported into the store.
    Directory(PathBuf, ImportOptions),
    /// A dump, whose objects are in the store already.
    Dump(PathBuf),
    /// A commit of OSTree. Its files stay where they are; what is sealed is the image that libostree
    /// makes of it, in format version 0.
    Commit(CommitSource),
    /// A commit of OSTree, by the repository and a name, whose files are imported into the store: a tree
    /// like that of a directory.
    ImportedCommit(PathBuf, String),
}

/// A commit of an OSTree repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitSource {
    /// The repository.
    pub repository: PathBuf,
    /// A ref, a remote and a ref, or a checksum.
    pub name: String,
    /// Whether the seal is also put beside the commit, so that it goes where OSTree takes the commit. Of
    /// no effect where nothing is signed.
    pub embed: bool,
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
    /// What a person should know about the digests of earlier seals.
    pub notes: Vec<CacheNote>,
}

/// A tree that is in the store, with a seal that is still to be signed.
#[derive(Debug)]
pub struct Prepared {
    /// The statement, for which nobody vouches yet.
    pub statement: Statement,
    /// What was stored.
    pub stored: SinkStats,
    /// What a person should know about the digests of earlier seals.
    pub notes: Vec<CacheNote>,
}

/// Imports a tree into the store, writes its images, and signs a statement about it.
///
/// The order is that of the store: objects, images, seal, pointer. A seal that the machine's own
/// trust root would not accept is not stored. `keys` are the keys to sign with; none for the
/// machine's own.
pub fn seal(
    locations: &Locations,
    options: &SealOptions,
    keys: &[KeyPlace],
    passphrases: &mut dyn Passphrases,
    progress: &Progress,
) -> Result<Sealed, Error> {
    let now = memory::now()?;
    let identity = Identity::load(locations, keys, passphrases)?;
    let root = identity.as_ref().map(|identity| identity.root.clone());
    let mut work = Work::start(locations, options, root, now)?;
    for signer in identity.iter().flat_map(|identity| &identity.signers) {
        work.require_say(&signer.tuf_key())?;
    }
    let (statement, Taken { stored, notes, .. }) = work.import(locations, options, progress)?;
    progress.begin(Phase::Sign);
    // Nothing is made for a tree that cannot be sealed.
    let Identity { root, signers, made } = match identity {
        Some(identity) => identity,
        None => Identity::make(locations, now)?,
    };
    let mut envelope = Envelope::unsigned(&statement).map_err(Error::Statement)?;
    let stream = &statement.stream;
    let what = Signature::Seal { stream, sequence: statement.sequence.number() };
    for signer in &signers {
        signer.sign_envelope(&mut envelope, &what, &locations.signing_log())?;
    }
    let root = work.root.take().unwrap_or(root);
    let statement = accept_own(locations, &envelope.to_bytes(), &root, stream, &work.state, now)?;
    put_seal(locations, &mut work.writer, &root, &envelope, &statement)?;
    work.embed(&envelope)?;
    Ok(Sealed { statement, made, stored, notes })
}

/// Imports a tree into the store and writes its images, and writes a seal that nobody has signed yet
/// to the file `pending`, which may not exist. Nothing is signed: no key is needed.
pub fn prepare(
    locations: &Locations,
    options: &SealOptions,
    pending: &Path,
    progress: &Progress,
) -> Result<Prepared, Error> {
    let now = memory::now()?;
    let root = match pinned_root(locations) {
        Err(Error::NoRoot { .. }) => None,
        root => Some(root?),
    };
    if pending.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: pending.to_owned() });
    }
    let mut work = Work::start(locations, options, root, now)?;
    let (statement, Taken { stored, notes, .. }) = work.import(locations, options, progress)?;
    let envelope = Envelope::unsigned(&statement).map_err(Error::Statement)?;
    files::create(pending, &envelope.to_bytes(), Readable::ByAll)?;
    Ok(Prepared { statement, stored, notes })
}

/// Verifies a seal that was made here, as a reader would. It is not stored if that fails.
pub(crate) fn accept_own(
    locations: &Locations,
    envelope: &[u8],
    root: &TrustRoot,
    stream: &Stream,
    state: &RollbackState,
    now: Timestamp,
) -> Result<Verified<Statement>, Error> {
    let request = memory::request(locations, state, stream, Clock::Trusted(now))?.for_the_sealer();
    let refused = |source| Error::OwnSeal { stream: stream.clone(), source: Box::new(source) };
    verify_seal(envelope, root, &request).map_err(refused)
}

/// Stores a seal whose images are in the store, and makes it the current one.
pub(crate) fn put_seal(
    locations: &Locations,
    writer: &mut Writer,
    root: &TrustRoot,
    envelope: &Envelope,
    statement: &Verified<Statement>,
) -> Result<(), Error> {
    writer.put_seal(&statement.stream, statement.sequence, &envelope.to_bytes())?;
    writer.set_current(&statement.stream, statement.sequence)?;
    memory::remember(locations, root, statement)
}

/// A tree on its way into the store.
struct Work {
    writer: Writer,
    /// The newest trust root, if there is any yet.
    root: Option<TrustRoot>,
    state: RollbackState,
    source: SealSource,
    stream: Stream,
    sequence: Sequence,
    previous: Option<Sha256Digest>,
    now: Timestamp,
}

impl Work {
    /// Decides on stream and sequence, and takes the store's lock.
    fn start(
        locations: &Locations,
        options: &SealOptions,
        root: Option<TrustRoot>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let stream = options.stream()?;
        let source = options.source.absolute()?;
        let state = memory::recall(locations)?.unwrap_or_default();
        let store = Store::create_or_open(&locations.store)?;
        let writer = store.writer()?;
        let root = root.map(|root| newest_root(&store, root)).transpose()?;
        if let Some(end) = root.as_ref().map(TrustRoot::expires).filter(|end| now >= *end) {
            return Err(Error::RootExpired { end, now });
        }
        if let Some(root) = &root {
            sealing_keys(root, &stream)?;
        }
        let previous = previous_seal(&store, &stream)?;
        // Also those that nothing points to: a seal that was stopped has used its sequence up.
        let stored = store.sequences(&stream)?.last().copied();
        let least = least_sequence(root.as_ref(), stored, &state, &stream);
        let sequence = sequence(options.sequence, least)?;
        let previous = previous.map(|(_, digest)| digest);
        Ok(Self { writer, root, state, source, stream, sequence, previous, now })
    }

    /// Refuses a key whose signature would count for nothing.
    fn require_say(&self, key: &TufKey) -> Result<(), Error> {
        let Some(root) = &self.root else { return Ok(()) };
        if sealing_keys(root, &self.stream)?.iter().any(|wanted| wanted.public() == key.public()) {
            return Ok(());
        }
        let (stream, sequence) = (self.stream.clone(), self.sequence.number());
        Err(Error::NoSay { key: key.id(), what: Subject::Seal { stream, sequence } })
    }

    /// Stores objects and images, and says what a seal of them is to say.
    fn import(
        &mut self,
        locations: &Locations,
        options: &SealOptions,
        progress: &Progress,
    ) -> Result<(Statement, Taken), Error> {
        let taken = match &self.source {
            SealSource::Directory(path, import) => {
                let cache = match options.reading {
                    Reading::Changed => Some(DigestCache::open(&locations.state, self.now)),
                    Reading::All => None,
                };
                take_directory(&mut self.writer, path, import, cache, progress)?
            }
            SealSource::Dump(path) => take_dump(&self.writer, path)?,
            SealSource::Commit(commit) => take_commit(commit, progress)?,
            SealSource::ImportedCommit(repository, name) => {
                import_commit(&mut self.writer, repository, name, progress)?
            }
        };
        let tree = &taken.tree;
        if !matches!(self.source, SealSource::Commit(_)) {
            require_object_paths(tree)?;
        }
        let (objects, algorithm) = objects(tree)?;
        progress.begin(Phase::Image);
        let mut images: Vec<Image> = Vec::new();
        for version in self.source.versions(&options.versions)? {
            let image = ImageWriter::new(tree, version)?;
            // What `auto` stands for may be asked for as well.
            if images.iter().all(|other| other.format != format_of(&image)) {
                images.push(store_image(&mut self.writer, &image, algorithm, options.sha512)?);
            }
        }
        let statement = Statement {
            stream: self.stream.clone(),
            images,
            sequence: self.sequence,
            created: self.now,
            not_after: options.not_after,
            objects,
            sources: vec![self.source.name()],
            previous: self.previous,
        };
        Ok((statement, taken))
    }

    /// Puts the seal beside the commit that it is of, where that is wanted.
    fn embed(&self, envelope: &Envelope) -> Result<(), Error> {
        match &self.source {
            SealSource::Commit(CommitSource { repository, name, embed: true }) => {
                let repository = Repository::open(repository)?;
                let checksum = repository.resolve(name)?;
                put_beside(&repository, &checksum, &envelope.to_bytes(), self.writer.store())
            }
            _ => Ok(()),
        }
    }
}

/// A tree whose objects are in the store.
struct Taken {
    tree: Tree,
    stored: SinkStats,
    notes: Vec<CacheNote>,
}

impl SealOptions {
    fn stream(&self) -> Result<Stream, Error> {
        if let Some(stream) = &self.stream {
            return Ok(stream.clone());
        }
        let source = self.source.absolute()?;
        let path = source.path();
        let default = match source {
            // A repository has many commits, and its path names none of them.
            SealSource::Commit(_) | SealSource::ImportedCommit(..) => None,
            _ => default_stream(path),
        };
        default.ok_or_else(|| Error::NoDefaultStream { path: path.to_owned() })
    }
}

impl SealSource {
    fn path(&self) -> &Path {
        match self {
            Self::Directory(path, _) | Self::Dump(path) | Self::ImportedCommit(path, _) => path,
            Self::Commit(commit) => &commit.repository,
        }
    }

    /// The source by its real path, for the names that are made from it. A commit is named by its
    /// checksum from here on: a ref may move meanwhile.
    fn absolute(&self) -> Result<Self, Error> {
        let path = self.path();
        let path = path.canonicalize().map_err(|source| Error::io("read", path, source))?;
        Ok(match self {
            Self::Directory(_, options) => Self::Directory(path, options.clone()),
            Self::Dump(_) => Self::Dump(path),
            Self::Commit(CommitSource { name, embed, .. }) => {
                let name = Repository::open(&path)?.resolve(name)?.to_string();
                Self::Commit(CommitSource { repository: path, name, embed: *embed })
            }
            Self::ImportedCommit(_, name) => {
                let name = Repository::open(&path)?.resolve(name)?.to_string();
                Self::ImportedCommit(path, name)
            }
        })
    }

    /// The format versions of the images that are made, where these are asked for.
    fn versions(&self, asked: &[VersionChoice]) -> Result<Vec<VersionChoice>, Error> {
        let v0 = VersionChoice::Fixed(FormatVersion::V0);
        match self {
            Self::Directory(..) | Self::Dump(_) | Self::ImportedCommit(..) => Ok(asked.to_vec()),
            Self::Commit(_) if asked.iter().all(|v| [v0, VersionChoice::Auto].contains(v)) => {
                Ok(vec![v0])
            }
            Self::Commit(_) => Err(CommitError::Version.into()),
        }
    }

    /// What the statement says of the source, for people: its kind, and its path, as far as that is
    /// text, or its checksum.
    fn name(&self) -> treeseal_trust::Source {
        let (kind, text) = match self {
            Self::Directory(path, _) => ("dir", path.to_string_lossy()),
            Self::Dump(path) => ("dump", path.to_string_lossy()),
            Self::Commit(commit) => (OSTREE_SOURCE, commit.name.as_str().into()),
            Self::ImportedCommit(_, name) => ("ostree-import", name.as_str().into()),
        };
        let printable = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
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

/// The kind of the source of a commit's seal.
pub(crate) const OSTREE_SOURCE: &str = "ostree";

/// Longest name of a source in a statement, in bytes: `spec/seal.md`.
const MAX_SOURCE_NAME: usize = 1024;

/// The keys that seal a stream, in all roles of its rule. A stream without a rule is refused: a seal
/// that nobody may make is not begun.
pub(crate) fn sealing_keys(root: &TrustRoot, stream: &Stream) -> Result<Vec<TufKey>, Error> {
    let (_, rule) = root.stream_rule(stream).ok_or_else(|| Error::OwnSeal {
        stream: stream.clone(),
        source: Box::new(SealError::StreamNotAllowed { stream: stream.clone() }),
    })?;
    Ok(rule.roles.iter().flat_map(|role| root.content().keys_of(role)).cloned().collect())
}

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
    root: Option<&TrustRoot>,
    stored: Option<Sequence>,
    state: &RollbackState,
    stream: &Stream,
) -> u64 {
    let after_stored = stored.map_or(1, |sequence| sequence.number() + 1);
    let after_seen = state.floor(stream).map_or(1, |floor| floor.sequence.number() + 1);
    let rule = root.and_then(|root| root.stream_rule(stream));
    let accepted = rule.map_or(1, |(_, rule)| rule.min_sequence.number());
    after_stored.max(after_seen).max(accepted)
}

/// The sequence asked for, or the least that can be.
fn sequence(asked: Option<u64>, least: u64) -> Result<Sequence, Error> {
    let found = asked.unwrap_or(least);
    let error = Error::Sequence { expected: least, found };
    Sequence::new(found).filter(|_| found >= least).ok_or(error)
}

fn take_dump(writer: &Writer, path: &Path) -> Result<Taken, Error> {
    let file = File::open(path).map_err(|source| Error::io("read", path, source))?;
    let tree = read_dump(file, Strictness::Lenient)
        .map_err(|source| Error::Dump { path: path.to_owned(), source })?;
    sealed::require_objects(writer.store(), &tree)?;
    Ok(Taken { tree, stored: SinkStats::default(), notes: Vec::new() })
}

/// Reads a commit of OSTree and checks every object of it. Nothing is stored.
fn take_commit(source: &CommitSource, progress: &Progress) -> Result<Taken, Error> {
    let repository = Repository::open(&source.repository)?;
    let checksum = repository.resolve(&source.name)?;
    let (commit, _) = repository.commit(&checksum)?;
    let tree = read_commit(&repository, &commit, progress)?;
    image_digest(&checksum, &commit, &tree)?;
    Ok(Taken { tree, stored: SinkStats::default(), notes: Vec::new() })
}

/// Reads a commit of OSTree, checks every object of it, and puts its files into the store. Their blocks are
/// shared with the repository where the filesystem can do that.
fn import_commit(
    writer: &mut Writer,
    repository: &Path,
    name: &str,
    progress: &Progress,
) -> Result<Taken, Error> {
    let repository = Repository::open(repository)?;
    let checksum = repository.resolve(name)?;
    let (commit, _) = repository.commit(&checksum)?;
    let read = ReadCommit::of(&repository, &commit, progress)?;
    image_digest(&checksum, &commit, &read.image_tree()?)?;
    let sink = writer
        .object_sink(SinkOptions { algorithm: HashAlgorithm::Sha256, progress: Some(progress) });
    read.each_file(progress, &|file| put_file(&sink, file))?;
    progress.begin(Phase::Commit);
    Ok(Taken { tree: read.tree()?, stored: sink.commit()?, notes: Vec::new() })
}

fn put_file(sink: &ObjectSink<'_>, file: &CommitFile<'_>) -> Result<FileDigest, Error> {
    if sink.put_known(&file.digest, file.size)? {
        return Ok(file.digest);
    }
    let mut content = file.open()?;
    // The descriptor is duplicated because the content is read through it at the same time.
    let shared = content.file().and_then(|file| file.try_clone().ok());
    Ok(match shared {
        Some(shared) => sink.put_file(&mut content, file.size, shared.as_fd())?,
        None => sink.put_reader(&mut content, Some(file.size))?,
    })
}

/// The store's directory, which must not become part of a tree that is imported into it.
fn store_id(writer: &Writer) -> Result<FileId, Error> {
    Ok(Directory::open(writer.store().path())?.stat()?.id)
}

/// Imports a directory. What is learnt of its files is kept once their objects are durable.
fn take_directory(
    writer: &mut Writer,
    directory: &Path,
    options: &ImportOptions,
    cache: Option<(DigestCache, Option<CacheNote>)>,
    progress: &Progress,
) -> Result<Taken, Error> {
    let mut options = options.clone();
    options.exclude.push(store_id(writer)?);
    let (cache, unread) = cache.unzip();
    let sink = writer
        .object_sink(SinkOptions { algorithm: HashAlgorithm::Sha256, progress: Some(progress) });
    let cached = CachedSink::new(&sink, cache.as_ref());
    let imported = import_directory(directory, &options, &cached, progress)
        .map_err(|error| Error::Import(Box::new(error)))?;
    progress.begin(Phase::Commit);
    let stored = sink.commit()?;
    let unwritten = cache.and_then(DigestCache::save);
    let notes = unread.flatten().into_iter().chain(unwritten).collect();
    Ok(Taken { tree: imported.tree, stored, notes })
}

fn format_of(image: &ImageWriter<'_>) -> ImageFormat {
    match image.version() {
        FormatVersion::V0 => ImageFormat::ComposefsV0,
        FormatVersion::V1 => ImageFormat::ComposefsV1,
    }
}

/// Writes an image into the store, and hashes it on the way in every way that is asked for.
fn store_image(
    writer: &mut Writer,
    image: &ImageWriter<'_>,
    objects: HashAlgorithm,
    sha512: bool,
) -> Result<Image, Error> {
    let mut file = writer.image_writer(HashAlgorithm::Sha256)?;
    let mut sha256 = Hasher::new(HashAlgorithm::Sha256);
    let mut verity512 =
        sha512.then(|| Digester::new(Params::with_algorithm(HashAlgorithm::Sha512)));
    image.write(&mut |piece| {
        sha256.update(piece);
        if let Some(digester) = &mut verity512 {
            digester.update(piece);
        }
        file.append(piece)
    })?;
    let (digest, size) = file.finish()?;
    let mut bytes = [0; 32];
    sha256.finish_into(&mut bytes);
    let digests = ImageDigests {
        sha256: Sha256Digest::from_bytes(bytes),
        fsverity_sha256: Some(digest),
        fsverity_sha512: verity512.map(|digester| digester.finish().digest),
    };
    Ok(Image { digests, format: format_of(image), size, objects })
}

/// Refuses a tree with a file whose object does not lie at the path of its digest: there would be bytes
/// in the tree that the seal does not vouch for.
fn require_object_paths(tree: &Tree) -> Result<(), Error> {
    match sealed::content_elsewhere(tree) {
        Some(id) => Err(Error::Unsealable { path: sealed::path_of(tree, id) }),
        None => Ok(()),
    }
}

/// Counts a tree's objects. Every file must have a digest.
fn objects(tree: &Tree) -> Result<(Objects, HashAlgorithm), Error> {
    let objects = sealed::objects_of(tree)?;
    let algorithm = objects.last().map_or(HashAlgorithm::Sha256, |(digest, _)| digest.algorithm());
    let count = objects.len() as u64;
    Ok((Objects { count, bytes: objects.iter().map(|(_, size)| size).sum() }, algorithm))
}
