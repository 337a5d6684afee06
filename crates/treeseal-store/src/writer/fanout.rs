use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use treeseal_sys::{DurableDir, TempEntry, TempFile};
use treeseal_verity::FileDigest;

use crate::StoreError;

/// A directory whose files are spread over 256 directories by the first byte of their digest.
///
/// Each of the 256 is made when it is first needed, and looked at once: that it is a directory and
/// no symlink holds from then on, because only the writer may change the store.
pub(crate) struct Fanout {
    dir: DurableDir,
    /// Whether the directory is known to be there.
    ready: [AtomicBool; 256],
    /// Whether a name in the directory may not be durable yet.
    touched: [AtomicBool; 256],
}

impl Fanout {
    pub(crate) fn new(dir: DurableDir) -> Self {
        let none = || [const { AtomicBool::new(false) }; 256];
        Self { dir, ready: none(), touched: none() }
    }

    pub(crate) fn dir(&self) -> &DurableDir {
        &self.dir
    }

    /// Opens the one of the directories that a digest's file lies in.
    pub(crate) fn open(&self, digest: &FileDigest) -> Result<DurableDir, StoreError> {
        self.open_index(index(digest))
    }

    /// Makes a file and its name durable.
    pub(crate) fn place(&self, file: TempFile<'_>, digest: &FileDigest) -> Result<(), StoreError> {
        file.sync()?;
        self.rename(file.close(), digest, &digest.object_path())?;
        self.sync(digest)
    }

    /// Gives a file its name, `digest.object_path()`. Neither is made durable.
    pub(crate) fn rename(
        &self,
        file: TempEntry<'_>,
        digest: &FileDigest,
        name: &str,
    ) -> Result<(), StoreError> {
        let index = index(digest);
        if !self.ready[index].load(Ordering::Relaxed) {
            self.dir.ensure_dir(&format!("{index:02x}"))?;
            self.ready[index].store(true, Ordering::Relaxed);
        }
        self.touch(digest);
        Ok(file.rename(&self.dir, name)?)
    }

    /// Notes that the digest's name may not be durable.
    pub(crate) fn touch(&self, digest: &FileDigest) {
        self.touched[index(digest)].store(true, Ordering::Relaxed);
    }

    /// How many of the directories have names that may not be durable.
    pub(crate) fn touched(&self) -> usize {
        self.touched.iter().filter(|touched| touched.load(Ordering::Relaxed)).count()
    }

    /// Makes the names in the digest's directory durable, and its own.
    pub(crate) fn sync(&self, digest: &FileDigest) -> Result<(), StoreError> {
        self.sync_index(index(digest))?;
        Ok(self.dir.sync()?)
    }

    /// Makes every name durable that may not be.
    pub(crate) fn sync_touched(&self) -> Result<(), StoreError> {
        let mut any = false;
        for (index, touched) in self.touched.iter().enumerate() {
            if touched.swap(false, Ordering::Relaxed) {
                self.sync_index(index)?;
                any = true;
            }
        }
        if any {
            self.dir.sync()?;
        }
        Ok(())
    }

    /// Says that everything was made durable in another way.
    pub(crate) fn all_durable(&self) {
        for touched in &self.touched {
            touched.store(false, Ordering::Relaxed);
        }
    }

    fn sync_index(&self, index: usize) -> Result<(), StoreError> {
        Ok(self.open_index(index)?.sync()?)
    }

    fn open_index(&self, index: usize) -> Result<DurableDir, StoreError> {
        Ok(self.dir.open_dir(&format!("{index:02x}"))?)
    }
}

fn index(digest: &FileDigest) -> usize {
    digest.as_bytes().first().copied().map_or(0, usize::from)
}

impl fmt::Debug for Fanout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fanout").field("dir", &self.dir).finish_non_exhaustive()
    }
}
