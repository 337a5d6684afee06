//! A tree as the objects of a commit: the other way round of [`read_commit`](super::read_commit).

use std::collections::{HashMap, HashSet};
use std::io::Write;

use treeseal_tree::{Content, FileType, InodeId, Tree};

use super::content::USER_ONLY_BITS;
use super::object::{DirTree, FileHeader, Inode, SubDirectory};
use super::repository::Kind;
use super::{Checksum, Commit, Mode, NewObjects, OstreeError, Unfit};
use crate::parallel::by_all_cores;
use crate::{Phase, Progress};

/// Puts everything in a tree, and gives the checksums of its root: of the names in it, and of what it is.
///
/// `content` writes the content of a regular file, and is called by as many threads as this process may run
/// at once. Times and hard links are not kept: OSTree has neither. What else it cannot hold is an error,
/// before anything is written.
pub fn write_tree<E: From<OstreeError> + Send>(
    objects: &NewObjects<'_>,
    tree: &Tree,
    content: &(impl Fn(InodeId, &mut dyn Write) -> Result<(), E> + Sync),
    progress: &Progress,
) -> Result<(Checksum, Checksum), E> {
    let listing = Listing::of(tree, objects.repository().mode())?;
    progress.begin(Phase::Extract);
    let files = by_all_cores(listing.files.len(), |places| {
        let put = |place: usize| -> Result<(InodeId, Checksum), E> {
            let (id, header): &(InodeId, FileHeader) = &listing.files[place];
            let size = tree.inode(*id).size();
            let checksum = objects.put_file(header, size, |output| content(*id, output))?;
            progress.add_file();
            Ok((*id, checksum))
        };
        places.map(put).collect::<Result<Vec<_>, E>>()
    });
    Ok(write_directories(objects, tree, &listing, &files?.into_iter().collect())?)
}

impl NewObjects<'_> {
    /// Puts a commit, whose tree was published before.
    pub fn put_commit(&self, commit: &Commit) -> Result<Checksum, OstreeError> {
        self.put_metadata(Kind::Commit, &commit.to_bytes())
    }
}

/// What is to be put.
#[derive(Default)]
struct Listing {
    /// A directory before what is in it.
    directories: Vec<FoundDirectory>,
    /// Each once, however many names it has.
    files: Vec<(InodeId, FileHeader)>,
}

struct FoundDirectory {
    id: InodeId,
    /// In the order of their bytes, as the directories are.
    files: Vec<(String, InodeId)>,
    directories: Vec<(String, InodeId)>,
}

impl Listing {
    fn of(tree: &Tree, mode: Mode) -> Result<Self, OstreeError> {
        let mut listing = Self::default();
        let mut known = HashSet::new();
        let mut pending = vec![(Tree::ROOT, Vec::new())];
        while let Some((id, path)) = pending.pop() {
            let mut found = FoundDirectory { id, files: Vec::new(), directories: Vec::new() };
            for child in tree.children(id) {
                let path = [&path[..], b"/", child.name].concat();
                let unfit = |problem| OstreeError::Unfit { path: path.clone(), problem };
                let name =
                    String::from_utf8(child.name.to_vec()).map_err(|_| unfit(Unfit::Name))?;
                if tree.inode(child.inode).file_type() == FileType::Directory {
                    found.directories.push((name, child.inode));
                    pending.push((child.inode, path));
                    continue;
                }
                if known.insert(child.inode) {
                    let header = header_of(&tree.inode(child.inode), mode).map_err(unfit)?;
                    listing.files.push((child.inode, header));
                }
                found.files.push((name, child.inode));
            }
            listing.directories.push(found);
        }
        Ok(listing)
    }
}

fn header_of(inode: &treeseal_tree::Inode<'_>, mode: Mode) -> Result<FileHeader, Unfit> {
    let target = match (inode.file_type(), inode.content()) {
        (FileType::Regular, _) => None,
        (_, Content::Symlink(target)) => {
            Some(String::from_utf8(target.to_vec()).map_err(|_| Unfit::Target)?)
        }
        (other, _) => return Err(Unfit::Type(other)),
    };
    let header = FileHeader { inode: inode_of(inode), target };
    if mode == Mode::BareUserOnly {
        require_user_only(&header)?;
    }
    Ok(header)
}

/// What such a repository does not keep would make another file of it, with another checksum.
fn require_user_only(header: &FileHeader) -> Result<(), Unfit> {
    let FileHeader { inode, target } = header;
    let permissions = inode.permissions();
    if (inode.uid, inode.gid) != (0, 0) {
        return Err(Unfit::Owner);
    }
    if !inode.xattrs.is_empty() {
        return Err(Unfit::Xattrs);
    }
    if target.is_none() && permissions & !USER_ONLY_BITS != 0 {
        return Err(Unfit::Permissions(permissions));
    }
    Ok(())
}

fn inode_of(inode: &treeseal_tree::Inode<'_>) -> Inode {
    let metadata = inode.metadata();
    let xattrs = inode.xattrs().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    Inode { uid: metadata.uid, gid: metadata.gid, mode: inode.mode().into(), xattrs }
}

/// Puts the directories, what is in one before itself, and gives the root's checksums.
fn write_directories(
    objects: &NewObjects<'_>,
    tree: &Tree,
    listing: &Listing,
    files: &HashMap<InodeId, Checksum>,
) -> Result<(Checksum, Checksum), OstreeError> {
    let mut done: HashMap<InodeId, (Checksum, Checksum)> = HashMap::new();
    for found in listing.directories.iter().rev() {
        let names = found.files.iter().map(|(name, id)| (name.clone(), files[id]));
        let directories = found.directories.iter().map(|(name, id)| {
            let (tree, meta) = done[id];
            SubDirectory { name: name.clone(), tree, meta }
        });
        let names = DirTree { files: names.collect(), directories: directories.collect() };
        let tree_checksum = objects.put_metadata(Kind::DirTree, &names.to_bytes())?;
        let inode = inode_of(&tree.inode(found.id));
        let meta = objects.put_metadata(Kind::DirMeta, &inode.to_bytes())?;
        done.insert(found.id, (tree_checksum, meta));
    }
    Ok(done[&Tree::ROOT])
}
