use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use treeseal_sys::{
    DurableDir, DurableError, DurableOptions, Entry, EntryKind, FileLock, LockMode, LockWait, Seen,
    VerityError, check_verity_support,
};
use treeseal_trust::{MAX_ENVELOPE_SIZE, MAX_ROOT_SIZE, Sequence, Stream};
use treeseal_verity::{FileDigest, Params};

use crate::format::{FORMAT_FILE, Format, MAX_FORMAT_FILE};
use crate::layout::{self, LOCK, MAX_POINTER, ROOTS, TEMPORARY};
use crate::{Part, StoreError, Writer};

mod content;
mod seals;

pub(crate) use content::leaf_level_size;
pub(crate) use seals::SealEntry;
pub use seals::StreamSeals;

/// A store that is open for reading; [`Store::writer`] makes it one to write to.
///
/// Reading takes no lock. A file that was opened stays readable whatever a writer does.
#[derive(Clone, Debug)]
pub struct Store {
    dir: DurableDir,
    access: Access,
}

/// How a store is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// What is going to be done with it.
    pub access: Access,
    /// How its files are made durable.
    pub durable: DurableOptions,
}

/// What is going to be done with a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// It is read.
    #[default]
    Read,
    /// It is read, and perhaps written.
    Write,
    /// As [`Access::Write`], and it is made if there is none.
    Create,
}

/// Keeps writers, and so all removal, out of a store until it is dropped.
#[derive(Debug)]
pub struct Hold {
    _lock: Option<FileLock>,
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of objects.
    pub objects: u64,
    /// Bytes of all objects.
    pub object_bytes: u64,
    /// Number of objects that have fs-verity.
    pub objects_with_verity: u64,
    /// Number of sidecars.
    pub sidecars: u64,
    /// Bytes of all sidecars.
    pub sidecar_bytes: u64,
    /// Number of images.
    pub images: u64,
    /// Bytes of all images.
    pub image_bytes: u64,
    /// Number of images that have fs-verity.
    pub images_with_verity: u64,
}

impl Store {
    /// Opens a store, and makes one if the directory is missing, empty, or one in which making a
    /// store was interrupted.
    pub fn create_or_open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, OpenOptions { access: Access::Create, ..OpenOptions::default() })
    }

    /// Opens a store that is there, for reading and perhaps writing.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, OpenOptions { access: Access::Write, ..OpenOptions::default() })
    }

    /// Opens a store that is there, for reading only.
    pub fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, OpenOptions::default())
    }

    /// Opens a store in a chosen way.
    pub fn open_with(path: &Path, options: OpenOptions) -> Result<Self, StoreError> {
        let OpenOptions { access, durable } = options;
        if access == Access::Create {
            create_directories(path)?;
        }
        let dir = DurableDir::open(path, durable).map_err(|error| {
            if error.is_missing() {
                StoreError::NotAStore { path: path.to_owned() }
            } else {
                error.into()
            }
        })?;
        let store = Self { dir, access };
        match store.read_format() {
            Err(StoreError::NotAStore { .. }) if access == Access::Create => {
                store.create()?;
            }
            result => {
                result?;
            }
        }
        Ok(store)
    }

    /// Takes the store for writing: waits ten seconds at most for another writer.
    pub fn writer(&self) -> Result<Writer, StoreError> {
        self.writer_waiting(LockWait::default())
    }

    /// Takes the store for writing.
    pub fn writer_waiting(&self, wait: LockWait<'_>) -> Result<Writer, StoreError> {
        if self.access == Access::Read {
            return Err(StoreError::ReadOnly { path: self.path().to_owned() });
        }
        let lock = self.lock(wait)?;
        // It may have changed while another writer had the lock.
        self.read_format()?;
        Writer::new(self.clone(), lock)
    }

    /// Keeps writers out. For work of seconds that must not see files come and go.
    pub fn hold(&self, wait: LockWait<'_>) -> Result<Hold, StoreError> {
        Ok(Hold { _lock: self.dir.lock(LOCK, LockMode::Shared, wait)? })
    }

    /// The store's directory; for messages.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Opens an object. Its content is not checked.
    pub fn open_object(&self, digest: &FileDigest) -> Result<File, StoreError> {
        self.open_part(Part::Object, digest)
    }

    /// Opens the directory of the objects, as mounts want it.
    pub fn open_objects(&self) -> Result<DurableDir, StoreError> {
        Ok(self.dir.open_dir(Part::Object.dir())?)
    }

    /// Opens an object's Merkle tree. It is not checked. Content of at most one run
    /// has none: 512 KiB for SHA-256, 256 KiB for SHA-512.
    pub fn open_sidecar(&self, digest: &FileDigest) -> Result<File, StoreError> {
        self.open_part(Part::Sidecar, digest)
    }

    /// Opens an image. Its content is not checked.
    pub fn open_image(&self, digest: &FileDigest) -> Result<File, StoreError> {
        self.open_part(Part::Image, digest)
    }

    /// A seal as it lies here: it is for `treeseal-trust` to judge.
    pub fn seal(&self, stream: &Stream, sequence: Sequence) -> Result<Vec<u8>, StoreError> {
        let path = layout::seal_path(stream, sequence);
        self.read_small(&path, MAX_ENVELOPE_SIZE as u64)?
            .ok_or_else(|| StoreError::NoSeal { path: self.dir.join(path) })
    }

    /// The sequence that the stream's pointer names; `None` if the stream has no pointer.
    pub fn current(&self, stream: &Stream) -> Result<Option<Sequence>, StoreError> {
        let path = layout::current_path(stream);
        let Some(bytes) = self.read_small(&path, MAX_POINTER)? else { return Ok(None) };
        match layout::sequence_of_pointer(&bytes) {
            Some(sequence) => Ok(Some(sequence)),
            None => Err(StoreError::Pointer {
                path: self.dir.join(path),
                found: bytes.escape_ascii().to_string(),
            }),
        }
    }

    /// The stream's freshness statement as it lies here, if there is one: it is for
    /// `treeseal-trust` to judge.
    pub fn freshness(&self, stream: &Stream) -> Result<Option<Vec<u8>>, StoreError> {
        self.read_small(&layout::fresh_path(stream), MAX_ENVELOPE_SIZE as u64)
    }

    /// A copy of root `version` of the chain, as it lies here: it is for `treeseal-trust` to judge.
    pub fn root(&self, version: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let path = format!("{ROOTS}/{}", layout::root_name(version));
        self.read_small(&path, MAX_ROOT_SIZE as u64)
    }

    /// The root versions of which there is a copy, in order.
    pub fn root_versions(&self) -> Result<Vec<u64>, StoreError> {
        let entries = self.entries(ROOTS)?;
        let names = entries.iter().filter_map(|entry| entry.name.to_str());
        let mut versions: Vec<u64> = names.filter_map(layout::version_of_name).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// Counts what the store holds.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let mut usage = Usage::default();
        for part in [Part::Object, Part::Sidecar, Part::Image] {
            for fanout in 0..=u8::MAX {
                for digest in self.digests(part, fanout)? {
                    let seen = self.look(part, &digest)?;
                    if let Some(seen) = seen.filter(|seen| seen.kind == EntryKind::Regular) {
                        usage.count(part, seen);
                    }
                }
            }
        }
        Ok(usage)
    }

    /// Why files here cannot have fs-verity, as far as that shows without writing; `None` if they
    /// can.
    pub fn verity_refusal(&self) -> Result<Option<VerityError>, StoreError> {
        let (file, _) = self.dir.open_file(FORMAT_FILE)?;
        Ok(check_verity_support(file, &Params::default()).err())
    }

    pub(crate) fn dir(&self) -> &DurableDir {
        &self.dir
    }

    /// What is seen of a digest's file, if there is one.
    pub(crate) fn look(&self, part: Part, digest: &FileDigest) -> Result<Option<Seen>, StoreError> {
        match self.dir.look(&part.path(digest)) {
            Ok(found) => Ok(found),
            // Something else is in the place of a directory: then there is no file.
            Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The digests that the names in one of a part's 256 directories stand for. Other names are
    /// left out.
    pub(crate) fn digests(&self, part: Part, fanout: u8) -> Result<Vec<FileDigest>, StoreError> {
        let prefix = format!("{fanout:02x}");
        let entries = self.entries(&format!("{}/{prefix}", part.dir()))?;
        let names = entries.iter().map(|entry| entry.name.as_encoded_bytes());
        Ok(names.filter_map(|name| layout::digest_of_name(prefix.as_bytes(), name)).collect())
    }

    /// What is in a directory of the store; nothing if there is no such directory.
    pub(crate) fn entries(&self, path: &str) -> Result<Vec<Entry>, StoreError> {
        match self.dir.open_dir(path) {
            Ok(dir) => Ok(dir.entries()?),
            Err(error) if error.is_missing() => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// A small file as a whole; `None` if there is none.
    pub(crate) fn read_small(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let (file, _) = match self.dir.open_file(path) {
            Err(error) if error.is_missing() => return Ok(None),
            result => result?,
        };
        let path = self.dir.join(path);
        let mut bytes = Vec::new();
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| StoreError::reading(&path, error))?;
        let found = bytes.len() as u64;
        if found > limit {
            return Err(StoreError::TooLarge { path, limit, found });
        }
        Ok(Some(bytes))
    }

    fn open_part(&self, part: Part, digest: &FileDigest) -> Result<File, StoreError> {
        let path = part.path(digest);
        let opened = self.dir.open_file(&path).map(|(file, _)| file);
        opened.map_err(|error| {
            if error.is_missing() {
                StoreError::Missing { part, digest: *digest, path: self.dir.join(path) }
            } else {
                error.into()
            }
        })
    }

    fn lock(&self, wait: LockWait<'_>) -> Result<FileLock, StoreError> {
        let lock = self.dir.lock(LOCK, LockMode::Exclusive, wait)?;
        // Only a shared lock can do without a file.
        lock.ok_or_else(|| StoreError::ReadOnly { path: self.path().to_owned() })
    }

    /// Checks that this is a store that may be used as it is meant to.
    fn read_format(&self) -> Result<(), StoreError> {
        let bytes = self
            .read_small(FORMAT_FILE, MAX_FORMAT_FILE)?
            .ok_or_else(|| StoreError::NotAStore { path: self.path().to_owned() })?;
        let format = Format::from_bytes(&bytes, self.path())?;
        match self.access {
            Access::Read => Ok(()),
            Access::Write | Access::Create => format.check_writable(self.path()),
        }
    }

    /// Makes a store of the directory. Its description is written last, so that a crash leaves a
    /// directory in which this can be done again.
    fn create(&self) -> Result<(), StoreError> {
        // Before the lock makes a file in a directory that belongs to something else.
        self.refuse_foreign_content()?;
        let _lock = self.lock(LockWait::default())?;
        match self.read_format() {
            // Another process was faster.
            Ok(()) => return Ok(()),
            Err(StoreError::NotAStore { .. }) => {}
            Err(error) => return Err(error),
        }
        self.refuse_foreign_content()?;
        sync_ancestors(self.path())?;
        self.dir.ensure_dir(TEMPORARY)?;
        let temporary = self.dir.open_dir(TEMPORARY)?;
        temporary.empty()?;
        self.dir.write_file(FORMAT_FILE, &Format::current().to_bytes(), &temporary)?;
        Ok(())
    }

    fn refuse_foreign_content(&self) -> Result<(), StoreError> {
        let ours = [LOCK, TEMPORARY, FORMAT_FILE].map(OsStr::new);
        match self.dir.entries()?.into_iter().find(|entry| !ours.contains(&entry.name.as_ref())) {
            None => Ok(()),
            Some(entry) => Err(StoreError::NotEmpty {
                path: self.path().to_owned(),
                found: entry.name.as_encoded_bytes().escape_ascii().to_string(),
            }),
        }
    }
}

impl Usage {
    fn count(&mut self, part: Part, seen: Seen) {
        let (count, bytes, with_verity) = match part {
            Part::Object => {
                (&mut self.objects, &mut self.object_bytes, Some(&mut self.objects_with_verity))
            }
            Part::Sidecar => (&mut self.sidecars, &mut self.sidecar_bytes, None),
            Part::Image => {
                (&mut self.images, &mut self.image_bytes, Some(&mut self.images_with_verity))
            }
        };
        *count += 1;
        *bytes += seen.size;
        if let Some(with_verity) = with_verity {
            *with_verity += u64::from(seen.has_verity);
        }
    }
}

impl AsFd for Store {
    /// The store's directory: for those who must not take it for something to be stored.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// Makes the directory, and those above it as far as they are missing.
fn create_directories(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(|source| {
        let path = path.to_owned();
        DurableError::Io { action: "create directory", path, source }.into()
    })
}

/// Makes the names of all directories that lead to the store durable: any of them may be new, also
/// from an earlier attempt that was interrupted.
fn sync_ancestors(path: &Path) -> Result<(), StoreError> {
    for (distance, ancestor) in path.ancestors().skip(1).enumerate() {
        let ancestor = if ancestor.as_os_str().is_empty() { Path::new(".") } else { ancestor };
        let synced =
            DurableDir::open(ancestor, DurableOptions::default()).and_then(|dir| dir.sync());
        // Those that this process may not read it has not made.
        if distance == 0 {
            synced?;
        }
    }
    Ok(())
}
