use std::io::{self, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use treeseal_erofs::{Image, Index, to_tree};
use treeseal_source::{Amount, Phase, Progress};
use treeseal_store::{Store, StoreError};
use treeseal_tree::{Content, FileType, InodeId, Payload, Tree};
use treeseal_trust::{Envelope, Sequence, Sha256Digest, Statement, Stream, TrustRoot, Verified};
use treeseal_verity::{FileDigest, HashAlgorithm};

use crate::stated_image::{Found, read_image};
use crate::{CurrentSeal, Error, Locations};

/// A tree whose seal the trust root accepts and whose image is what the seal vouches for.
///
/// The image is held in memory, so what is read is what was checked. Everything that reads a sealed
/// tree goes through this type.
pub struct SealedTree {
    seal: CurrentSeal,
    image: Vec<u8>,
    tree: Tree,
}

/// What a deep check has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Distinct objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl SealedTree {
    /// Opens the current tree of a stream: verifies its seal against the pinned root and what is
    /// remembered, then reads its image and checks every digest that the statement names. What was
    /// accepted is remembered, so that nothing older will be.
    pub fn open(locations: &Locations, stream: &Stream) -> Result<Self, Error> {
        let seal = CurrentSeal::verify(locations, stream)?;
        let (image, tree) = read_tree(&seal.store, &seal.statement)?;
        let image = image.content;
        seal.remember(locations)?;
        Ok(Self { seal, image, tree })
    }

    /// The statement, with who vouches for it.
    pub const fn statement(&self) -> &Verified<Statement> {
        &self.seal.statement
    }

    /// The trust root that accepted it.
    pub const fn root(&self) -> &TrustRoot {
        &self.seal.root
    }

    /// Whether nothing was remembered of any seal: only the floors of the trust root were there to
    /// keep old ones out.
    pub const fn is_first_contact(&self) -> bool {
        self.seal.is_first_contact
    }

    /// The bytes of the image.
    pub fn image(&self) -> &[u8] {
        &self.image
    }

    /// The tree that the image holds.
    pub const fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The tree alone, for comparing.
    pub fn into_tree(self) -> Tree {
        self.tree
    }

    /// The inode at a path of the tree; symlinks are not followed.
    pub fn find(&self, path: &[u8]) -> Result<InodeId, Error> {
        self.tree.lookup(path).ok_or_else(|| Error::NoSuchPath { path: path.to_vec() })
    }

    /// Calls `each` with the path of every file at and below `path`, in path order.
    pub fn each_file(
        &self,
        path: &[u8],
        each: &mut dyn FnMut(&[u8], InodeId),
    ) -> Result<(), Error> {
        let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        let start: Vec<u8> = names.flat_map(|name| [b"/", name].concat()).collect();
        let mut pending = vec![(start, self.find(path)?)];
        while let Some((path, id)) = pending.pop() {
            each(if path.is_empty() { b"/" } else { &path }, id);
            let first = pending.len();
            let children = self.tree.children(id);
            pending.extend(
                children.map(|child| ([&path[..], b"/", child.name].concat(), child.inode)),
            );
            pending[first..].reverse();
        }
        Ok(())
    }

    /// Writes the content of the regular file at a path, each byte checked before it is written.
    pub fn copy_file(&self, path: &[u8], output: &mut dyn Write) -> Result<(), Error> {
        let id = self.find(path)?;
        let found = self.tree.inode(id).file_type();
        let expected = FileType::Regular;
        if found != expected {
            return Err(Error::WrongType { path: path.to_vec(), expected, found });
        }
        self.copy_content(id, output)
    }

    /// Writes the content of a regular file, each byte checked before it is written.
    pub(crate) fn copy_content(&self, id: InodeId, output: &mut dyn Write) -> Result<(), Error> {
        let inode = self.tree.inode(id);
        match inode.content() {
            // Part of the image, which was checked.
            Content::Inline(content) => output.write_all(content).map_err(Error::Output),
            content if is_elsewhere(&content) => Err(self.elsewhere()),
            Content::External { digest: Some(digest), .. } => {
                let digest = self.tree.digest(digest);
                let copied = self.seal.store.read_object_verified(&digest, inode.size(), output);
                copied.map_err(|error| match error {
                    StoreError::Output { source, .. } => Error::Output(source),
                    other => other.into(),
                })
            }
            _ => Ok(()),
        }
    }

    fn elsewhere(&self) -> Error {
        Error::ContentElsewhere { stream: self.seal.statement.stream.clone() }
    }

    /// Whether files of the tree lie where no store has them, as those of a commit of OSTree do. Their
    /// content cannot be read here.
    pub fn is_elsewhere(&self) -> bool {
        content_elsewhere(&self.tree).is_some()
    }

    /// Reads and checks every object, on all cores. Stops at the first that is not right.
    pub fn check_objects(&self, progress: &Progress) -> Result<Checked, Error> {
        if self.is_elsewhere() {
            return Err(self.elsewhere());
        }
        let objects = objects_of(&self.tree)?;
        let checked = Checked {
            objects: objects.len() as u64,
            bytes: objects.iter().fold(0, |bytes, (_, size)| bytes.saturating_add(*size)),
        };
        progress.begin(Phase::Check);
        progress.expect(Amount { files: checked.objects, bytes: checked.bytes });
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None);
        let worker = || {
            while let Some((digest, size)) = objects.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut output = Counted { output: io::sink(), progress };
                let checked = self.seal.store.read_object_verified(digest, *size, &mut output);
                if let Err(error) = checked {
                    next.store(objects.len(), Ordering::Relaxed);
                    let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                    failure.get_or_insert(error);
                    return;
                }
                progress.add_file();
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(worker);
            }
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.into()),
            None => Ok(checked),
        }
    }
}

/// Counts what is written to an output.
pub(crate) struct Counted<'p, W> {
    pub(crate) output: W,
    pub(crate) progress: &'p Progress,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.output.write(bytes)?;
        self.progress.add_bytes(length as u64);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// A seal as the store has it. Nothing in it is trusted.
pub(crate) fn read_seal(
    store: &Store,
    stream: &Stream,
    sequence: Sequence,
) -> Result<Envelope, Error> {
    let bytes = store.seal(stream, sequence)?;
    Envelope::parse(&bytes).map_err(|error| Error::seal(stream, sequence)(error.into()))
}

/// Refuses a seal that the store has under another sequence than its own.
pub(crate) fn require_sequence(
    statement: &Verified<Statement>,
    expected: Sequence,
) -> Result<(), Error> {
    let found = statement.sequence;
    if found == expected {
        return Ok(());
    }
    Err(Error::SequenceMoved { stream: statement.stream.clone(), expected, found })
}

/// Reads the image of a statement that the store has, checks it in every respect, and parses it.
pub(crate) fn read_tree<'s>(
    store: &Store,
    statement: &'s Verified<Statement>,
) -> Result<(Found<'s, Vec<u8>>, Tree), Error> {
    let image = read_image(store, statement)?;
    let index = Image::parse(&image.content).and_then(Index::new);
    let tree = index.and_then(|index| to_tree(&index));
    let tree = tree.map_err(|source| Error::Image { path: image.path.clone(), source })?;
    Ok((image, tree))
}

/// The SHA-256 of an image file, or any other.
pub fn sha256_of_file(path: &Path) -> Result<Sha256Digest, Error> {
    std::fs::read(path)
        .map(|bytes| sha256_of(&bytes))
        .map_err(|source| Error::io("read", path, source))
}

pub(crate) fn sha256_of(bytes: &[u8]) -> Sha256Digest {
    let mut hasher = treeseal_verity::Hasher::new(HashAlgorithm::Sha256);
    hasher.update(bytes);
    let mut digest = [0; 32];
    hasher.finish_into(&mut digest);
    Sha256Digest::from_bytes(digest)
}

/// Every distinct object of a tree with its size. A file without a digest cannot be checked, and two
/// files of one digest have one size.
pub(crate) fn objects_of(tree: &Tree) -> Result<Vec<(FileDigest, u64)>, Error> {
    distinct_objects(tree, |_| true)
}

/// Those of them that a store can have.
///
/// Content that lies elsewhere, like that of a commit of OSTree, is no object of a store: it is neither
/// missed nor removed there.
pub(crate) fn stored_objects_of(tree: &Tree) -> Result<Vec<(FileDigest, u64)>, Error> {
    distinct_objects(tree, |content| !is_elsewhere(content))
}

fn distinct_objects(
    tree: &Tree,
    is_wanted: impl Fn(&Content<'_>) -> bool,
) -> Result<Vec<(FileDigest, u64)>, Error> {
    let mut sizes = vec![None; tree.digest_count()];
    let mut objects = Vec::new();
    for id in tree.inode_ids() {
        let inode = tree.inode(id);
        let content = inode.content();
        let Content::External { digest, .. } = content else { continue };
        let digest = digest.ok_or_else(|| Error::Unsealable { path: path_of(tree, id) })?;
        if !is_wanted(&content) {
            continue;
        }
        match sizes[digest.index()].replace(inode.size()) {
            None => objects.push((tree.digest(digest), inode.size())),
            Some(size) if size == inode.size() => {}
            Some(_) => return Err(Error::Unsealable { path: path_of(tree, id) }),
        }
    }
    Ok(objects)
}

/// The first file whose content no store has.
pub(crate) fn content_elsewhere(tree: &Tree) -> Option<InodeId> {
    tree.inode_ids().find(|id| is_elsewhere(&tree.inode(*id).content()))
}

/// Whether content does not lie at the path of its digest.
fn is_elsewhere(content: &Content<'_>) -> bool {
    match content {
        Content::External { digest, payload } => digest.map(Payload::Object) != Some(*payload),
        _ => false,
    }
}

/// Fails unless the store has an image of a statement, as the statement has it, and all its objects.
pub(crate) fn require_tree(store: &Store, statement: &Verified<Statement>) -> Result<(), Error> {
    require_objects(store, &read_tree(store, statement)?.1)
}

/// Fails on the first object of a tree that the store does not have.
pub(crate) fn require_objects(store: &Store, tree: &Tree) -> Result<(), Error> {
    for (digest, _) in stored_objects_of(tree)? {
        store.open_object(&digest)?;
    }
    Ok(())
}

/// A path of an inode, for messages.
pub(crate) fn path_of(tree: &Tree, wanted: InodeId) -> Vec<u8> {
    let mut pending = vec![(Vec::new(), Tree::ROOT)];
    while let Some((path, id)) = pending.pop() {
        if id == wanted {
            return if path.is_empty() { b"/".to_vec() } else { path };
        }
        let children = tree.children(id);
        pending.extend(children.map(|child| ([&path[..], b"/", child.name].concat(), child.inode)));
    }
    Vec::new()
}
