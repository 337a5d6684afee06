use treeseal_tree::{Content, DigestId, FileType, InodeId, Mtime, Payload, Tree};

/// An inode that is written: one of the tree's by its number, or a stub after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(u32);

impl NodeId {
    #[allow(clippy::cast_possible_truncation, reason = "usize has at least 32 bits")]
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What the image says of an inode, after the tree has been rewritten for overlayfs.
pub(super) struct Node<'t> {
    pub(super) file_type: FileType,
    pub(super) permissions: u16,
    pub(super) nlink: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Mtime,
    /// The model's size: what decides between the two forms of an inode for all but directories.
    pub(super) size: u64,
    pub(super) data: NodeData<'t>,
}

/// What follows an inode or lies in blocks of its own.
#[derive(Clone, Copy)]
pub(super) enum NodeData<'t> {
    Nothing,
    Directory,
    Symlink(&'t [u8]),
    Inline(&'t [u8]),
    External { digest: Option<DigestId>, payload: Payload },
    Device(u32),
}

/// A name in a directory of the image.
pub(super) struct DirectoryEntry<'a> {
    pub(super) name: &'a [u8],
    pub(super) node: NodeId,
    /// Whether the inode is written because of this name: not for hard links, `.` and `..`.
    pub(super) is_primary: bool,
}

/// Names that composefs adds to the root so that the object directories `00` to `ff` of the data
/// layer stay hidden.
const STUB_COUNT: u16 = 256;
const STUB_PERMISSIONS: u16 = 0o644;

/// The inodes of an image, in the order in which they are written.
pub(super) struct Nodes<'t> {
    pub(super) tree: &'t Tree,
    /// The stubs' names, in order; the stub at index `i` has the id `tree.inode_count() + i`.
    stub_names: Vec<[u8; 2]>,
    /// Breadth first, the root first. An inode's place here is its inode number in `stat`.
    pub(super) order: Vec<NodeId>,
}

/// Whether the tree holds a whiteout, which makes version 1 the default.
pub(super) fn has_whiteout(tree: &Tree) -> bool {
    tree.inode_ids().any(|id| tree.inode(id).is_whiteout())
}

impl<'t> Nodes<'t> {
    pub(super) fn new(tree: &'t Tree) -> Self {
        let stub_names = (0..STUB_COUNT)
            .map(stub_name)
            .filter(|name| tree.child(Tree::ROOT, name).is_none())
            .collect();
        let mut nodes = Self { tree, stub_names, order: Vec::new() };
        nodes.order = nodes.breadth_first();
        nodes
    }

    pub(super) fn count(&self) -> usize {
        self.tree.inode_count() + self.stub_names.len()
    }

    /// The tree's inode behind a node; `None` for a stub.
    pub(super) fn inode_id(&self, node: NodeId) -> Option<InodeId> {
        self.tree.inode_id(node.0)
    }

    pub(super) fn node(&self, id: NodeId) -> Node<'t> {
        let Some(inode_id) = self.inode_id(id) else { return self.stub() };
        let inode = self.tree.inode(inode_id);
        let metadata = *inode.metadata();
        let is_whiteout = inode.is_whiteout();
        let data = match inode.content() {
            _ if is_whiteout => NodeData::Nothing,
            Content::Directory => NodeData::Directory,
            Content::Empty | Content::Special => NodeData::Nothing,
            Content::Inline(content) => NodeData::Inline(content),
            Content::External { digest, payload } => NodeData::External { digest, payload },
            Content::Symlink(target) => NodeData::Symlink(target),
            Content::Device(number) => NodeData::Device(number),
        };
        Node {
            // Overlayfs takes a character device 0 for its own whiteout, so one of the tree's
            // becomes a file that is marked as one.
            file_type: if is_whiteout { FileType::Regular } else { inode.file_type() },
            permissions: metadata.permissions,
            nlink: match inode.file_type() {
                FileType::Directory => self.directory_nlink(inode_id),
                _ => metadata.nlink,
            },
            uid: metadata.uid,
            gid: metadata.gid,
            mtime: metadata.mtime,
            size: if is_whiteout { 0 } else { inode.size() },
            data,
        }
    }

    pub(super) fn file_type(&self, id: NodeId) -> FileType {
        match self.inode_id(id).map(|id| self.tree.inode(id)) {
            None => FileType::CharDevice,
            Some(inode) if inode.is_whiteout() => FileType::Regular,
            Some(inode) => inode.file_type(),
        }
    }

    /// The entries of a directory in byte order of their names, with `.`, `..` and, in the root,
    /// the stubs.
    pub(super) fn entries(&self, directory: NodeId) -> Vec<DirectoryEntry<'_>> {
        let Some(id) = self.inode_id(directory) else { return Vec::new() };
        let parent = self.tree.parent(id).unwrap_or(Tree::ROOT);
        let children = self.tree.children(id);
        let mut entries = Vec::with_capacity(children.len() + 2);
        entries.extend(children.map(|child| DirectoryEntry {
            name: child.name,
            node: NodeId(child.inode.number()),
            is_primary: !child.is_link,
        }));
        if id == Tree::ROOT {
            entries.extend(self.stubs());
        }
        let parent = NodeId(parent.number());
        entries.push(DirectoryEntry { name: b".", node: directory, is_primary: false });
        entries.push(DirectoryEntry { name: b"..", node: parent, is_primary: false });
        entries.sort_by_key(|entry| entry.name);
        entries
    }

    fn stubs(&self) -> impl Iterator<Item = DirectoryEntry<'_>> {
        let first = self.tree.inode_count();
        self.stub_names.iter().enumerate().map(move |(index, name)| DirectoryEntry {
            name,
            node: NodeId(u32::try_from(first + index).unwrap_or(u32::MAX)),
            is_primary: true,
        })
    }

    fn stub(&self) -> Node<'t> {
        let root = self.tree.inode(Tree::ROOT).metadata();
        Node {
            file_type: FileType::CharDevice,
            permissions: STUB_PERMISSIONS,
            nlink: 1,
            uid: root.uid,
            gid: root.gid,
            mtime: root.mtime,
            size: 0,
            data: NodeData::Device(0),
        }
    }

    fn directory_nlink(&self, directory: InodeId) -> u32 {
        let is_directory =
            |child: InodeId| self.tree.inode(child).file_type() == FileType::Directory;
        let subdirectories =
            self.tree.children(directory).filter(|child| is_directory(child.inode)).count();
        u32::try_from(2 + subdirectories).unwrap_or(u32::MAX)
    }

    fn breadth_first(&self) -> Vec<NodeId> {
        let mut order = Vec::with_capacity(self.count());
        order.push(NodeId(Tree::ROOT.number()));
        let mut next = 0;
        while let Some(id) = order.get(next).copied() {
            next += 1;
            let entries = self.entries(id);
            order.extend(entries.iter().filter(|entry| entry.is_primary).map(|entry| entry.node));
        }
        order
    }
}

fn stub_name(number: u16) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(number >> 4) & 15], DIGITS[usize::from(number) & 15]]
}
