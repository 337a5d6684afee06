//! What earlier seals learnt: the digests of files that have not changed since.
//!
//! A file is taken for unchanged when it is the same inode of the same filesystem with the same
//! size, time of modification and time of change. No program can set the time of change: the kernel
//! does, by its clock, whenever content or metadata changes. Three things could make it lie, and
//! what is affected by them is not recorded, or not used:
//!
//! - **A change in the same moment.** Times are as coarse as the kernel's tick, or as a second on
//!   some filesystems. A file that changed shortly before it was read could change again without a
//!   sign of it. So only what had settled [when the seal began](DigestCache::has_settled) counts.
//! - **A clock that was set back.** A time of change in the future is no settled one, neither when
//!   it is recorded nor when it is looked up.
//! - **A filesystem whose times come from elsewhere**: [`filesystem_with_change_times`].
//!
//! That a file had no extended attributes is recorded too, because setting one is a change. What a
//! process is shown can differ all the same, and [`Sight`] says by what.
//!
//! The records lie with what is remembered, outside the store, because whoever can write them can
//! have a wrong digest sealed. What they say is used only where the store has the object.
//! `docs/semantics.md` says what is not noticed.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use treeseal_source::{ContentSink, FileContent, Known};
use treeseal_store::{ObjectSink, StoreError};
use treeseal_sys::{FilesystemId, Stat, filesystem_with_change_times, sees_trusted_xattrs};
use treeseal_trust::Timestamp;
use treeseal_verity::FileDigest;

use record::{Day, Key, Record, SeenXattrs, Sight};
use table::Table;

mod file;
mod record;
#[cfg(test)]
mod scale;
mod table;

pub use file::CacheNote;

/// The digests that are known when a seal begins, and those that are learnt for it.
pub(crate) struct DigestCache {
    state: PathBuf,
    /// When the seal began, in seconds since 1970.
    began: i64,
    today: Day,
    /// Which attributes this process is shown.
    sight: Sight,
    table: Table,
    learnt: Mutex<Vec<Record>>,
    /// What is known of the filesystem of each device, by its number.
    filesystems: Mutex<HashMap<u32, Option<FilesystemId>>>,
}

/// How much older than the beginning of the seal a time of change must be, in seconds: one for
/// filesystems that keep whole seconds, and one for the kernel's tick, which stamps files with a
/// time that is up to 10 ms old and may so fall into the second before.
const MARGIN: i64 = 2;

impl DigestCache {
    /// Reads what earlier seals learnt. `now` is before any file of the tree was looked at. A file
    /// of records that cannot be trusted is not used, and one that is damaged is used as far as it
    /// is whole; the tree is the same in every case.
    pub(crate) fn open(state: &Path, now: Timestamp) -> (Self, Option<CacheNote>) {
        let (table, note) = match file::read(state) {
            Ok(table) => (table, None),
            Err(note) => (Table::default(), Some(note)),
        };
        let cache = Self {
            state: state.to_owned(),
            began: i64::try_from(now.to_unix()).unwrap_or(i64::MAX),
            today: Day::of(now),
            sight: if sees_trusted_xattrs() { Sight::Full } else { Sight::Limited },
            table,
            learnt: Mutex::default(),
            filesystems: Mutex::default(),
        };
        (cache, note)
    }

    /// Writes down what was learnt, if that is worth writing.
    pub(crate) fn save(self) -> Option<CacheNote> {
        let mut learnt = self.learnt.into_inner().unwrap_or_else(PoisonError::into_inner);
        if learnt.is_empty() && !self.table.is_ageing(self.today) {
            return None;
        }
        learnt.sort_unstable();
        // One inode can be met twice where a part of the tree is mounted a second time.
        learnt.dedup_by(|a, b| a.place() == b.place());
        let written = file::write(&self.state, self.table.merged(&learnt, self.today));
        written.err().map(|error| CacheNote::NotWritten(Box::new(error)))
    }

    fn find(&self, stat: &Stat, beside: BorrowedFd<'_>) -> Option<Known> {
        let (digest, seen) = self.table.find(&self.key(stat, beside)?)?;
        Some(Known { digest, without_xattrs: seen.none_for(self.sight) })
    }

    fn learn(&self, stat: &Stat, beside: BorrowedFd<'_>, known: &Known) {
        let Some(key) = self.key(stat, beside) else { return };
        let seen =
            if known.without_xattrs { SeenXattrs::NoneBy(self.sight) } else { SeenXattrs::Some };
        lock(&self.learnt).extend(Record::new(&key, &known.digest, seen, self.today));
    }

    /// What a file is known by; `None` if a change of it might not be noticed.
    fn key(&self, stat: &Stat, beside: BorrowedFd<'_>) -> Option<Key> {
        let filesystem = if self.has_settled(stat) { self.filesystem(stat, beside) } else { None };
        filesystem.map(|filesystem| Key::new(stat, filesystem))
    }

    /// Whether any change of the file since the seal began gives it another time of change. The
    /// time of modification tells nothing, because programs set it as they like.
    fn has_settled(&self, stat: &Stat) -> bool {
        stat.ctime.seconds.checked_add(MARGIN).is_some_and(|settled| settled <= self.began)
    }

    fn filesystem(&self, stat: &Stat, beside: BorrowedFd<'_>) -> Option<FilesystemId> {
        *lock(&self.filesystems)
            .entry(stat.id.device)
            .or_insert_with(|| filesystem_with_change_times(beside, stat.id).unwrap_or(None))
    }
}

/// Stores content, and asks a cache first.
pub(crate) struct CachedSink<'a, 'w> {
    pub(crate) sink: &'a ObjectSink<'w>,
    /// `None` when every file is to be read.
    pub(crate) cache: Option<&'a DigestCache>,
}

impl ContentSink for CachedSink<'_, '_> {
    type Error = StoreError;

    fn put(&self, content: &mut FileContent<'_>) -> Result<FileDigest, StoreError> {
        if self.cache.is_some()
            && content.has_verity()
            && let Some(digest) = self.sink.put_measured(content.as_fd(), content.size())?
        {
            content.skip();
            return Ok(digest);
        }
        self.sink.put(content)
    }

    fn known(&self, stat: &Stat, beside: BorrowedFd<'_>) -> Result<Option<Known>, StoreError> {
        let Some(known) = self.cache.and_then(|cache| cache.find(stat, beside)) else {
            return Ok(None);
        };
        Ok(self.sink.put_known(&known.digest, stat.size)?.then_some(known))
    }

    fn learn(&self, stat: &Stat, beside: BorrowedFd<'_>, known: &Known) {
        if let Some(cache) = self.cache {
            cache.learn(stat, beside, known);
        }
    }
}

/// What a mutex guards here is whole at every moment, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use treeseal_sys::stat_file;
    use treeseal_verity::HashAlgorithm;

    use super::*;

    #[test]
    fn what_has_not_settled_is_neither_recorded_nor_used() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path();
        let file = tempfile::tempfile().unwrap();
        let stat = stat_file(&file).unwrap();
        let digest = FileDigest::from_bytes(HashAlgorithm::Sha256, &[7; 32]).unwrap();
        let known = Known { digest, without_xattrs: false };
        let after = |seconds: i64| {
            let now = u64::try_from(stat.ctime.seconds + seconds).unwrap();
            let (cache, note) = DigestCache::open(state, Timestamp::from_unix(now).unwrap());
            assert!(note.is_none(), "{note:?}");
            cache
        };
        for (seconds, is_recorded) in [(-100, false), (0, false), (1, false), (2, true)] {
            let cache = after(seconds);
            cache.learn(&stat, file.as_fd(), &known);
            assert!(cache.save().is_none());
            assert_eq!(state.join("digests").exists(), is_recorded, "{seconds}");
        }
        // A clock that was set back makes it unsettled again.
        for (seconds, expected) in [(2, Some(known)), (1, None), (-100, None), (9999, Some(known))]
        {
            assert_eq!(after(seconds).find(&stat, file.as_fd()), expected, "{seconds}");
        }
    }
}
