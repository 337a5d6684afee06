use std::borrow::Cow;

use treeseal_tree::{DigestId, PathId, Payload, Tree, XattrId};

use super::nodes::{Node, NodeData, NodeId, Nodes};
use crate::FormatVersion;
use crate::format::{MAX_SHARED_XATTRS, XATTR_FILTER_SEED, XATTR_HEADER, XATTR_PREFIXES};
use crate::overlay;
use crate::xxh32::xxh32;

/// An attribute as the image has it: one of a file's own, or one that ties it to its object.
///
/// The latter are made on the spot from what the tree stores once anyway: an image of a million
/// files has two million of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttributeId {
    /// By its place in [`Xattrs::pool`].
    Own(u32),
    Metacopy(Option<DigestId>),
    RedirectToObject(DigestId),
    RedirectToPath(PathId),
}

/// The attributes of all nodes, and which of them are shared.
pub(super) struct Xattrs<'t> {
    tree: &'t Tree,
    pool: Vec<OwnAttribute<'t>>,
    /// For each set, where in `members` its attributes stand; in byte order of their names.
    sets: Vec<(u32, u32)>,
    members: Vec<u32>,
    /// The set of each node.
    set_of_node: Vec<u32>,
    /// Where each attribute lies in the shared table.
    offsets: PerAttribute,
    /// The shared attributes in the order of the table.
    shared: Vec<AttributeId>,
    shared_size: u64,
}

/// An attribute that is not made on the spot.
struct OwnAttribute<'t> {
    name: Cow<'t, [u8]>,
    value: &'t [u8],
    filter_bit: u32,
}

/// A number for each attribute: first how often it occurs, then its place in the shared table.
struct PerAttribute {
    own: Vec<u32>,
    metacopy: Vec<u32>,
    metacopy_without_digest: u32,
    redirect_to_object: Vec<u32>,
    redirect_to_path: Vec<u32>,
}

/// In [`PerAttribute`]: not shared.
const NOT_SHARED: u32 = u32::MAX;

/// The attribute area of an inode, taken apart.
#[derive(Default)]
pub(super) struct Area {
    /// Places in the shared table, in units of four bytes from its start.
    pub(super) shared: Vec<u32>,
    pub(super) inline: Vec<AttributeId>,
    /// One bit for each name in the area, cleared; all others set.
    pub(super) filter: u32,
    /// Bytes of the whole area; 0 when there are no attributes.
    pub(super) size: u64,
    attributes: Vec<AttributeId>,
}

impl<'t> Xattrs<'t> {
    pub(super) fn new(nodes: &Nodes<'t>, version: FormatVersion) -> Self {
        let tree = nodes.tree;
        let pool: Vec<_> = tree.xattr_ids_all().map(|id| OwnAttribute::escaped(tree, id)).collect();
        let mut xattrs = Self {
            tree,
            offsets: PerAttribute::new(tree),
            pool,
            sets: Vec::new(),
            members: Vec::new(),
            set_of_node: Vec::new(),
            shared: Vec::new(),
            shared_size: 0,
        };
        for set in tree.xattr_set_ids() {
            let members: Vec<u32> = tree.xattr_ids(set).map(XattrId::number).collect();
            xattrs.push_set(&members);
        }
        xattrs.assign_sets(nodes, version);
        xattrs.count(nodes);
        xattrs.share();
        xattrs
    }

    /// Whether an inode has a POSIX ACL: the header says so, and mounts without may ignore them.
    pub(super) fn has_acl(&self) -> bool {
        let is_acl =
            |name: &[u8]| matches!(name, b"system.posix_acl_access" | b"system.posix_acl_default");
        self.set_of_node.iter().any(|set| {
            let members = self.members_of(*set);
            members.iter().any(|own| is_acl(&self.pool[to_index(*own)].name))
        })
    }

    /// Size of the table of shared attributes in bytes.
    pub(super) fn shared_size(&self) -> u64 {
        self.shared_size
    }

    /// The shared attributes in the order of the table.
    pub(super) fn shared(&self) -> &[AttributeId] {
        &self.shared
    }

    /// Works out the attribute area of a node into `area`, which is used again for each node.
    pub(super) fn area(&self, id: NodeId, node: &Node<'_>, area: &mut Area) {
        area.shared.clear();
        area.inline.clear();
        area.filter = u32::MAX;
        area.size = 0;
        let mut attributes = core::mem::take(&mut area.attributes);
        self.attributes(id, node, &mut attributes);
        for attribute in &attributes {
            area.filter &= !(1 << self.filter_bit(*attribute));
            match self.offsets.get(*attribute) {
                offset if offset != NOT_SHARED && area.shared.len() < MAX_SHARED_XATTRS => {
                    area.shared.push(offset);
                    area.size += 4;
                }
                _ => {
                    area.inline.push(*attribute);
                    area.size += self.entry_size(*attribute);
                }
            }
        }
        if !attributes.is_empty() {
            area.size += XATTR_HEADER;
        }
        area.attributes = attributes;
    }

    /// Appends an attribute's entry: lengths, prefix index, name without prefix, value, padding.
    pub(super) fn write_entry(&self, attribute: AttributeId, out: &mut Vec<u8>) {
        let name = self.name(attribute);
        let value = self.value(attribute);
        let (index, suffix) = split_prefix(name);
        let start = out.len();
        // The tree's limits: 255 bytes of name, 65535 of value.
        out.push(u8::try_from(suffix.len()).unwrap_or(u8::MAX));
        out.push(index);
        out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend_from_slice(suffix);
        out.extend_from_slice(&value);
        out.resize(start + (out.len() - start).next_multiple_of(4), 0);
    }

    fn push_set(&mut self, members: &[u32]) -> u32 {
        self.sets.push((to_u32(self.members.len()), to_u32(members.len())));
        self.members.extend_from_slice(members);
        to_u32(self.sets.len() - 1)
    }

    fn members_of(&self, set: u32) -> &[u32] {
        let (first, count) = self.sets[to_index(set)];
        &self.members[to_index(first)..][..to_index(count)]
    }

    /// Gives every node its set, and the nodes that overlayfs looks at their marks.
    fn assign_sets(&mut self, nodes: &Nodes<'_>, version: FormatVersion) {
        let own_set = |id| to_u32(nodes.tree.inode(id).xattr_set().index());
        self.set_of_node = nodes.tree.inode_ids().map(own_set).collect();
        self.mark_whiteouts(nodes.tree, version);
        self.give_stubs_the_roots_label(nodes);
        let opaque = self.own_attributes(&[overlay::OPAQUE], b"y");
        self.mark(Tree::ROOT.index(), &opaque);
    }

    fn mark_whiteouts(&mut self, tree: &Tree, version: FormatVersion) {
        let whiteout = self.own_attributes(&overlay::WHITEOUT, b"");
        let mut parent = self.own_attributes(&overlay::WHITEOUTS, b"");
        if version >= FormatVersion::V1 {
            parent.extend(self.own_attributes(&overlay::WHITEOUTS_OPAQUE, b"x"));
        }
        for directory in tree.inode_ids() {
            let mut holds_whiteout = false;
            for child in tree.children(directory).filter(|child| !child.is_link) {
                if tree.inode(child.inode).is_whiteout() {
                    holds_whiteout = true;
                    self.mark(child.inode.index(), &whiteout);
                }
            }
            if holds_whiteout {
                self.mark(directory.index(), &parent);
            }
        }
    }

    fn give_stubs_the_roots_label(&mut self, nodes: &Nodes<'_>) {
        let root = self.members_of(self.set_of_node[0]);
        let is_label = |own: &&u32| *self.pool[to_index(**own)].name == *b"security.selinux";
        let label: Vec<u32> = root.iter().filter(is_label).copied().collect();
        let set = self.push_set(&label);
        self.set_of_node.resize(nodes.count(), set);
    }

    /// Sets attributes of a node, in place of others of the same names.
    fn mark(&mut self, node: usize, marks: &[u32]) {
        let name = |own: &u32| &self.pool[to_index(*own)].name;
        let mut members = self.members_of(self.set_of_node[node]).to_vec();
        for mark in marks {
            members.retain(|own| name(own) != name(mark));
        }
        members.extend_from_slice(marks);
        members.sort_by(|a, b| name(a).cmp(name(b)));
        self.set_of_node[node] = self.push_set(&members);
    }

    /// The attributes with these names and one value: the tree's where it has them.
    fn own_attributes(&mut self, names: &[&'static [u8]], value: &'static [u8]) -> Vec<u32> {
        let find_or_add = |name: &&'static [u8]| {
            let same = |own: &OwnAttribute<'_>| *own.name == **name && own.value == value;
            if let Some(found) = self.pool.iter().position(same) {
                return to_u32(found);
            }
            self.pool.push(OwnAttribute::new(Cow::Borrowed(*name), value));
            self.offsets.own.push(0);
            to_u32(self.pool.len() - 1)
        };
        names.iter().map(find_or_add).collect()
    }

    /// All attributes of a node in byte order of their names.
    fn attributes(&self, id: NodeId, node: &Node<'_>, out: &mut Vec<AttributeId>) {
        out.clear();
        let own = self.members_of(self.set_of_node[id.index()]);
        out.extend(own.iter().copied().map(AttributeId::Own));
        if let NodeData::External { digest, payload } = node.data {
            self.insert_by_name(AttributeId::Metacopy(digest), out);
            match payload {
                Payload::None => {}
                Payload::Object(digest) => {
                    self.insert_by_name(AttributeId::RedirectToObject(digest), out);
                }
                Payload::Path(path) => {
                    self.insert_by_name(AttributeId::RedirectToPath(path), out);
                }
            }
        }
    }

    fn insert_by_name(&self, new: AttributeId, attributes: &mut Vec<AttributeId>) {
        let after = |other: &AttributeId| self.name(*other) < self.name(new);
        let position = attributes.iter().rposition(after).map_or(0, |last| last + 1);
        attributes.insert(position, new);
    }

    /// Counts how many nodes have each attribute.
    fn count(&mut self, nodes: &Nodes<'_>) {
        let mut attributes = Vec::new();
        for id in &nodes.order {
            self.attributes(*id, &nodes.node(*id), &mut attributes);
            for attribute in &attributes {
                let count = self.offsets.get_mut(*attribute);
                *count = count.saturating_add(1);
            }
        }
    }

    /// Gives each attribute that occurs twice or more its place in the shared table.
    fn share(&mut self) {
        let mut shared: Vec<_> = self
            .offsets
            .ids()
            .filter(|attribute| self.offsets.get(*attribute) >= 2)
            .map(|attribute| (self.name(attribute), self.value(attribute), attribute))
            .collect();
        shared.sort_by(|(name_a, value_a, _), (name_b, value_b, _)| {
            let (a, b) = ((name_a, value_a.len(), value_a), (name_b, value_b.len(), value_b));
            b.cmp(&a)
        });
        let shared: Vec<AttributeId> = shared.into_iter().map(|(_, _, id)| id).collect();
        self.offsets.reset();
        for attribute in &shared {
            // A table beyond what 32 bits can address makes the image too large, which layout
            // refuses; until then the value only must not be taken for a mark.
            let place = u32::try_from(self.shared_size / 4).unwrap_or(NOT_SHARED - 1);
            *self.offsets.get_mut(*attribute) = place;
            self.shared_size += self.entry_size(*attribute);
        }
        self.shared = shared;
    }

    fn name(&self, attribute: AttributeId) -> &[u8] {
        match attribute {
            AttributeId::Own(own) => &self.pool[to_index(own)].name,
            AttributeId::Metacopy(_) => overlay::METACOPY,
            AttributeId::RedirectToObject(_) | AttributeId::RedirectToPath(_) => overlay::REDIRECT,
        }
    }

    fn value(&self, attribute: AttributeId) -> Cow<'_, [u8]> {
        match attribute {
            AttributeId::Own(own) => Cow::Borrowed(self.pool[to_index(own)].value),
            AttributeId::Metacopy(digest) => {
                let digest = digest.map(|id| self.tree.digest(id));
                Cow::Owned(overlay::metacopy_value(digest.as_ref()))
            }
            AttributeId::RedirectToObject(digest) => {
                let path = self.tree.digest(digest).object_path();
                Cow::Owned([b"/", path.as_bytes()].concat())
            }
            AttributeId::RedirectToPath(path) => Cow::Owned([b"/", self.tree.path(path)].concat()),
        }
    }

    fn entry_size(&self, attribute: AttributeId) -> u64 {
        let digest_size = |id| self.tree.digest(id).as_bytes().len();
        let value = match attribute {
            AttributeId::Own(own) => self.pool[to_index(own)].value.len(),
            AttributeId::Metacopy(None) => 0,
            AttributeId::Metacopy(Some(digest)) => 4 + digest_size(digest),
            AttributeId::RedirectToObject(digest) => 2 + 2 * digest_size(digest),
            AttributeId::RedirectToPath(path) => 1 + self.tree.path(path).len(),
        };
        let (_, suffix) = split_prefix(self.name(attribute));
        (4 + suffix.len() + value).next_multiple_of(4) as u64
    }

    fn filter_bit(&self, attribute: AttributeId) -> u32 {
        match attribute {
            AttributeId::Own(own) => self.pool[to_index(own)].filter_bit,
            AttributeId::Metacopy(_) => METACOPY_FILTER_BIT,
            AttributeId::RedirectToObject(_) | AttributeId::RedirectToPath(_) => {
                REDIRECT_FILTER_BIT
            }
        }
    }
}

impl<'t> OwnAttribute<'t> {
    fn new(name: Cow<'t, [u8]>, value: &'t [u8]) -> Self {
        let filter_bit = filter_bit(&name);
        Self { name, value, filter_bit }
    }

    /// An attribute of the tree, out of overlayfs's way.
    fn escaped(tree: &'t Tree, id: XattrId) -> Self {
        let (name, value) = tree.xattr(id);
        let name = match name.strip_prefix(overlay::PREFIX) {
            Some(rest) => Cow::Owned([overlay::ESCAPED_PREFIX, rest].concat()),
            None => Cow::Borrowed(name),
        };
        Self::new(name, value)
    }
}

impl PerAttribute {
    fn new(tree: &Tree) -> Self {
        Self {
            own: vec![0; tree.xattr_count()],
            metacopy: vec![0; tree.digest_count()],
            metacopy_without_digest: 0,
            redirect_to_object: vec![0; tree.digest_count()],
            redirect_to_path: vec![0; tree.path_count()],
        }
    }

    fn get(&self, attribute: AttributeId) -> u32 {
        match attribute {
            AttributeId::Own(own) => self.own[to_index(own)],
            AttributeId::Metacopy(None) => self.metacopy_without_digest,
            AttributeId::Metacopy(Some(digest)) => self.metacopy[digest.index()],
            AttributeId::RedirectToObject(digest) => self.redirect_to_object[digest.index()],
            AttributeId::RedirectToPath(path) => self.redirect_to_path[path.index()],
        }
    }

    fn get_mut(&mut self, attribute: AttributeId) -> &mut u32 {
        match attribute {
            AttributeId::Own(own) => &mut self.own[to_index(own)],
            AttributeId::Metacopy(None) => &mut self.metacopy_without_digest,
            AttributeId::Metacopy(Some(digest)) => &mut self.metacopy[digest.index()],
            AttributeId::RedirectToObject(digest) => &mut self.redirect_to_object[digest.index()],
            AttributeId::RedirectToPath(path) => &mut self.redirect_to_path[path.index()],
        }
    }

    /// Every attribute that there is a number for.
    fn ids(&self) -> impl Iterator<Item = AttributeId> {
        let digests = (0..self.metacopy.len()).filter_map(DigestId::from_index);
        let paths = (0..self.redirect_to_path.len()).filter_map(PathId::from_index);
        (0..self.own.len())
            .map(|own| AttributeId::Own(to_u32(own)))
            .chain([AttributeId::Metacopy(None)])
            .chain(digests.clone().map(|digest| AttributeId::Metacopy(Some(digest))))
            .chain(digests.map(AttributeId::RedirectToObject))
            .chain(paths.map(AttributeId::RedirectToPath))
    }

    fn reset(&mut self) {
        let lists = [
            &mut self.own,
            &mut self.metacopy,
            &mut self.redirect_to_object,
            &mut self.redirect_to_path,
        ];
        lists.into_iter().for_each(|list| list.fill(NOT_SHARED));
        self.metacopy_without_digest = NOT_SHARED;
    }
}

/// The index of a name's prefix and the rest of the name.
fn split_prefix(name: &[u8]) -> (u8, &[u8]) {
    XATTR_PREFIXES
        .iter()
        .find_map(|(index, prefix)| Some((*index, name.strip_prefix(*prefix)?)))
        .unwrap_or((0, name))
}

/// Which bit of an inode's name filter stands for a name.
fn filter_bit(name: &[u8]) -> u32 {
    let (index, suffix) = split_prefix(name);
    xxh32(suffix, XATTR_FILTER_SEED + u32::from(index)) % 32
}

/// [`filter_bit`] of [`overlay::METACOPY`] and [`overlay::REDIRECT`], which every external file has.
const METACOPY_FILTER_BIT: u32 = 31;
const REDIRECT_FILTER_BIT: u32 = 17;

#[allow(clippy::cast_possible_truncation, reason = "usize has at least 32 bits")]
const fn to_index(number: u32) -> usize {
    number as usize
}

/// Counts of what the tree numbers with 32 bits.
fn to_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_bits_of_the_frequent_names_are_right() {
        assert_eq!(filter_bit(overlay::METACOPY), METACOPY_FILTER_BIT);
        assert_eq!(filter_bit(overlay::REDIRECT), REDIRECT_FILTER_BIT);
    }

    #[test]
    fn acl_names_are_prefixes_too() {
        assert_eq!(split_prefix(b"system.posix_acl_accessory"), (2, &b"ory"[..]));
        assert_eq!(split_prefix(b"lustre.z"), (0, &b"lustre.z"[..]));
        assert_eq!(split_prefix(b"user."), (1, &b""[..]));
    }
}
