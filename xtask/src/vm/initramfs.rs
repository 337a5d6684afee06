//! Archives that the kernel unpacks into its first filesystem.

use crate::process::shown;
use crate::setup::archive::remove_dir;
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Files that are collected below a directory, which is removed in the end.
pub(super) struct Contents {
    dir: PathBuf,
}

impl Contents {
    /// Nothing yet; `dir` is emptied for it.
    pub(super) fn in_dir(dir: &Path) -> Result<Self> {
        remove_dir(dir)?;
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Copies a file; a symbolic link is followed.
    pub(super) fn add(&self, file: &Path, at: impl AsRef<Path>) -> Result<()> {
        let to = self.place(at.as_ref())?;
        fs::copy(file, &to)
            .with_context(|| format!("copying {} to {}", file.display(), to.display()))?;
        Ok(())
    }

    /// A new file, to be written.
    pub(super) fn create(&self, at: impl AsRef<Path>) -> Result<File> {
        let to = self.place(at.as_ref())?;
        File::create(&to).with_context(|| format!("creating {}", to.display()))
    }

    pub(super) fn write(&self, at: &str, content: &str) -> Result<()> {
        let written = self.create(at)?.write_all(content.as_bytes());
        written.with_context(|| format!("writing {at}"))
    }

    pub(super) fn link(&self, at: impl AsRef<Path>, target: &str) -> Result<()> {
        let to = self.place(at.as_ref())?;
        symlink(target, &to).with_context(|| format!("linking {}", to.display()))
    }

    /// Writes everything to the archive `to`, owned by root and in the order of the names.
    pub(super) fn pack(self, to: &Path) -> Result<()> {
        let archive = File::create(to).with_context(|| format!("creating {}", to.display()))?;
        let mut command = Command::new("cpio");
        command.args(["--create", "--format=newc", "--owner=+0:+0", "--reproducible"]);
        command.args(["--null", "--quiet"]).current_dir(&self.dir);
        command.stdin(Stdio::piped()).stdout(archive);
        let mut cpio = command.spawn().with_context(|| format!("starting {}", shown(&command)))?;
        let mut names = cpio.stdin.take().context("cpio takes names")?;
        write_names(&self.dir, Path::new(""), &mut names).context("telling cpio the names")?;
        drop(names);
        let status = cpio.wait().context("waiting for cpio")?;
        ensure!(status.success(), "{} failed: {status}", shown(&command));
        remove_dir(&self.dir)
    }

    fn place(&self, at: &Path) -> Result<PathBuf> {
        let place = self.dir.join(at);
        let parent = place.parent().unwrap_or(&self.dir);
        fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
        Ok(place)
    }
}

/// Writes the names below `dir`, each ended by NUL, directories before what is in them.
fn write_names(top: &Path, dir: &Path, names: &mut impl Write) -> io::Result<()> {
    let mut entries = fs::read_dir(top.join(dir))?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = dir.join(entry.file_name());
        names.write_all(name.as_os_str().as_bytes())?;
        names.write_all(b"\0")?;
        if entry.file_type()?.is_dir() {
            write_names(top, &name, names)?;
        }
    }
    Ok(())
}

/// One archive of several: the kernel unpacks them one after the other.
pub(super) fn concatenate(archives: &[&Path], to: &Path) -> Result<()> {
    let mut whole = File::create(to).with_context(|| format!("creating {}", to.display()))?;
    for archive in archives {
        let copied = File::open(archive).and_then(|mut part| io::copy(&mut part, &mut whole));
        copied.with_context(|| format!("copying {}", archive.display()))?;
    }
    Ok(())
}
