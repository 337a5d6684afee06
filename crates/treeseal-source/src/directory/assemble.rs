//! From what the workers found to one tree.
//!
//! Names are sorted into their directories, and directories are taken in breadth-first order, names
//! in byte order. The first name of an inode in that order is its primary one, whoever read it.

use std::sync::Arc;

use treeseal_sys::Xattr;
use treeseal_tree::{
    FileType, InodeId, Metadata, Mtime, Node, NodeContent, TreeBuilder, TreeError, XattrSetId,
};

use super::content::join;
use super::found::{Found, Held, Inode, Name, index, number};
use super::walk::ABOVE_ROOT;
use super::{HardLinks, ImportOptions, ImportStats, Imported};

/// A tree that cannot be, and the file that is to blame.
pub(super) struct AssembleError {
    pub(super) source: TreeError,
    /// The names on the way from the root, the last one first.
    names: Vec<Vec<u8>>,
}

impl AssembleError {
    /// The path of the file, below that of the root.
    pub(super) fn path_below(&self, root: &[u8]) -> Vec<u8> {
        let names = self.names.iter().rev().filter(|name| !name.is_empty());
        names.fold(root.to_vec(), |path, name| join(&path, name))
    }
}

impl From<TreeError> for AssembleError {
    fn from(source: TreeError) -> Self {
        Self { source, names: Vec::new() }
    }
}

pub(super) fn assemble(
    mut found: Vec<Found>,
    directories: u32,
    groups: usize,
    options: &ImportOptions,
) -> Result<Imported, AssembleError> {
    let mut stats = ImportStats::default();
    found.iter().for_each(|found| stats.add(&found.stats));
    let xattr_sets: Vec<_> = found.iter_mut().map(Found::take_xattr_sets).collect();
    let found = found.as_slice();
    let mut assembly = Assembly {
        found,
        options,
        xattr_ids: xattr_sets.iter().map(|sets| vec![None; sets.len()]).collect(),
        xattr_sets: &xattr_sets,
        groups: gather_groups(found, groups),
        names: NamesByDirectory::new(found, directories)?,
        builder: builder_for(found),
        queue: Vec::new(),
    };
    assembly.add_directory(None, ABOVE_ROOT)?;
    let mut position = 0;
    while let Some(directory) = assembly.queue.get(position) {
        let number = directory.number;
        assembly.add_directory(Some(position), number)?;
        position += 1;
    }
    Ok(Imported { tree: assembly.builder.finish()?, stats })
}

/// A builder with room for everything that was found.
fn builder_for(found: &[Found]) -> TreeBuilder {
    let sum = |count: fn(&Found) -> usize| found.iter().map(count).sum();
    let mut builder = TreeBuilder::new();
    builder.reserve(sum(|found| found.inodes.len()), sum(|found| found.names.len()));
    builder
}

struct Assembly<'a> {
    found: &'a [Found],
    options: &'a ImportOptions,
    /// For each worker, its sets of attributes and the tree's numbers for those that were used.
    xattr_sets: &'a [Vec<Arc<[Xattr]>>],
    xattr_ids: Vec<Vec<Option<XattrSetId>>>,
    groups: Vec<Group>,
    names: NamesByDirectory,
    builder: TreeBuilder,
    /// Directories that are in the tree, in breadth-first order.
    queue: Vec<Queued>,
}

/// A place in the table of a worker.
#[derive(Clone, Copy, Default)]
struct Place {
    worker: u32,
    index: u32,
}

/// An inode with several names.
#[derive(Clone, Copy, Default)]
struct Group {
    inode: Place,
    names: u32,
    /// Its number in the tree, once its primary name is there.
    id: Option<InodeId>,
}

/// A directory whose content is to be added.
#[derive(Clone, Copy)]
struct Queued {
    number: u32,
    id: InodeId,
    name: Place,
    /// Where the directory above it is in the queue; the root has none.
    parent: Option<usize>,
}

impl<'a> Assembly<'a> {
    /// Adds what is in a directory, given by its place in the queue and its number.
    fn add_directory(&mut self, queued: Option<usize>, number: u32) -> Result<(), AssembleError> {
        let found = self.found;
        let range = self.names.range(number);
        self.names.places[range.clone()].sort_unstable_by_key(|place| name_at(found, *place).1);
        for position in range {
            let place = self.names.places[position];
            self.add_name(queued, place).map_err(|source| self.blame(source, queued, place))?;
        }
        Ok(())
    }

    fn add_name(&mut self, queued: Option<usize>, place: Place) -> Result<(), TreeError> {
        let (name, bytes) = name_at(self.found, place);
        let parent = queued.and_then(|queued| self.queue.get(queued)).map(|queued| queued.id);
        if !name.is_group {
            let inode = Place { worker: place.worker, index: name.target };
            let (id, held) = self.add_inode(parent, bytes, inode, 1)?;
            if let Held::Directory(number) = held {
                self.queue.push(Queued { number, id, name: place, parent: queued });
            }
            return Ok(());
        }
        let group = self.groups[index(name.target)];
        match (self.options.hard_links, group.id, parent) {
            (HardLinks::Keep, Some(id), Some(parent)) => {
                return self.builder.add_link(parent, bytes, id);
            }
            (HardLinks::Keep, ..) => {
                let (id, _) = self.add_inode(parent, bytes, group.inode, group.names)?;
                self.groups[index(name.target)].id = Some(id);
            }
            (HardLinks::Separate, ..) => {
                self.add_inode(parent, bytes, group.inode, 1)?;
            }
        }
        Ok(())
    }

    /// Adds an inode by its primary name; without a parent it is the root.
    fn add_inode(
        &mut self,
        parent: Option<InodeId>,
        name: &[u8],
        place: Place,
        nlink: u32,
    ) -> Result<(InodeId, Held<'a>), TreeError> {
        let found = &self.found[index(place.worker)];
        let inode = &found.inodes[index(place.index)];
        let held = found.held(inode);
        let content = match held {
            Held::Directory(_) => NodeContent::Directory,
            Held::Inline(content) => NodeContent::Inline(content),
            Held::External(size, digest) => NodeContent::Object { size, digest },
            Held::Symlink(target) => NodeContent::Symlink(target),
            Held::Device(number) if inode.file_type == FileType::BlockDevice => {
                NodeContent::BlockDevice(number)
            }
            Held::Device(number) => NodeContent::CharDevice(number),
            Held::Nothing if inode.file_type == FileType::Fifo => NodeContent::Fifo,
            Held::Nothing => NodeContent::Socket,
        };
        let metadata = self.metadata(inode, nlink, &held);
        let xattrs = self.xattr_set(place.worker, inode.xattrs)?;
        let node = Node { metadata, content, xattrs, stated_size: 0 };
        let id = match parent {
            Some(parent) => self.builder.add(parent, name, &node)?,
            None => self.builder.set_root(&node)?,
        };
        Ok((id, held))
    }

    fn metadata(&self, inode: &Inode, nlink: u32, held: &Held<'_>) -> Metadata {
        Metadata {
            permissions: inode.mode & 0o7777,
            nlink: match held {
                Held::Directory(number) => self.directory_links(*number),
                _ => nlink,
            },
            uid: inode.uid,
            gid: inode.gid,
            mtime: match self.options.epoch {
                Some(seconds) => Mtime { seconds, nanoseconds: 0 },
                None => inode.mtime(),
            },
        }
    }

    /// Two, and one for each directory in it.
    fn directory_links(&self, number: u32) -> u32 {
        let is_directory = |place: &Place| {
            let (name, _) = name_at(self.found, *place);
            let inodes = &self.found[index(place.worker)].inodes;
            !name.is_group && inodes[index(name.target)].file_type == FileType::Directory
        };
        let places = &self.names.places[self.names.range(number)];
        let below = places.iter().filter(|place| is_directory(place)).count();
        u32::try_from(below).unwrap_or(u32::MAX).saturating_add(2)
    }

    fn xattr_set(&mut self, worker: u32, set: u32) -> Result<XattrSetId, TreeError> {
        let known = &mut self.xattr_ids[index(worker)][index(set)];
        if let Some(id) = known {
            return Ok(*id);
        }
        let set = &self.xattr_sets[index(worker)][index(set)];
        let pairs: Vec<_> =
            set.iter().map(|xattr| (xattr.name.as_slice(), xattr.value.as_slice())).collect();
        let id = self.builder.xattr_set(&pairs)?;
        *known = Some(id);
        Ok(id)
    }

    fn blame(&self, source: TreeError, queued: Option<usize>, place: Place) -> AssembleError {
        let mut names = vec![name_at(self.found, place).1.to_vec()];
        let mut next = queued.and_then(|queued| self.queue.get(queued));
        while let Some(directory) = next {
            names.push(name_at(self.found, directory.name).1.to_vec());
            next = directory.parent.and_then(|parent| self.queue.get(parent));
        }
        AssembleError { source, names }
    }
}

/// Where the names of each directory are: those of directory `n` from `starts[n]` on.
struct NamesByDirectory {
    starts: Vec<u32>,
    places: Vec<Place>,
}

impl NamesByDirectory {
    /// A counting sort by directory.
    fn new(found: &[Found], directories: u32) -> Result<Self, TreeError> {
        let names = found.iter().map(|found| found.names.len()).sum();
        number(names, "names")?;
        let mut starts = vec![0; index(directories) + 1];
        for name in found.iter().flat_map(|found| &found.names) {
            starts[index(name.directory) + 1] += 1;
        }
        for directory in 1..starts.len() {
            starts[directory] += starts[directory - 1];
        }
        let mut next = starts.clone();
        let mut places = vec![Place::default(); names];
        for (worker, found) in (0..).zip(found) {
            for (index_in_table, name) in (0..).zip(&found.names) {
                let next = &mut next[index(name.directory)];
                places[index(*next)] = Place { worker, index: index_in_table };
                *next += 1;
            }
        }
        Ok(Self { starts, places })
    }

    fn range(&self, directory: u32) -> core::ops::Range<usize> {
        index(self.starts[index(directory)])..index(self.starts[index(directory) + 1])
    }
}

fn gather_groups(found: &[Found], count: usize) -> Vec<Group> {
    let mut groups = vec![Group::default(); count];
    for (worker, found) in (0..).zip(found) {
        for &(group, inode) in &found.group_inodes {
            groups[index(group)].inode = Place { worker, index: inode };
        }
        for name in found.names.iter().filter(|name| name.is_group) {
            groups[index(name.target)].names += 1;
        }
    }
    groups
}

fn name_at(found: &[Found], place: Place) -> (&Name, &[u8]) {
    let found = &found[index(place.worker)];
    let name = &found.names[index(place.index)];
    (name, found.name(name))
}
