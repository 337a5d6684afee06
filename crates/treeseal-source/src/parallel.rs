use core::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Does the work on things that are numbered from 0 to `count` by as many threads as this process may run
/// at once, and gives the parts that they give, in no order.
///
/// A worker takes one number after the other. When one fails, the others find no further number, and the
/// first failure is given.
pub(crate) fn by_all_cores<P: Send, E: Send>(
    count: usize,
    worker: impl Fn(&mut dyn Iterator<Item = usize>) -> Result<Vec<P>, E> + Sync,
) -> Result<Vec<P>, E> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Ok(Vec::new()));
    let work = || {
        let mut numbers = std::iter::from_fn(|| {
            Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < count)
        });
        let part = worker(&mut numbers);
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut *all, part) {
            (Ok(all), Ok(part)) => all.extend(part),
            (Ok(_), Err(error)) => {
                next.store(count, Ordering::Relaxed);
                *all = Err(error);
            }
            (Err(_), _) => {}
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}
