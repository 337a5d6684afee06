//! What the programs work on: made once, kept below `target/bench`.

use super::gen_dump;
use crate::random::Random;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

const LARGE_FILE_BYTES: u64 = 1 << 30;

/// One GiB that does not compress and has no two equal blocks.
pub(super) fn large_file(dir: &Path) -> Result<PathBuf> {
    made_once(dir.join("1-gib.bin"), |out| {
        let mut random = Random::new(1);
        for _ in 0..LARGE_FILE_BYTES / 8 {
            out.write_all(&random.next().to_le_bytes())?;
        }
        Ok(())
    })
}

/// A directory in which nothing is left of an earlier bench.
pub(super) fn empty_directory(path: &Path) -> Result<()> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("removing {}", path.display()))?;
    }
    fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))
}

/// A composefs dump of so many files.
pub(super) fn dump(dir: &Path, files: u64) -> Result<PathBuf> {
    made_once(dir.join(format!("{files}.dump")), |out| gen_dump::write(files, out))
}

fn made_once(
    path: PathBuf,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<PathBuf> {
    if path.exists() {
        return Ok(path);
    }
    eprintln!("making {}", path.display());
    let unfinished = path.with_extension("unfinished");
    let made = File::create(&unfinished).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        write(&mut out)?;
        out.flush()?;
        fs::rename(&unfinished, &path)
    });
    made.with_context(|| format!("making {}", path.display()))?;
    Ok(path)
}

/// A tree's size in words; trees differ between machines, results must say on what they were taken.
pub(super) fn size_of_tree(root: &Path) -> Result<String> {
    let (mut entries, mut bytes) = (0_u64, 0_u64);
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))? {
            let entry = entry?;
            let meta = entry.metadata()?;
            entries += 1;
            if meta.is_file() {
                bytes += meta.len();
            } else if meta.is_dir() {
                dirs.push(entry.path());
            }
        }
    }
    Ok(format!("{entries} entries, {} MiB of content", bytes >> 20))
}
