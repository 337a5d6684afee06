use treeseal_tree::FileType;

use super::directory::{Dirent, Entries};
use super::{Image, ImageError, limits};

/// Goes through the names of an image depth first, the children of a directory in order.
///
/// It ends because an [`Index`](super::Index) has shown that the directories form a tree. Its stack
/// has a level for each directory that it is in: at most half as many as a path may have bytes.
pub(super) struct Descent<'a> {
    image: Image<'a>,
    /// Names in the root to which the descent keeps; all when empty.
    only: Vec<Vec<u8>>,
    levels: Vec<Level<'a>>,
    /// The path of the last name, or of the root.
    path: Vec<u8>,
    /// The directory that the last name is of: next is what is in it.
    entered: Option<(u64, &'a [u8])>,
}

/// A directory that a descent is in.
pub(super) struct Level<'a> {
    pub(super) nid: u64,
    /// Its name; empty for the root.
    pub(super) name: &'a [u8],
    entries: Entries<'a>,
    /// Length of the directory's path, without a final slash.
    path_length: usize,
}

impl<'a> Descent<'a> {
    pub(super) fn new(image: Image<'a>, only: &[&[u8]]) -> Self {
        Self {
            image,
            only: only.iter().map(|name| name.to_vec()).collect(),
            levels: Vec::new(),
            path: b"/".to_vec(),
            entered: Some((image.root_nid(), b"")),
        }
    }

    /// The next name; `.` and `..` are left out.
    pub(super) fn next(&mut self) -> Result<Option<Dirent<'a>>, ImageError> {
        if let Some((nid, name)) = self.entered.take() {
            self.enter(nid, name)?;
        }
        while let Some(level) = self.levels.last_mut() {
            let (nid, path_length) = (level.nid, level.path_length);
            self.path.truncate(path_length);
            let Some(entry) = level.entries.next_entry().map_err(|error| error.at(&self.path))?
            else {
                self.levels.pop();
                continue;
            };
            if entry.is_dots() || (nid == self.image.root_nid() && !self.is_kept(entry.name)) {
                continue;
            }
            self.path.push(b'/');
            self.path.extend_from_slice(entry.name);
            if self.path.len() > limits::PATH {
                return Err(ImageError::PathLength { found: self.path.len() });
            }
            if entry.file_type == FileType::Directory {
                self.entered = Some((entry.nid, entry.name));
            }
            return Ok(Some(entry));
        }
        Ok(None)
    }

    /// The path of the last name.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// The directories from the root to the one that holds the last name.
    pub(super) fn levels(&self) -> &[Level<'a>] {
        &self.levels
    }

    fn is_kept(&self, name: &[u8]) -> bool {
        self.only.is_empty() || self.only.iter().any(|kept| kept == name)
    }

    fn enter(&mut self, nid: u64, name: &'a [u8]) -> Result<(), ImageError> {
        let inode = self.image.inode(nid).map_err(|error| error.at(&self.path))?;
        let path_length = if self.path == b"/" { 0 } else { self.path.len() };
        self.levels.push(Level { nid, name, entries: inode.entries(), path_length });
        Ok(())
    }
}
