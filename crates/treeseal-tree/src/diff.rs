//! Why two trees are not the same.

use core::cmp::Ordering;

use treeseal_verity::{Digester, FileDigest, Params};

use crate::{Content, Entry, FileType, InodeId, Tree};

/// One way in which two trees differ at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Absolute path; `/` for the root.
    pub path: Vec<u8>,
    /// What is different there.
    pub change: Change,
}

/// What is different at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the first tree has the path.
    Removed(FileType),
    /// Only the second tree has the path.
    Added(FileType),
    /// Both have the path, and a field differs. Values are as a person would write them; `None`
    /// where a tree has none.
    Field {
        /// The field.
        field: Field,
        /// Its value in the first tree.
        first: Option<Vec<u8>>,
        /// Its value in the second tree.
        second: Option<Vec<u8>>,
    },
}

/// A field of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// File type.
    Type,
    /// Permission bits, in octal.
    Permissions,
    /// Owner.
    Uid,
    /// Group.
    Gid,
    /// Time of last modification.
    Mtime,
    /// Bytes of content.
    Size,
    /// Content, by its file digest.
    Content,
    /// Path of the object, where it is not its digest's.
    ObjectPath,
    /// Target of a symlink.
    Target,
    /// Device number.
    Device,
    /// Number of links.
    LinkCount,
    /// First name of the inode, of which this path is a further one.
    HardLink,
    /// An extended attribute, by its name.
    Xattr(Vec<u8>),
}

impl Field {
    /// A stable name, as `--json` has it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Permissions => "mode",
            Self::Uid => "uid",
            Self::Gid => "gid",
            Self::Mtime => "mtime",
            Self::Size => "size",
            Self::Content => "content",
            Self::ObjectPath => "object-path",
            Self::Target => "target",
            Self::Device => "device",
            Self::LinkCount => "nlink",
            Self::HardLink => "hard-link",
            Self::Xattr(_) => "xattr",
        }
    }
}

/// Reports every difference between two trees, in path order, parents first.
pub fn diff(first: &Tree, second: &Tree, report: &mut dyn FnMut(Difference)) {
    let sides = [Side::new(first), Side::new(second)];
    let mut comparison = Comparison { sides, report };
    comparison.compare(b"/", [Tree::ROOT; 2], [false; 2]);
    // Directories still to be compared, deepest last, so that paths come in order.
    let mut pending = vec![Step::Both(Vec::new(), [Tree::ROOT; 2])];
    while let Some(step) = pending.pop() {
        let mut next = match step {
            Step::Both(path, directories) => comparison.children(&path, directories),
            Step::One(path, side, directory) => comparison.only_children(&path, side, directory),
            Step::Compare(path, entries) => {
                let inodes = [entries[0].0, entries[1].0];
                comparison.compare(&path, inodes, [entries[0].1, entries[1].1]);
                comparison.descend(path, inodes)
            }
            Step::Only(path, side, inode) => comparison.only(path, side, inode),
        };
        next.reverse();
        pending.append(&mut next);
    }
}

/// A path that both trees or one of them have, and what is to be done with it. Directory paths come
/// without a final slash, the root's is empty.
enum Step {
    Compare(Vec<u8>, [(InodeId, bool); 2]),
    Only(Vec<u8>, usize, InodeId),
    Both(Vec<u8>, [InodeId; 2]),
    One(Vec<u8>, usize, InodeId),
}

struct Side<'t> {
    tree: &'t Tree,
    /// For inodes with several names, the first one in path order.
    first_names: Vec<(InodeId, Vec<u8>)>,
}

struct Comparison<'t, 'r> {
    sides: [Side<'t>; 2],
    report: &'r mut dyn FnMut(Difference),
}

impl<'t> Side<'t> {
    fn new(tree: &'t Tree) -> Self {
        Self { tree, first_names: first_names_of_linked(tree) }
    }

    fn link_target(&self, inode: InodeId, path: &[u8]) -> Option<Vec<u8>> {
        let found = self.first_names.binary_search_by_key(&inode, |(id, _)| *id).ok()?;
        let first = &self.first_names.get(found)?.1;
        (first != path).then(|| first.clone())
    }
}

/// The first name in path order of every inode that has more than one.
fn first_names_of_linked(tree: &Tree) -> Vec<(InodeId, Vec<u8>)> {
    let mut linked: Vec<InodeId> = tree
        .inode_ids()
        .flat_map(|id| tree.children(id))
        .filter(|entry| entry.is_link)
        .map(|entry| entry.inode)
        .collect();
    linked.sort_unstable();
    linked.dedup();
    let mut names: Vec<(InodeId, Vec<u8>)> = Vec::new();
    if linked.is_empty() {
        return names;
    }
    let mut seen = vec![false; linked.len()];
    let mut pending = vec![(Vec::new(), Tree::ROOT)];
    while let Some((path, directory)) = pending.pop() {
        if let Ok(place) = linked.binary_search(&directory) {
            if !core::mem::replace(&mut seen[place], true) {
                names.push((directory, path));
            }
            continue;
        }
        let children: Vec<Entry<'_>> = tree.children(directory).collect();
        for child in children.iter().rev() {
            pending.push((join(&path, child.name), child.inode));
        }
    }
    names.sort_unstable();
    names
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    [directory, b"/", name].concat()
}

impl Comparison<'_, '_> {
    /// What follows from two directories of one path: a step for each name, in order.
    fn children(&mut self, path: &[u8], directories: [InodeId; 2]) -> Vec<Step> {
        let mut first = self.sides[0].tree.children(directories[0]).peekable();
        let mut second = self.sides[1].tree.children(directories[1]).peekable();
        let mut steps = Vec::new();
        loop {
            let order = match (first.peek(), second.peek()) {
                (None, None) => return steps,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => a.name.cmp(b.name),
            };
            let a = if order.is_le() { first.next() } else { None };
            let b = if order.is_ge() { second.next() } else { None };
            match (a, b) {
                (Some(a), Some(b)) => {
                    let entries = [(a.inode, a.is_link), (b.inode, b.is_link)];
                    steps.push(Step::Compare(join(path, a.name), entries));
                }
                (Some(a), None) => steps.push(Step::Only(join(path, a.name), 0, a.inode)),
                (None, Some(b)) => steps.push(Step::Only(join(path, b.name), 1, b.inode)),
                (None, None) => {}
            }
        }
    }

    fn only_children(&mut self, path: &[u8], side: usize, directory: InodeId) -> Vec<Step> {
        let children = self.sides[side].tree.children(directory);
        children.map(|child| Step::Only(join(path, child.name), side, child.inode)).collect()
    }

    /// Goes on below a path that both trees have.
    fn descend(&self, path: Vec<u8>, inodes: [InodeId; 2]) -> Vec<Step> {
        let is_directory = [0, 1].map(|side: usize| self.is_directory(side, inodes[side]));
        match is_directory {
            [true, true] => vec![Step::Both(path, inodes)],
            [true, false] => vec![Step::One(path, 0, inodes[0])],
            [false, true] => vec![Step::One(path, 1, inodes[1])],
            [false, false] => Vec::new(),
        }
    }

    /// Reports a path that one tree has, and goes on below it.
    fn only(&mut self, path: Vec<u8>, side: usize, inode: InodeId) -> Vec<Step> {
        let file_type = self.sides[side].tree.inode(inode).file_type();
        let change = if side == 0 { Change::Removed(file_type) } else { Change::Added(file_type) };
        (self.report)(Difference { path: path.clone(), change });
        if self.is_directory(side, inode) {
            return vec![Step::One(path, side, inode)];
        }
        Vec::new()
    }

    fn is_directory(&self, side: usize, inode: InodeId) -> bool {
        self.sides[side].tree.inode(inode).file_type() == FileType::Directory
    }

    /// Reports each field that differs at a path that both trees have.
    fn compare(&mut self, path: &[u8], ids: [InodeId; 2], is_link: [bool; 2]) {
        let [first, second] = [0, 1].map(|side: usize| {
            let Side { tree, .. } = self.sides[side];
            fields(tree, ids[side])
        });
        let mut fields = differing(first, second);
        let links = [0, 1].map(|side: usize| self.sides[side].link_target(ids[side], path));
        if links[0] != links[1] && (is_link[0] || is_link[1] || links.iter().any(Option::is_some)) {
            let [first, second] = links;
            fields.push(Change::Field { field: Field::HardLink, first, second });
        }
        for change in fields {
            (self.report)(Difference { path: path.to_vec(), change });
        }
    }
}

type FieldValue = (Field, Vec<u8>);

/// The changes between two lists of fields. Fields that both have come in the same order.
fn differing(first: Vec<FieldValue>, mut second: Vec<FieldValue>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (field, value) in first {
        let other = second.iter().position(|(other, _)| *other == field);
        let other = other.map(|place| second.remove(place).1);
        if other.as_ref() != Some(&value) {
            changes.push(Change::Field { field, first: Some(value), second: other });
        }
    }
    changes.extend(second.into_iter().map(|(field, value)| Change::Field {
        field,
        first: None,
        second: Some(value),
    }));
    changes
}

/// Everything that is recorded of a file, as a person would write it. The number of links of a
/// directory is left out: it follows from what is in it.
fn fields(tree: &Tree, id: InodeId) -> Vec<FieldValue> {
    let inode = tree.inode(id);
    let metadata = inode.metadata();
    let mut fields = vec![
        (Field::Type, inode.file_type().to_string().into_bytes()),
        (Field::Permissions, format!("{:04o}", metadata.permissions).into_bytes()),
        (Field::Uid, metadata.uid.to_string().into_bytes()),
        (Field::Gid, metadata.gid.to_string().into_bytes()),
        (Field::Mtime, mtime_text(metadata.mtime).into_bytes()),
    ];
    if inode.file_type() != FileType::Directory {
        fields.push((Field::LinkCount, metadata.nlink.to_string().into_bytes()));
    }
    if inode.file_type() == FileType::Regular {
        fields.push((Field::Size, inode.size().to_string().into_bytes()));
    }
    match inode.content() {
        Content::Inline(content) => {
            fields.push((
                Field::Content,
                digest_text(&Digester::digest_of(&Params::default(), content)),
            ));
        }
        Content::External { digest, payload } => {
            let digest = digest.map(|digest| tree.digest(digest));
            let path = tree.payload_path(payload);
            let own = digest.map(|digest| digest.object_path().into_bytes());
            fields.extend(digest.map(|digest| (Field::Content, digest_text(&digest))));
            if path != own {
                fields.extend(path.map(|path| (Field::ObjectPath, path)));
            }
        }
        Content::Symlink(target) => fields.push((Field::Target, target.to_vec())),
        Content::Device(number) => fields.push((Field::Device, device_text(number))),
        Content::Directory | Content::Empty | Content::Special => {}
    }
    fields
        .extend(inode.xattrs().map(|(name, value)| (Field::Xattr(name.to_vec()), value.to_vec())));
    fields
}

fn digest_text(digest: &FileDigest) -> Vec<u8> {
    format!("{digest:?}").into_bytes()
}

/// Seconds with nine decimals, as `stat` and `date` print them.
fn mtime_text(mtime: crate::Mtime) -> String {
    format!("{}.{:09}", mtime.seconds, mtime.nanoseconds)
}

/// Major and minor number: `dev_t` has the minor's bits 0 to 7, the major's 12 bits, and the
/// minor's other bits.
fn device_text(number: u32) -> Vec<u8> {
    let major = (number >> 8) & 0xfff;
    let minor = (number & 0xff) | ((number >> 12) & 0x000f_ff00);
    format!("{major}:{minor}").into_bytes()
}
