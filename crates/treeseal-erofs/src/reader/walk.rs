use std::collections::HashMap;

use treeseal_tree::FileType;

use super::descent::Descent;
use super::directory::Dirent;
use super::file::{File, is_marked_whiteout, is_whiteout_parent};
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
/// keeps its path of at most 4096 bytes, a level for each directory in it, and the first names of
/// inodes with several.
pub struct Walk<'i, 'a> {
    index: &'i Index<'a>,
    descent: Descent<'a>,
    first_names: FirstNames<'a>,
    has_begun: bool,
    /// Path of the first name of the last hard link.
    link_path: Vec<u8>,
    describe_links: bool,
    marked: Marked,
}

/// What was found out about inodes that may be asked about many times, by their nids, so that their
/// attributes are read only once.
#[derive(Default)]
struct Marked {
    /// Directories: whether they are marked as holding whiteouts.
    parents: HashMap<u64, bool>,
    /// Inodes with several names: whether they are marked as whiteouts.
    whiteouts: HashMap<u64, bool>,
}

/// A name that a walk has come to.
pub struct WalkEntry<'w, 'a> {
    /// Absolute path; `/` for the root.
    pub path: &'w [u8],
    /// The name; empty for the root.
    pub name: &'a [u8],
    /// Number of directories that it lies in: 0 for the root, 1 for what is in the root.
    pub depth: usize,
    /// The inode, as it is stored.
    pub inode: Inode<'a>,
    /// What the inode was written from. `None` for a hard link, unless
    /// [`Walk::describing_links`] asks for it.
    pub file: Option<File<'a>>,
    /// For a hard link, the path of the inode's first name, which may come later in the walk.
    pub link: Option<&'w [u8]>,
}

impl<'i, 'a> Walk<'i, 'a> {
    /// A walk that has not begun. With [`FirstName::Written`], and if there are hard links, this
    /// goes through all names to find the first ones.
    pub fn new(index: &'i Index<'a>, options: &WalkOptions<'_>) -> Result<Self, ImageError> {
        Ok(Self {
            index,
            descent: Descent::new(*index.image(), options.only),
            first_names: FirstNames::new(index, options.only, options.first_name)?,
            has_begun: false,
            link_path: Vec::new(),
            describe_links: false,
            marked: Marked::default(),
        })
    }

    /// The same walk, in which hard links come with the file that their inode was written from. It is
    /// read again for each, and may have up to 65535 bytes of attributes.
    pub fn describing_links(self) -> Self {
        Self { describe_links: true, ..self }
    }

    /// The next name, or `None` behind the last. After an error nothing more is to be read.
    pub fn next_entry(&mut self) -> Result<Option<WalkEntry<'_, 'a>>, ImageError> {
        if !self.has_begun {
            self.has_begun = true;
            let inode = self.index.image().root()?;
            let file = self.file(&inode, None).map_err(|error| error.at(b"/"))?;
            return Ok(Some(WalkEntry {
                path: b"/",
                name: b"",
                depth: 0,
                inode,
                file: Some(file),
                link: None,
            }));
        }
        let Some((entry, inode)) = self.next_file()? else { return Ok(None) };
        let (file, is_link) =
            self.stand(&entry, &inode).map_err(|error| error.at(self.descent.path()))?;
        Ok(Some(WalkEntry {
            path: self.descent.path(),
            name: entry.name,
            depth: self.descent.levels().len(),
            inode,
            file,
            link: is_link.then_some(&self.link_path),
        }))
    }

    /// The next name that is not a stub's.
    fn next_file(&mut self) -> Result<Option<(Dirent<'a>, Inode<'a>)>, ImageError> {
        while let Some(entry) = self.descent.next()? {
            let inode = self.index.image().inode(entry.nid);
            let inode = inode.map_err(|error| error.at(self.descent.path()))?;
            // Below the root there are none: the index has seen to that.
            if !inode.is_bare_whiteout() {
                return Ok(Some((entry, inode)));
            }
        }
        Ok(None)
    }

    /// The file that a name is of, and whether the name is a hard link.
    fn stand(
        &mut self,
        entry: &Dirent<'a>,
        inode: &Inode<'a>,
    ) -> Result<(Option<File<'a>>, bool), ImageError> {
        let levels = self.descent.levels();
        let mut directory = levels.last().map(|level| level.nid);
        if !self.index.is_linked(entry.nid) {
            return Ok((Some(self.file(inode, directory)?), false));
        }
        let mut is_link = false;
        if let Standing::Link(first) = self.first_names.standing(entry.nid, entry.name, levels) {
            directory = Some(first.directory);
            is_link = true;
            self.first_names.write_path(first, &mut self.link_path);
        }
        if is_link && !self.describe_links {
            return Ok((None, true));
        }
        let directory = directory.filter(|_| self.first_names.are_written());
        Ok((Some(self.file(inode, directory)?), is_link))
    }

    /// The file that an inode was written from, under a name in `directory` if that is known.
    fn file(&mut self, inode: &Inode<'a>, directory: Option<u64>) -> Result<File<'a>, ImageError> {
        let (index, first_names) = (self.index, &self.first_names);
        let Marked { parents, whiteouts } = &mut self.marked;
        let in_whiteouts = || match directory {
            Some(directory) => remember(parents, directory, || {
                is_whiteout_parent(&index.image().inode(directory)?)
            }),
            // Where it is not known, that the inode is marked has to do.
            None => Ok(true),
        };
        File::new(inode, in_whiteouts, || holds_whiteout(index, first_names, whiteouts, inode))
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
    first_names: &FirstNames<'_>,
    linked: &mut HashMap<u64, bool>,
    directory: &Inode<'_>,
) -> Result<bool, ImageError> {
    let mut entries = directory.entries();
    while let Some(entry) = entries.next_entry()? {
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
