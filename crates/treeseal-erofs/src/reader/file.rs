use treeseal_tree::{FileType, Metadata, Mtime, limits as tree_limits};
use treeseal_verity::FileDigest;

use super::{Image, ImageError, Inode, Xattr, XattrName, XattrProblem, Xattrs};
use crate::{FormatVersion, overlay};

/// A file of the tree that an image was written from: what the writer changed for overlayfs is
/// undone.
pub struct File<'a> {
    inode: Inode<'a>,
    xattrs: Xattrs,
    /// Content, symlink target or object path.
    data: Vec<u8>,
    has_object_path: bool,
    digest: Option<FileDigest>,
    marks: Marks,
    /// Whether the marks of a directory that holds whiteouts are the writer's.
    holds_whiteout: bool,
}

/// What a file holds.
#[derive(Clone, Copy, Debug)]
pub enum FileContent<'a> {
    /// Directory.
    Directory,
    /// Regular file whose content the image holds; it may be empty.
    Inline(&'a [u8]),
    /// Regular file whose content is an object.
    External {
        /// The file digest, when it is known.
        digest: Option<FileDigest>,
        /// Path of the object, relative to the object directory.
        payload: Option<&'a [u8]>,
    },
    /// Symlink with its target.
    Symlink(&'a [u8]),
    /// Block device with its number.
    BlockDevice(u32),
    /// Character device with its number; number 0 is a whiteout.
    CharDevice(u32),
    /// FIFO.
    Fifo,
    /// Socket.
    Socket,
}

/// The marks of whiteouts and of directories that hold them, as far as an inode has them in the
/// form in which the writer makes them.
#[derive(Clone, Copy, Default)]
struct Marks {
    whiteout: bool,
    whiteouts: bool,
    opaque: bool,
}

impl<'a> File<'a> {
    /// Nothing yet: [`File::read`] makes a file of it.
    pub(super) fn unread(inode: Inode<'a>) -> Self {
        Self {
            inode,
            xattrs: Xattrs::default(),
            data: Vec::new(),
            has_object_path: false,
            digest: None,
            marks: Marks::default(),
            holds_whiteout: false,
        }
    }

    /// Becomes the file that an inode was written from. `in_whiteouts` says whether its first name
    /// is in a directory that is marked as holding whiteouts, and `holds_whiteout` whether it is
    /// such a directory and has a whiteout in it.
    pub(super) fn read(
        &mut self,
        inode: &Inode<'a>,
        in_whiteouts: impl FnOnce() -> Result<bool, ImageError>,
        holds_whiteout: impl FnOnce() -> Result<bool, ImageError>,
    ) -> Result<(), ImageError> {
        self.inode = *inode;
        self.xattrs.read(inode)?;
        let found = Found::collect(inode, &self.xattrs);
        let found = found.map_err(|problem| inode.xattr_error(problem))?;
        self.marks = found.marks();
        self.marks.whiteout = self.marks.whiteout && is_empty_file(inode) && in_whiteouts()?;
        self.digest = found.digest;
        self.has_object_path = found.object_path.is_some();
        match inode.file_type() {
            FileType::Regular if inode.is_external() => {
                self.data.clear();
                self.data.extend_from_slice(found.object_path.unwrap_or_default());
            }
            FileType::Regular | FileType::Symlink => inode.read_data(&mut self.data)?,
            _ => {}
        }
        let is_parent = inode.is_directory() && self.marks.is_parent(&inode.image);
        self.holds_whiteout = is_parent && holds_whiteout()?;
        Ok(())
    }

    /// The type.
    pub fn file_type(&self) -> FileType {
        if self.marks.whiteout { FileType::CharDevice } else { self.inode.file_type() }
    }

    /// Type and permission bits, as `st_mode` has them.
    pub fn mode(&self) -> u16 {
        self.file_type().mode_bits() | (self.inode.mode() & 0o7777)
    }

    /// Owner, times, permissions and number of links.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            permissions: self.inode.mode() & 0o7777,
            nlink: self.inode.nlink(),
            uid: self.inode.uid(),
            gid: self.inode.gid(),
            mtime: self.inode.mtime(),
        }
    }

    /// Size in bytes, as dump text has it. For a file of a type that has none this is what the form
    /// of its inode tells: 2^32 for one that has the extended form for no other reason.
    pub fn size(&self) -> u64 {
        if self.has_size() || self.inode.is_compact() || needs_extended(&self.inode) {
            return self.inode.size();
        }
        1 << 32
    }

    /// Time of last modification.
    pub fn mtime(&self) -> Mtime {
        self.inode.mtime()
    }

    /// Low 32 bits of the device number; 0 if this is no device.
    pub fn rdev(&self) -> u32 {
        match self.content() {
            FileContent::BlockDevice(number) | FileContent::CharDevice(number) => number,
            _ => 0,
        }
    }

    /// What the file holds.
    pub fn content(&self) -> FileContent<'_> {
        match self.file_type() {
            FileType::Regular if !self.inode.is_external() => FileContent::Inline(&self.data),
            FileType::Regular => {
                let payload = self.has_object_path.then_some(self.data.as_slice());
                FileContent::External { digest: self.digest, payload }
            }
            FileType::Directory => FileContent::Directory,
            FileType::Symlink => FileContent::Symlink(&self.data),
            FileType::BlockDevice => FileContent::BlockDevice(self.inode.rdev()),
            FileType::CharDevice => FileContent::CharDevice(self.inode.rdev()),
            FileType::Fifo => FileContent::Fifo,
            FileType::Socket => FileContent::Socket,
        }
    }

    /// Symlink target or object path.
    pub fn payload(&self) -> Option<&[u8]> {
        match self.content() {
            FileContent::External { payload, .. } => payload,
            FileContent::Symlink(target) => Some(target),
            _ => None,
        }
    }

    /// The extended attributes in the order of the image, which is not that of their names.
    pub fn xattrs(&self) -> impl Iterator<Item = Xattr<'_>> + Clone {
        let (is_whiteout, holds_whiteout) = (self.marks.whiteout, self.holds_whiteout);
        self.xattrs.iter().filter_map(move |xattr| {
            let is_mark = (is_whiteout && is_one_of(&xattr, &overlay::WHITEOUT))
                || (holds_whiteout && is_one_of(&xattr, &overlay::WHITEOUTS));
            if is_mark {
                return None;
            }
            if let Some(suffix) = xattr.name.strip(overlay::ESCAPED_PREFIX) {
                let name = XattrName { prefix: overlay::PREFIX, suffix };
                return Some(Xattr { name, value: xattr.value });
            }
            // What remains of overlayfs's own attributes is the writer's.
            xattr.name.strip(overlay::PREFIX).is_none().then_some(xattr)
        })
    }

    /// The extended attributes that the file itself had: [`File::xattrs`] without the marks of
    /// format version 1 on a directory that holds whiteouts, which dump text shows.
    pub fn own_xattrs(&self) -> impl Iterator<Item = Xattr<'_>> + Clone {
        let is_marked = self.holds_whiteout && self.marks.opaque;
        self.xattrs().filter(move |xattr| {
            !(is_marked && xattr.value == b"x" && is_one_of(xattr, &UNESCAPED_OPAQUE))
        })
    }

    fn has_size(&self) -> bool {
        matches!(
            self.inode.file_type(),
            FileType::Regular | FileType::Directory | FileType::Symlink
        )
    }
}

/// [`overlay::WHITEOUTS_OPAQUE`] as [`File::xattrs`] gives them.
const UNESCAPED_OPAQUE: [&[u8]; 2] = [overlay::OPAQUE, b"user.overlay.opaque"];

/// Whether an inode does not fit the compact form.
pub(super) fn needs_extended(inode: &Inode<'_>) -> bool {
    inode.mtime() != inode.image.build_time()
        || u16::try_from(inode.nlink()).is_err()
        || u16::try_from(inode.uid()).is_err()
        || u16::try_from(inode.gid()).is_err()
        || u32::try_from(inode.size()).is_err()
}

/// Whether an inode is marked as a directory that holds whiteouts.
pub(super) fn is_whiteout_parent(inode: &Inode<'_>) -> Result<bool, ImageError> {
    Ok(Found::marks_of(&inode.xattrs()?).is_parent(&inode.image))
}

/// Whether an inode is marked as a whiteout.
pub(super) fn is_marked_whiteout(inode: &Inode<'_>) -> Result<bool, ImageError> {
    Ok(is_empty_file(inode) && Found::marks_of(&inode.xattrs()?).whiteout)
}

fn is_empty_file(inode: &Inode<'_>) -> bool {
    inode.file_type() == FileType::Regular && inode.size() == 0
}

fn is_one_of(xattr: &Xattr<'_>, names: &[&[u8]]) -> bool {
    names.iter().any(|name| xattr.name.is(name))
}

impl Marks {
    fn is_parent(self, image: &Image<'_>) -> bool {
        self.whiteouts && (self.opaque || image.version() == FormatVersion::V0)
    }
}

/// The attributes of overlayfs that an inode has.
#[derive(Default)]
struct Found<'a> {
    whiteout: usize,
    whiteouts: usize,
    opaque: usize,
    digest: Option<FileDigest>,
    object_path: Option<&'a [u8]>,
}

impl<'a> Found<'a> {
    fn collect(inode: &Inode<'_>, xattrs: &'a Xattrs) -> Result<Self, XattrProblem> {
        let mut found = Self::default();
        let mut has_metacopy = false;
        for xattr in xattrs.iter() {
            found.count_mark(&xattr);
            let Some(name) = xattr.name.strip(overlay::PREFIX) else { continue };
            match name {
                _ if xattr.name.strip(overlay::ESCAPED_PREFIX).is_some() => {}
                b"metacopy" if inode.is_external() => {
                    has_metacopy = true;
                    found.digest = digest(xattr.value)?;
                }
                b"redirect" if inode.is_external() => {
                    found.object_path = Some(object_path(xattr.value)?);
                }
                b"opaque" if inode.nid() == inode.image.root_nid() && xattr.value == b"y" => {}
                _ => return Err(XattrProblem::Overlay { name: xattr.name.to_vec() }),
            }
        }
        if inode.is_external() && !has_metacopy {
            return Err(XattrProblem::NoMetacopy);
        }
        Ok(found)
    }

    fn marks_of(xattrs: &'a Xattrs) -> Marks {
        let mut found = Self::default();
        xattrs.iter().for_each(|xattr| found.count_mark(&xattr));
        found.marks()
    }

    /// Of each kind of mark the writer makes both or none.
    fn marks(&self) -> Marks {
        Marks {
            whiteout: self.whiteout == 2,
            whiteouts: self.whiteouts == 2,
            opaque: self.opaque == 2,
        }
    }

    fn count_mark(&mut self, xattr: &Xattr<'_>) {
        let is = |names, value: &[u8]| xattr.value == value && is_one_of(xattr, names);
        self.whiteout += usize::from(is(&overlay::WHITEOUT, b""));
        self.whiteouts += usize::from(is(&overlay::WHITEOUTS, b""));
        self.opaque += usize::from(is(&overlay::WHITEOUTS_OPAQUE, b"x"));
    }
}

/// The digest in a metacopy attribute; an empty one has none.
fn digest(value: &[u8]) -> Result<Option<FileDigest>, XattrProblem> {
    if value.is_empty() {
        return Ok(None);
    }
    let digest = overlay::metacopy_digest(value);
    digest.map(Some).ok_or(XattrProblem::Metacopy { found: value.len() })
}

/// The object path in a redirect attribute.
fn object_path(value: &[u8]) -> Result<&[u8], XattrProblem> {
    let path = value.strip_prefix(b"/").unwrap_or_default();
    let is_path = (1..=tree_limits::PAYLOAD).contains(&path.len());
    if !is_path || path.contains(&0) {
        return Err(XattrProblem::Redirect { found: value.len() });
    }
    Ok(path)
}
