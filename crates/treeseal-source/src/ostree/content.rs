//! Files and symlinks, as each kind of repository keeps them.

use core::cmp::Ordering;
use std::fs::File;
use std::io::{self, Read, Take};
use std::path::PathBuf;

use flate2::read::DeflateDecoder;
use treeseal_sys::{FileError, Stat, XattrBuffer, file_xattrs, read_file_limited, stat_file};
use treeseal_tree::{FileType, limits};
use treeseal_verity::{HashAlgorithm, Hasher};

use super::object::{FileHeader, Inode};
use super::repository::finish;
use super::{Checksum, GvariantError, Mode, ObjectError, OstreeError, Repository};
use crate::Progress;

/// A file or symlink of a repository, whose content was not read yet. Nothing of it is verified until
/// [`FileObject::read`] has succeeded.
pub(super) struct FileObject<'r> {
    repository: &'r Repository,
    checksum: Checksum,
    header: FileHeader,
    content: Option<Content<'static>>,
}

/// The content of a regular file.
struct Content<'c> {
    /// As the filesystem or the header says.
    size: u64,
    bytes: Bytes<'c>,
}

/// Where content is read from.
enum Bytes<'c> {
    /// A file that has this content and nothing else.
    Plain(File),
    Deflated(Box<dyn Read + 'c>),
}

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Deflated(bytes) => bytes.read(buffer),
        }
    }
}

/// The content of a regular file of a commit, which may have changed since the commit was read.
pub struct CommitContent<'p> {
    /// One byte more than it should have, so that more is noticed.
    bytes: Take<Bytes<'static>>,
    progress: &'p Progress,
}

impl<'p> CommitContent<'p> {
    pub(super) fn open(
        repository: &Repository,
        checksum: &Checksum,
        size: u64,
        progress: &'p Progress,
    ) -> Result<Self, OstreeError> {
        match repository.file(checksum)?.content {
            Some(content) => {
                Ok(Self { bytes: content.bytes.take(size.saturating_add(1)), progress })
            }
            None => Err(OstreeError::Changed { path: repository.file_path(checksum) }),
        }
    }

    /// The file that has this content and nothing else, if there is one.
    pub fn file(&self) -> Option<&File> {
        match self.bytes.get_ref() {
            Bytes::Plain(file) => Some(file),
            Bytes::Deflated(_) => None,
        }
    }
}

impl Read for CommitContent<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.bytes.read(buffer)?;
        self.progress.add_bytes(length as u64);
        Ok(length)
    }
}

/// A file in an archive that cannot be read, or understood.
#[derive(Debug, thiserror::Error)]
pub enum ArchivedError {
    /// Its bytes cannot be read, or its content is not deflated.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// It is no file of an archive.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// The checksum of a file whose bytes are those that an archive has of it. What is unpacked is hashed in
/// pieces, and is no more than the size that the header states.
pub fn archived_checksum(bytes: &[u8]) -> Result<Checksum, ArchivedError> {
    let (header, content) = open_archived(bytes)?;
    let mut hasher = header_hasher(&header);
    if let Some(content) = content {
        read_exactly(content, &mut [0; 8192], |piece| hasher.update(piece))?;
    }
    Ok(finish(hasher))
}

/// Reads what comes before the content: length, four bytes of zero, header. Then the content of a regular
/// file is there, deflated.
fn open_archived<'c>(
    mut file: impl Read + 'c,
) -> Result<(FileHeader, Option<Content<'c>>), ArchivedError> {
    let mut prefix = [0; 8];
    file.read_exact(&mut prefix)?;
    let [a, b, c, d, padding @ ..] = prefix;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if length > MAX_HEADER || padding != [0; 4] {
        return Err(ObjectError::Content.into());
    }
    let mut header = vec![0; length];
    file.read_exact(&mut header)?;
    let (header, size) = FileHeader::parse_archived(&header)?;
    if header.target.is_none() {
        let bytes = Bytes::Deflated(Box::new(DeflateDecoder::new(file)));
        return Ok((header, Some(Content { size, bytes })));
    }
    if size != 0 {
        return Err(ObjectError::Content.into());
    }
    Ok((header, None))
}

/// The largest header of an archived file, in bytes: more attributes than an inode can have.
const MAX_HEADER: usize = 256 * 1024;

/// The attribute in which `bare-user` keeps an inode.
pub(super) const INODE_XATTR: &[u8] = b"user.ostreemeta";

/// The bits of a mode that `bare-user-only` keeps.
pub(super) const USER_ONLY_BITS: u16 = 0o775;

const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

impl Repository {
    /// Opens a file of a commit.
    pub(super) fn file(&self, checksum: &Checksum) -> Result<FileObject<'_>, OstreeError> {
        let opener = Opener { repository: self, checksum };
        let (header, content) = match self.mode() {
            Mode::Archive => opener.archived(),
            Mode::Bare => opener.bare(),
            Mode::BareUser => opener.bare_user(),
            Mode::BareUserOnly => opener.bare_user_only(),
        }?;
        Ok(FileObject { repository: self, checksum: *checksum, header, content })
    }

    /// Where a file of a commit lies, for messages.
    pub(super) fn file_path(&self, checksum: &Checksum) -> PathBuf {
        self.object_path(checksum, self.file_extension())
    }

    pub(super) const fn file_extension(&self) -> &'static str {
        match self.mode() {
            Mode::Archive => "filez",
            Mode::Bare | Mode::BareUser | Mode::BareUserOnly => "file",
        }
    }
}

impl FileObject<'_> {
    /// Bytes of content; 0 for a symlink.
    pub(super) fn size(&self) -> u64 {
        self.content.as_ref().map_or(0, |content| content.size)
    }

    /// Reads the content to its end, in pieces of up to `buffer`, and gives the header if the checksum of
    /// both is the object's name. What `each` was given is right only then.
    pub(super) fn read(
        mut self,
        buffer: &mut [u8],
        mut each: impl FnMut(&[u8]),
    ) -> Result<FileHeader, OstreeError> {
        let mut hasher = header_hasher(&self.header);
        if let Some(content) = self.content.take() {
            let read = read_exactly(content, buffer, |piece| {
                hasher.update(piece);
                each(piece);
            });
            read.map_err(|source| OstreeError::Read { path: self.path(), source })?;
        }
        self.checked(hasher)
    }

    /// Reads the content into the front of `room`, which has room for one byte more than it has; else as
    /// [`FileObject::read`] does.
    pub(super) fn read_into(mut self, room: &mut [u8]) -> Result<FileHeader, OstreeError> {
        let mut hasher = header_hasher(&self.header);
        if let Some(content) = self.content.take() {
            let read = read_whole(content, room);
            hasher.update(read.map_err(|source| OstreeError::Read { path: self.path(), source })?);
        }
        self.checked(hasher)
    }

    fn checked(self, hasher: Hasher) -> Result<FileHeader, OstreeError> {
        let found = finish(hasher);
        if found != self.checksum {
            return Err(OstreeError::Differs { path: self.path(), found });
        }
        Ok(self.header)
    }

    fn path(&self) -> PathBuf {
        self.repository.file_path(&self.checksum)
    }
}

/// Hashes what comes before the content in a checksum.
pub(super) fn header_hasher(header: &FileHeader) -> Hasher {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    hasher.update(&header.to_bytes());
    hasher
}

/// Reads as many bytes as there should be. Never more, whatever a compressed file has in it.
fn read_exactly(
    content: Content<'_>,
    buffer: &mut [u8],
    mut each: impl FnMut(&[u8]),
) -> io::Result<()> {
    let Content { size, mut bytes } = content;
    let mut remaining = size;
    loop {
        let length = read_some(&mut bytes, buffer)?;
        if length == 0 {
            break;
        }
        remaining = remaining.checked_sub(length as u64).ok_or_else(|| too_long(size))?;
        each(buffer.get(..length).unwrap_or_default());
    }
    if remaining == 0 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Reads as many bytes as there should be into a buffer that has room for one more, and gives them.
fn read_whole<'b>(content: Content<'_>, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let Content { size, mut bytes } = content;
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        let length = read_some(&mut bytes, free)?;
        if length == 0 {
            break;
        }
        filled += length;
    }
    match (filled as u64).cmp(&size) {
        Ordering::Less => Err(io::ErrorKind::UnexpectedEof.into()),
        Ordering::Equal => Ok(buffer.get(..filled).unwrap_or_default()),
        Ordering::Greater => Err(too_long(size)),
    }
}

fn read_some(bytes: &mut Bytes<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match bytes.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn too_long(size: u64) -> io::Error {
    io::Error::other(format!("it has more than its {size} bytes"))
}

type Opened = (FileHeader, Option<Content<'static>>);

/// Opens one object, by each of the modes.
struct Opener<'r> {
    repository: &'r Repository,
    checksum: &'r Checksum,
}

impl Opener<'_> {
    fn archived(&self) -> Result<Opened, OstreeError> {
        open_archived(self.open()?).map_err(|error| match error {
            ArchivedError::Read(source) => OstreeError::Read { path: self.path(), source },
            ArchivedError::Object(source) => self.malformed(source),
        })
    }

    /// Everything as the filesystem has it.
    fn bare(&self) -> Result<Opened, OstreeError> {
        let Some((file, stat)) = self.open_unless_symlink()? else { return self.bare_symlink() };
        let mut buffer = XattrBuffer::default();
        let xattrs =
            file_xattrs(&file, |_| true, &mut buffer).map_err(|error| self.file_error(error))?;
        let header = self.header(inode_of(&stat, xattrs), None)?;
        Ok((header, Some(Content { size: stat.size, bytes: Bytes::Plain(file) })))
    }

    fn bare_symlink(&self) -> Result<Opened, OstreeError> {
        let (directory, name) = self.place()?;
        let failed = |error| self.file_error(error);
        let stat = directory.stat_child(&name).map_err(failed)?;
        let mut buffer = XattrBuffer::default();
        let xattrs = directory.child_xattrs(&name, |_| true, &mut buffer).map_err(failed)?;
        let target = directory.read_link(&name).map_err(failed)?;
        Ok((self.header(inode_of(&stat, xattrs), Some(target))?, None))
    }

    /// The inode is in an attribute, and the target of a symlink in a file.
    fn bare_user(&self) -> Result<Opened, OstreeError> {
        let (file, stat) = self.open_with_stat()?;
        let mut buffer = XattrBuffer::default();
        let xattrs = file_xattrs(&file, |name| name == INODE_XATTR, &mut buffer)
            .map_err(|error| self.file_error(error))?;
        let [inode] = xattrs.as_slice() else { return Err(self.malformed(ObjectError::Xattrs)) };
        let inode = Inode::parse(&inode.value).map_err(|error| self.malformed(error))?;
        if inode.file_type() != Some(FileType::Symlink) {
            let content = Content { size: stat.size, bytes: Bytes::Plain(file) };
            return Ok((self.header(inode, None)?, Some(content)));
        }
        let mut target =
            read_file_limited(file, limits::PAYLOAD + 1).map_err(|error| self.file_error(error))?;
        // libostree ends the target as C does.
        target.pop_if(|last| *last == 0);
        Ok((self.header(inode, Some(target))?, None))
    }

    /// There is no owner and no attribute, and few bits of the mode.
    fn bare_user_only(&self) -> Result<Opened, OstreeError> {
        let inode = |mode| Inode { uid: 0, gid: 0, mode, xattrs: Vec::new() };
        let Some((file, stat)) = self.open_unless_symlink()? else {
            let (directory, name) = self.place()?;
            let target = directory.read_link(&name).map_err(|error| self.file_error(error))?;
            return Ok((self.header(inode(S_IFLNK | 0o777), Some(target))?, None));
        };
        let mode = S_IFREG | u32::from(stat.mode & USER_ONLY_BITS);
        let content = Content { size: stat.size, bytes: Bytes::Plain(file) };
        Ok((self.header(inode(mode), None)?, Some(content)))
    }

    fn place(&self) -> Result<(&treeseal_sys::Directory, Vec<u8>), OstreeError> {
        self.repository.directory_of(self.checksum, self.repository.file_extension())
    }

    fn open(&self) -> Result<File, OstreeError> {
        let (directory, name) = self.place()?;
        directory.open_file(&name).map_err(|error| self.file_error(error))
    }

    fn open_with_stat(&self) -> Result<(File, Stat), OstreeError> {
        self.with_stat(self.open()?)
    }

    fn open_unless_symlink(&self) -> Result<Option<(File, Stat)>, OstreeError> {
        let (directory, name) = self.place()?;
        let opened =
            directory.open_unless_symlink(&name).map_err(|error| self.file_error(error))?;
        opened.map(|file| self.with_stat(file)).transpose()
    }

    /// A regular file; anything else is no content.
    fn with_stat(&self, file: File) -> Result<(File, Stat), OstreeError> {
        let stat = stat_file(&file).map_err(|error| self.file_error(error))?;
        if u32::from(stat.type_bits()) != S_IFREG {
            return Err(self.malformed(ObjectError::Mode {
                found: stat.mode.into(),
                expected: "regular file",
            }));
        }
        Ok((file, stat))
    }

    fn header(&self, inode: Inode, target: Option<Vec<u8>>) -> Result<FileHeader, OstreeError> {
        let target = target
            .map(|target| String::from_utf8(target).map_err(|_| GvariantError::String.into()));
        let header = target.transpose().and_then(|target| FileHeader::new(inode, target));
        header.map_err(|error| self.malformed(error))
    }

    fn file_error(&self, error: FileError) -> OstreeError {
        self.repository.object_error(self.checksum, self.repository.file_extension())(error)
    }

    fn malformed(&self, source: ObjectError) -> OstreeError {
        OstreeError::Object { path: self.path(), source }
    }

    fn path(&self) -> PathBuf {
        self.repository.file_path(self.checksum)
    }
}

fn inode_of(stat: &Stat, xattrs: Vec<treeseal_sys::Xattr>) -> Inode {
    let xattrs = xattrs.into_iter().map(|xattr| (xattr.name, xattr.value)).collect();
    Inode { uid: stat.uid, gid: stat.gid, mode: stat.mode.into(), xattrs }
}
