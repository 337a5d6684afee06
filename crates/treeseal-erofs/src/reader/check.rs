use treeseal_tree::{FileType, Mtime};

use super::bytes::length;
use super::directory::Dirent;
use super::file::{File, FileContent, needs_extended};
use super::links::FirstName;
use super::objects::ObjectSet;
use super::walk::{Walk, WalkOptions};
use super::{CanonicalProblem, Image, ImageError, Index, Inode};
use crate::format::{BLOCK, SLOT};
use crate::overlay;

/// What is in an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Format version in the header.
    pub format_version: u32,
    /// Whether the header says that some inode has a POSIX ACL.
    pub has_acl: bool,
    /// Size of the image in bytes.
    pub image_size: u64,
    /// The earliest time of all inodes.
    pub build_time: Mtime,
    /// Inodes of the tree, each once however many names it has; the stubs not counted.
    pub inodes: InodeCounts,
    /// Stubs in the root that hide the object directories.
    pub stubs: u64,
    /// Inodes that have the form of 32 bytes, stubs among them.
    pub compact_inodes: u64,
    /// Further names of inodes.
    pub hard_links: u64,
    /// Distinct objects.
    pub objects: u64,
    /// External files that name no object.
    pub files_without_object: u64,
    /// External files without a file digest.
    pub files_without_digest: u64,
    /// Bytes of all external files, each file once even if others have the same object.
    pub external_bytes: u64,
    /// Bytes of content that the image holds.
    pub inline_bytes: u64,
    /// Bytes of the table of shared attributes.
    pub shared_xattr_bytes: u64,
}

/// Inodes by type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InodeCounts {
    /// Directories, the root among them.
    pub directories: u64,
    /// Regular files that are empty or whose content is in the image.
    pub inline_files: u64,
    /// Regular files whose content is an object.
    pub external_files: u64,
    /// Symlinks.
    pub symlinks: u64,
    /// Block and character devices.
    pub devices: u64,
    /// Whiteouts: character devices 0.
    pub whiteouts: u64,
    /// FIFOs and sockets.
    pub fifos_and_sockets: u64,
}

impl InodeCounts {
    /// The number of all inodes.
    pub fn total(&self) -> u64 {
        self.directories
            + self.inline_files
            + self.external_files
            + self.symlinks
            + self.devices
            + self.whiteouts
            + self.fifos_and_sockets
    }
}

/// Reads everything in an image and checks what reading alone would not notice: link counts of
/// directories, the form of inodes, the stubs, the header's flag and the superblock's time, and that
/// no byte is anything but what the format puts there.
///
/// What this does not check is which attributes are shared, how entries are cut into blocks, and
/// where inodes are padded. Writing [`to_tree`](super::to_tree)'s tree again and comparing does.
pub fn check(image: &Image<'_>) -> Result<Report, ImageError> {
    let index = Index::new(*image)?;
    let mut check = Check {
        report: Report {
            format_version: image.version().number(),
            has_acl: image.has_acl(),
            image_size: image.size(),
            build_time: image.build_time(),
            ..Report::default()
        },
        earliest: None,
        has_acl: false,
        lost_blocks: 0,
        shared_end: index.inodes_end,
    };
    let objects = check.check_files(&index)?;
    check.report.objects = objects;
    check.check_stubs(&index)?;
    check.check_whole(&index)?;
    check.report.shared_xattr_bytes = check.shared_end - index.inodes_end;
    Ok(check.report)
}

struct Check {
    report: Report,
    earliest: Option<Mtime>,
    has_acl: bool,
    /// Blocks that no inode's address leads to.
    lost_blocks: u64,
    /// End of the shared attributes.
    shared_end: u64,
}

impl Check {
    /// Checks every file of the tree; gives the number of distinct objects.
    fn check_files(&mut self, index: &Index<'_>) -> Result<u64, ImageError> {
        let mut objects = ObjectSet::new(index);
        let options = WalkOptions { first_name: FirstName::Met, ..WalkOptions::default() };
        let mut walk = Walk::new(index, &options)?;
        while let Some(entry) = walk.next_entry()? {
            if entry.link.is_some() {
                self.report.hard_links += 1;
                continue;
            }
            self.check_inode(&entry.inode).map_err(|error| error.at(entry.path))?;
            if let Some(file) = entry.file {
                self.count(file);
                objects.add(file)?;
            }
        }
        Ok(u64::try_from(objects.finish().iter().len()).unwrap_or(u64::MAX))
    }

    fn count(&mut self, file: &File<'_>) {
        let inodes = &mut self.report.inodes;
        match file.content() {
            FileContent::Directory => inodes.directories += 1,
            FileContent::Inline(content) => {
                inodes.inline_files += 1;
                self.report.inline_bytes += length(content);
            }
            FileContent::External { digest, payload } => {
                inodes.external_files += 1;
                self.report.external_bytes = self.report.external_bytes.saturating_add(file.size());
                self.report.files_without_object += u64::from(payload.is_none());
                self.report.files_without_digest += u64::from(digest.is_none());
            }
            FileContent::Symlink(_) => inodes.symlinks += 1,
            FileContent::CharDevice(0) => inodes.whiteouts += 1,
            FileContent::BlockDevice(_) | FileContent::CharDevice(_) => inodes.devices += 1,
            FileContent::Fifo | FileContent::Socket => inodes.fifos_and_sockets += 1,
        }
    }

    /// Checks what an inode states against its surroundings, and the bytes that fill it up.
    fn check_inode(&mut self, inode: &Inode<'_>) -> Result<(), ImageError> {
        let has_size = matches!(
            inode.file_type(),
            FileType::Regular | FileType::Directory | FileType::Symlink
        );
        // The size that decides the form of the others is not stored.
        let may_be_extended = needs_extended(inode) || !has_size;
        if inode.is_compact() == needs_extended(inode) && (inode.is_compact() || !may_be_extended) {
            let is_compact = inode.is_compact();
            return Err(not_canonical(inode, CanonicalProblem::Form { is_compact }));
        }
        if inode.is_directory() {
            check_links(inode)?;
        }
        check_padding(inode)?;
        self.lost_blocks += u64::from(inode.data().has_lost_block);
        self.report.compact_inodes += u64::from(inode.is_compact());
        let mtime = inode.mtime();
        self.earliest = Some(self.earliest.map_or(mtime, |earliest| earliest.min(mtime)));
        let xattrs = inode.xattrs()?;
        self.has_acl |= xattrs.iter().any(|xattr| {
            xattr.name.is(b"system.posix_acl_access") || xattr.name.is(b"system.posix_acl_default")
        });
        self.shared_end = self.shared_end.max(xattrs.shared_end().unwrap_or(0));
        Ok(())
    }

    /// Checks that the names of all object directories are hidden, and the inodes that do it.
    fn check_stubs(&mut self, index: &Index<'_>) -> Result<(), ImageError> {
        let root = index.image().root()?;
        let mut entries = root.entries();
        let mut names = 0;
        while let Some(entry) = entries.next_entry()? {
            let is_stub_name = is_stub_name(entry.name);
            names += u64::from(is_stub_name);
            let inode = index.image().inode(entry.nid)?;
            if inode.is_bare_whiteout() {
                if !is_stub_name || index.is_linked(entry.nid) || !is_stub_of(&inode, &root)? {
                    return Err(stub_error(&entry));
                }
                self.check_inode(&inode)?;
                self.report.stubs += 1;
            }
        }
        let is_opaque = root
            .xattrs()?
            .iter()
            .any(|xattr| xattr.name.is(overlay::OPAQUE) && xattr.value == b"y");
        if !is_opaque {
            return Err(not_canonical(&root, CanonicalProblem::RootNotOpaque));
        }
        // Names are distinct, so 256 are all of them.
        if names == 256 {
            return Ok(());
        }
        Err(not_canonical(&root, CanonicalProblem::Stub { name: first_missing_stub(&root)? }))
    }

    fn check_whole(&self, index: &Index<'_>) -> Result<(), ImageError> {
        let image = index.image();
        if self.earliest != Some(image.build_time()) {
            return Err(of_image(CanonicalProblem::BuildTime));
        }
        if self.has_acl != image.has_acl() {
            return Err(of_image(CanonicalProblem::AclFlag { found: image.has_acl() }));
        }
        self.check_unused(index)
    }

    /// Checks the bytes that belong to no inode: zeros between inodes, the shared attributes behind
    /// them, zeros to the end of their block, and the blocks of chunk tables that nothing leads to.
    fn check_unused(&self, index: &Index<'_>) -> Result<(), ImageError> {
        let image = index.image();
        let data_start = self.shared_end.next_multiple_of(BLOCK);
        let mut lost_blocks = 0;
        for (first, end) in index.used.gaps(image.slots()) {
            let (mut offset, end) = (first * SLOT, end * SLOT);
            if offset >= index.inodes_end {
                offset = offset.max(self.shared_end);
            }
            let zeros_end = end.min(data_start.max(offset));
            let (zeros, blocks) = (zeros_end.saturating_sub(offset), end.saturating_sub(zeros_end));
            if !image.bytes.is_filled_with(0, offset, zeros)?
                || !image.bytes.is_filled_with(0xff, zeros_end, blocks)?
            {
                return Err(of_image(CanonicalProblem::Unused { offset }));
            }
            lost_blocks += blocks / BLOCK;
        }
        if lost_blocks != self.lost_blocks {
            return Err(of_image(CanonicalProblem::Unused { offset: data_start }));
        }
        Ok(())
    }
}

/// The links of a directory are its name, its `.`, and the `..` of each directory in it.
fn check_links(directory: &Inode<'_>) -> Result<(), ImageError> {
    let mut expected: u64 = 0;
    let mut entries = directory.entries();
    while let Some(entry) = entries.next_entry()? {
        expected += u64::from(entry.file_type == FileType::Directory);
    }
    let found = u64::from(directory.nlink());
    if found != expected {
        return Err(not_canonical(directory, CanonicalProblem::Links { expected, found }));
    }
    Ok(())
}

/// Data that does not fill its last block, and the inode its last slot, is followed by zeros.
fn check_padding(inode: &Inode<'_>) -> Result<(), ImageError> {
    let image = &inode.image;
    let slot_rest = inode.end().next_multiple_of(SLOT) - inode.end();
    let data = inode.data();
    let used = match inode.file_type() {
        FileType::Directory => data.blocks * BLOCK,
        _ => (inode.size() - data.tail.min(inode.size())).min(data.blocks * BLOCK),
    };
    if !image.bytes.is_filled_with(0, inode.end(), slot_rest)? {
        // The shared attributes may begin there, but they begin at a slot.
        return Err(not_canonical(inode, CanonicalProblem::Unused { offset: inode.end() }));
    }
    let offset = data.start + used;
    if !image.bytes.is_filled_with(0, offset, data.blocks * BLOCK - used)? {
        return Err(not_canonical(inode, CanonicalProblem::Unused { offset }));
    }
    Ok(())
}

fn is_stub_name(name: &[u8]) -> bool {
    name.len() == 2 && name.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether an inode is what the writer adds to the root: owned by whoever owns that, with its time
/// and its label.
fn is_stub_of(stub: &Inode<'_>, root: &Inode<'_>) -> Result<bool, ImageError> {
    let label = |inode: &Inode<'_>| -> Result<_, ImageError> {
        let xattrs = inode.xattrs()?;
        let mut labels = xattrs.iter().filter(|xattr| xattr.name.is(b"security.selinux"));
        Ok(labels.next().map(|xattr| xattr.value.to_vec()))
    };
    let stated = |inode: &Inode<'_>| (inode.uid(), inode.gid(), inode.mtime());
    Ok(stub.mode() == 0o020_644
        && stub.nlink() == 1
        && stated(stub) == stated(root)
        && stub.xattrs()?.iter().count() == usize::from(label(root)?.is_some())
        && label(stub)? == label(root)?)
}

fn first_missing_stub(root: &Inode<'_>) -> Result<Vec<u8>, ImageError> {
    let mut present = Vec::new();
    let mut entries = root.entries();
    while let Some(entry) = entries.next_entry()? {
        if is_stub_name(entry.name) {
            present.push(entry.name.to_vec());
        }
    }
    let mut names = (0..=255u8).map(|number| format!("{number:02x}").into_bytes());
    Ok(names.find(|name| !present.contains(name)).unwrap_or_default())
}

fn stub_error(entry: &Dirent<'_>) -> ImageError {
    let problem = CanonicalProblem::Stub { name: entry.name.to_vec() };
    ImageError::NotCanonical { nid: entry.nid, path: Vec::new(), problem }
}

fn not_canonical(inode: &Inode<'_>, problem: CanonicalProblem) -> ImageError {
    ImageError::NotCanonical { nid: inode.nid(), path: Vec::new(), problem }
}

fn of_image(problem: CanonicalProblem) -> ImageError {
    ImageError::NotCanonical { nid: 0, path: Vec::new(), problem }
}
