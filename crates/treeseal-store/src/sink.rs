//! Many objects at once.
//!
//! Content is written to temporary files by as many threads as call in. A *batch* of them is
//! committed with one `syncfs` and then renamed, so that an object costs no `fsync` of its own;
//! `spec/store.md` argues why that is safe. A batch is bounded in files and bytes: so is what a
//! crash or a full disk can leave, and what is remembered to find equal content.
//!
//! Content that fits a buffer is hashed there and written only if it is new. Longer content is
//! hashed while it is written, out of the same buffer: what is stored is what was hashed. Where the
//! filesystem can share blocks between files, content is cloned first and hashed from the clone,
//! which nobody else has.
//!
//! Where the filesystem has fs-verity, the thread that wrote an object enables it before the object
//! goes into the batch: that flushes and hashes the file, so it is done on all cores.

use std::collections::HashSet;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use treeseal_source::Progress;
use treeseal_sys::{Barrier, DurableDir, EntryKind, Seen, TempEntry, TempFile};
use treeseal_verity::{Digester, FileDigest, HashAlgorithm, Measured, Params};

use crate::kernel_digest::kernel_digest;
use crate::layout::sidecar_size;
use crate::writer::{Deposit, Fanout};
use crate::{ContentError, Part, StoreError};

/// Takes in objects from any number of threads; made by [`Writer::object_sink`](crate::Writer::object_sink).
pub struct ObjectSink<'w> {
    deposit: &'w dyn Deposit,
    params: Params,
    progress: Option<&'w Progress>,
    limits: Limits,
    /// Digests that someone is storing or has put into the open batch.
    claimed: Box<[Mutex<HashSet<FileDigest>>]>,
    batch: Mutex<Batch<'w>>,
    /// Held while a batch is committed, so that there is at most one more.
    committing: Mutex<()>,
    buffers: Mutex<Vec<Vec<u8>>>,
    totals: Totals,
    failed: AtomicBool,
    may_clone: AtomicBool,
}

/// How a sink stores.
#[derive(Clone, Copy)]
pub struct SinkOptions<'w> {
    /// The algorithm of the file digests; blocks have 4096 bytes, without salt.
    pub algorithm: HashAlgorithm,
    /// Is told of what the sink reads itself, where it shares blocks with a file. Other content is
    /// read by whoever puts it.
    pub progress: Option<&'w Progress>,
}

/// What became of an object that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) digest: FileDigest,
    pub(crate) size: u64,
    /// Whether the store did not have it yet.
    new: bool,
}

/// What was put into a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkStats {
    /// Objects that the store did not have.
    pub new_objects: u64,
    /// Their bytes.
    pub new_bytes: u64,
    /// How many of these share their blocks with the file that they were put from.
    pub cloned_objects: u64,
    /// Bytes of those.
    pub cloned_bytes: u64,
    /// How often an object was put that the store had.
    pub existing_objects: u64,
    /// Bytes of those, counted each time.
    pub existing_bytes: u64,
    /// How many of these times nothing was read, because the digest was known.
    pub known_objects: u64,
    /// Bytes of those.
    pub known_bytes: u64,
    /// Sidecars written.
    pub new_sidecars: u64,
}

/// When a batch is committed.
#[derive(Clone, Copy, Debug)]
struct Limits {
    files: usize,
    bytes: u64,
}

/// Files that have no name yet.
#[derive(Default)]
struct Batch<'w> {
    files: Vec<Pending<'w>>,
    bytes: u64,
}

struct Pending<'w> {
    temp: TempEntry<'w>,
    part: Part,
    digest: FileDigest,
    /// `digest.object_path()`
    name: String,
}

#[derive(Default)]
struct Totals {
    new_objects: AtomicU64,
    new_bytes: AtomicU64,
    cloned_objects: AtomicU64,
    cloned_bytes: AtomicU64,
    existing_objects: AtomicU64,
    existing_bytes: AtomicU64,
    known_objects: AtomicU64,
    known_bytes: AtomicU64,
    new_sidecars: AtomicU64,
}

/// What is to happen with content, once its digest is known.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'s> {
    /// It is stored, unless the store has an object of this digest and size.
    All,
    /// It is stored if its digest is one of these, whatever the store has under it.
    Replace(&'s HashSet<FileDigest>),
    /// It is stored if its digest is this one, whatever the store has under it.
    Only(FileDigest),
    /// Its sidecar is stored if its digest is this one, whatever the store has under it.
    SidecarOf(FileDigest),
}

/// What the store lacks of an object.
#[derive(Clone, Copy)]
struct Lacking {
    object: bool,
    sidecar: bool,
}

/// Temporary files in a batch: as many as a directory takes without becoming slow, and few enough
/// to remove at once after a crash.
const BATCH_FILES: usize = 4096;

/// Bytes in a batch: what a full disk may have been given in vain.
const BATCH_BYTES: u64 = 1 << 30;

/// Content below this many bytes is read whole before anything is written.
pub(crate) const WHOLE: usize = 1 << 20;

/// Bytes of longer content that are hashed and written at a time: they stay in the processor's
/// cache in between.
const PIECE: usize = 256 << 10;

/// Up to this many files or directories each is made durable on its own: `syncfs` would also wait
/// for everything that others have written.
const FEW: usize = 32;

/// Parts of the set of claimed digests, so that threads seldom wait for each other.
const SHARDS: usize = 64;

impl Default for SinkOptions<'_> {
    /// SHA-256, in silence.
    fn default() -> Self {
        Self { algorithm: HashAlgorithm::Sha256, progress: None }
    }
}

impl<'w> ObjectSink<'w> {
    pub(crate) fn new(deposit: &'w dyn Deposit, options: SinkOptions<'w>) -> Self {
        Self {
            deposit,
            params: Params::with_algorithm(options.algorithm),
            progress: options.progress,
            limits: Limits { files: BATCH_FILES, bytes: BATCH_BYTES },
            claimed: (0..SHARDS).map(|_| Mutex::default()).collect(),
            batch: Mutex::default(),
            committing: Mutex::default(),
            buffers: Mutex::default(),
            totals: Totals::default(),
            failed: AtomicBool::new(false),
            may_clone: AtomicBool::new(true),
        }
    }

    /// Commits a batch at this many files or bytes instead of 4096 and 1 GiB.
    #[must_use]
    pub fn with_batch_limits(mut self, files: usize, bytes: u64) -> Self {
        self.limits = Limits { files, bytes };
        self
    }

    /// Stores everything that a reader gives. `size` is its length, if it is known: another length
    /// is an error.
    ///
    /// An error of reading leaves the sink as it was; after any other it cannot be committed.
    pub fn put_reader(
        &self,
        content: &mut dyn Read,
        size: Option<u64>,
    ) -> Result<FileDigest, StoreError> {
        Ok(self.put(content, size, None, Wanted::All)?.digest)
    }

    /// Stores the content of an open file of `size` bytes, from its beginning. `content` reads that
    /// file; it is not read where blocks can be shared.
    pub fn put_file(
        &self,
        content: &mut dyn Read,
        size: u64,
        file: BorrowedFd<'_>,
    ) -> Result<FileDigest, StoreError> {
        Ok(self.put(content, Some(size), Some(file), Wanted::All)?.digest)
    }

    /// Puts an object by its digest alone. `false` if the store lacks it, its sidecar, or fs-verity
    /// that it could have: then its content is to be put. As in [`put_reader`](Self::put_reader), an
    /// object that is there is not read.
    pub fn put_known(&self, digest: &FileDigest, size: u64) -> Result<bool, StoreError> {
        if digest.algorithm() != self.params.algorithm() {
            return Ok(false);
        }
        let lacking = self.lacking(&digest.object_path(), size)?;
        if lacking.object || lacking.sidecar {
            return Ok(false);
        }
        self.touch(digest, size);
        self.totals.count_known(&Stored { digest: *digest, size, new: false });
        Ok(true)
    }

    /// Puts an object by what the kernel says of an open file of `size` bytes that has fs-verity.
    /// `None` if that is not enough, or if the store lacks the object: then its content is to be put.
    ///
    /// This trusts nothing that reading would not. When a tree is sealed its bytes are trusted, as
    /// the kernel gives them, and of such a file the kernel gives bytes of this digest or an error.
    pub fn put_measured(
        &self,
        file: BorrowedFd<'_>,
        size: u64,
    ) -> Result<Option<FileDigest>, StoreError> {
        let Some(digest) = kernel_digest(file, size, &self.params) else { return Ok(None) };
        Ok(self.put_known(&digest, size)?.then_some(digest))
    }

    /// Whether objects that are put get fs-verity: the filesystem has it. Found out once.
    pub fn takes_verity(&self) -> Result<bool, StoreError> {
        self.deposit.temporary().has_verity(self.params.algorithm())
    }

    /// The directory that the object of a digest lies in; `None` if it cannot be opened.
    pub fn object_directory(&self, digest: &FileDigest) -> Option<DurableDir> {
        self.deposit.fanout(Part::Object)?.open(digest).ok()
    }

    /// As [`put_known`](Self::put_known), without looking at the object. The caller vouches that
    /// since an earlier sink was given it by `put_known`, and committed, no name in
    /// [`object_directory`](Self::object_directory) was given or taken away, and that
    /// [`takes_verity`](Self::takes_verity) was the same.
    ///
    /// `false` if that is not enough to know that the store has all of it: then it is to be looked at.
    pub fn put_seen(&self, digest: &FileDigest, size: u64) -> bool {
        let is_all =
            digest.algorithm() == self.params.algorithm() && sidecar_size(&self.params, size) == 0;
        if is_all {
            self.totals.count_known(&Stored { digest: *digest, size, new: false });
        }
        is_all
    }

    /// Makes everything durable that was put, under its name.
    pub fn commit(self) -> Result<SinkStats, StoreError> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(StoreError::SinkFailed);
        }
        self.commit_batch()?;
        self.sync_names()?;
        Ok(self.totals.stats())
    }

    pub(crate) fn put(
        &self,
        content: &mut dyn Read,
        size: Option<u64>,
        file: Option<BorrowedFd<'_>>,
        wanted: Wanted<'_>,
    ) -> Result<Stored, StoreError> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(StoreError::SinkFailed);
        }
        let result = self.take_in(content, size, file, wanted);
        match &result {
            Ok(_) | Err(StoreError::Content(_)) => {}
            // Another thread may have been told that this one stores the object.
            Err(_) => self.failed.store(true, Ordering::SeqCst),
        }
        result
    }

    fn take_in(
        &self,
        content: &mut dyn Read,
        size: Option<u64>,
        file: Option<BorrowedFd<'_>>,
        wanted: Wanted<'_>,
    ) -> Result<Stored, StoreError> {
        if let (Some(size), Some(file)) = (size, file)
            && size >= WHOLE as u64
            && let Some(stored) = self.take_clone(file, size, wanted)?
        {
            return Ok(stored);
        }
        let mut buffer = lock(&self.buffers).pop().unwrap_or_else(|| vec![0; WHOLE]);
        let result = match fill(content, &mut buffer) {
            Ok(filled) if filled < buffer.len() => self.take_whole(&buffer[..filled], size, wanted),
            Ok(_) => self.take_pieces(content, &mut buffer, size, wanted),
            Err(error) => Err(ContentError::Read(error).into()),
        };
        lock(&self.buffers).push(buffer);
        result
    }

    /// Stores content that is in memory.
    fn take_whole(
        &self,
        bytes: &[u8],
        size: Option<u64>,
        wanted: Wanted<'_>,
    ) -> Result<Stored, StoreError> {
        check_size(size, bytes.len() as u64)?;
        let mut digester = self.digester(bytes.len());
        digester.update(bytes);
        self.store(digester.finish(), wanted, || {
            let mut temp = self.deposit.temporary().create()?;
            temp.append(bytes)?;
            Ok(temp)
        })
    }

    /// Stores longer content, of which `buffer` holds the beginning.
    fn take_pieces(
        &self,
        content: &mut dyn Read,
        buffer: &mut [u8],
        size: Option<u64>,
        wanted: Wanted<'_>,
    ) -> Result<Stored, StoreError> {
        let mut temp = self.deposit.temporary().create()?;
        let mut digester = Digester::with_tree(self.params.clone());
        for piece in buffer.chunks(PIECE) {
            digester.update(piece);
            temp.append(piece)?;
        }
        let piece = &mut buffer[..PIECE];
        loop {
            let filled = fill(content, piece).map_err(ContentError::Read)?;
            digester.update(&piece[..filled]);
            temp.append(&piece[..filled])?;
            if filled < piece.len() {
                break;
            }
        }
        let measured = digester.finish();
        check_size(size, measured.size)?;
        self.store(measured, wanted, || Ok(temp))
    }

    /// Stores the content of a file by sharing its blocks; `None` where that cannot be done.
    fn take_clone(
        &self,
        file: BorrowedFd<'_>,
        size: u64,
        wanted: Wanted<'_>,
    ) -> Result<Option<Stored>, StoreError> {
        if !self.may_clone.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut temp = self.deposit.temporary().create()?;
        if !temp.clone_content(file)? {
            self.may_clone.store(false, Ordering::Relaxed);
            return Ok(None);
        }
        let mut digester = Digester::with_tree(self.params.clone());
        let mut buffer = vec![0; PIECE];
        let mut offset = 0;
        loop {
            let filled = temp.read_at(&mut buffer, offset)?;
            if filled == 0 {
                break;
            }
            digester.update(&buffer[..filled]);
            offset += filled as u64;
            if let Some(progress) = self.progress {
                progress.add_bytes(filled as u64);
            }
        }
        let measured = digester.finish();
        if measured.size != size {
            // It has grown or shrunk: reading knows how much of it is asked for.
            return Ok(None);
        }
        let stored = self.store(measured, wanted, || Ok(temp))?;
        if stored.new {
            self.totals.count_cloned(&stored);
        }
        Ok(Some(stored))
    }

    /// Puts an object into the batch, unless it is there or in the store. `file` gives its content
    /// under a temporary name.
    fn store(
        &self,
        measured: Measured,
        wanted: Wanted<'_>,
        file: impl FnOnce() -> Result<TempFile<'w>, StoreError>,
    ) -> Result<Stored, StoreError> {
        let Measured { digest, size, tree, .. } = measured;
        let existing = Stored { digest, size, new: false };
        if !wanted.includes(&digest) {
            return Ok(existing);
        }
        // The claim comes before the look, or two threads could both see nothing.
        if !self.claim(&digest) {
            self.totals.count(&existing);
            return Ok(existing);
        }
        let name = digest.object_path();
        let lacking = match wanted {
            Wanted::All => self.lacking(&name, size)?,
            // Only a store is repaired, and it has room for sidecars.
            Wanted::Replace(_) | Wanted::Only(_) | Wanted::SidecarOf(_) => Lacking {
                object: !matches!(wanted, Wanted::SidecarOf(_)),
                sidecar: sidecar_size(&self.params, size) > 0,
            },
        };
        if !lacking.object && !lacking.sidecar {
            self.touch(&digest, size);
            self.release(&digest);
            self.totals.count(&existing);
            return Ok(existing);
        }
        self.touch(&digest, size);
        let mut files = Vec::with_capacity(2);
        if lacking.object {
            let temp = self.deposit.temporary().close(file()?, &digest)?;
            files.push(Pending { temp, part: Part::Object, digest, name: name.clone() });
        }
        if lacking.sidecar {
            let mut temp = self.deposit.temporary().create()?;
            temp.append(&tree.unwrap_or_default())?;
            files.push(Pending { temp: temp.close(), part: Part::Sidecar, digest, name });
            self.totals.new_sidecars.fetch_add(1, Ordering::Relaxed);
        }
        let stored = Stored { digest, size, new: lacking.object };
        self.totals.count(&stored);
        self.add_to_batch(files, size)?;
        Ok(stored)
    }

    fn digester(&self, size: usize) -> Digester {
        if sidecar_size(&self.params, size as u64) > 0 {
            Digester::with_tree(self.params.clone())
        } else {
            Digester::new(self.params.clone())
        }
    }

    /// Looks for an object and its sidecar by name and size. Whether their content is right is for
    /// `fsck` to find out.
    ///
    /// An object that lacks fs-verity where it could have it is as good as none: nothing is mounted
    /// from it when the kernel is to check what it reads. A store that was copied has such objects.
    fn lacking(&self, name: &str, size: u64) -> Result<Lacking, StoreError> {
        let tree = sidecar_size(&self.params, size);
        Ok(Lacking {
            object: match self.seen(Part::Object, name, size)? {
                None => true,
                Some(seen) => !seen.has_verity && self.takes_verity()?,
            },
            sidecar: tree > 0
                && self.deposit.fanout(Part::Sidecar).is_some()
                && self.seen(Part::Sidecar, name, tree)?.is_none(),
        })
    }

    /// What is seen of a regular file of this size, if there is one.
    fn seen(&self, part: Part, name: &str, size: u64) -> Result<Option<Seen>, StoreError> {
        let Some(fanout) = self.deposit.fanout(part) else { return Ok(None) };
        let seen = fanout.dir().look(name)?;
        Ok(seen.filter(|seen| seen.kind == EntryKind::Regular && seen.size == size))
    }

    /// Notes that the names of an object that is there may not be durable: whoever gave them may
    /// have been stopped before.
    fn touch(&self, digest: &FileDigest, size: u64) {
        let has_sidecar = sidecar_size(&self.params, size) > 0;
        let parts = if has_sidecar { &[Part::Object, Part::Sidecar][..] } else { &[Part::Object] };
        for fanout in parts.iter().filter_map(|part| self.deposit.fanout(*part)) {
            fanout.touch(digest);
        }
    }

    fn add_to_batch(&self, files: Vec<Pending<'w>>, bytes: u64) -> Result<(), StoreError> {
        let full = {
            let mut batch = lock(&self.batch);
            batch.files.extend(files);
            batch.bytes += bytes;
            batch.files.len() >= self.limits.files || batch.bytes >= self.limits.bytes
        };
        if full { self.commit_batch() } else { Ok(()) }
    }

    /// Makes the files of the open batch durable and gives them their names.
    fn commit_batch(&self) -> Result<(), StoreError> {
        let _committing = lock(&self.committing);
        let batch = std::mem::take(&mut *lock(&self.batch));
        if batch.files.is_empty() {
            return Ok(());
        }
        if self.each_file(batch.files.len()) {
            batch.files.iter().try_for_each(|file| file.temp.sync())?;
        } else {
            self.deposit.dir().sync_filesystem()?;
        }
        let digests: Vec<FileDigest> = batch.files.iter().map(|file| file.digest).collect();
        for file in batch.files {
            if let Some(fanout) = self.deposit.fanout(file.part) {
                fanout.rename(file.temp, &file.digest, &file.name)?;
            }
        }
        // From here on the names are found.
        digests.iter().for_each(|digest| self.release(digest));
        Ok(())
    }

    /// Makes the names durable that were given, or found.
    fn sync_names(&self) -> Result<(), StoreError> {
        let parts = [Part::Object, Part::Sidecar];
        let fanouts: Vec<&Fanout> =
            parts.iter().filter_map(|part| self.deposit.fanout(*part)).collect();
        if self.each_file(fanouts.iter().map(|fanout| fanout.touched()).sum()) {
            return fanouts.iter().try_for_each(|fanout| fanout.sync_touched());
        }
        self.deposit.dir().sync_filesystem()?;
        fanouts.iter().for_each(|fanout| fanout.all_durable());
        Ok(())
    }

    fn each_file(&self, count: usize) -> bool {
        count <= FEW || self.deposit.dir().barrier() == Barrier::EachFile
    }

    fn claim(&self, digest: &FileDigest) -> bool {
        lock(self.shard(digest)).insert(*digest)
    }

    fn release(&self, digest: &FileDigest) {
        lock(self.shard(digest)).remove(digest);
    }

    fn shard(&self, digest: &FileDigest) -> &Mutex<HashSet<FileDigest>> {
        let last = digest.as_bytes().last().copied().map_or(0, usize::from);
        &self.claimed[last % SHARDS]
    }
}

impl Wanted<'_> {
    fn includes(&self, digest: &FileDigest) -> bool {
        match self {
            Self::All => true,
            Self::Replace(digests) => digests.contains(digest),
            Self::Only(only) | Self::SidecarOf(only) => only == digest,
        }
    }
}

impl Totals {
    fn count(&self, stored: &Stored) {
        let (objects, bytes) = if stored.new {
            (&self.new_objects, &self.new_bytes)
        } else {
            (&self.existing_objects, &self.existing_bytes)
        };
        objects.fetch_add(1, Ordering::Relaxed);
        bytes.fetch_add(stored.size, Ordering::Relaxed);
    }

    fn count_cloned(&self, stored: &Stored) {
        self.cloned_objects.fetch_add(1, Ordering::Relaxed);
        self.cloned_bytes.fetch_add(stored.size, Ordering::Relaxed);
    }

    fn count_known(&self, stored: &Stored) {
        self.count(stored);
        self.known_objects.fetch_add(1, Ordering::Relaxed);
        self.known_bytes.fetch_add(stored.size, Ordering::Relaxed);
    }

    fn stats(&self) -> SinkStats {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        SinkStats {
            new_objects: read(&self.new_objects),
            new_bytes: read(&self.new_bytes),
            cloned_objects: read(&self.cloned_objects),
            cloned_bytes: read(&self.cloned_bytes),
            existing_objects: read(&self.existing_objects),
            existing_bytes: read(&self.existing_bytes),
            known_objects: read(&self.known_objects),
            known_bytes: read(&self.known_bytes),
            new_sidecars: read(&self.new_sidecars),
        }
    }
}

fn check_size(expected: Option<u64>, found: u64) -> Result<(), StoreError> {
    match expected {
        Some(expected) if expected != found => Err(ContentError::Size { expected, found }.into()),
        _ => Ok(()),
    }
}

/// Reads until the buffer is full or the content ends.
fn fill(content: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match content.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What a mutex guards here is whole at every moment, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
