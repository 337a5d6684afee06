use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use treeseal_sys::{DurableDir, TempFile};

use crate::StoreError;

/// A directory of temporary files. It is empty when this is made, and when it is dropped.
///
/// Threads that make files in one directory wait for each other, so each thread has a directory of
/// its own in here.
#[derive(Debug)]
pub(crate) struct Temporary {
    dir: DurableDir,
    workplaces: [OnceLock<DurableDir>; WORKPLACES],
    /// Whether the process masks mode bits that finished files have.
    masked: OnceLock<bool>,
}

/// More threads than this share.
const WORKPLACES: usize = 64;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Tells the threads of this process apart.
    static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

impl Temporary {
    /// Removes what an interrupted writer left: nothing refers to it.
    pub(crate) fn new(dir: DurableDir) -> Result<Self, StoreError> {
        dir.empty()?;
        let workplaces = [const { OnceLock::new() }; WORKPLACES];
        Ok(Self { dir, workplaces, masked: OnceLock::new() })
    }

    /// Removes everything; nothing is in use any more.
    pub(crate) fn empty(&self) -> Result<(), StoreError> {
        Ok(self.dir.empty()?)
    }

    /// Makes a temporary file that everyone may read.
    pub(crate) fn create(&self) -> Result<TempFile<'_>, StoreError> {
        let file = self.workplace()?.create_temp()?;
        // Whether the process masks bits is found out once, with the first file.
        if *self.masked.get().unwrap_or(&true) {
            let masked = file.make_readable()?;
            let _ = self.masked.set(masked);
        }
        Ok(file)
    }

    fn workplace(&self) -> Result<&DurableDir, StoreError> {
        let index = THREAD.with(|number| number % WORKPLACES);
        let place = &self.workplaces[index];
        if let Some(dir) = place.get() {
            return Ok(dir);
        }
        let name = index.to_string();
        self.dir.ensure_dir(&name)?;
        let dir = self.dir.open_dir(&name)?;
        Ok(place.get_or_init(|| dir))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What stays is removed by the next writer.
        let _ = self.empty();
    }
}
