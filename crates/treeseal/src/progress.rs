//! How far an operation has come, for whoever wants to show it.

use std::sync::atomic::{AtomicU64, Ordering};

use treeseal_store::Stored;

/// Is told how far an operation has come, from several threads at once. `()` does not listen.
pub trait Progress: Sync {
    /// This many files and bytes have been taken in or checked so far.
    fn files(&self, files: u64, bytes: u64);
}

impl Progress for () {
    fn files(&self, _files: u64, _bytes: u64) {}
}

/// Adds up what a sink stores.
pub(crate) struct SinkListener<'p> {
    progress: &'p dyn Progress,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl<'p> SinkListener<'p> {
    pub(crate) const fn new(progress: &'p dyn Progress) -> Self {
        Self { progress, files: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    pub(crate) fn stored(&self, stored: Stored) {
        let files = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(stored.size, Ordering::Relaxed) + stored.size;
        self.progress.files(files, bytes);
    }
}
