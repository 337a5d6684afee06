use std::collections::HashMap;
use std::io::Write;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use treeseal_erofs::{Image, Index, to_tree};
use treeseal_store::{Store, StoreError};
use treeseal_tree::{Content, FileType, InodeId, Tree};
use treeseal_trust::{
    Envelope, SealRequest, Sequence, Sha256Digest, Statement, Stream, TrustRoot, Verified,
    verify_seal,
};
use treeseal_verity::{Digester, FileDigest, HashAlgorithm, Params};

use crate::progress::Progress;
use crate::{Error, Locations, identity, memory};

/// A tree whose seal the trust root accepts and whose image is what the seal vouches for.
///
/// The image is held in memory, so what is read is what was checked. Everything that reads a sealed
/// tree goes through this type.
pub struct SealedTree {
    statement: Verified<Statement>,
    image: Vec<u8>,
    tree: Tree,
    store: Store,
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
        let root = identity::pinned_root(locations)?;
        let state = memory::recall(locations)?;
        let store = Store::open_read_only(&locations.store)?;
        let root = newest_root(&store, root)?;
        let sequence =
            store.current(stream)?.ok_or_else(|| Error::NoSeal { stream: stream.clone() })?;
        let envelope = store.seal(stream, sequence)?;
        let request = SealRequest::new(stream, &state, memory::clock()?);
        let statement = verify_seal(&envelope, &root, &request).map_err(|source| Error::Seal {
            stream: stream.clone(),
            sequence,
            source,
        })?;
        if statement.sequence != sequence {
            let (expected, found) = (sequence, statement.sequence);
            return Err(Error::SequenceMoved { stream: stream.clone(), expected, found });
        }
        let image = read_image(&store, &statement)?;
        let tree = parse_image(&store, &statement, &image)?;
        memory::remember(locations, &root, &statement)?;
        Ok(Self { statement, image, tree, store })
    }

    /// The statement, with who vouches for it.
    pub const fn statement(&self) -> &Verified<Statement> {
        &self.statement
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
            Content::External { digest: Some(digest), .. } => {
                let digest = self.tree.digest(digest);
                let copied = self.store.read_object_verified(&digest, inode.size(), output);
                copied.map_err(|error| match error {
                    StoreError::Output { source, .. } => Error::Output(source),
                    other => other.into(),
                })
            }
            Content::External { digest: None, .. } => {
                Err(Error::Unsealable { path: path_of(&self.tree, id) })
            }
            _ => Ok(()),
        }
    }

    /// Reads and checks every object, on all cores. Stops at the first that is not right.
    pub fn check_objects(&self, progress: &dyn Progress) -> Result<Checked, Error> {
        let objects = objects_of(&self.tree)?;
        let next = AtomicUsize::new(0);
        let (files, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let failure = Mutex::new(None);
        let worker = || {
            while let Some((digest, size)) = objects.get(next.fetch_add(1, Ordering::Relaxed)) {
                let checked = self.store.read_object_verified(digest, *size, &mut std::io::sink());
                if let Err(error) = checked {
                    next.store(objects.len(), Ordering::Relaxed);
                    let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                    failure.get_or_insert(error);
                    return;
                }
                let files = files.fetch_add(1, Ordering::Relaxed) + 1;
                let bytes = bytes.fetch_add(*size, Ordering::Relaxed) + size;
                progress.files(files, bytes);
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
            None => Ok(Checked { objects: files.into_inner(), bytes: bytes.into_inner() }),
        }
    }
}

/// The newest root that leads on from the pinned one, step by step, among those that the store has.
pub(crate) fn newest_root(store: &Store, pinned: TrustRoot) -> Result<TrustRoot, Error> {
    let mut root = pinned;
    while let Some(next) = store.root(root.version() + 1)? {
        let path = store.path().join(format!("roots/{}.root.json", root.version() + 1));
        root = root.advance(&next).map_err(|source| Error::Root { path, source })?;
    }
    Ok(root)
}

/// A seal as the store has it. Nothing in it is trusted.
pub(crate) fn read_seal(
    store: &Store,
    stream: &Stream,
    sequence: Sequence,
) -> Result<Envelope, Error> {
    let bytes = store.seal(stream, sequence)?;
    Envelope::parse(&bytes).map_err(|error| Error::Seal {
        stream: stream.clone(),
        sequence,
        source: error.into(),
    })
}

/// Reads the image that a statement names, and checks all of its digests and its size.
fn read_image(store: &Store, statement: &Verified<Statement>) -> Result<Vec<u8>, Error> {
    let digests = &statement.digests;
    let differs =
        |what, expected: String, found: String| Error::ImageDiffers { what, expected, found };
    let name = digests.fsverity_sha256.or(digests.fsverity_sha512);
    // A statement without either is none.
    let name = name.ok_or_else(|| differs("file digest", "one".into(), "none".into()))?;
    let image = store.read_image(&name, statement.image_size)?;
    let size = image.len() as u64;
    if size != statement.image_size {
        return Err(differs("size", statement.image_size.to_string(), size.to_string()));
    }
    let sha256 = sha256_of(&image);
    if sha256 != digests.sha256 {
        return Err(differs("SHA-256", digests.sha256.to_string(), sha256.to_string()));
    }
    if let (Some(_), Some(expected)) = (digests.fsverity_sha256, digests.fsverity_sha512) {
        let params = Params::with_algorithm(HashAlgorithm::Sha512);
        let found = Digester::digest_of(&params, &image);
        if found != expected {
            return Err(differs("file digest", expected.to_string(), found.to_string()));
        }
    }
    Ok(image)
}

pub(crate) fn sha256_of(bytes: &[u8]) -> Sha256Digest {
    let mut hasher = treeseal_verity::Hasher::new(HashAlgorithm::Sha256);
    hasher.update(bytes);
    let mut digest = [0; 32];
    hasher.finish_into(&mut digest);
    Sha256Digest::from_bytes(digest)
}

fn parse_image(
    store: &Store,
    statement: &Verified<Statement>,
    image: &[u8],
) -> Result<Tree, Error> {
    let path = || {
        let digests = &statement.digests;
        let digest = digests.fsverity_sha256.or(digests.fsverity_sha512);
        store.path().join("images").join(digest.map_or(String::new(), |name| name.object_path()))
    };
    let index = Image::parse(image).and_then(Index::new);
    index.and_then(|index| to_tree(&index)).map_err(|source| Error::Image { path: path(), source })
}

/// Every distinct object of a tree with its size. A file without a digest cannot be checked, and two
/// files of one digest have one size.
pub(crate) fn objects_of(tree: &Tree) -> Result<Vec<(FileDigest, u64)>, Error> {
    let mut sizes: HashMap<_, u64> = HashMap::new();
    let mut objects = Vec::new();
    for id in tree.inode_ids() {
        let inode = tree.inode(id);
        let Content::External { digest, .. } = inode.content() else { continue };
        let digest = digest.ok_or_else(|| Error::Unsealable { path: path_of(tree, id) })?;
        match sizes.insert(digest, inode.size()) {
            None => objects.push((tree.digest(digest), inode.size())),
            Some(size) if size == inode.size() => {}
            Some(_) => return Err(Error::Unsealable { path: path_of(tree, id) }),
        }
    }
    Ok(objects)
}

/// Fails on the first object of a tree that the store does not have.
pub(crate) fn require_objects(store: &Store, tree: &Tree) -> Result<(), Error> {
    for (digest, _) in objects_of(tree)? {
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
