//! A commit as a tree: the one that libostree makes an image of.

use std::collections::HashMap;

use treeseal_tree::{
    InodeId, Metadata, Mtime, Node, NodeContent, Tree, TreeBuilder, TreeError, XattrSetId,
};
use treeseal_verity::{Batch, Digester, FileDigest, Params};

use super::content::{CommitContent, FileObject};
use super::object::{FileHeader, Inode, SubDirectory, Xattr};
use super::{Checksum, Commit, OstreeError, Repository};
use crate::parallel::by_all_cores;
use crate::{Phase, Progress};

/// The most names that are read of a commit. A commit of a few kilobytes can name any number: the same
/// directory may be in many places.
const MAX_NAMES: usize = 20_000_000;

/// Directories that every root has, made where they are missing: an empty one for the system to mount
/// things on.
const ROOT_DIRECTORIES: [&str; 5] = ["usr", "etc", "boot", "var", "sysroot"];

/// Bytes of content that are read at once: a multiple of every block size.
const BUFFER_BYTES: usize = 128 * 1024;

/// Reads a commit, checks every object of it, and gives [`ReadCommit::image_tree`].
pub fn read_commit(
    repository: &Repository,
    commit: &Commit,
    progress: &Progress,
) -> Result<Tree, OstreeError> {
    ReadCommit::of(repository, commit, progress)?.image_tree()
}

/// A commit of which every object was read, and was right.
pub struct ReadCommit<'r> {
    repository: &'r Repository,
    listing: Listing,
    /// In the order of the listing's objects.
    files: Vec<ReadFile>,
}

/// A regular file of such a commit.
pub struct CommitFile<'r> {
    repository: &'r Repository,
    checksum: &'r Checksum,
    progress: &'r Progress,
    /// The fs-verity digest that its content had.
    pub digest: FileDigest,
    /// Bytes of content.
    pub size: u64,
}

impl CommitFile<'_> {
    /// Opens the content.
    pub fn open(&self) -> Result<CommitContent<'_>, OstreeError> {
        CommitContent::open(self.repository, self.checksum, self.size, self.progress)
    }
}

impl<'r> ReadCommit<'r> {
    /// Reads a commit and checks every object of it. Files are read by as many threads as this process may
    /// run at once.
    pub fn of(
        repository: &'r Repository,
        commit: &Commit,
        progress: &Progress,
    ) -> Result<Self, OstreeError> {
        let listing = Listing::of(repository, commit)?;
        progress.begin(Phase::Check);
        let files = read_files(repository, &listing.objects, progress)?;
        Ok(Self { repository, listing, files })
    }

    /// The tree that libostree makes an image of: every time is 0, every name a file of its own, and
    /// content lies where a repository of mode `bare` has it (`ab/cdef….file`), with its fs-verity digest.
    pub fn image_tree(&self) -> Result<Tree, OstreeError> {
        self.assemble(Purpose::Image)
    }

    /// The tree as the commit has it, without the directories that libostree adds, and with content at the
    /// paths of its digests.
    pub fn tree(&self) -> Result<Tree, OstreeError> {
        self.assemble(Purpose::Store)
    }

    fn assemble(&self, purpose: Purpose) -> Result<Tree, OstreeError> {
        Assembly::new(&self.listing, &self.files, purpose).finish()
    }

    /// Calls `put` for each distinct file with content, by as many threads as this process may run at once.
    /// It gives the digest of what it has read, or found; another than the file had is an error.
    pub fn each_file<E: From<OstreeError> + Send>(
        &self,
        progress: &Progress,
        put: &(impl Fn(&CommitFile<'_>) -> Result<FileDigest, E> + Sync),
    ) -> Result<(), E> {
        progress.begin(Phase::Read);
        by_all_cores(self.files.len(), |places| {
            for place in places {
                let ReadFile { header, size, digest } = &self.files[place];
                if header.target.is_some() || *size == 0 {
                    continue;
                }
                let (repository, checksum) = (self.repository, &self.listing.objects[place]);
                let (size, digest) = (*size, *digest);
                if put(&CommitFile { repository, checksum, progress, digest, size })? != digest {
                    let path = repository.file_path(checksum);
                    return Err(OstreeError::Changed { path }.into());
                }
                progress.add_file();
            }
            Ok(Vec::<()>::new())
        })
        .map(|_| ())
    }
}

/// The place of the top directory in a listing.
const ROOT: usize = 0;

/// Everything that a commit names, before a file was looked at.
#[derive(Default)]
struct Listing {
    /// The root first, a directory before what is in it.
    directories: Vec<FoundDirectory>,
    names: Vec<FoundFile>,
    /// Distinct files.
    objects: Vec<Checksum>,
    /// Places in `objects`.
    known_objects: HashMap<Checksum, usize>,
    /// Distinct metadata of directories.
    inodes: Vec<Inode>,
    /// Places in `inodes`.
    known_inodes: HashMap<Checksum, usize>,
}

struct FoundDirectory {
    parent: usize,
    name: String,
    /// Its place in the listing.
    inode: usize,
}

struct FoundFile {
    parent: usize,
    name: String,
    /// Its place in the listing.
    object: usize,
}

impl Listing {
    fn of(repository: &Repository, commit: &Commit) -> Result<Self, OstreeError> {
        let mut listing = Self::default();
        let Commit { root_tree: tree, root_meta: meta, .. } = *commit;
        listing.add_directory(
            repository,
            ROOT,
            SubDirectory { name: String::new(), tree, meta },
        )?;
        let mut pending = vec![(ROOT, tree)];
        while let Some((parent, tree)) = pending.pop() {
            let found = repository.dir_tree(&tree)?;
            for (name, checksum) in found.files {
                listing.add_file(parent, name, checksum)?;
            }
            for directory in found.directories {
                let tree = directory.tree;
                let place = listing.add_directory(repository, parent, directory)?;
                pending.push((place, tree));
            }
        }
        Ok(listing)
    }

    fn add_directory(
        &mut self,
        repository: &Repository,
        parent: usize,
        directory: SubDirectory,
    ) -> Result<usize, OstreeError> {
        let SubDirectory { name, meta, .. } = directory;
        self.require_room()?;
        let inode = self.inode(repository, meta)?;
        self.directories.push(FoundDirectory { parent, name, inode });
        Ok(self.directories.len() - 1)
    }

    fn inode(&mut self, repository: &Repository, meta: Checksum) -> Result<usize, OstreeError> {
        if let Some(known) = self.known_inodes.get(&meta) {
            return Ok(*known);
        }
        let place = self.inodes.len();
        self.inodes.push(repository.dir_meta(&meta)?);
        self.known_inodes.insert(meta, place);
        Ok(place)
    }

    fn add_file(
        &mut self,
        parent: usize,
        name: String,
        checksum: Checksum,
    ) -> Result<(), OstreeError> {
        self.require_room()?;
        let next = self.objects.len();
        let object = *self.known_objects.entry(checksum).or_insert(next);
        if object == next {
            self.objects.push(checksum);
        }
        self.names.push(FoundFile { parent, name, object });
        Ok(())
    }

    fn require_room(&self) -> Result<(), OstreeError> {
        if self.directories.len() + self.names.len() < MAX_NAMES {
            return Ok(());
        }
        Err(OstreeError::TooManyNames { limit: MAX_NAMES })
    }

    /// Says which name in which directory cannot be part of a tree.
    fn tree_error(&self, mut parent: usize, name: &str, source: TreeError) -> OstreeError {
        let mut names = vec![name];
        while parent != ROOT {
            let directory = &self.directories[parent];
            names.push(&directory.name);
            parent = directory.parent;
        }
        let path = names.iter().rev().flat_map(|name| [b"/", name.as_bytes()].concat()).collect();
        OstreeError::Tree { path, source }
    }
}

/// A file that was read and whose checksum was right.
struct ReadFile {
    header: FileHeader,
    size: u64,
    digest: FileDigest,
}

/// Reads all files on all cores, and stops at the first that is not right.
fn read_files(
    repository: &Repository,
    objects: &[Checksum],
    progress: &Progress,
) -> Result<Vec<ReadFile>, OstreeError> {
    let all: Result<Vec<_>, OstreeError> = by_all_cores(objects.len(), |places| {
        let mut reader = Reader::new(repository, progress);
        for place in places {
            reader.read(place, &objects[place])?;
        }
        Ok(reader.finish())
    });
    let mut all = all?;
    all.sort_unstable_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, file)| file).collect())
}

/// What one thread reads.
struct Reader<'a> {
    repository: &'a Repository,
    progress: &'a Progress,
    params: Params,
    buffer: Vec<u8>,
    /// The content of `short`, which is hashed together.
    batch: Batch,
    /// Short files without their digests, each with its place among the objects.
    short: Vec<(usize, FileHeader, u64)>,
    read: Vec<(usize, ReadFile)>,
}

impl<'a> Reader<'a> {
    fn new(repository: &'a Repository, progress: &'a Progress) -> Self {
        let params = Params::default();
        let batch = Batch::new(params.clone());
        let buffer = vec![0; BUFFER_BYTES];
        Self { repository, progress, params, buffer, batch, short: Vec::new(), read: Vec::new() }
    }

    fn read(&mut self, index: usize, checksum: &Checksum) -> Result<(), OstreeError> {
        let file = self.repository.file(checksum)?;
        let size = file.size();
        if self.params.is_short(size) {
            self.read_short(index, file)?;
        } else {
            self.read_long(index, file)?;
        }
        self.progress.add_file();
        Ok(())
    }

    fn read_short(&mut self, index: usize, file: FileObject<'_>) -> Result<(), OstreeError> {
        let size = file.size();
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let with_one_more = length.saturating_add(1);
        if self.batch.room(with_one_more).is_none() {
            self.finish_short();
        }
        // An empty batch has room for every short file.
        let room = self.batch.room(with_one_more).and_then(|room| room.get_mut(..with_one_more));
        let header = file.read_into(room.unwrap_or_default())?;
        self.batch.add(length);
        self.short.push((index, header, size));
        self.progress.add_bytes(size);
        Ok(())
    }

    fn read_long(&mut self, index: usize, file: FileObject<'_>) -> Result<(), OstreeError> {
        let size = file.size();
        let mut digester = Digester::new(self.params.clone());
        let header = file.read(&mut self.buffer, |piece| {
            digester.update(piece);
            self.progress.add_bytes(piece.len() as u64);
        })?;
        self.read.push((index, ReadFile { header, size, digest: digester.finish().digest }));
        Ok(())
    }

    fn finish_short(&mut self) {
        let files = self.short.drain(..).zip(self.batch.finish());
        self.read.extend(
            files.map(|((index, header, size), digest)| (index, ReadFile { header, size, digest })),
        );
    }

    fn finish(mut self) -> Vec<(usize, ReadFile)> {
        self.finish_short();
        self.read
    }
}

/// What a tree is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Image,
    Store,
}

/// The tree in the making.
struct Assembly<'a> {
    purpose: Purpose,
    listing: &'a Listing,
    files: &'a [ReadFile],
    builder: TreeBuilder,
    /// By their place in the listing.
    directories: Vec<InodeId>,
}

impl<'a> Assembly<'a> {
    fn new(listing: &'a Listing, files: &'a [ReadFile], purpose: Purpose) -> Self {
        let directories = Vec::with_capacity(listing.directories.len());
        Self { purpose, listing, files, builder: TreeBuilder::new(), directories }
    }

    fn finish(mut self) -> Result<Tree, OstreeError> {
        let listing = self.listing;
        for found in &listing.directories {
            let added = self.add_directory(found);
            let added = added.map_err(|error| listing.tree_error(found.parent, &found.name, error));
            self.directories.push(added?);
        }
        for found in &listing.names {
            let added = self.add_file(found);
            added.map_err(|error| listing.tree_error(found.parent, &found.name, error))?;
        }
        let whole = |source| OstreeError::Tree { path: b"/".to_vec(), source };
        if self.purpose == Purpose::Image {
            self.add_root_directories().map_err(whole)?;
        }
        self.builder.finish().map_err(whole)
    }

    fn add_directory(&mut self, found: &FoundDirectory) -> Result<InodeId, TreeError> {
        let node = self.node(&self.listing.inodes[found.inode], NodeContent::Directory)?;
        match self.directories.get(found.parent) {
            None => self.builder.set_root(&node),
            Some(parent) => self.builder.add(*parent, found.name.as_bytes(), &node),
        }
    }

    fn add_file(&mut self, found: &FoundFile) -> Result<(), TreeError> {
        let file = &self.files[found.object];
        let path = self.listing.objects[found.object].object_path("file");
        let (size, digest) = (file.size, file.digest);
        let content = match (&file.header.target, self.purpose) {
            (Some(target), _) => NodeContent::Symlink(target.as_bytes()),
            (None, Purpose::Image) => {
                let payload = Some(path.as_bytes());
                NodeContent::External { size, digest: Some(digest), payload }
            }
            (None, Purpose::Store) => NodeContent::Object { size, digest },
        };
        let node = self.node(&file.header.inode, content)?;
        let parent = self.directories[found.parent];
        self.builder.add(parent, found.name.as_bytes(), &node).map(|_| ())
    }

    fn add_root_directories(&mut self) -> Result<(), TreeError> {
        let listing = self.listing;
        let is_there = |name: &str| {
            let mut directories = listing.directories.iter();
            let mut files = listing.names.iter();
            directories.any(|found| found.parent == ROOT && found.name == name)
                || files.any(|found| found.parent == ROOT && found.name == name)
        };
        let inode = Inode { uid: 0, gid: 0, mode: 0o755, xattrs: Vec::new() };
        for name in ROOT_DIRECTORIES.into_iter().filter(|name| !is_there(name)) {
            let node = self.node(&inode, NodeContent::Directory)?;
            self.builder.add(Tree::ROOT, name.as_bytes(), &node)?;
        }
        Ok(())
    }

    fn node<'n>(&mut self, inode: &Inode, content: NodeContent<'n>) -> Result<Node<'n>, TreeError> {
        let metadata = Metadata {
            permissions: inode.permissions(),
            nlink: 1,
            uid: inode.uid,
            gid: inode.gid,
            mtime: Mtime::default(),
        };
        let xattrs = self.xattr_set(&inode.xattrs)?;
        Ok(Node { metadata, content, xattrs, stated_size: 0 })
    }

    fn xattr_set(&mut self, xattrs: &[Xattr]) -> Result<XattrSetId, TreeError> {
        let pairs: Vec<(&[u8], &[u8])> =
            xattrs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        self.builder.xattr_set(&pairs)
    }
}
