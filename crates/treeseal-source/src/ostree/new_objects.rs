//! Objects and refs that are written into a repository.
//!
//! An object is written under a temporary name. When all of them are durable they get their names, and when
//! those are durable the next that refers to them may be written: directories and files, then the commit,
//! then the ref. So whatever a crash leaves, nothing that has its name refers to what is not there.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use treeseal_sys::{
    Attributes, Barrier, DurableDir, DurableError, DurableOptions, Owner, TempEntry, TempFile,
    Timestamp,
};
use treeseal_verity::Hasher;

use super::content::{INODE_XATTR, USER_ONLY_BITS, header_hasher};
use super::object::{FileHeader, Inode};
use super::repository::{Kind, finish, local_ref_path};
use super::{Checksum, Mode, OstreeError, Repository};

/// Writes into a repository. There is one at a time: who makes one has a lock.
#[derive(Debug)]
pub struct RepositoryWriter<'r> {
    repository: &'r Repository,
    directory: DurableDir,
    objects: DurableDir,
    /// Where files lie before they have their names. It is new: OSTree removes what is old in `tmp`, and
    /// objects have the time 0.
    staging: DurableDir,
}

/// The directory of temporary files in `tmp`.
const STAGING: &str = "treeseal";

/// The level of compression that OSTree has where nothing is configured.
const LEVEL: u32 = 6;

/// Bytes that are gathered before they are written.
const WRITE_BUFFER: usize = 256 * 1024;

impl<'r> RepositoryWriter<'r> {
    /// Makes one. What an interrupted writer left is removed.
    pub fn new(repository: &'r Repository) -> Result<Self, OstreeError> {
        let directory = DurableDir::open(repository.path(), DurableOptions::default())?;
        directory.ensure_dir("tmp")?;
        let temporary = directory.open_dir("tmp")?;
        temporary.ensure_dir(STAGING)?;
        let staging = temporary.open_dir(STAGING)?;
        staging.empty()?;
        Ok(Self { repository, objects: directory.open_dir("objects")?, directory, staging })
    }

    /// Takes in objects, from any number of threads.
    pub fn new_objects(&self) -> NewObjects<'_> {
        NewObjects { writer: self, placed: Mutex::default() }
    }

    /// Lets a ref of the repository itself name a commit, which is there, and makes that durable.
    pub fn set_ref(&self, name: &str, commit: &Checksum) -> Result<(), OstreeError> {
        let path = local_ref_path(name)?;
        let (parents, last) = path.rsplit_once('/').unwrap_or(("", &path));
        let mut directory = self.directory.clone();
        for parent in parents.split('/') {
            directory.ensure_dir(parent)?;
            // Also when it was there: whoever made it may have been stopped right after.
            directory.sync()?;
            directory = directory.open_dir(parent)?;
        }
        Ok(directory.write_file(last, format!("{commit}\n").as_bytes(), &self.staging)?)
    }
}

/// Objects that have no names yet. Dropped unpublished, they are gone.
pub struct NewObjects<'w> {
    writer: &'w RepositoryWriter<'w>,
    /// By their paths below `objects`; nothing for an object that was there.
    placed: Mutex<BTreeMap<String, Option<TempEntry<'w>>>>,
}

impl<'w> NewObjects<'w> {
    /// The repository that they are for.
    pub(super) const fn repository(&self) -> &Repository {
        self.writer.repository
    }

    /// Puts an object of metadata.
    pub(super) fn put_metadata(&self, kind: Kind, bytes: &[u8]) -> Result<Checksum, OstreeError> {
        let checksum = Checksum::of(bytes);
        let path = checksum.object_path(kind.extension());
        if self.is_there(&path)? {
            return Ok(checksum);
        }
        let mut file = self.writer.staging.create_temp()?;
        file.append(bytes)?;
        file.restore_attributes(&PLAIN)?;
        self.keep(path, file)?;
        Ok(checksum)
    }

    /// Puts a file of `size` bytes, whose content is what `write` writes, or a symlink.
    pub(super) fn put_file<E: From<OstreeError>>(
        &self,
        header: &FileHeader,
        size: u64,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<Checksum, E> {
        match &header.target {
            Some(target) => Ok(self.put_symlink(header, target)?),
            None => self.put_regular(header, size, write),
        }
    }

    /// Makes all objects durable, then their names.
    pub fn publish(self) -> Result<(), OstreeError> {
        let RepositoryWriter { directory, objects, .. } = self.writer;
        let is_synced_as_a_whole = directory.barrier() == Barrier::Filesystem;
        if is_synced_as_a_whole {
            directory.sync_filesystem()?;
        }
        let placed = self.placed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut prefixes: Vec<String> = Vec::new();
        for (path, entry) in placed {
            let prefix: String = path.chars().take(2).collect();
            if prefixes.last() != Some(&prefix) {
                objects.ensure_dir(&prefix)?;
                prefixes.push(prefix);
            }
            entry.map_or(Ok(()), |entry| entry.rename(objects, &path))?;
        }
        if is_synced_as_a_whole {
            return Ok(directory.sync_filesystem()?);
        }
        for prefix in prefixes {
            objects.open_dir(&prefix)?.sync()?;
        }
        Ok(objects.sync()?)
    }

    fn put_regular<E: From<OstreeError>>(
        &self,
        header: &FileHeader,
        size: u64,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<Checksum, E> {
        let mut file = self.writer.staging.create_temp().map_err(OstreeError::from)?;
        let checksum = self.write_content(&mut file, header, size, write)?;
        self.keep_file(&checksum, header, file)?;
        Ok(checksum)
    }

    /// Writes the content as the repository has it, and hashes it on the way.
    fn write_content<E: From<OstreeError>>(
        &self,
        file: &mut TempFile<'_>,
        header: &FileHeader,
        size: u64,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<Checksum, E> {
        let failed = |source| self.write_error(source);
        let mut hasher = header_hasher(header);
        let mut output = BufWriter::with_capacity(WRITE_BUFFER, file);
        if self.mode() == Mode::Archive {
            output.write_all(&header.to_archived_bytes(size)).map_err(failed)?;
            let mut deflated = DeflateEncoder::new(&mut output, Compression::new(LEVEL));
            write(&mut Hashed { hasher: &mut hasher, output: &mut deflated })?;
            deflated.finish().map_err(failed)?;
        } else {
            write(&mut Hashed { hasher: &mut hasher, output: &mut output })?;
        }
        output.flush().map_err(failed)?;
        Ok(finish(hasher))
    }

    fn put_symlink(&self, header: &FileHeader, target: &str) -> Result<Checksum, OstreeError> {
        let checksum = finish(header_hasher(header));
        let path = self.file_path(&checksum);
        if self.is_there(&path)? {
            return Ok(checksum);
        }
        let staging = &self.writer.staging;
        let text = match self.mode() {
            Mode::Archive => header.to_archived_bytes(0),
            // As C ends it.
            Mode::BareUser => [target.as_bytes(), &[0]].concat(),
            Mode::Bare | Mode::BareUserOnly => {
                let link = staging.create_temp_symlink(target.as_bytes())?;
                with_attributes(self.mode(), header, |attributes| {
                    link.restore_attributes(attributes)
                })?;
                self.placed().insert(path, Some(link));
                return Ok(checksum);
            }
        };
        let mut file = staging.create_temp()?;
        file.append(&text)?;
        self.keep_file(&checksum, header, file)?;
        Ok(checksum)
    }

    fn keep_file(
        &self,
        checksum: &Checksum,
        header: &FileHeader,
        file: TempFile<'w>,
    ) -> Result<(), OstreeError> {
        let path = self.file_path(checksum);
        if self.is_there(&path)? {
            return Ok(());
        }
        with_attributes(self.mode(), header, |attributes| file.restore_attributes(attributes))?;
        Ok(self.keep(path, file)?)
    }

    fn keep(&self, path: String, file: TempFile<'w>) -> Result<(), DurableError> {
        if self.writer.directory.barrier() == Barrier::EachFile {
            file.sync()?;
        }
        self.placed().insert(path, Some(file.close()));
        Ok(())
    }

    /// Whether an object was put, or is in the repository, where it is not written again.
    fn is_there(&self, path: &str) -> Result<bool, OstreeError> {
        if self.placed().contains_key(path) {
            return Ok(true);
        }
        let is_there = self.writer.objects.look(path)?.is_some();
        if is_there {
            // Its name may not be durable yet.
            self.placed().insert(path.to_owned(), None);
        }
        Ok(is_there)
    }

    /// What a mutex guards here is whole at every moment.
    fn placed(&self) -> MutexGuard<'_, BTreeMap<String, Option<TempEntry<'w>>>> {
        self.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file_path(&self, checksum: &Checksum) -> String {
        checksum.object_path(self.repository().file_extension())
    }

    const fn mode(&self) -> Mode {
        self.repository().mode()
    }

    fn write_error(&self, source: io::Error) -> OstreeError {
        OstreeError::Write { path: self.repository().path().to_owned(), source }
    }
}

/// Hashes what is written to an output.
struct Hashed<'h, W> {
    hasher: &'h mut Hasher,
    output: W,
}

impl<W: Write> Write for Hashed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.output.write(bytes)?;
        self.hasher.update(bytes.get(..length).unwrap_or_default());
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Of a file in which everything is content.
const PLAIN: Attributes<'_> = Attributes {
    owner: None,
    permissions: 0o644,
    mtime: Timestamp { seconds: 0, nanoseconds: 0 },
    xattrs: &[],
};

/// Calls `set` with what the filesystem is to know of a file in a repository of a mode.
fn with_attributes<R>(
    mode: Mode,
    header: &FileHeader,
    set: impl FnOnce(&Attributes<'_>) -> R,
) -> R {
    let FileHeader { inode, target } = header;
    let permissions = inode.permissions();
    match mode {
        Mode::Archive => set(&PLAIN),
        Mode::Bare => {
            let Inode { uid, gid, .. } = *inode;
            let xattrs: Vec<(&[u8], &[u8])> =
                inode.xattrs.iter().map(|(name, value)| (&name[..], &value[..])).collect();
            let owner = Some(Owner { uid, gid });
            set(&Attributes { owner, permissions, xattrs: &xattrs, ..PLAIN })
        }
        Mode::BareUser => {
            let kept = inode.to_bytes();
            let permissions = match target {
                Some(_) => PLAIN.permissions,
                // What its owner can use, and read.
                None => permissions & USER_ONLY_BITS | 0o400,
            };
            set(&Attributes { permissions, xattrs: &[(INODE_XATTR, &kept)], ..PLAIN })
        }
        Mode::BareUserOnly => set(&Attributes { permissions, ..PLAIN }),
    }
}
