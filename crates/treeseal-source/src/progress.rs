//! How far a long operation has come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How far an operation has come: those who work count, and whoever shows it looks now and then.
///
/// Everything only grows. Counting is an addition to an atomic number, so it costs next to nothing
/// whether somebody looks or not.
#[derive(Debug, Default)]
pub struct Progress {
    is_watched: bool,
    began: OnceLock<Instant>,
    files: AtomicU64,
    bytes: AtomicU64,
    known_bytes: AtomicU64,
    stage: Mutex<Stage>,
}

/// A number of files, and the bytes in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Files.
    pub files: u64,
    /// Bytes of their content.
    pub bytes: u64,
}

/// What an operation is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reads the files of a directory, or files that were named.
    Read,
    /// Waits until what was written is durable.
    Commit,
    /// Makes an image.
    Image,
    /// Makes signatures, with a key that may lie on a token.
    Sign,
    /// Reads stored files and checks them.
    Check,
    /// Heals what the check has found.
    Heal,
    /// Writes files out of a sealed tree, each byte checked.
    Extract,
    /// Removes files of a store.
    Remove,
}

/// How far an operation has come at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// What it is doing.
    pub phase: Phase,
    /// Files that are done, and bytes of those and of the ones at hand.
    pub done: Amount,
    /// How many of the bytes did not have to be read, because what is in them was known.
    pub known_bytes: u64,
    /// All that there is to do, the bytes that are done included; `None` while that is not known.
    pub total: Option<Amount>,
    /// Since it began.
    pub elapsed: Duration,
}

#[derive(Debug, Default)]
struct Stage {
    phase: Option<Phase>,
    /// What was done when the phase began.
    before: Amount,
    /// What there is to do in it.
    expected: Option<Amount>,
}

impl Progress {
    /// For somebody who looks: only then is it worth finding out how much there is to do, where that
    /// takes work of its own.
    pub fn watched() -> Self {
        Self { is_watched: true, ..Self::default() }
    }

    /// Whether somebody looks.
    pub const fn is_watched(&self) -> bool {
        self.is_watched
    }

    /// Begins with something else. It is not known how much there is to do.
    pub fn begin(&self, phase: Phase) {
        self.began.get_or_init(Instant::now);
        *self.stage() = Stage { phase: Some(phase), before: self.done(), expected: None };
    }

    /// Says how much there is to do in this phase, what is done of it already included.
    pub fn expect(&self, amount: Amount) {
        self.stage().expected = Some(amount);
    }

    /// Bytes of a file have been dealt with.
    pub fn add_bytes(&self, bytes: u64) {
        // The end of a file is told like the rest of it, and need not disturb the other threads.
        if bytes > 0 {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// A file is done, whose bytes were counted.
    pub fn add_file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of a file need not be read.
    pub fn add_known_bytes(&self, bytes: u64) {
        self.add_bytes(bytes);
        // Whoever sees that these are known sees them done as well.
        self.known_bytes.fetch_add(bytes, Ordering::Release);
    }

    /// How far it has come; `None` before it has begun. A total that turned out to be less than what
    /// was done is none.
    pub fn reached(&self) -> Option<Reached> {
        let stage = self.stage();
        let known_bytes = self.known_bytes.load(Ordering::Acquire);
        let done = self.done();
        let total = stage.expected.map(|expected| Amount {
            files: stage.before.files.saturating_add(expected.files),
            bytes: stage.before.bytes.saturating_add(expected.bytes),
        });
        let total = total.filter(|total| total.files >= done.files && total.bytes >= done.bytes);
        let elapsed = self.began.get()?.elapsed();
        Some(Reached { phase: stage.phase?, done, known_bytes, total, elapsed })
    }

    fn done(&self) -> Amount {
        Amount {
            files: self.files.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        // Every state of it is whole.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(files: u64, bytes: u64) -> Amount {
        Amount { files, bytes }
    }

    #[test]
    fn nothing_is_reached_before_the_first_phase() {
        let progress = Progress::default();
        progress.add_bytes(1);
        assert_eq!(progress.reached(), None);
    }

    #[test]
    fn counts_go_on_from_phase_to_phase_and_totals_do_not() {
        let progress = Progress::default();
        progress.begin(Phase::Read);
        progress.expect(amount(2, 30));
        progress.add_bytes(10);
        progress.add_known_bytes(20);
        progress.add_file();
        let reached = progress.reached().unwrap();
        assert_eq!((reached.phase, reached.known_bytes), (Phase::Read, 20));
        assert_eq!((reached.done, reached.total), (amount(1, 30), Some(amount(2, 30))));

        progress.begin(Phase::Heal);
        assert_eq!(progress.reached().unwrap().total, None);
        progress.expect(amount(1, 5));
        let reached = progress.reached().unwrap();
        assert_eq!((reached.done, reached.total), (amount(1, 30), Some(amount(2, 35))));
    }

    #[test]
    fn a_total_that_is_passed_is_none() {
        let progress = Progress::default();
        progress.begin(Phase::Read);
        progress.expect(amount(1, 5));
        progress.add_bytes(5);
        assert_eq!(progress.reached().unwrap().total, Some(amount(1, 5)));
        progress.add_bytes(1);
        assert_eq!(progress.reached().unwrap().total, None);
    }
}
