use treeseal_verity::{FileDigest, HashAlgorithm};

use crate::intern::{Arena, Lists, Span, Store, Strings, Values, index};
use crate::{FileType, Metadata};

/// A checked file tree.
///
/// Every name is unique in its directory, children are in byte order of their names, every hard
/// link leads to an inode that is no directory, and all sizes are within [`crate::limits`].
#[derive(Clone, Debug)]
pub struct Tree {
    pub(crate) inodes: Vec<InodeRecord>,
    /// The entries of each directory, one directory after another.
    pub(crate) entries: Vec<EntryRecord>,
    pub(crate) names: Arena,
    /// Symlink targets and inline content.
    pub(crate) payloads: Arena,
    pub(crate) digests: Strings,
    /// Object paths that are not a digest's, attribute names and attribute values.
    pub(crate) strings: Strings,
    pub(crate) xattr_pairs: Values<(u32, u32)>,
    pub(crate) xattr_sets: Lists,
}

/// One inode: 56 bytes.
#[derive(Clone, Debug)]
pub(crate) struct InodeRecord {
    pub(crate) metadata: Metadata,
    pub(crate) size: u64,
    pub(crate) xattrs: XattrSetId,
    pub(crate) file_type: FileType,
    pub(crate) content: ContentRecord,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum ContentRecord {
    Nothing,
    Directory { first: u32, count: u32, parent: InodeId },
    Stored(Span),
    External { digest: Option<DigestId>, payload: Payload },
    Device(u32),
}

/// One name in a directory: 16 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryRecord {
    pub(crate) parent: InodeId,
    pub(crate) name_offset: u32,
    pub(crate) target: u32,
    pub(crate) name_length: u8,
    pub(crate) kind: EntryKind,
}

/// What the `target` of an [`EntryRecord`] is. A finished tree has no pending links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// The inode whose first name this is.
    Primary,
    /// An inode whose first name is elsewhere.
    Link,
    /// The index of a link whose path is still to be looked up.
    PendingLink,
}

/// The number of an inode in its tree. The root is 0; a directory comes before what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(pub(crate) u32);

/// The number of a distinct file digest in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DigestId(pub(crate) u32);

/// The number of a distinct object path in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PathId(pub(crate) u32);

/// The number of a distinct set of extended attributes in its tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct XattrSetId(pub(crate) u32);

/// The number of a distinct attribute, name and value, in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct XattrId(pub(crate) u32);

macro_rules! as_index {
    ($($id:ty),*) => {$(
        impl $id {
            /// The number as an index into an array with one place for each.
            pub const fn index(self) -> usize {
                index(self.0)
            }
        }
    )*};
}
macro_rules! as_number {
    ($($id:ty),*) => {$(
        impl $id {
            /// The number itself.
            pub const fn number(self) -> u32 {
                self.0
            }
        }
    )*};
}
as_number!(InodeId, XattrId);

macro_rules! from_index {
    ($($id:ty),*) => {$(
        impl $id {
            /// The id with this place in the order of ids, if numbers go that far.
            pub fn from_index(index: usize) -> Option<Self> {
                u32::try_from(index).ok().map(Self)
            }
        }
    )*};
}
from_index!(DigestId, PathId, XattrSetId, XattrId);

as_index!(InodeId, DigestId, PathId, XattrSetId, XattrId);

/// Where the content of an external file lies, relative to the object directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nowhere: the file has a size but no content that could be found.
    None,
    /// At the object path of a digest, [`FileDigest::object_path`]; as a rule the file's own.
    Object(DigestId),
    /// At another path.
    Path(PathId),
}

/// What an inode holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// Directory: see [`Tree::children`].
    Directory,
    /// Regular file without content.
    Empty,
    /// Regular file whose content is part of the image.
    Inline(&'a [u8]),
    /// Regular file whose content is an object; the size is [`Inode::size`].
    External {
        /// The file digest, when it is known.
        digest: Option<DigestId>,
        /// Where the object lies.
        payload: Payload,
    },
    /// Symlink, with its target.
    Symlink(&'a [u8]),
    /// Block or character device, with the low 32 bits of its device number as `dev_t` has them.
    Device(u32),
    /// FIFO or socket.
    Special,
}

/// A name in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The file name, 1 to 255 bytes.
    pub name: &'a [u8],
    /// What it names; hard links are followed to the end.
    pub inode: InodeId,
    /// Whether it is a further name of an inode whose first name is elsewhere.
    pub is_link: bool,
}

/// An inode of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Inode<'a> {
    tree: &'a Tree,
    record: &'a InodeRecord,
}

impl Tree {
    /// The root directory.
    pub const ROOT: InodeId = InodeId(0);

    /// Number of inodes.
    pub fn inode_count(&self) -> usize {
        self.inodes.len()
    }

    /// Number of names, hard links included and the root not.
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// Every inode, in the order of their numbers.
    pub fn inode_ids(&self) -> impl Iterator<Item = InodeId> + use<> {
        // The builder numbers inodes with 32 bits.
        (0..u32::try_from(self.inodes.len()).unwrap_or(u32::MAX)).map(InodeId)
    }

    /// The id with this number, if the tree has one.
    pub fn inode_id(&self, number: u32) -> Option<InodeId> {
        (index(number) < self.inodes.len()).then_some(InodeId(number))
    }

    /// The inode with this id.
    pub fn inode(&self, id: InodeId) -> Inode<'_> {
        Inode { tree: self, record: &self.inodes[id.index()] }
    }

    /// The entries of a directory in byte order of their names; none for anything else.
    pub fn children(&self, directory: InodeId) -> impl ExactSizeIterator<Item = Entry<'_>> + Clone {
        self.child_records(directory).iter().map(|record| self.entry(record))
    }

    /// The directory that holds a directory; the root's is itself. `None` for anything else.
    pub fn parent(&self, directory: InodeId) -> Option<InodeId> {
        match self.inodes[directory.index()].content {
            ContentRecord::Directory { parent, .. } => Some(parent),
            _ => None,
        }
    }

    /// The entry of this name in a directory.
    pub fn child(&self, directory: InodeId, name: &[u8]) -> Option<Entry<'_>> {
        let records = self.child_records(directory);
        let found = records.binary_search_by(|record| self.name(record).cmp(name)).ok()?;
        records.get(found).map(|record| self.entry(record))
    }

    /// The inode at an absolute path; empty components do not count. Symlinks are not followed.
    pub fn lookup(&self, path: &[u8]) -> Option<InodeId> {
        path.split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
            .try_fold(Self::ROOT, |directory, name| Some(self.child(directory, name)?.inode))
    }

    /// Number of distinct file digests: the ids run from 0.
    pub fn digest_count(&self) -> usize {
        self.digests.len()
    }

    /// A file digest by its number.
    pub fn digest(&self, id: DigestId) -> FileDigest {
        let bytes = self.digests.at(id.0);
        let mut padded = [0; HashAlgorithm::MAX_DIGEST_SIZE];
        padded[..bytes.len()].copy_from_slice(bytes);
        FileDigest::from_padded(digest_algorithm(bytes), padded)
    }

    /// Number of distinct strings: object path ids are below it.
    pub fn path_count(&self) -> usize {
        self.strings.len()
    }

    /// An object path by its number.
    pub fn path(&self, id: PathId) -> &[u8] {
        self.strings.at(id.0)
    }

    /// The path of an external file's object, relative to the object directory.
    pub fn payload_path(&self, payload: Payload) -> Option<Vec<u8>> {
        match payload {
            Payload::None => None,
            Payload::Object(digest) => Some(self.digest(digest).object_path().into_bytes()),
            Payload::Path(path) => Some(self.path(path).to_vec()),
        }
    }

    /// Number of distinct sets of attributes. The first is the empty set.
    pub fn xattr_set_count(&self) -> usize {
        self.xattr_sets.len()
    }

    /// Every set of attributes, in the order of their numbers.
    pub fn xattr_set_ids(&self) -> impl Iterator<Item = XattrSetId> + use<> {
        (0..self.xattr_sets.len()).filter_map(XattrSetId::from_index)
    }

    /// Every distinct attribute, in the order of their numbers.
    pub fn xattr_ids_all(&self) -> impl Iterator<Item = XattrId> + use<> {
        (0..self.xattr_pairs.len()).filter_map(XattrId::from_index)
    }

    /// The attributes of a set by their numbers, in byte order of their names.
    pub fn xattr_ids(&self, set: XattrSetId) -> impl ExactSizeIterator<Item = XattrId> + Clone {
        self.xattr_sets.at(set.0).iter().map(|pair| XattrId(*pair))
    }

    /// Number of distinct attributes: the ids run from 0.
    pub fn xattr_count(&self) -> usize {
        self.xattr_pairs.len()
    }

    /// An attribute by its number: full name and value.
    pub fn xattr(&self, id: XattrId) -> (&[u8], &[u8]) {
        let (name, value) = *self.xattr_pairs.at(id.0);
        (self.strings.at(name), self.strings.at(value))
    }

    pub(crate) fn child_records(&self, directory: InodeId) -> &[EntryRecord] {
        match self.inodes[directory.index()].content {
            ContentRecord::Directory { first, count, .. } => {
                &self.entries[index(first)..][..index(count)]
            }
            _ => &[],
        }
    }

    pub(crate) fn entry(&self, record: &EntryRecord) -> Entry<'_> {
        Entry {
            name: self.name(record),
            inode: InodeId(record.target),
            is_link: record.kind == EntryKind::Link,
        }
    }

    pub(crate) fn name(&self, record: &EntryRecord) -> &[u8] {
        let length = u32::from(record.name_length);
        self.names.get(Span { offset: record.name_offset, length })
    }
}

/// Digests are stored by their bytes alone; the length tells the algorithm.
const fn digest_algorithm(bytes: &[u8]) -> HashAlgorithm {
    if bytes.len() == HashAlgorithm::Sha256.digest_size() {
        HashAlgorithm::Sha256
    } else {
        HashAlgorithm::Sha512
    }
}

impl<'a> Inode<'a> {
    /// The type.
    pub fn file_type(&self) -> FileType {
        self.record.file_type
    }

    /// Type and permission bits, as `st_mode` has them.
    pub fn mode(&self) -> u16 {
        self.record.file_type.mode_bits() | self.record.metadata.permissions
    }

    /// Owner, times, permissions and number of links.
    pub fn metadata(&self) -> &'a Metadata {
        &self.record.metadata
    }

    /// Bytes of content of a regular file, length of a symlink's target. For other types what a
    /// dump states, which only matters to the form of the inode in an image.
    pub fn size(&self) -> u64 {
        self.record.size
    }

    /// The extended attributes, as the number of their set.
    pub fn xattr_set(&self) -> XattrSetId {
        self.record.xattrs
    }

    /// The extended attributes in byte order of their names.
    pub fn xattrs(&self) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        self.tree.xattr_ids(self.record.xattrs).map(|id| self.tree.xattr(id))
    }

    /// What the inode holds.
    pub fn content(&self) -> Content<'a> {
        match (self.record.file_type, self.record.content) {
            (_, ContentRecord::Directory { .. }) => Content::Directory,
            (FileType::Symlink, ContentRecord::Stored(span)) => {
                Content::Symlink(self.tree.payloads.get(span))
            }
            (_, ContentRecord::Stored(span)) => Content::Inline(self.tree.payloads.get(span)),
            (_, ContentRecord::External { digest, payload }) => {
                Content::External { digest, payload }
            }
            (_, ContentRecord::Device(number)) => Content::Device(number),
            (FileType::Regular, ContentRecord::Nothing) => Content::Empty,
            (_, ContentRecord::Nothing) => Content::Special,
        }
    }

    /// Whether this is an overlayfs whiteout: a character device with number 0.
    pub fn is_whiteout(&self) -> bool {
        self.record.file_type == FileType::CharDevice
            && matches!(self.record.content, ContentRecord::Device(0))
    }
}
