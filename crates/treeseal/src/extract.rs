//! Restoring a sealed tree as files.
//!
//! The tree is made in a new directory beside the target, which gets the target's name when
//! everything is there: whoever looks at the target sees nothing or the whole tree. Each file is
//! written under a temporary name and checked before it gets its own. All of it goes by directory
//! descriptors and single names, so nothing is ever written elsewhere.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{BufWriter, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use treeseal_source::{Amount, Phase, Progress};
use treeseal_sys::{
    Attributes, Directory, FileError, ListBuffer, Owner, Special, Timestamp,
    raise_descriptor_limit, restore_attributes,
};
use treeseal_tree::{Content, Entry, FileType, Inode, InodeId, Tree};

use crate::sealed::Counted;
use crate::{Error, SealedTree};

/// What of a tree is restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privilege {
    /// Everything that the tree records; as a rule only the superuser can.
    #[default]
    All,
    /// What an ordinary user can restore: not owners, devices, and attributes that do not begin
    /// with `user.`.
    Unprivileged,
}

/// What was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Files of every type, further names not counted.
    pub files: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Devices that were left out.
    pub skipped_devices: u64,
}

/// Restores a sealed tree at `target`, which does not exist or is an empty directory. On failure
/// nothing is left behind.
pub fn extract(
    sealed: &SealedTree,
    target: &Path,
    privilege: Privilege,
    progress: &Progress,
) -> Result<Extracted, Error> {
    raise_descriptor_limit();
    progress.begin(Phase::Extract);
    progress.expect(amount(sealed.tree()));
    let place = Place::new(target)?;
    let temporary = format!(".treeseal-extract-{}", std::process::id()).into_bytes();
    let root = place.parent.create_directory(&temporary).map_err(|error| place.name_path(error))?;
    let mut extraction = Extraction::new(sealed, &root, privilege, progress);
    let done = extraction.run().and_then(|()| place.give_name(&temporary));
    match done {
        Ok(()) => Ok(extraction.extracted),
        Err(error) => {
            // The first failure is the one to report.
            let _ = remove_tree(&place.parent, &temporary);
            Err(error)
        }
    }
}

/// Files of every type, and bytes of the regular ones.
fn amount(tree: &Tree) -> Amount {
    let inodes = tree.inode_ids().map(|id| tree.inode(id));
    let sizes = inodes.filter(|inode| inode.file_type() == FileType::Regular).map(|i| i.size());
    Amount { files: tree.inode_count() as u64, bytes: sizes.fold(0, u64::saturating_add) }
}

/// Where a tree is to be restored.
struct Place<'p> {
    path: &'p Path,
    parent: Directory,
    name: Vec<u8>,
    exists: bool,
}

impl<'p> Place<'p> {
    fn new(path: &'p Path) -> Result<Self, Error> {
        let in_use = || Error::TargetInUse { path: path.to_owned() };
        // A path without a name, such as `/` or `..`, is that of a directory in use.
        let name = path.file_name().map(OsStr::as_bytes).ok_or_else(in_use)?.to_vec();
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let parent = Directory::open(parent)?;
        let exists = match parent.stat_child(&name) {
            Ok(_) => {
                let mut is_empty = true;
                let directory = parent.open_directory(&name).map_err(|_| in_use())?;
                each_name(&directory, |_| is_empty = false)?;
                if !is_empty {
                    return Err(in_use());
                }
                true
            }
            Err(error) if error.kind() == Some(std::io::ErrorKind::NotFound) => false,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { path, parent, name, exists })
    }

    fn give_name(&self, temporary: &[u8]) -> Result<(), Error> {
        if self.exists {
            self.parent.remove_directory(&self.name).map_err(|error| self.name_path(error))?;
        }
        self.parent.rename_noreplace(temporary, &self.name).map_err(|error| self.name_path(error))
    }

    fn name_path(&self, error: FileError) -> Error {
        error.with_path(self.path.as_os_str().as_bytes().to_vec()).into()
    }
}

struct Extraction<'a> {
    sealed: &'a SealedTree,
    root: &'a Directory,
    privilege: Privilege,
    progress: &'a Progress,
    /// Where the first name of an inode is that has more: its path below the root.
    first_names: HashMap<InodeId, Option<Vec<u8>>>,
    extracted: Extracted,
}

/// A directory that is being filled.
struct Level<'a> {
    id: InodeId,
    path: Vec<u8>,
    /// `None` for the root.
    directory: Option<Directory>,
    /// What is still to be made in it.
    children: std::vec::IntoIter<Entry<'a>>,
}

impl<'a> Level<'a> {
    fn new(tree: &'a Tree, id: InodeId, path: Vec<u8>, directory: Option<Directory>) -> Self {
        let children: Vec<_> = tree.children(id).collect();
        Self { id, path, directory, children: children.into_iter() }
    }
}

impl<'a> Extraction<'a> {
    fn new(
        sealed: &'a SealedTree,
        root: &'a Directory,
        privilege: Privilege,
        progress: &'a Progress,
    ) -> Self {
        let tree = sealed.tree();
        let links = tree.inode_ids().flat_map(|id| tree.children(id)).filter(|child| child.is_link);
        let first_names = links.map(|link| (link.inode, None)).collect();
        let extracted = Extracted::default();
        Self { sealed, root, privilege, progress, first_names, extracted }
    }

    /// Depth first; a directory gets its attributes when everything in it is there.
    fn run(&mut self) -> Result<(), Error> {
        let tree = self.sealed.tree();
        let mut levels = vec![Level::new(tree, Tree::ROOT, Vec::new(), None)];
        while let Some(level) = levels.last_mut() {
            let directory = level.directory.as_ref().unwrap_or(self.root);
            let Some(child) = level.children.next() else {
                self.finish_directory(directory, level.id, &level.path)?;
                levels.pop();
                continue;
            };
            let path = [&level.path[..], b"/", child.name].concat();
            if tree.inode(child.inode).file_type() == FileType::Directory {
                let made = directory.create_directory(child.name).map_err(at(&path))?;
                levels.push(Level::new(tree, child.inode, path, Some(made)));
            } else {
                self.restore(directory, child.name, child.inode, &path)?;
            }
        }
        Ok(())
    }

    fn finish_directory(
        &mut self,
        directory: &Directory,
        id: InodeId,
        path: &[u8],
    ) -> Result<(), Error> {
        self.count(0);
        let inode = self.sealed.tree().inode(id);
        self.with_attributes(&inode, |attributes| restore_attributes(directory, attributes))
            .map_err(at(path))
    }

    fn restore(
        &mut self,
        directory: &Directory,
        name: &[u8],
        id: InodeId,
        path: &[u8],
    ) -> Result<(), Error> {
        match self.first_names.get(&id) {
            Some(Some(first)) => return self.link(directory, name, &first.clone(), path),
            Some(None) => {
                self.first_names.insert(id, Some(path.to_vec()));
            }
            None => {}
        }
        let inode = self.sealed.tree().inode(id);
        match inode.content() {
            Content::Symlink(target) => {
                directory.create_symlink(name, target).map_err(at(path))?;
            }
            Content::Device(_) if self.privilege == Privilege::Unprivileged => {
                self.extracted.skipped_devices += 1;
                self.progress.add_file();
                return Ok(());
            }
            Content::Device(_) | Content::Special => {
                let special = special(&inode);
                directory.create_special(name, special).map_err(at(path))?;
            }
            _ => return self.restore_regular(directory, name, id, path),
        }
        self.count(0);
        self.with_attributes(&inode, |attributes| {
            directory.restore_child_attributes(name, attributes)
        })
        .map_err(at(path))
    }

    fn restore_regular(
        &mut self,
        directory: &Directory,
        name: &[u8],
        id: InodeId,
        path: &[u8],
    ) -> Result<(), Error> {
        let inode = self.sealed.tree().inode(id);
        // A name that no file of the tree can have here: all are gone or have their own by now,
        // except for one of just this name.
        let temporary: &[u8] = if name == TEMPORARY[0] { TEMPORARY[1] } else { TEMPORARY[0] };
        let file = directory.create_file(temporary).map_err(at(path))?;
        let mut file = BufWriter::with_capacity(WRITE_BUFFER, file);
        let mut counted = Counted { output: &mut file, progress: self.progress };
        let written = self.sealed.copy_content(id, &mut counted);
        written.and_then(|()| file.flush().map_err(Error::Output)).map_err(
            |error| match error {
                Error::Output(source) => {
                    Error::io("write", Path::new(OsStr::from_bytes(path)), source)
                }
                other => other,
            },
        )?;
        self.with_attributes(&inode, |attributes| restore_attributes(file.get_ref(), attributes))
            .map_err(at(path))?;
        directory.rename_noreplace(temporary, name).map_err(at(path))?;
        self.count(inode.size());
        Ok(())
    }

    /// Makes a further name of the file whose first name is at `first`.
    fn link(
        &self,
        directory: &Directory,
        name: &[u8],
        first: &[u8],
        path: &[u8],
    ) -> Result<(), Error> {
        let mut components: Vec<&[u8]> =
            first.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect();
        let first_name = components.pop().unwrap_or_default();
        let mut holder: Option<Directory> = None;
        for component in components {
            let inside = holder.as_ref().unwrap_or(self.root);
            holder = Some(inside.open_directory(component).map_err(at(first))?);
        }
        let holder = holder.as_ref().unwrap_or(self.root);
        directory.create_link(name, holder, first_name).map_err(at(path))
    }

    fn with_attributes<R>(&self, inode: &Inode<'_>, set: impl FnOnce(&Attributes<'_>) -> R) -> R {
        let metadata = inode.metadata();
        let all = self.privilege == Privilege::All;
        let xattrs: Vec<(&[u8], &[u8])> =
            inode.xattrs().filter(|(name, _)| all || name.starts_with(b"user.")).collect();
        set(&Attributes {
            owner: all.then_some(Owner { uid: metadata.uid, gid: metadata.gid }),
            permissions: metadata.permissions,
            mtime: Timestamp {
                seconds: metadata.mtime.seconds,
                nanoseconds: metadata.mtime.nanoseconds,
            },
            xattrs: &xattrs,
        })
    }

    fn count(&mut self, bytes: u64) {
        self.extracted.files += 1;
        self.extracted.bytes += bytes;
        self.progress.add_file();
    }
}

/// Names of files that are not checked yet; the second for a file that itself has the first.
const TEMPORARY: [&[u8]; 2] = [b".treeseal-unchecked", b".treeseal-unchecked-too"];

/// Bytes that are gathered before they are written.
const WRITE_BUFFER: usize = 256 * 1024;

fn special(inode: &Inode<'_>) -> Special {
    match (inode.file_type(), inode.content()) {
        (FileType::BlockDevice, Content::Device(number)) => Special::BlockDevice(number),
        (_, Content::Device(number)) => Special::CharDevice(number),
        (FileType::Socket, _) => Special::Socket,
        _ => Special::Fifo,
    }
}

/// Puts the path in the tree into an error that knows only a name.
fn at(path: &[u8]) -> impl FnOnce(FileError) -> Error + '_ {
    |error| error.with_path(path.to_vec()).into()
}

/// Removes a directory and everything in it.
fn remove_tree(parent: &Directory, name: &[u8]) -> Result<(), FileError> {
    // Directories that are being emptied, each inside the one before.
    let mut open = vec![Emptied::new(parent, name)?];
    while let Some(last) = open.last_mut() {
        if let Some(subdirectory) = last.subdirectories.pop() {
            let subdirectory = Emptied::new(&last.directory, &subdirectory)?;
            open.push(subdirectory);
        } else if let Some(emptied) = open.pop() {
            let holder = open.last().map_or(parent, |above| &above.directory);
            holder.remove_directory(&emptied.name)?;
        }
    }
    Ok(())
}

/// A directory without files.
struct Emptied {
    name: Vec<u8>,
    directory: Directory,
    subdirectories: Vec<Vec<u8>>,
}

impl Emptied {
    fn new(parent: &Directory, name: &[u8]) -> Result<Self, FileError> {
        let directory = parent.open_directory(name)?;
        let mut names = Vec::new();
        each_name(&directory, |name| names.push(name.to_vec()))?;
        // What is no file is a directory, or cannot be removed, which opening it then says.
        names.retain(|name| directory.remove_file(name).is_err());
        Ok(Self { name: name.to_vec(), directory, subdirectories: names })
    }
}

fn each_name(directory: &Directory, mut each: impl FnMut(&[u8])) -> Result<(), FileError> {
    directory.list(&mut ListBuffer::default(), |_, name| {
        each(name);
        Ok::<(), FileError>(())
    })
}
