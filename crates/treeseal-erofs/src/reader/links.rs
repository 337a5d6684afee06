use super::descent::{Descent, Level};
use super::strings::Strings;
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

/// The first names of the inodes that have several: 40 bytes for each, 16 for each directory on the
/// way to one, and the names of both. They cost the same however long their paths are.
pub(super) struct FirstNames {
    /// The inodes, ascending, and their first names where they are known.
    names: Vec<(u64, Option<Name>)>,
    /// The root, and the directories on the way to first names.
    directories: Vec<Directory>,
    strings: Strings,
    /// Whether all are known, and inodes could have been written under them.
    are_written: bool,
    /// The directories on the way to the last first name: their nids and indices.
    numbered: Vec<(u64, usize)>,
}

/// A name in a directory.
#[derive(Clone, Copy)]
pub(super) struct Name {
    /// Number of the directory's inode.
    pub(super) directory: u64,
    /// Index of the directory.
    parent: usize,
    /// Place of the name among the strings.
    name: usize,
}

struct Directory {
    parent: usize,
    name: usize,
}

/// Index of the root among the directories.
const ROOT: usize = 0;

/// What a name is to its inode.
pub(super) enum Standing {
    First,
    /// A hard link to the inode's first name.
    Link(Name),
}

impl FirstNames {
    /// A table in which nothing is known but which inodes have several names.
    fn unknown(index: &Index<'_>) -> Self {
        let names = index.linked_nids().into_iter().map(|nid| (nid, None)).collect();
        let mut strings = Strings::default();
        let directories = vec![Directory { parent: ROOT, name: strings.push(b"") }];
        Self { names, directories, strings, are_written: false, numbered: Vec::new() }
    }

    /// The first names under the names `only` in the root.
    pub(super) fn new(
        index: &Index<'_>,
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
    fn find_written(&mut self, index: &Index<'_>) -> Result<(), ImageError> {
        let turns = index.turns()?;
        let turn_of = |level: &Level<'_>| {
            let found = turns.binary_search_by_key(&level.nid, |(nid, _)| *nid).ok()?;
            turns.get(found).map(|(_, turn)| *turn)
        };
        // The directories that the descent is in, and for those that matter the number in turn.
        let mut levels: Vec<(u64, Option<u32>)> = Vec::new();
        let mut descent = Descent::new(index, &[]);
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
                self.note(entry.nid, &descent);
            }
        }
        Ok(())
    }

    /// What the last name of a descent is to its inode `nid`, which has several. One whose first
    /// name is not known takes this one.
    pub(super) fn standing(&mut self, nid: u64, descent: &Descent<'_>) -> Standing {
        self.note(nid, descent);
        match self.get(nid) {
            Some(first) if !self.is_last_of(first, descent) => Standing::Link(first),
            _ => Standing::First,
        }
    }

    /// Whether first names are ones that inodes could have been written under.
    pub(super) fn are_written(&self) -> bool {
        self.are_written
    }

    /// The first name of an inode that has several, where it is known.
    pub(super) fn get(&self, nid: u64) -> Option<Name> {
        let found = self.names.binary_search_by_key(&nid, |(nid, _)| *nid).ok()?;
        self.names.get(found)?.1
    }

    /// Replaces `path` by the absolute path of a name.
    pub(super) fn write_path(&self, name: Name, path: &mut Vec<u8>) {
        let mut names = vec![name.name];
        let mut next = name.parent;
        while let Some(directory) = self.directories.get(next).filter(|_| next != ROOT) {
            names.push(directory.name);
            next = directory.parent;
        }
        path.clear();
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(self.strings.get(*name));
        }
    }

    fn is_last_of(&self, name: Name, descent: &Descent<'_>) -> bool {
        Some(name.directory) == descent.directory() && self.strings.get(name.name) == descent.name()
    }

    /// Makes the last name of a descent the first of an inode, if that has several and its first is
    /// not known.
    fn note(&mut self, nid: u64, descent: &Descent<'_>) {
        let Ok(found) = self.names.binary_search_by_key(&nid, |(nid, _)| *nid) else { return };
        if self.names.get(found).is_some_and(|(_, first)| first.is_some()) {
            return;
        }
        let parent = self.number_directories(descent);
        let directory = descent.directory().unwrap_or_default();
        if let Some((_, first)) = self.names.get_mut(found) {
            *first = Some(Name { directory, parent, name: self.strings.push(descent.name()) });
        }
    }

    /// The index among the directories of the one that a descent is in. A descent enters each
    /// directory once, so none is numbered twice.
    fn number_directories(&mut self, descent: &Descent<'_>) -> usize {
        let levels = descent.levels().get(1..).unwrap_or_default();
        let known = keep_common(&mut self.numbered, levels);
        for (depth, level) in (1..).zip(levels).skip(known) {
            let parent = self.numbered.last().map_or(ROOT, |(_, index)| *index);
            let name = self.strings.push(descent.name_at(depth));
            self.numbered.push((level.nid, self.directories.len()));
            self.directories.push(Directory { parent, name });
        }
        self.numbered.last().map_or(ROOT, |(_, index)| *index)
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
