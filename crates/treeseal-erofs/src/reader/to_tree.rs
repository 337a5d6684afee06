use treeseal_tree::{InodeId, Node, NodeContent, Tree, TreeBuilder, TreeError, XattrSetId};

use super::file::{File, FileContent};
use super::strings::Strings;
use super::walk::{Walk, WalkEntry, WalkOptions};
use super::{ImageError, Index};

/// The tree that an image was written from. Written again in the image's format version, it gives
/// the same bytes, if a writer of composefs made them.
pub fn to_tree(index: &Index<'_>) -> Result<Tree, ImageError> {
    let mut reading = Reading {
        builder: TreeBuilder::new(),
        directories: Vec::new(),
        linked: index.linked_nids().into_iter().map(|nid| (nid, None)).collect(),
        links: Vec::new(),
        link_names: Strings::default(),
        names: Vec::new(),
    };
    let mut walk = Walk::new(index, &WalkOptions::default())?;
    while let Some(entry) = walk.next_entry()? {
        reading.add(&entry).map_err(|problem| tree_error(entry.path, problem))?;
    }
    reading.finish().map_err(|problem| tree_error(b"", problem))
}

fn tree_error(path: &[u8], problem: TreeError) -> ImageError {
    ImageError::Tree { path: path.to_vec(), problem }
}

struct Reading {
    builder: TreeBuilder,
    /// The directories from the root to the last entry.
    directories: Vec<InodeId>,
    /// The inodes with several names, ascending, and what they became.
    linked: Vec<(u64, Option<InodeId>)>,
    /// Hard links: directory, place of the name and number of the inode, which may come later.
    links: Vec<(InodeId, usize, u64)>,
    link_names: Strings,
    names: Vec<u8>,
}

impl Reading {
    fn add(&mut self, entry: &WalkEntry<'_, '_>) -> Result<(), TreeError> {
        self.directories.truncate(entry.depth);
        let parent = self.directories.last().copied();
        let Some(file) = entry.file else {
            let name = self.link_names.push(entry.name);
            self.links.extend(parent.map(|parent| (parent, name, entry.inode.nid())));
            return Ok(());
        };
        let xattrs = self.xattr_set(file)?;
        let node = Node {
            metadata: file.metadata(),
            content: node_content(file),
            xattrs,
            stated_size: match file.content() {
                FileContent::Directory => 0,
                _ => file.size(),
            },
        };
        let id = match parent {
            Some(parent) => self.builder.add(parent, entry.name, &node)?,
            None => self.builder.set_root(&node)?,
        };
        if entry.inode.is_directory() {
            self.directories.push(id);
        }
        let nid = entry.inode.nid();
        if let Ok(found) = self.linked.binary_search_by_key(&nid, |(nid, _)| *nid)
            && let Some((_, inode)) = self.linked.get_mut(found)
        {
            *inode = Some(id);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Tree, TreeError> {
        for (parent, name, nid) in self.links {
            let found = self.linked.binary_search_by_key(&nid, |(nid, _)| *nid).ok();
            let target = found.and_then(|found| self.linked.get(found)?.1);
            // The walk has come to the first name of every inode that has a link.
            if let Some(target) = target {
                self.builder.add_link(parent, self.link_names.get(name), target)?;
            }
        }
        self.builder.finish()
    }

    fn xattr_set(&mut self, file: &File<'_>) -> Result<XattrSetId, TreeError> {
        self.names.clear();
        for xattr in file.own_xattrs() {
            xattr.name.append_to(&mut self.names);
        }
        let mut rest = self.names.as_slice();
        let pairs: Vec<(&[u8], &[u8])> = file
            .own_xattrs()
            .map(|xattr| {
                let (name, after) = rest.split_at_checked(xattr.name.len()).unwrap_or_default();
                rest = after;
                (name, xattr.value)
            })
            .collect();
        self.builder.xattr_set(&pairs)
    }
}

fn node_content<'f>(file: &'f File<'_>) -> NodeContent<'f> {
    match file.content() {
        FileContent::Directory => NodeContent::Directory,
        FileContent::Inline(content) => NodeContent::Inline(content),
        FileContent::External { digest, payload } => {
            NodeContent::External { size: file.size(), digest, payload }
        }
        FileContent::Symlink(target) => NodeContent::Symlink(target),
        FileContent::BlockDevice(number) => NodeContent::BlockDevice(number),
        FileContent::CharDevice(number) => NodeContent::CharDevice(number),
        FileContent::Fifo => NodeContent::Fifo,
        FileContent::Socket => NodeContent::Socket,
    }
}
