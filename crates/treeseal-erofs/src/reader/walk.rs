use std::collections::HashMap;

use treeseal_tree::FileType;

use super::descent::{Descent, Step};
use super::file::{File, is_marked_whiteout, is_whiteout_parent};
use super::index::NamesLeft;
use super::links::{FirstName, FirstNames, Standing};
use super::{ImageError, Index, Inode};

/// What a walk goes through.
#[derive(Clone, Copy, Debug, Default)]
pub struct WalkOptions<'o> {
    /// Names in the root to keep to; all when there are none.
    pub only: &'o [&'o [u8]],
    /// Which names are hard links.
    pub first_name: FirstName,
}

/// Goes through the files of the tree that an image was written from: the root, then depth first,
/// the children of a directory in order of their names. The stubs that the writer added to the root
/// are left out.
///
/// The work is linear in the size of the image and the text of all paths. Besides the index a walk
/// keeps its path of at most 4096 bytes, a block of entries for each directory in it, the last file,
/// and the first names of inodes with several.
pub struct Walk<'i, 'a> {
    index: &'i Index<'a>,
    descent: Descent<'a>,
    first_names: FirstNames,
    has_begun: bool,
    /// The last file that was described.
    file: File<'a>,
    /// Path of the first name of the last hard link.
    link_path: Vec<u8>,
    describe_links: bool,
    marked: Marked,
}

/// What was found out about inodes that may be asked about many times, by their nids, so that their
/// attributes are read only once.
struct Marked {
    /// Directories: whether they are marked as holding whiteouts.
    parents: HashMap<u64, bool>,
    /// Inodes with several names: whether they are marked as whiteouts.
    whiteouts: HashMap<u64, bool>,
    /// Names that may still be read in search of whiteouts: each directory once.
    left: NamesLeft,
}

/// A name that a walk has come to.
pub struct WalkEntry<'w, 'a> {
    /// Absolute path; `/` for the root.
    pub path: &'w [u8],
    /// The name; empty for the root.
    pub name: &'w [u8],
    /// Number of directories that it lies in: 0 for the root, 1 for what is in the root.
    pub depth: usize,
    /// The inode, as it is stored.
    pub inode: Inode<'a>,
    /// What the inode was written from. `None` for a hard link, unless
    /// [`Walk::describing_links`] asks for it.
    pub file: Option<&'w File<'a>>,
    /// For a hard link, the path of the inode's first name, which may come later in the walk.
    pub link: Option<&'w [u8]>,
}

impl<'i, 'a> Walk<'i, 'a> {
    /// A walk that has not begun. With [`FirstName::Written`], and if there are hard links, this
    /// goes through all names to find the first ones.
    pub fn new(index: &'i Index<'a>, options: &WalkOptions<'_>) -> Result<Self, ImageError> {
        Ok(Self {
            index,
            descent: Descent::new(index, options.only),
            first_names: FirstNames::new(index, options.only, options.first_name)?,
            has_begun: false,
            file: File::unread(index.image().root()?),
            link_path: Vec::new(),
            describe_links: false,
            marked: Marked {
                parents: HashMap::new(),
                whiteouts: HashMap::new(),
                left: index.names_left(),
            },
        })
    }

    /// The same walk, in which hard links come with the file that their inode was written from. It is
    /// read again for each, and may have up to 65535 bytes of attributes.
    pub fn describing_links(self) -> Self {
        Self { describe_links: true, ..self }
    }

    /// The next name, or `None` behind the last. After an error nothing more is to be read.
    pub fn next_entry(&mut self) -> Result<Option<WalkEntry<'_, 'a>>, ImageError> {
        let Some((inode, standing)) = self.next_inode()? else { return Ok(None) };
        self.read_file(&inode, &standing).map_err(|error| error.at(self.descent.path()))?;
        Ok(Some(WalkEntry {
            path: self.descent.path(),
            name: self.descent.name(),
            depth: self.descent.levels().len(),
            inode,
            file: self.describes(&standing).then_some(&self.file),
            link: matches!(standing, Standing::Link(_)).then_some(&self.link_path),
        }))
    }

    /// The next name that is not a stub's: its inode, and what the name is to that.
    fn next_inode(&mut self) -> Result<Option<(Inode<'a>, Standing)>, ImageError> {
        if !self.has_begun {
            self.has_begun = true;
            return Ok(Some((self.index.image().root()?, Standing::First)));
        }
        while let Some(Step { nid, .. }) = self.descent.next()? {
            let inode = self.index.image().inode(nid);
            let inode = inode.map_err(|error| error.at(self.descent.path()))?;
            // Below the root there are none: the index has seen to that.
            if !inode.is_bare_whiteout() {
                return Ok(Some((inode, self.standing(nid))));
            }
        }
        Ok(None)
    }

    fn standing(&mut self, nid: u64) -> Standing {
        if !self.index.is_linked(nid) {
            return Standing::First;
        }
        let standing = self.first_names.standing(nid, &self.descent);
        if let Standing::Link(first) = standing {
            self.first_names.write_path(first, &mut self.link_path);
        }
        standing
    }

    fn describes(&self, standing: &Standing) -> bool {
        matches!(standing, Standing::First) || self.describe_links
    }

    /// Reads the file that an inode was written from, if it is to be described.
    fn read_file(&mut self, inode: &Inode<'a>, standing: &Standing) -> Result<(), ImageError> {
        if !self.describes(standing) {
            return Ok(());
        }
        let directory = self.first_directory(inode, standing);
        let (index, first_names) = (self.index, &self.first_names);
        let Marked { parents, whiteouts, left } = &mut self.marked;
        let in_whiteouts = || match directory {
            Some(directory) => remember(parents, directory, || {
                is_whiteout_parent(&index.image().inode(directory)?)
            }),
            // Where it is not known, that the inode is marked has to do.
            None => Ok(true),
        };
        let holds_whiteout = || holds_whiteout(index, first_names, whiteouts, left, inode);
        self.file.read(inode, in_whiteouts, holds_whiteout)
    }

    /// The directory of the first name of an inode, where it is known.
    fn first_directory(&self, inode: &Inode<'a>, standing: &Standing) -> Option<u64> {
        let directory = match standing {
            Standing::First => self.descent.directory(),
            Standing::Link(first) => Some(first.directory),
        };
        let is_known = !self.index.is_linked(inode.nid()) || self.first_names.are_written();
        directory.filter(|_| is_known)
    }
}

fn remember(
    known: &mut HashMap<u64, bool>,
    nid: u64,
    find: impl FnOnce() -> Result<bool, ImageError>,
) -> Result<bool, ImageError> {
    if let Some(answer) = known.get(&nid) {
        return Ok(*answer);
    }
    let answer = find()?;
    known.insert(nid, answer);
    Ok(answer)
}

/// Whether a directory that is marked as holding whiteouts has one in it. Without one, the marks
/// are attributes of the tree.
fn holds_whiteout(
    index: &Index<'_>,
    first_names: &FirstNames,
    linked: &mut HashMap<u64, bool>,
    left: &mut NamesLeft,
    directory: &Inode<'_>,
) -> Result<bool, ImageError> {
    let mut entries = directory.entries();
    while let Some(entry) = entries.next_entry()? {
        left.take()?;
        if entry.file_type != FileType::Regular {
            continue;
        }
        let is_marked = || is_marked_whiteout(&index.image().inode(entry.nid)?);
        let is_marked = if index.is_linked(entry.nid) {
            let first = first_names.get(entry.nid).filter(|_| first_names.are_written());
            first.is_none_or(|first| first.directory == directory.nid())
                && remember(linked, entry.nid, is_marked)?
        } else {
            is_marked()?
        };
        if is_marked {
            return Ok(true);
        }
    }
    Ok(false)
}
