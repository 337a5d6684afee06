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
//! have a wrong digest sealed. What they say is used only where the store has the object, and how
//! that is known is the matter of [`CachedSink`].
//! `docs/semantics.md` says what is not noticed.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use treeseal_source::Known;
use treeseal_sys::{
    FilesystemId, Stat, boot_id, filesystem_with_change_times, sees_trusted_xattrs,
};
use treeseal_trust::Timestamp;

use record::{Day, Key, Learnt, Mark, Record, SeenXattrs, Sight};
use table::Table;

mod file;
mod record;
#[cfg(test)]
mod scale;
mod sink;
mod table;

pub use file::CacheNote;
pub(crate) use sink::CachedSink;

/// The digests that are known when a seal begins, and those that are learnt for it.
pub(crate) struct DigestCache {
    state: PathBuf,
    /// When the seal began, in seconds since 1970.
    began: i64,
    today: Day,
    /// Which attributes this process is shown.
    sight: Sight,
    /// What tells this start of the machine from others.
    boot: Option<[u8; 36]>,
    table: Table,
    learnt: Mutex<Vec<Record>>,
    /// Records of the table, with the mark of where their object was found now.
    seen: Mutex<Vec<Record>>,
    /// What is known of the filesystem of each device, by its number.
    filesystems: Mutex<HashMap<u32, Option<FilesystemId>>>,
}

/// How much older than the beginning of the seal a time of change must be, in seconds: one for
/// filesystems that keep whole seconds, and one for the kernel's tick, which stamps files with a
/// time that is up to 10 ms old and may so fall into the second before.
const MARGIN: i64 = 2;

/// New marks alone are worth writing when at least one in so many records gets one: they save in
/// three seals or so what the writing takes.
const SEEN_PART: usize = 8;

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
            boot: boot_id(),
            table,
            learnt: Mutex::default(),
            seen: Mutex::default(),
            filesystems: Mutex::default(),
        };
        (cache, note)
    }

    /// Writes down what was learnt, if that is worth writing.
    pub(crate) fn save(self) -> Option<CacheNote> {
        let mut learnt = self.learnt.into_inner().unwrap_or_else(PoisonError::into_inner);
        let seen = self.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        let many_seen = !seen.is_empty() && seen.len() >= self.table.len() / SEEN_PART;
        if learnt.is_empty() && !many_seen && !self.table.is_ageing(self.today) {
            return None;
        }
        learnt.extend(seen);
        learnt.sort_unstable();
        // One inode can be met twice where a part of the tree is mounted a second time.
        learnt.dedup_by(|a, b| a.place() == b.place());
        let written = file::write(&self.state, self.table.merged(&learnt, self.today));
        written.err().map(|error| CacheNote::NotWritten(Box::new(error)))
    }

    fn find(&self, stat: &Stat, beside: BorrowedFd<'_>) -> Option<Learnt> {
        self.table.find(&self.key(stat, beside)?)
    }

    fn known(&self, found: &Learnt) -> Known {
        Known { digest: found.digest, without_xattrs: found.xattrs.none_for(self.sight) }
    }

    fn learn(&self, stat: &Stat, beside: BorrowedFd<'_>, known: &Known) {
        let Some(key) = self.key(stat, beside) else { return };
        let xattrs =
            if known.without_xattrs { SeenXattrs::NoneBy(self.sight) } else { SeenXattrs::Some };
        let learnt = Learnt { digest: known.digest, xattrs, mark: None };
        lock(&self.learnt).extend(Record::new(&key, &learnt, self.today));
    }

    /// Notes that the object of a file that was found here is in the store, too.
    fn mark_seen(&self, stat: &Stat, beside: BorrowedFd<'_>, found: &Learnt, mark: Mark) {
        let Some(key) = self.key(stat, beside) else { return };
        let marked = Learnt { mark: Some(mark), ..*found };
        lock(&self.seen).extend(Record::new(&key, &marked, self.today));
    }

    /// The mark of a directory; `None` if a change of it might not be noticed.
    ///
    /// It holds until the machine starts again. A crash mixes what was durable with what was not:
    /// without a journal, a name may be gone and the time of change be that of before.
    fn mark(&self, directory: &Stat, beside: BorrowedFd<'_>) -> Option<Mark> {
        Some(Mark::new(&self.key(directory, beside)?, &self.boot?))
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

/// What a mutex guards here is whole at every moment, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd as _;

    use treeseal_sys::{FileId, stat_file};
    use treeseal_verity::{FileDigest, HashAlgorithm};

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
            let cache = after(seconds);
            let found = cache.find(&stat, file.as_fd()).map(|found| cache.known(&found));
            assert_eq!(found, expected, "{seconds}");
        }
    }

    #[test]
    fn a_directory_has_a_mark_only_when_it_has_settled_and_the_start_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::open(directory.path()).unwrap();
        let stat = stat_file(&file).unwrap();
        let after = |seconds: i64| {
            let now = u64::try_from(stat.ctime.seconds + seconds).unwrap();
            DigestCache::open(directory.path(), Timestamp::from_unix(now).unwrap()).0
        };
        for seconds in [-100, 0, 1] {
            assert_eq!(after(seconds).mark(&stat, file.as_fd()), None, "{seconds}");
        }
        let mark = after(2).mark(&stat, file.as_fd());
        assert!(mark.is_some());
        assert_eq!(after(9999).mark(&stat, file.as_fd()), mark);
        let other_boot = DigestCache { boot: Some([b'x'; 36]), ..after(2) };
        assert_ne!(other_boot.mark(&stat, file.as_fd()), mark);
        let unknown_boot = DigestCache { boot: None, ..after(2) };
        assert_eq!(unknown_boot.mark(&stat, file.as_fd()), None);
    }

    #[test]
    fn marks_alone_are_written_when_there_are_many_of_them() {
        let directory = tempfile::tempdir().unwrap();
        let file = tempfile::tempfile().unwrap();
        let stat = stat_file(&file).unwrap();
        let numbered = |inode| Stat { id: FileId { inode, ..stat.id }, ..stat };
        let open = || {
            let now = u64::try_from(stat.ctime.seconds + MARGIN).unwrap();
            DigestCache::open(directory.path(), Timestamp::from_unix(now).unwrap()).0
        };
        let digest = FileDigest::from_bytes(HashAlgorithm::Sha256, &[7; 32]).unwrap();
        let cache = open();
        for inode in 0..80 {
            let known = Known { digest, without_xattrs: true };
            cache.learn(&numbered(inode), file.as_fd(), &known);
        }
        assert!(cache.save().is_none());
        for (marked, is_written) in [(9, false), (10, true)] {
            let cache = open();
            let mark = cache.mark(&stat, file.as_fd()).unwrap();
            for inode in 0..marked {
                let found = cache.find(&numbered(inode), file.as_fd()).unwrap();
                cache.mark_seen(&numbered(inode), file.as_fd(), &found, mark);
            }
            assert!(cache.save().is_none());
            let cache = open();
            for inode in 0..80 {
                let found = cache.find(&numbered(inode), file.as_fd()).unwrap();
                let expected = (is_written && inode < marked).then_some(mark);
                let expected =
                    Learnt { digest, xattrs: SeenXattrs::NoneBy(cache.sight), mark: expected };
                assert_eq!(found, expected, "{inode} of {marked}");
            }
        }
    }
}
