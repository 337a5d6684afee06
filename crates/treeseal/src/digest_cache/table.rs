//! The records of earlier seals, as they lie in the file.
//!
//! They are searched where they lie: 105 bytes a file and two more beside them, however many there
//! are. Most of a search goes over a sample of them, which stays in the processor's cache. Each is
//! checked when it is found. Where one is damaged, or out of order, some are not found.

use std::sync::atomic::{AtomicU64, Ordering};

use super::record::{self, Day, Key, Learnt, Place, Record, SIZE};

/// Records in the order of their bytes.
#[derive(Default)]
pub(super) struct Table {
    bytes: Vec<u8>,
    /// The inodes that the first of each [`STRIDE`] records are about.
    samples: Vec<Place>,
    /// A bit for each record: whether it was of use in this run.
    used: Vec<AtomicU64>,
}

/// Records from one sample to the next.
const STRIDE: usize = 16;

/// The most records in a file: trees of ten million files fit, and 1.8 GB of memory suffice.
pub(super) const MOST_RECORDS: u64 = 1 << 24;

/// A record that was of no use for so many days is dropped: its file is gone, or changed.
const KEPT_DAYS: u32 = 90;

/// Records are not written anew on every day on which they are of use, but only after so many.
const AGEING_DAYS: u32 = 7;

impl Table {
    /// A table from whole records.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let words = (bytes.len() / SIZE).div_ceil(64);
        let used = (0..words).map(|_| AtomicU64::new(0)).collect();
        let mut table = Self { bytes, samples: Vec::new(), used };
        table.samples =
            table.records().iter().step_by(STRIDE).map(|bytes| record::place(bytes)).collect();
        table
    }

    pub(super) fn find(&self, key: &Key) -> Option<Learnt> {
        let position = self.position(key.place());
        let learnt = Record::from_bytes(self.records().get(position)?).learnt(key)?;
        if let Some(word) = self.used.get(position / 64) {
            word.fetch_or(1 << (position % 64), Ordering::Relaxed);
        }
        Some(learnt)
    }

    /// How many there are, damaged ones among them.
    pub(super) fn len(&self) -> usize {
        self.records().len()
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

    /// Where the record about an inode is, if there is one.
    fn position(&self, place: Place) -> usize {
        let sample = self.samples.partition_point(|sample| *sample < place);
        // It lies before this sample, or is it.
        let start = sample.saturating_sub(1) * STRIDE;
        let records = self.records().get(start..).unwrap_or_default();
        let records = records.get(..STRIDE).unwrap_or(records);
        // All are looked at: so the processor fetches them at once. In a binary search it would wait
        // for one before it knew the next.
        start + records.iter().filter(|bytes| record::place(*bytes) < place).count()
    }

    fn is_used(&self, position: usize) -> bool {
        let word = self.used.get(position / 64).map_or(0, |word| word.load(Ordering::Relaxed));
        word >> (position % 64) & 1 == 1
    }

    fn records(&self) -> &[[u8; SIZE]] {
        self.bytes.as_chunks().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest_cache::record::{Mark, SeenXattrs, Sight};
    use treeseal_sys::{FileId, FilesystemId, Stat, Timestamp};
    use treeseal_verity::{FileDigest, HashAlgorithm};

    const TODAY: Day = Day(20_000);
    const NONE: SeenXattrs = SeenXattrs::NoneBy(Sight::Full);

    fn stat(inode: u64) -> Stat {
        Stat {
            id: FileId { device: 0x801, inode },
            mode: 0o100_644,
            nlink: 1,
            uid: 0,
            gid: 0,
            device: 0,
            size: 4096,
            mtime: Timestamp { seconds: 1_700_000_000, nanoseconds: 1 },
            ctime: Timestamp { seconds: 1_700_000_001, nanoseconds: 2 },
        }
    }

    fn key(inode: u64) -> Key {
        Key::new(&stat(inode), FilesystemId(7))
    }

    fn digest(byte: u8) -> FileDigest {
        FileDigest::from_bytes(HashAlgorithm::Sha256, &[byte; 32]).unwrap()
    }

    fn learnt(byte: u8) -> Learnt {
        Learnt { digest: digest(byte), xattrs: NONE, mark: None }
    }

    fn record(inode: u64, byte: u8, day: Day) -> Record {
        Record::new(&key(inode), &learnt(byte), day).unwrap()
    }

    fn table(records: impl IntoIterator<Item = Record>) -> Table {
        Table::new(records.into_iter().flat_map(|record| *record.to_bytes()).collect())
    }

    #[test]
    fn every_record_is_found_among_any_number() {
        for count in [0, 1, 2, 15, 16, 17, 63, 64, 65, 1000] {
            let table = table((0..count).map(|inode| record(inode * 2, 9, TODAY)));
            for inode in 0..2 * count + 1 {
                let expected = (inode % 2 == 0 && inode < 2 * count).then(|| learnt(9));
                assert_eq!(table.find(&key(inode)), expected, "{inode} of {count}");
            }
        }
    }

    #[test]
    fn a_file_that_differs_in_anything_is_not_known() {
        let table = table([record(5, 9, TODAY)]);
        let time = |seconds, nanoseconds| Timestamp { seconds, nanoseconds };
        let others = [
            Stat { size: 4097, ..stat(5) },
            Stat { mtime: time(1_700_000_000, 2), ..stat(5) },
            Stat { mtime: time(1_700_000_001, 1), ..stat(5) },
            Stat { ctime: time(1_700_000_001, 3), ..stat(5) },
            Stat { ctime: time(1_700_000_002, 2), ..stat(5) },
            Stat { id: FileId { device: 0x802, inode: 5 }, ..stat(5) },
        ];
        for other in others {
            assert_eq!(table.find(&Key::new(&other, FilesystemId(7))), None, "{other:?}");
        }
        assert_eq!(table.find(&Key::new(&stat(5), FilesystemId(8))), None);
        assert_eq!(table.find(&key(5)), Some(learnt(9)));
    }

    #[test]
    fn a_record_with_any_bit_damaged_is_not_used() {
        let whole = *record(5, 9, TODAY).to_bytes();
        for bit in 0..SIZE * 8 {
            let mut bytes = whole;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let table = Table::new(bytes.to_vec());
            assert_eq!(table.find(&key(5)), None, "bit {bit}");
            assert_eq!(table.merged(&[], TODAY).count(), 0, "bit {bit}");
        }
    }

    #[test]
    fn a_mark_is_kept_and_is_that_of_one_directory_until_the_machine_starts_again() {
        let mark = |inode, boot: &[u8]| Some(Mark::new(&key(inode), boot));
        let marked = Learnt { mark: mark(1, b"boot"), ..learnt(9) };
        let table = table(Record::new(&key(5), &marked, TODAY));
        assert_eq!(table.find(&key(5)), Some(marked));
        for other in [None, mark(2, b"boot"), mark(1, b"root")] {
            assert_ne!(marked.mark, other);
        }
        let kept = Table::new(table.merged(&[], TODAY).flat_map(|kept| *kept.to_bytes()).collect());
        assert_eq!(kept.find(&key(5)), Some(marked));
    }

    #[test]
    fn new_records_take_the_place_of_old_ones_and_all_stay_in_order() {
        let old = table([1, 3, 5, 7].map(|inode| record(inode, 1, TODAY)));
        let learnt = [0, 3, 6, 7, 9].map(|inode| record(inode, 2, TODAY));
        let expected = [(0, 2), (1, 1), (3, 2), (5, 1), (6, 2), (7, 2), (9, 2)];
        let expected = expected.map(|(inode, byte)| record(inode, byte, TODAY));
        assert_eq!(old.merged(&learnt, TODAY).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_record_is_dropped_when_it_was_of_no_use_for_long() {
        let day = |days: u32| Day(TODAY.0 + days);
        let old = table([1, 2].map(|inode| record(inode, 1, TODAY)));
        old.find(&key(2));
        assert!(!old.is_ageing(day(AGEING_DAYS - 1)));
        assert!(old.is_ageing(day(AGEING_DAYS)));
        assert_eq!(old.merged(&[], day(KEPT_DAYS)).count(), 2);
        let left: Vec<_> = old.merged(&[], day(KEPT_DAYS + 1)).collect();
        assert_eq!(left, [record(2, 1, day(KEPT_DAYS + 1))]);
        // A clock that was set back drops nothing.
        assert_eq!(table(left).merged(&[], TODAY).count(), 1);
    }

    #[test]
    fn who_is_shown_fewer_attributes_does_not_speak_for_who_is_shown_all() {
        let none_by = SeenXattrs::NoneBy;
        assert!(none_by(Sight::Full).none_for(Sight::Full));
        assert!(none_by(Sight::Full).none_for(Sight::Limited));
        assert!(none_by(Sight::Limited).none_for(Sight::Limited));
        assert!(!none_by(Sight::Limited).none_for(Sight::Full));
        assert!(!SeenXattrs::Some.none_for(Sight::Limited));
    }
}
