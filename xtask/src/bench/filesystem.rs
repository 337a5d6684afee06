//! A filesystem of its own, empty for each run.

use crate::process::run_quietly;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// An ext4 filesystem in a file, mounted below the bench directory; unmounted and removed when
/// dropped. Needs root.
pub(super) struct FreshFilesystem {
    image: PathBuf,
    mount: PathBuf,
}

/// Bytes of the filesystem: room for the largest trees that are imported. The file is sparse.
const SIZE: u64 = 16 << 30;

impl FreshFilesystem {
    pub(super) fn below(dir: &Path) -> Result<Self> {
        let (image, mount) = (dir.join("fresh.ext4"), dir.join("fresh"));
        fs::create_dir_all(&mount).with_context(|| format!("creating {}", mount.display()))?;
        Ok(Self { image, mount })
    }

    pub(super) fn path(&self) -> &Path {
        &self.mount
    }

    /// Makes it anew, and mounts it.
    pub(super) fn renew(&self) -> Result<()> {
        self.remove();
        let made = File::create(&self.image).and_then(|file| file.set_len(SIZE));
        made.with_context(|| format!("making {}", self.image.display()))?;
        // What is not made at once is made while a program is measured.
        let whole = "lazy_itable_init=0,lazy_journal_init=0";
        run_quietly(Command::new("mkfs.ext4").args(["-q", "-F", "-E", whole]).arg(&self.image))?;
        run_quietly(Command::new("mount").args(["-o", "loop"]).args([&self.image, &self.mount]))
    }

    /// Nothing of it may be there, and then nothing happens.
    fn remove(&self) {
        let _ = Command::new("umount").arg("--quiet").arg(&self.mount).status();
        let _ = fs::remove_file(&self.image);
    }
}

impl Drop for FreshFilesystem {
    fn drop(&mut self) {
        self.remove();
    }
}
