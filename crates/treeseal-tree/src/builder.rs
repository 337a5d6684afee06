use core::hash::BuildHasher;
use std::hash::RandomState;

use hashbrown::HashTable;
use treeseal_verity::FileDigest;

use crate::digests::{DigestList, Renumbering};
use crate::intern::{Arena, Interner, Lists, Span, Strings, Values, index, number};
use crate::tree::{ContentRecord, EntryKind, EntryRecord, InodeRecord, PathId};
use crate::{
    FileType, InodeId, Metadata, NameError, Payload, Tree, TreeError, XattrError, XattrSetId,
    limits,
};

/// Makes a [`Tree`], one file at a time: the root first, a directory before what is in it, otherwise
/// in any order.
#[derive(Default)]
pub struct TreeBuilder {
    inodes: Vec<InodeRecord>,
    entries: Vec<EntryRecord>,
    names: Arena,
    payloads: Arena,
    digests: DigestList,
    strings: Interner<Strings>,
    xattr_pairs: Interner<Values<(u32, u32)>>,
    xattr_sets: Interner<Lists>,
    directories: DirectoryTable,
    /// Targets of the hard links that are given by path.
    pending_links: Vec<Vec<u8>>,
}

/// A file to add.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Owner, times, permissions and number of links.
    pub metadata: Metadata,
    /// Type and content.
    pub content: NodeContent<'a>,
    /// Extended attributes, from [`TreeBuilder::xattr_set`].
    pub xattrs: XattrSetId,
    /// The size that a dump states for a file of a type that has none; 0 otherwise.
    pub stated_size: u64,
}

/// Type and content of a file to add.
#[derive(Clone, Copy, Debug)]
pub enum NodeContent<'a> {
    /// Directory.
    Directory,
    /// Regular file whose content becomes part of the image, at most 5000 bytes.
    Inline(&'a [u8]),
    /// Regular file whose content is the object of its digest. As `External` with the digest and
    /// its [`object_path`](FileDigest::object_path), without the detour over text.
    Object {
        /// Bytes of content.
        size: u64,
        /// The file digest.
        digest: FileDigest,
    },
    /// Regular file whose content is an object.
    External {
        /// Bytes of content. A file of no bytes has no object, whatever else is said.
        size: u64,
        /// The file digest.
        digest: Option<FileDigest>,
        /// Path of the object, relative to the object directory.
        payload: Option<&'a [u8]>,
    },
    /// Symlink with its target.
    Symlink(&'a [u8]),
    /// Block device with its number.
    BlockDevice(u32),
    /// Character device with its number; number 0 is a whiteout.
    CharDevice(u32),
    /// FIFO.
    Fifo,
    /// Socket.
    Socket,
}

impl TreeBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for so many inodes and names, where that is known beforehand. More may come.
    pub fn reserve(&mut self, inodes: usize, names: usize) {
        self.inodes.reserve(inodes);
        self.entries.reserve(names);
    }

    /// A set of extended attributes by full name and value, in any order. Of several with one name
    /// the last counts.
    pub fn xattr_set(&mut self, pairs: &[(&[u8], &[u8])]) -> Result<XattrSetId, TreeError> {
        let mut sorted: Vec<(&[u8], &[u8])> = pairs.to_vec();
        sorted.sort_by_key(|(name, _)| *name);
        let mut total = 12;
        let mut list = Vec::with_capacity(sorted.len());
        for (position, (name, value)) in sorted.iter().enumerate() {
            check_xattr(name, value)?;
            if sorted.get(position + 1).is_some_and(|(next, _)| next == name) {
                continue;
            }
            total += 7 + name.len() + value.len();
            let numbers = (self.strings.intern(name)?, self.strings.intern(value)?);
            list.push(self.xattr_pairs.intern(&numbers)?);
        }
        if list.is_empty() {
            return Ok(XattrSetId::default());
        }
        if total > limits::XATTR_TOTAL {
            return Err(XattrError::Total { found: total }.into());
        }
        self.xattr_sets.intern(&list).map(XattrSetId)
    }

    /// Adds the root, which comes before everything else and is a directory.
    pub fn set_root(&mut self, root: &Node<'_>) -> Result<InodeId, TreeError> {
        let found = root.content.file_type();
        if found != FileType::Directory || !self.inodes.is_empty() {
            return Err(TreeError::Root { found });
        }
        self.push_inode(Tree::ROOT, root)
    }

    /// Adds a file to a directory that was added before.
    pub fn add(
        &mut self,
        parent: InodeId,
        name: &[u8],
        node: &Node<'_>,
    ) -> Result<InodeId, TreeError> {
        let id = self.push_inode(parent, node)?;
        let entry = self.push_entry(parent, name, id.0, EntryKind::Primary)?;
        if node.content.file_type() == FileType::Directory {
            self.directories.insert(entry, &self.names);
        }
        Ok(id)
    }

    /// Adds a further name of a file that was added before and is no directory.
    pub fn add_link(
        &mut self,
        parent: InodeId,
        name: &[u8],
        target: InodeId,
    ) -> Result<(), TreeError> {
        self.push_entry(parent, name, target.0, EntryKind::Link).map(|_| ())
    }

    /// Adds a further name of the file at `target`, an absolute path that is looked up when the
    /// tree is finished. The target may itself be a hard link.
    pub fn add_link_to_path(
        &mut self,
        parent: InodeId,
        name: &[u8],
        target: &[u8],
    ) -> Result<(), TreeError> {
        let link = number(self.pending_links.len(), "hard links")?;
        self.pending_links.push(target.to_vec());
        self.push_entry(parent, name, link, EntryKind::PendingLink).map(|_| ())
    }

    /// The directory of this name in a directory, if it has been added.
    pub fn directory(&self, parent: InodeId, name: &[u8]) -> Option<InodeId> {
        self.directories.find(parent, name, &self.names)
    }

    /// Checks what can only be checked when everything is there, and gives the tree.
    pub fn finish(mut self) -> Result<Tree, TreeError> {
        if self.inodes.is_empty() {
            return Err(TreeError::NoRoot);
        }
        // The tables are no longer needed; freeing them first keeps the peak of memory low.
        self.directories = DirectoryTable::default();
        let (digests, renumbering) = self.digests.deduplicate();
        self.inodes.iter_mut().for_each(|inode| inode.content.renumber_digests(&renumbering));
        drop(renumbering);
        let mut tree = Tree {
            inodes: self.inodes,
            entries: self.entries,
            names: self.names,
            payloads: self.payloads,
            digests,
            strings: self.strings.freeze(),
            xattr_pairs: self.xattr_pairs.freeze(),
            xattr_sets: self.xattr_sets.freeze(),
        };
        tree.group_entries_by_directory();
        tree.sort_children()?;
        tree.check_path_lengths()?;
        tree.resolve_links(&self.pending_links)?;
        Ok(tree)
    }

    fn push_inode(&mut self, parent: InodeId, node: &Node<'_>) -> Result<InodeId, TreeError> {
        let nanoseconds = node.metadata.mtime.nanoseconds;
        if nanoseconds >= 1_000_000_000 {
            return Err(TreeError::Nanoseconds { found: nanoseconds });
        }
        let id = InodeId(number(self.inodes.len(), "files")?);
        let (size, content) = self.store_content(parent, node)?;
        self.inodes.push(InodeRecord {
            metadata: Metadata { permissions: node.metadata.permissions & 0o7777, ..node.metadata },
            size,
            xattrs: node.xattrs,
            file_type: node.content.file_type(),
            content,
        });
        Ok(id)
    }

    fn store_content(
        &mut self,
        parent: InodeId,
        node: &Node<'_>,
    ) -> Result<(u64, ContentRecord), TreeError> {
        Ok(match node.content {
            NodeContent::Directory => {
                let content = ContentRecord::Directory { first: 0, count: 0, parent };
                (node.stated_size, content)
            }
            NodeContent::Inline(content) if content.len() > limits::INLINE_CONTENT => {
                return Err(TreeError::InlineContent { found: content.len() });
            }
            NodeContent::Inline([])
            | NodeContent::Object { size: 0, .. }
            | NodeContent::External { size: 0, .. } => (0, ContentRecord::Nothing),
            NodeContent::Inline(content) => {
                (content.len() as u64, ContentRecord::Stored(self.payloads.push(content)?))
            }
            NodeContent::Object { size, .. } | NodeContent::External { size, .. }
                if size > limits::FILE_SIZE =>
            {
                return Err(TreeError::FileSize { found: size });
            }
            NodeContent::Object { size, digest } => {
                let digest = self.digests.push(&digest)?;
                let payload = Payload::Object(digest);
                (size, ContentRecord::External { digest: Some(digest), payload })
            }
            NodeContent::External { size, digest, payload } => {
                (size, self.store_external(digest, payload)?)
            }
            NodeContent::Symlink(target) => {
                check_payload(target)?;
                (target.len() as u64, ContentRecord::Stored(self.payloads.push(target)?))
            }
            NodeContent::BlockDevice(number) | NodeContent::CharDevice(number) => {
                (node.stated_size, ContentRecord::Device(number))
            }
            NodeContent::Fifo | NodeContent::Socket => (node.stated_size, ContentRecord::Nothing),
        })
    }

    fn store_external(
        &mut self,
        digest: Option<FileDigest>,
        payload: Option<&[u8]>,
    ) -> Result<ContentRecord, TreeError> {
        let id = digest.map(|digest| self.digests.push(&digest)).transpose()?;
        let payload = match payload {
            None | Some([]) => Payload::None,
            Some(path) => {
                check_payload(path)?;
                match (digest_of_object_path(path), id) {
                    // As a rule it is the file's own, which was added just now.
                    (Some(named), Some(id)) if digest == Some(named) => Payload::Object(id),
                    (Some(named), _) => Payload::Object(self.digests.push(&named)?),
                    (None, _) => Payload::Path(PathId(self.strings.intern(path)?)),
                }
            }
        };
        Ok(ContentRecord::External { digest: id, payload })
    }

    fn push_entry(
        &mut self,
        parent: InodeId,
        name: &[u8],
        target: u32,
        kind: EntryKind,
    ) -> Result<EntryRecord, TreeError> {
        let name_length = check_name(name)?;
        number(self.entries.len(), "names")?;
        let name_offset = self.names.push(name)?.offset;
        let entry = EntryRecord { parent, name_offset, target, name_length, kind };
        self.entries.push(entry);
        if let ContentRecord::Directory { count, .. } = &mut self.inodes[parent.index()].content {
            *count += 1;
        }
        Ok(entry)
    }
}

impl ContentRecord {
    fn renumber_digests(&mut self, renumbering: &Renumbering) {
        let Self::External { digest, payload } = self else { return };
        *digest = digest.map(|id| renumbering.new_id(id));
        if let Payload::Object(id) = payload {
            *id = renumbering.new_id(*id);
        }
    }
}

impl NodeContent<'_> {
    /// The type of the file.
    pub const fn file_type(&self) -> FileType {
        match self {
            Self::Directory => FileType::Directory,
            Self::Inline(_) | Self::Object { .. } | Self::External { .. } => FileType::Regular,
            Self::Symlink(_) => FileType::Symlink,
            Self::BlockDevice(_) => FileType::BlockDevice,
            Self::CharDevice(_) => FileType::CharDevice,
            Self::Fifo => FileType::Fifo,
            Self::Socket => FileType::Socket,
        }
    }
}

impl Tree {
    /// Moves the entries of each directory together: a counting sort by parent.
    fn group_entries_by_directory(&mut self) {
        let mut next = 0;
        for inode in &mut self.inodes {
            if let ContentRecord::Directory { first, count, .. } = &mut inode.content {
                *first = next;
                next += core::mem::take(count);
            }
        }
        let Some(filler) = self.entries.first().copied() else { return };
        let mut grouped = vec![filler; self.entries.len()];
        for entry in &self.entries {
            let parent = &mut self.inodes[entry.parent.index()].content;
            if let ContentRecord::Directory { first, count, .. } = parent {
                grouped[index(*first + *count)] = *entry;
                *count += 1;
            }
        }
        self.entries = grouped;
    }

    /// Puts each directory's entries in byte order of their names; no name may occur twice.
    fn sort_children(&mut self) -> Result<(), TreeError> {
        for id in self.inode_ids() {
            let ContentRecord::Directory { first, count, .. } = self.inodes[id.index()].content
            else {
                continue;
            };
            let mut children = self.entries[index(first)..][..index(count)].to_vec();
            if !children.is_sorted_by_key(|entry| self.name(entry)) {
                children.sort_by_key(|entry| self.name(entry));
                self.entries[index(first)..][..index(count)].copy_from_slice(&children);
            }
            let twice = children.windows(2).find(|pair| self.name(&pair[0]) == self.name(&pair[1]));
            if let Some(pair) = twice {
                return Err(TreeError::Duplicate { path: self.path_of(&pair[0]) });
            }
        }
        Ok(())
    }

    /// Every path must fit a system call. Directories come before what is in them, so the length of
    /// each one's path is known when it is needed.
    fn check_path_lengths(&self) -> Result<(), TreeError> {
        let mut lengths = vec![0u16; self.inodes.len()];
        for id in self.inode_ids() {
            for entry in self.child_records(id) {
                let found = usize::from(lengths[id.index()]) + 1 + usize::from(entry.name_length);
                let Some(length) = u16::try_from(found).ok().filter(|_| found <= limits::PATH)
                else {
                    return Err(TreeError::PathLength {
                        found,
                        directory: self.directory_path(id),
                    });
                };
                if entry.kind == EntryKind::Primary {
                    lengths[index(entry.target)] = length;
                }
            }
        }
        Ok(())
    }

    /// Makes every link point at an inode, and checks that none is a directory's.
    fn resolve_links(&mut self, pending: &[Vec<u8>]) -> Result<(), TreeError> {
        for position in 0..self.entries.len() {
            if self.entries[position].kind == EntryKind::Primary {
                continue;
            }
            let (links, target) = self.follow_links(position, pending)?;
            if self.inode(target).file_type() == FileType::Directory {
                return Err(self.link_error(position, pending, |path, target| {
                    TreeError::LinkToDirectory { path, target }
                }));
            }
            // All at once, so that a chain is followed only once however long it is.
            for link in links {
                self.entries[link].target = target.0;
                self.entries[link].kind = EntryKind::Link;
            }
        }
        Ok(())
    }

    /// The links on the way from the link at `position` to an inode, and that inode.
    fn follow_links(
        &self,
        position: usize,
        pending: &[Vec<u8>],
    ) -> Result<(Vec<usize>, InodeId), TreeError> {
        let mut links = Vec::new();
        let mut next = position;
        loop {
            let entry = &self.entries[next];
            if entry.kind != EntryKind::PendingLink {
                return Ok((links, InodeId(entry.target)));
            }
            if links.len() == pending.len() {
                return Err(self.link_error(position, pending, |path, target| {
                    TreeError::LinkLoop { path, target }
                }));
            }
            links.push(next);
            next = match self.find_entry(&pending[index(entry.target)]) {
                FoundEntry::At(found) => found,
                FoundEntry::Root => return Ok((links, Self::ROOT)),
                FoundEntry::Missing => {
                    return Err(self.link_error(next, pending, |path, target| {
                        TreeError::LinkTarget { path, target }
                    }));
                }
            };
        }
    }

    fn find_entry(&self, path: &[u8]) -> FoundEntry {
        let mut found = FoundEntry::Root;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let directory = match found {
                FoundEntry::At(position) => match self.entries[position] {
                    EntryRecord { kind: EntryKind::Primary, target, .. } => InodeId(target),
                    _ => return FoundEntry::Missing,
                },
                _ => Self::ROOT,
            };
            let ContentRecord::Directory { first, .. } = self.inodes[directory.index()].content
            else {
                return FoundEntry::Missing;
            };
            let children = self.child_records(directory);
            match children.binary_search_by(|record| self.name(record).cmp(name)) {
                Ok(position) => found = FoundEntry::At(index(first) + position),
                Err(_) => return FoundEntry::Missing,
            }
        }
        found
    }

    fn link_error(
        &self,
        position: usize,
        pending: &[Vec<u8>],
        error: impl Fn(Vec<u8>, Vec<u8>) -> TreeError,
    ) -> TreeError {
        let entry = &self.entries[position];
        let target = match entry.kind {
            EntryKind::PendingLink => pending[index(entry.target)].clone(),
            _ => self.directory_path(InodeId(entry.target)),
        };
        error(self.path_of(entry), target)
    }

    /// The path of an entry, for messages.
    fn path_of(&self, entry: &EntryRecord) -> Vec<u8> {
        let mut path = self.directory_path(entry.parent);
        path.push(b'/');
        path.extend_from_slice(self.name(entry));
        path
    }

    /// The path of a directory, for messages; the root's is empty.
    fn directory_path(&self, mut directory: InodeId) -> Vec<u8> {
        let mut names = Vec::new();
        while let Some(parent) = self.parent(directory).filter(|_| directory != Self::ROOT) {
            let mut entries = self
                .child_records(parent)
                .iter()
                .filter(|record| record.kind == EntryKind::Primary && record.target == directory.0);
            names.extend(entries.next().map(|record| [b"/", self.name(record)].concat()));
            directory = parent;
        }
        names.reverse();
        names.concat()
    }
}

enum FoundEntry {
    Root,
    At(usize),
    Missing,
}

/// Directories by parent and name, while a tree is being built.
#[derive(Default)]
struct DirectoryTable {
    table: HashTable<EntryRecord>,
    seed: RandomState,
}

impl DirectoryTable {
    fn insert(&mut self, directory: EntryRecord, names: &Arena) {
        let Self { table, seed } = self;
        let hash = |entry: &EntryRecord| seed.hash_one((entry.parent, name_of(entry, names)));
        table.insert_unique(hash(&directory), directory, hash);
    }

    fn find(&self, parent: InodeId, name: &[u8], names: &Arena) -> Option<InodeId> {
        let hash = self.seed.hash_one((parent, name));
        let same = |entry: &EntryRecord| entry.parent == parent && name_of(entry, names) == name;
        self.table.find(hash, same).map(|entry| InodeId(entry.target))
    }
}

fn name_of<'a>(entry: &EntryRecord, names: &'a Arena) -> &'a [u8] {
    names.get(Span { offset: entry.name_offset, length: u32::from(entry.name_length) })
}

/// Checks a file name and gives its length.
fn check_name(name: &[u8]) -> Result<u8, NameError> {
    match name {
        b"" => return Err(NameError::Empty),
        b"." => return Err(NameError::Dots(".")),
        b".." => return Err(NameError::Dots("..")),
        _ => {}
    }
    if memchr::memchr2(b'/', 0, name).is_some() {
        return Err(NameError::Byte { name: name.to_vec() });
    }
    u8::try_from(name.len()).map_err(|_| NameError::Long { found: name.len() })
}

fn check_payload(payload: &[u8]) -> Result<(), TreeError> {
    let found = payload.len();
    if (1..=limits::PAYLOAD).contains(&found) && memchr::memchr(0, payload).is_none() {
        Ok(())
    } else {
        Err(TreeError::Payload { found })
    }
}

fn check_xattr(name: &[u8], value: &[u8]) -> Result<(), XattrError> {
    if !(1..=limits::XATTR_NAME).contains(&name.len()) {
        return Err(XattrError::NameLength { found: name.len() });
    }
    if memchr::memchr(0, name).is_some() {
        return Err(XattrError::NameByte { name: name.to_vec() });
    }
    if value.len() > limits::XATTR_VALUE {
        return Err(XattrError::ValueLength { found: value.len() });
    }
    Ok(())
}

/// The digest whose object lies at `path`, if `path` is written as [`FileDigest::object_path`]
/// writes it.
fn digest_of_object_path(path: &[u8]) -> Option<FileDigest> {
    let (first, rest) = path.split_at_checked(2)?;
    let rest = rest.strip_prefix(b"/")?;
    if !matches!(rest.len(), 62 | 126) {
        return None;
    }
    let mut hex = [0; 128];
    let hex = &mut hex[..2 + rest.len()];
    hex[..2].copy_from_slice(first);
    hex[2..].copy_from_slice(rest);
    if hex.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    FileDigest::from_hex(hex).ok()
}
