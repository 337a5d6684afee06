//! How fast an operation has been in the last seconds, and how long the rest takes at that pace.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use treeseal::{Amount, Reached};

/// What was done at moments of the last seconds.
#[derive(Default)]
pub(super) struct Pace(VecDeque<(Instant, Amount)>);

/// What is longer ago does not count.
const WINDOW: Duration = Duration::from_secs(10);

/// Less than this says nothing about what comes.
const ENOUGH: Duration = Duration::from_secs(2);

impl Pace {
    /// Notes how far an operation is. Bytes that were not read would only make it look fast.
    pub(super) fn note(&mut self, now: Instant, reached: &Reached) {
        let Amount { files, bytes } = reached.done;
        let read = Amount { files, bytes: bytes.saturating_sub(reached.known_bytes) };
        self.0.push_back((now, read));
        while self.0.front().is_some_and(|(then, _)| now.duration_since(*then) > WINDOW) {
            self.0.pop_front();
        }
    }

    /// Bytes that were read in a second.
    pub(super) fn bytes_per_second(&self) -> Option<u64> {
        let (done, time) = self.span()?;
        rate(done.bytes, time)
    }

    /// How many seconds it takes to do this much: the longer of what its bytes and its files take.
    /// `None` where that is not known yet, or nothing moves.
    pub(super) fn seconds_for(&self, left: Amount) -> Option<u64> {
        let (done, time) = self.span().filter(|(_, time)| *time >= ENOUGH)?;
        if left == Amount::default() {
            return Some(0);
        }
        // Where nothing is left, or nothing moves, nothing can be said.
        let seconds = |left: u64, done: u64| {
            if left == 0 {
                return None;
            }
            let milliseconds = (u128::from(left) * time.as_millis()).checked_div(done.into())?;
            u64::try_from(milliseconds.div_ceil(1000)).ok()
        };
        seconds(left.bytes, done.bytes).max(seconds(left.files, done.files))
    }

    /// What was done in the time that is remembered.
    fn span(&self) -> Option<(Amount, Duration)> {
        let ((then, before), (now, after)) = (self.0.front()?, self.0.back()?);
        let files = after.files.saturating_sub(before.files);
        let bytes = after.bytes.saturating_sub(before.bytes);
        Some((Amount { files, bytes }, now.duration_since(*then)))
    }
}

/// How many there are in a second, if there are `count` in `time`.
pub(super) fn rate(count: u64, time: Duration) -> Option<u64> {
    u64::try_from((u128::from(count) * 1_000_000).checked_div(time.as_micros())?).ok()
}

#[cfg(test)]
mod tests {
    use treeseal::Phase;

    use super::*;

    fn reached(files: u64, bytes: u64, known_bytes: u64) -> Reached {
        let done = Amount { files, bytes };
        Reached { phase: Phase::Read, done, known_bytes, total: None, elapsed: Duration::ZERO }
    }

    /// The pace of an operation that has come this far at each second.
    fn pace(steps: &[(u64, u64, u64)]) -> Pace {
        let (start, mut pace) = (Instant::now(), Pace::default());
        for (second, (files, bytes, known)) in (0..).zip(steps) {
            pace.note(start + Duration::from_secs(second), &reached(*files, *bytes, *known));
        }
        pace
    }

    #[test]
    fn what_was_not_read_does_not_count() {
        let pace = pace(&[(0, 0, 0), (90, 9_000, 8_000), (100, 11_000, 8_000)]);
        assert_eq!(pace.bytes_per_second(), Some(1_500));
    }

    #[test]
    fn only_the_last_seconds_count() {
        let mut steps = vec![(0, 0, 0), (1, 1_000_000, 0)];
        steps.extend((2..20).map(|second| (second, 1_000_000 + 10 * second, 0)));
        assert_eq!(pace(&steps).bytes_per_second(), Some(10));
    }

    #[test]
    fn the_time_left_is_that_of_whatever_takes_longer() {
        let pace = pace(&[(0, 0, 0), (5, 50, 0), (10, 100, 0)]);
        assert_eq!(pace.seconds_for(Amount { files: 0, bytes: 1_001 }), Some(21));
        assert_eq!(pace.seconds_for(Amount { files: 100, bytes: 50 }), Some(20));
        assert_eq!(pace.seconds_for(Amount::default()), Some(0));
    }

    #[test]
    fn nothing_is_foretold_from_one_moment_or_from_standing_still() {
        let left = Amount { files: 1, bytes: 1 };
        assert_eq!(Pace::default().bytes_per_second(), None);
        assert_eq!(pace(&[(1, 1, 0)]).bytes_per_second(), None);
        assert_eq!(pace(&[(1, 1, 0), (2, 2, 0)]).seconds_for(left), None);
        assert_eq!(pace(&[(1, 1, 0), (1, 1, 0), (1, 1, 0)]).seconds_for(left), None);
        let files_alone = pace(&[(0, 9, 0), (1, 9, 0), (2, 9, 0)]);
        assert_eq!(files_alone.seconds_for(Amount { files: 0, bytes: 1 }), None);
        // A large file alone.
        let one = pace(&[(0, 0, 0), (0, 10, 0), (0, 20, 0)]);
        assert_eq!(one.seconds_for(Amount { files: 1, bytes: 100 }), Some(10));
    }

    #[test]
    fn the_largest_numbers_are_no_trouble() {
        let pace = pace(&[(0, 0, 0), (0, 0, 0), (1, 1, 0)]);
        assert_eq!(pace.seconds_for(Amount { files: 0, bytes: u64::MAX }), None);
        assert_eq!(rate(u64::MAX, Duration::from_micros(1)), None);
        assert_eq!(rate(u64::MAX, Duration::ZERO), None);
    }
}
