//! How much there is to read, as soon as that is certain.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::Amount;

/// Counts the items whose files are not all seen yet, and the files that were seen.
///
/// An item that leads to others has added them before it is through. So when none is left, every
/// file has been seen, although some are still being read.
pub(super) struct Outlook {
    items: AtomicUsize,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Outlook {
    /// With one item, the first.
    pub(super) const fn new() -> Self {
        Self { items: AtomicUsize::new(1), files: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    pub(super) fn add_item(&self) {
        self.items.fetch_add(1, Ordering::Relaxed);
    }

    /// All files of an item were seen. With the last item this gives what there is to read.
    pub(super) fn finish_item(&self, seen: Amount) -> Option<Amount> {
        self.files.fetch_add(seen.files, Ordering::Relaxed);
        self.bytes.fetch_add(seen.bytes, Ordering::Relaxed);
        // Whoever is last must see what the others have added.
        let is_last = self.items.fetch_sub(1, Ordering::AcqRel) == 1;
        is_last.then(|| Amount {
            files: self.files.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        })
    }
}
