use std::collections::VecDeque;

use treeseal_tree::FileType;

use super::directory::Dirent;
use super::slots::SlotSet;
use super::{DirectoryProblem, Image, ImageError, Inode, InodeProblem};

use crate::format::{BLOCK, DIRENT, SLOT, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, dirent_type};

/// An image whose directories are known to form a tree, and what is to be known before its files
/// can be listed.
///
/// Making one reads all directories and the fixed part of all inodes once, in the order in which
/// they lie in the image, and checks that
///
/// - every directory has one name, and its `.` and `..` lead to itself and to where that name is;
/// - every entry states the type of its inode;
/// - inodes are numbered breadth first, which is also the order of their places, and the superblock
///   counts them right;
/// - no two inodes, nor their attributes and data, share bytes.
///
/// The last three bound all further work: an attribute area or a block is read for one inode only,
/// and a walk that begins at the root ends. No step recurses. Two bits are kept for each 32 bytes of
/// the image; while the index is made a third one, and 16 bytes for each directory that is found and
/// not yet read.
pub struct Index<'a> {
    image: Image<'a>,
    /// The slots of all inodes, their attributes and their data.
    pub(super) used: SlotSet,
    /// Inodes with several names. Empty, with no room, when there are none.
    linked: SlotSet,
    /// End of the last inode, aligned to a slot: where the shared attributes begin.
    pub(super) inodes_end: u64,
    /// Names in all directories, with `.` and `..`.
    names: u64,
}

/// How many names may still be read. In an image that stays as it is there are enough for going
/// through all of it once. One that is read in pages may change after its directories were found to
/// form a tree, and then this is what ends the work.
pub(super) struct NamesLeft(u64);

impl NamesLeft {
    /// Notes that a name was read.
    pub(super) fn take(&mut self) -> Result<(), ImageError> {
        self.0 = self.0.checked_sub(1).ok_or(ImageError::Changed)?;
        Ok(())
    }
}

impl<'a> Index<'a> {
    /// Reads the directories of an image.
    pub fn new(image: Image<'a>) -> Result<Self, ImageError> {
        let mut survey = Survey::new(image);
        survey.run()?;
        Ok(Self {
            image,
            used: survey.used,
            linked: if survey.has_links { survey.linked } else { SlotSet::new(0) },
            inodes_end: survey.inodes_end.next_multiple_of(SLOT),
            names: most_names(&image) - survey.left.0,
        })
    }

    /// The image.
    pub fn image(&self) -> &Image<'a> {
        &self.image
    }

    /// Whether an inode has several names.
    pub fn is_linked(&self, nid: u64) -> bool {
        self.linked.contains(nid)
    }

    /// As many names as are read when all directories are read once.
    pub(super) fn names_left(&self) -> NamesLeft {
        NamesLeft(self.names)
    }

    /// The inodes with several names, ascending.
    pub(super) fn linked_nids(&self) -> Vec<u64> {
        self.linked.iter().collect()
    }

    /// For each directory with a name of a linked inode, by its nid: the number of the inode that
    /// is next in turn when the directory is reached.
    pub(super) fn turns(&self) -> Result<Vec<(u64, u32)>, ImageError> {
        let mut turns = Vec::new();
        let mut next = 1;
        let mut left = self.names_left();
        let mut pending = VecDeque::from([self.image.root()?.nid()]);
        while let Some(nid) = pending.pop_front() {
            let first = next;
            let mut has_link = false;
            let mut entries = self.image.inode(nid)?.entries();
            while let Some(entry) = entries.next_entry()? {
                left.take()?;
                if entry.is_dots() {
                    continue;
                }
                has_link |= self.is_linked(entry.nid);
                if self.image.inode(entry.nid)?.number() == next {
                    next = next.saturating_add(1);
                    if entry.file_type == FileType::Directory {
                        pending.push_back(entry.nid);
                    }
                }
            }
            if has_link {
                turns.push((nid, first));
            }
        }
        Ok(turns)
    }
}

/// The making of an [`Index`].
struct Survey<'a> {
    image: Image<'a>,
    /// Inodes that an entry led to.
    seen: SlotSet,
    used: SlotSet,
    linked: SlotSet,
    has_links: bool,
    inodes_end: u64,
    /// Inodes seen so far.
    found: u64,
    /// The number whose turn it is: that of the next inode in breadth-first order.
    next: u64,
    /// Place of the inode with the number before.
    last_nid: u64,
    left: NamesLeft,
    /// Directories to read, with the directories that they are in.
    pending: VecDeque<(u64, u64)>,
}

impl<'a> Survey<'a> {
    fn new(image: Image<'a>) -> Self {
        let set = || SlotSet::new(image.slots());
        Self {
            image,
            seen: set(),
            used: set(),
            linked: set(),
            has_links: false,
            inodes_end: 0,
            found: 0,
            next: 0,
            last_nid: 0,
            left: NamesLeft(most_names(&image)),
            pending: VecDeque::new(),
        }
    }

    fn run(&mut self) -> Result<(), ImageError> {
        self.used.insert_range(0, (SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE) / SLOT);
        let root = self.image.root()?;
        self.seen.insert(root.nid());
        self.claim(&root).map_err(|error| error.at(b"/"))?;
        let entry = Dirent { nid: root.nid(), file_type: root.file_type(), name: b"/" };
        self.take_turn(&entry, &root, true)
            .map_err(|problem| directory_error(root.nid(), problem))?;
        self.pending.push_back((root.nid(), root.nid()));
        while let Some((directory, parent)) = self.pending.pop_front() {
            self.read_directory(directory, parent)?;
        }
        let expected = self.image.inode_count();
        // Where the two differ, some inode has a name but its number never was in turn.
        if self.next != self.found || self.found != expected {
            return Err(ImageError::InodeCount { expected, found: self.next });
        }
        Ok(())
    }

    fn read_directory(&mut self, nid: u64, parent: u64) -> Result<(), ImageError> {
        let (mut dot, mut dot_dot) = (None, None);
        let mut entries = self.image.inode(nid)?.entries();
        while let Some(entry) = entries.next_entry()? {
            self.left.take()?;
            match entry.name {
                b"." => dot = Some((entry.nid, entry.file_type)),
                b".." => dot_dot = Some((entry.nid, entry.file_type)),
                _ => self.read_entry(nid, &entry)?,
            }
        }
        check_dots(".", dot, nid)
            .and_then(|()| check_dots("..", dot_dot, parent))
            .map_err(|problem| directory_error(nid, problem))
    }

    fn read_entry(&mut self, directory: u64, entry: &Dirent<'_>) -> Result<(), ImageError> {
        let inode = self.image.inode(entry.nid)?;
        let is_new = self.seen.insert(entry.nid);
        if is_new {
            self.claim(&inode)?;
        } else {
            self.linked.insert(entry.nid);
            self.has_links = true;
        }
        if inode.is_bare_whiteout() && directory != self.image.root_nid() {
            return Err(inode.error(InodeProblem::BareWhiteout));
        }
        self.check_entry(entry, &inode, is_new)
            .map_err(|problem| directory_error(directory, problem))?;
        if inode.is_directory() {
            self.pending.push_back((entry.nid, directory));
        }
        Ok(())
    }

    fn check_entry(
        &mut self,
        entry: &Dirent<'_>,
        inode: &Inode<'_>,
        is_new: bool,
    ) -> Result<(), DirectoryProblem> {
        if entry.file_type != inode.file_type() {
            return Err(DirectoryProblem::Type {
                name: entry.name.to_vec(),
                expected: Some(inode.file_type()),
                found: dirent_type(entry.file_type),
            });
        }
        if inode.is_directory() && !is_new {
            return Err(DirectoryProblem::SecondName { name: entry.name.to_vec() });
        }
        self.take_turn(entry, inode, is_new)
    }

    /// The name in whose turn the number of its inode is makes the inode's place. A further name
    /// may come before it or after it.
    fn take_turn(
        &mut self,
        entry: &Dirent<'_>,
        inode: &Inode<'_>,
        is_new: bool,
    ) -> Result<(), DirectoryProblem> {
        let number = u64::from(inode.number());
        let is_in_turn = number == self.next && inode.nid() > self.last_nid;
        if is_in_turn {
            self.next += 1;
            self.last_nid = inode.nid();
        }
        let may_be_later = number > self.next && !inode.is_directory();
        if is_new && !is_in_turn && !may_be_later {
            return Err(DirectoryProblem::Number {
                name: entry.name.to_vec(),
                nid: inode.nid(),
                expected: self.next,
                found: number,
            });
        }
        Ok(())
    }

    /// Notes the bytes of an inode, its attributes and its data as used.
    fn claim(&mut self, inode: &Inode<'_>) -> Result<(), ImageError> {
        self.found += 1;
        let offset = inode.offset();
        let overlap = |what, offset| inode.error(InodeProblem::Overlap { what, offset });
        if !self.used.insert_range(inode.nid(), inode.end().div_ceil(SLOT)) {
            return Err(overlap("the inode, with what follows it,", offset));
        }
        let data = inode.data();
        let slots = (data.start / SLOT, (data.start + data.blocks * BLOCK) / SLOT);
        if data.blocks > 0 && !self.used.insert_range(slots.0, slots.1) {
            return Err(overlap("the data", data.start));
        }
        self.inodes_end = self.inodes_end.max(inode.end());
        Ok(())
    }
}

/// The most names that an image can have, an entry and a byte each: no two are in the same place.
fn most_names(image: &Image<'_>) -> u64 {
    image.size() / (DIRENT + 1)
}

fn check_dots(
    name: &'static str,
    entry: Option<(u64, FileType)>,
    expected: u64,
) -> Result<(), DirectoryProblem> {
    match entry {
        Some((nid, FileType::Directory)) if nid == expected => Ok(()),
        _ => Err(DirectoryProblem::Dots { name, expected, found: entry.map(|(nid, _)| nid) }),
    }
}

fn directory_error(nid: u64, problem: DirectoryProblem) -> ImageError {
    ImageError::Directory { nid, path: Vec::new(), problem }
}
