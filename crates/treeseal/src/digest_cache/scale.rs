//! Many records: learnt, read, found and written anew, each step timed.
//!
//! ```text
//! TREESEAL_RECORDS=1000000 cargo test --release -p treeseal --lib digest_cache::scale -- --nocapture
//! ```
//!
//! `benches/` has what was measured so. Without the variable the number is small.

use std::fs;
use std::os::fd::AsFd as _;
use std::time::Instant;

use treeseal_sys::{FileId, Stat, stat_file};
use treeseal_verity::{FileDigest, HashAlgorithm};

use super::*;

const FEW: u64 = 10_000;

fn number_of_records() -> u64 {
    std::env::var("TREESEAL_RECORDS").map_or(FEW, |number| number.parse().unwrap())
}

/// The inodes below `count` from the lowest on: each search ends beside the one before.
fn in_order(count: u64) -> impl Iterator<Item = u64> {
    0..count
}

/// The same inodes in an order in which each search goes elsewhere.
fn in_no_order(count: u64) -> impl Iterator<Item = u64> {
    let all = count.next_power_of_two();
    // Multiplied by an odd number, all numbers below a power of two change places.
    let inode = move |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) & (all - 1);
    (0..all).map(inode).filter(move |inode| *inode < count)
}

fn file(inode: u64, like: Stat) -> Stat {
    Stat { id: FileId { inode, ..like.id }, ..like }
}

fn known(inode: u64) -> Known {
    let mut digest = [7; 32];
    digest[..8].copy_from_slice(&inode.to_be_bytes());
    let digest = FileDigest::from_bytes(HashAlgorithm::Sha256, &digest).unwrap();
    Known { digest, without_xattrs: true }
}

fn timed<T>(step: &str, count: u64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let seconds = start.elapsed().as_secs_f64();
    println!("{step:<20} {seconds:>8.3} s {:>6.0} ns a record", seconds * 1e9 / count as f64);
    result
}

/// The most memory that this process had since this was last asked.
fn print_peak() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    println!("{peak}");
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

#[test]
fn all_records_are_found_and_stay_when_they_are_written_anew() {
    let count = number_of_records();
    let directory = tempfile::tempdir().unwrap();
    let place = tempfile::tempfile().unwrap();
    let like = stat_file(&place).unwrap();
    let open = |days: i64| {
        let now = u64::try_from(like.ctime.seconds + MARGIN + days * 86_400).unwrap();
        let (cache, note) = DigestCache::open(directory.path(), Timestamp::from_unix(now).unwrap());
        assert!(note.is_none(), "{note:?}");
        cache
    };
    let finds = |cache: &DigestCache, inode: u64| {
        let found = cache.find(&file(inode, like), place.as_fd());
        found.map(|found| cache.known(&found)) == Some(known(inode))
    };
    let size = || fs::metadata(directory.path().join("digests")).unwrap().len();

    println!("{count} records");
    let cache = open(0);
    timed("learn", count, || {
        for inode in in_no_order(count) {
            cache.learn(&file(inode, like), place.as_fd(), &known(inode));
        }
    });
    timed("sort and write", count, || assert!(cache.save().is_none()));
    let written = size();
    println!("{} bytes a record in the file", written / count);
    print_peak();

    // A week later, when all are written with the new day.
    let cache = timed("open", count, || open(7));
    assert!(timed("find, in no order", count, || in_no_order(count).all(|i| finds(&cache, i))));
    timed("write anew", count, || assert!(cache.save().is_none()));
    assert_eq!(size(), written);
    print_peak();

    // On the same day, when there is nothing to write.
    let cache = open(7);
    assert!(timed("find, in order", count, || in_order(count).all(|i| finds(&cache, i))));
    timed("decide not to write", count, || assert!(cache.save().is_none()));
    assert!(!finds(&open(7), count));
}
