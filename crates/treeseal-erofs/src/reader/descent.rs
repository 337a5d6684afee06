use treeseal_tree::FileType;

use super::directory::Entries;
use super::index::NamesLeft;
use super::{Image, ImageError, Index, limits};

/// Goes through the names of an image depth first, the children of a directory in order.
///
/// It ends because an [`Index`] has shown that the directories form a tree, and counted the names.
/// Its stack has a level for each directory that it is in, each with a block of entries: at most half
/// as many as a path may have bytes.
pub(super) struct Descent<'a> {
    image: Image<'a>,
    /// Names in the root to which the descent keeps; all when empty.
    only: Vec<Vec<u8>>,
    levels: Vec<Level<'a>>,
    /// The path of the last name, or of the root.
    path: Vec<u8>,
    /// The directory that the last name is of: next is what is in it.
    entered: Option<u64>,
    left: NamesLeft,
}

/// A directory that a descent is in.
pub(super) struct Level<'a> {
    pub(super) nid: u64,
    entries: Entries<'a>,
    /// Length of the directory's path, without a final slash.
    path_length: usize,
}

/// What a name that a descent has come to leads to.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) nid: u64,
    file_type: FileType,
}

impl<'a> Descent<'a> {
    pub(super) fn new(index: &Index<'a>, only: &[&[u8]]) -> Self {
        Self {
            image: *index.image(),
            only: only.iter().map(|name| name.to_vec()).collect(),
            levels: Vec::new(),
            path: b"/".to_vec(),
            entered: Some(index.image().root_nid()),
            left: index.names_left(),
        }
    }

    /// Goes on to the next name; `.` and `..` are left out.
    pub(super) fn next(&mut self) -> Result<Option<Step>, ImageError> {
        if let Some(nid) = self.entered.take() {
            self.enter(nid)?;
        }
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.path_length);
            let Some(entry) = level.entries.next_entry().map_err(|error| error.at(&self.path))?
            else {
                self.levels.pop();
                continue;
            };
            self.left.take()?;
            let is_in_root = level.nid == self.image.root_nid();
            if entry.is_dots() || (is_in_root && !is_kept(entry.name, &self.only)) {
                continue;
            }
            self.path.push(b'/');
            self.path.extend_from_slice(entry.name);
            if self.path.len() > limits::PATH {
                return Err(ImageError::PathLength { found: self.path.len() });
            }
            let step = Step { nid: entry.nid, file_type: entry.file_type };
            self.entered = (step.file_type == FileType::Directory).then_some(step.nid);
            return Ok(Some(step));
        }
        Ok(None)
    }

    /// The path of the last name.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// The last name; empty for the root.
    pub(super) fn name(&self) -> &[u8] {
        self.name_at(self.levels.len())
    }

    /// The directories from the root to the one that holds the last name.
    pub(super) fn levels(&self) -> &[Level<'a>] {
        &self.levels
    }

    /// The nid of the directory that holds the last name.
    pub(super) fn directory(&self) -> Option<u64> {
        self.levels.last().map(|level| level.nid)
    }

    /// The name at a depth on the path of the last name: 0 for the root, whose name is empty.
    pub(super) fn name_at(&self, depth: usize) -> &[u8] {
        let Some(parent) = depth.checked_sub(1).and_then(|parent| self.levels.get(parent)) else {
            return b"";
        };
        let end = self.levels.get(depth).map_or(self.path.len(), |level| level.path_length);
        self.path.get(parent.path_length + 1..end).unwrap_or_default()
    }

    fn enter(&mut self, nid: u64) -> Result<(), ImageError> {
        let inode = self.image.inode(nid).map_err(|error| error.at(&self.path))?;
        let path_length = if self.path == b"/" { 0 } else { self.path.len() };
        self.levels.push(Level { nid, entries: inode.entries(), path_length });
        Ok(())
    }
}

fn is_kept(name: &[u8], only: &[Vec<u8>]) -> bool {
    only.is_empty() || only.iter().any(|kept| kept == name)
}
