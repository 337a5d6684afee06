use super::descent::{Descent, Level};
use super::{ImageError, Index};

/// Which name of an inode with several counts as its first. The others are hard links to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstName {
    /// A name that the inode could have been written under. A tree that is read with these first
    /// names is written as the same image again. Where several will do, the first in the walk.
    #[default]
    Written,
    /// The first in the walk, as `composefs-info` has it.
    Met,
}

/// The first names of the inodes that have several: 40 bytes for each, and 24 for each directory on
/// the way to one, however long their paths are.
pub(super) struct FirstNames<'a> {
    /// The inodes, ascending, and their first names where they are known.
    names: Vec<(u64, Option<Name<'a>>)>,
    directories: Vec<Directory<'a>>,
    /// Whether all are known, and inodes could have been written under them.
    are_written: bool,
    /// The directories on the way to the last first name: their nids and indices.
    numbered: Vec<(u64, usize)>,
}

/// A name in a directory.
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    /// Number of the directory's inode.
    pub(super) directory: u64,
    /// Index of the directory; `None` for the root.
    parent: Option<usize>,
    name: &'a [u8],
}

struct Directory<'a> {
    parent: Option<usize>,
    name: &'a [u8],
}

/// What a name is to its inode.
pub(super) enum Standing<'a> {
    First,
    /// A hard link to the inode's first name.
    Link(Name<'a>),
}

impl<'a> FirstNames<'a> {
    /// A table in which nothing is known but which inodes have several names.
    fn unknown(index: &Index<'a>) -> Self {
        let names = index.linked_nids().into_iter().map(|nid| (nid, None)).collect();
        Self { names, directories: Vec::new(), are_written: false, numbered: Vec::new() }
    }

    /// The first names under the names `only` in the root.
    pub(super) fn new(
        index: &Index<'a>,
        only: &[&[u8]],
        choice: FirstName,
    ) -> Result<Self, ImageError> {
        let mut table = Self::unknown(index);
        // With some names left out, a written one may be among them.
        if choice == FirstName::Written && only.is_empty() && !table.names.is_empty() {
            table.find_written(index)?;
            table.are_written = true;
        }
        Ok(table)
    }

    /// Retraces the numbering of inodes. The name of an inode when its number is in turn has made
    /// its place; so would one that comes before the next inode is numbered.
    fn find_written(&mut self, index: &Index<'a>) -> Result<(), ImageError> {
        let turns = index.turns()?;
        let turn_of = |level: &Level<'a>| {
            let found = turns.binary_search_by_key(&level.nid, |(nid, _)| *nid).ok()?;
            turns.get(found).map(|(_, turn)| *turn)
        };
        // The directories that the descent is in, and for those that matter the number in turn.
        let mut levels: Vec<(u64, Option<u32>)> = Vec::new();
        let mut descent = Descent::new(*index.image(), &[]);
        while let Some(entry) = descent.next()? {
            let known = keep_common(&mut levels, descent.levels());
            for level in descent.levels().iter().skip(known) {
                levels.push((level.nid, turn_of(level)));
            }
            let Some((_, Some(next))) = levels.last_mut() else { continue };
            let number = index.image().inode(entry.nid)?.number();
            let is_in_turn = number == *next;
            *next = next.saturating_add(u32::from(is_in_turn));
            if index.is_linked(entry.nid) && (is_in_turn || number.checked_add(1) == Some(*next)) {
                self.note(entry.nid, entry.name, descent.levels());
            }
        }
        Ok(())
    }

    /// What the name `name`, met in the last of `levels`, is to the inode `nid`, which has several.
    /// One whose first name is not known takes this one.
    pub(super) fn standing(
        &mut self,
        nid: u64,
        name: &'a [u8],
        levels: &[Level<'a>],
    ) -> Standing<'a> {
        self.note(nid, name, levels);
        let directory = levels.last().map_or(0, |level| level.nid);
        match self.get(nid) {
            Some(first) if first.directory != directory || first.name != name => {
                Standing::Link(first)
            }
            _ => Standing::First,
        }
    }

    /// Whether first names are ones that inodes could have been written under.
    pub(super) fn are_written(&self) -> bool {
        self.are_written
    }

    /// The first name of an inode that has several, where it is known.
    pub(super) fn get(&self, nid: u64) -> Option<Name<'a>> {
        let found = self.names.binary_search_by_key(&nid, |(nid, _)| *nid).ok()?;
        self.names.get(found)?.1
    }

    /// Replaces `path` by the absolute path of a name.
    pub(super) fn write_path(&self, name: Name<'a>, path: &mut Vec<u8>) {
        let mut names = vec![name.name];
        let mut next = name.parent;
        while let Some(directory) = next.and_then(|index| self.directories.get(index)) {
            names.push(directory.name);
            next = directory.parent;
        }
        path.clear();
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
    }

    /// Makes a name the first of an inode, if that has several and its first is not known.
    fn note(&mut self, nid: u64, name: &'a [u8], levels: &[Level<'a>]) {
        let Ok(found) = self.names.binary_search_by_key(&nid, |(nid, _)| *nid) else { return };
        if self.names.get(found).is_some_and(|(_, first)| first.is_some()) {
            return;
        }
        let parent = self.number_directories(levels);
        let directory = levels.last().map_or(0, |level| level.nid);
        if let Some((_, first)) = self.names.get_mut(found) {
            *first = Some(Name { directory, parent, name });
        }
    }

    /// The index of the last of `levels` among the directories; `None` for the root. A descent
    /// enters each directory once, so none is numbered twice.
    fn number_directories(&mut self, levels: &[Level<'a>]) -> Option<usize> {
        let levels = levels.get(1..).unwrap_or_default();
        let known = keep_common(&mut self.numbered, levels);
        for level in levels.iter().skip(known) {
            let parent = self.numbered.last().map(|(_, index)| *index);
            self.numbered.push((level.nid, self.directories.len()));
            self.directories.push(Directory { parent, name: level.name });
        }
        self.numbered.last().map(|(_, index)| *index)
    }
}

/// Cuts a list of directories from the root down to what it has in common with `levels`, and gives
/// its length.
fn keep_common<T>(directories: &mut Vec<(u64, T)>, levels: &[Level<'_>]) -> usize {
    let same = directories.iter().zip(levels).take_while(|((nid, _), level)| *nid == level.nid);
    let count = same.count();
    directories.truncate(count);
    count
}
