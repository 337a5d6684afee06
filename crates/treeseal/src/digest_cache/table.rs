//! The records of earlier seals, as they lie in the file.
//!
//! They are searched where they lie: 96 bytes a file and nothing beside them, however many there
//! are. Each is checked when it is found. Where one is damaged, or out of order, some are not found.

use std::sync::atomic::{AtomicU64, Ordering};

use treeseal_verity::FileDigest;

use super::record::{self, Day, Key, Record, SIZE};

/// Records in the order of their bytes.
#[derive(Default)]
pub(super) struct Table {
    bytes: Vec<u8>,
    /// A bit for each record: whether it was of use in this run.
    used: Vec<AtomicU64>,
}

/// The most records in a file: trees of ten million files fit, and 1.6 GB of memory suffice.
pub(super) const MOST_RECORDS: u64 = 1 << 24;

/// A record that was of no use for so many days is dropped: its file is gone, or changed.
const KEPT_DAYS: u32 = 90;

/// Records are not written anew on every day on which they are of use, but only after so many.
const AGEING_DAYS: u32 = 7;

impl Table {
    /// A table from whole records.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let words = (bytes.len() / SIZE).div_ceil(64);
        Self { bytes, used: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(super) fn find(&self, key: &Key) -> Option<FileDigest> {
        let records = self.records();
        let position = records.partition_point(|bytes| record::place(bytes) < key.place());
        let digest = Record::from_bytes(records.get(position)?).digest(key)?;
        if let Some(word) = self.used.get(position / 64) {
            word.fetch_or(1 << (position % 64), Ordering::Relaxed);
        }
        Some(digest)
    }

    /// Whether a record was of use whose day lies so far back that it would soon be dropped.
    pub(super) fn is_ageing(&self, today: Day) -> bool {
        let mut records = self.records().iter().enumerate();
        records.any(|(position, bytes)| {
            self.is_used(position) && today.since(Record::from_bytes(bytes).day()) >= AGEING_DAYS
        })
    }

    /// The records to be kept and the new ones, all in order. A new one takes the place of an old
    /// one of the same inode.
    pub(super) fn merged<'a>(
        &'a self,
        learnt: &'a [Record],
        today: Day,
    ) -> impl Iterator<Item = Record> + 'a {
        let all = (self.records().len() + learnt.len()) as u64;
        let only_used = all > MOST_RECORDS;
        let mut old = self.kept(only_used, today).peekable();
        let mut new = learnt.iter().cloned().peekable();
        std::iter::from_fn(move || match (old.peek(), new.peek()) {
            (Some(kept), Some(learnt)) if kept.place() < learnt.place() => old.next(),
            (Some(kept), Some(learnt)) => {
                if kept.place() == learnt.place() {
                    old.next();
                }
                new.next()
            }
            (Some(_), None) => old.next(),
            (None, _) => new.next(),
        })
    }

    fn kept(&self, only_used: bool, today: Day) -> impl Iterator<Item = Record> + '_ {
        let records = self.records().iter().enumerate();
        records.filter_map(move |(position, bytes)| {
            let record = Record::from_bytes(bytes);
            if !record.is_whole() {
                None
            } else if self.is_used(position) {
                Some(record.used_on(today))
            } else {
                let is_recent = today.since(record.day()) <= KEPT_DAYS;
                (is_recent && !only_used).then_some(record)
            }
        })
    }

    fn is_used(&self, position: usize) -> bool {
        let word = self.used.get(position / 64).map_or(0, |word| word.load(Ordering::Relaxed));
        word >> (position % 64) & 1 == 1
    }

    fn records(&self) -> &[[u8; SIZE]] {
        self.bytes.as_chunks().0
    }
}
