//! Work that is still to be done, shared by the workers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A stack, not a line: what was found last is done first, so that a directory is finished, and its
/// descriptor closed, before the next one beside it is opened.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    stopped: AtomicBool,
}

struct State<T> {
    items: Vec<T>,
    /// Items that have been taken and may still add others.
    in_work: usize,
    waiting: usize,
}

/// Stops the queue unless the worker that holds it comes to its end: a worker that panics must not
/// leave the others waiting.
pub(super) struct StopOnDrop<'a, T>(pub(super) &'a Queue<T>);

impl<T> Queue<T> {
    pub(super) fn new(first: T) -> Self {
        let state = State { items: vec![first], in_work: 0, waiting: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new(), stopped: AtomicBool::new(false) }
    }

    pub(super) fn push(&self, item: T) {
        let mut state = self.lock();
        state.items.push(item);
        if state.waiting > 0 {
            self.changed.notify_one();
        }
    }

    /// The next item; waits for one as long as others may add some. `None` is the end. What was
    /// taken before counts as done when the next is asked for.
    pub(super) fn next(&self, has_finished_one: bool) -> Option<T> {
        let mut state = self.lock();
        state.in_work -= usize::from(has_finished_one);
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(item) = state.items.pop() {
                state.in_work += 1;
                return Some(item);
            }
            if state.in_work == 0 {
                self.changed.notify_all();
                return None;
            }
            state.waiting += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// Makes every worker stop soon.
    pub(super) fn stop(&self) {
        let _state = self.lock();
        self.stopped.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    pub(super) fn stopped(&self) -> &AtomicBool {
        &self.stopped
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for StopOnDrop<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}
