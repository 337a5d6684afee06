//! Storing content that may be known already, in a store that may be known to have it.
//!
//! A store's objects lie in 256 directories. As long as no name in a directory is given or taken
//! away, what was found there is still there, and the directory's time of change tells that for all
//! of its objects at once. So a record has a [`Mark`] of the state in which the directory was before
//! its object was found there; where the directory is in that state again, nobody looks for the
//! object. What would make the time of change lie is what would for files, and is treated like it: a
//! directory that has not settled has no mark.
//!
//! Which store it is does not matter, because another one has other directories.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::OnceLock;

use treeseal_source::{ContentSink, FileContent, Known};
use treeseal_store::{ObjectSink, StoreError};
use treeseal_sys::{Stat, stat_file};
use treeseal_verity::FileDigest;

use super::DigestCache;
use super::record::Mark;

/// Stores content, and asks a cache first.
pub(crate) struct CachedSink<'a, 'w> {
    sink: &'a ObjectSink<'w>,
    cache: Option<&'a DigestCache>,
    /// Those of the directories of objects, by the first byte of the digests in them.
    marks: [OnceLock<Option<Mark>>; 256],
}

impl<'a, 'w> CachedSink<'a, 'w> {
    /// Without a cache every file is read.
    pub(crate) fn new(sink: &'a ObjectSink<'w>, cache: Option<&'a DigestCache>) -> Self {
        Self { sink, cache, marks: [const { OnceLock::new() }; 256] }
    }

    /// The mark of the directory that the object of a digest lies in, from before it was looked at.
    fn mark(&self, cache: &DigestCache, digest: &FileDigest) -> Option<Mark> {
        let mark = || {
            let directory = self.sink.object_directory(digest)?;
            cache.mark(&stat_file(&directory).ok()?, directory.as_fd())
        };
        *self.marks.get(usize::from(*digest.as_bytes().first()?))?.get_or_init(mark)
    }
}

impl ContentSink for CachedSink<'_, '_> {
    type Error = StoreError;

    fn put(&self, content: &mut FileContent<'_>) -> Result<FileDigest, StoreError> {
        self.sink.put(content)
    }

    fn known(&self, stat: &Stat, beside: BorrowedFd<'_>) -> Result<Option<Known>, StoreError> {
        let Some(cache) = self.cache else { return Ok(None) };
        let Some(found) = cache.find(stat, beside) else { return Ok(None) };
        let mark = self.mark(cache, &found.digest);
        let is_seen = mark.is_some() && mark == found.mark;
        if !(is_seen && self.sink.put_seen(&found.digest, stat.size)) {
            if !self.sink.put_known(&found.digest, stat.size)? {
                return Ok(None);
            }
            if !is_seen && let Some(mark) = mark {
                cache.mark_seen(stat, beside, &found, mark);
            }
        }
        Ok(Some(cache.known(&found)))
    }

    fn learn(&self, stat: &Stat, beside: BorrowedFd<'_>, known: &Known) {
        if let Some(cache) = self.cache {
            cache.learn(stat, beside, known);
        }
    }
}
