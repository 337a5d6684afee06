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

/// A tree of so many files, 200 to a directory, of up to 128 KiB: as many between any size and its
/// double, and no two of the same content.
pub(super) fn files(top: &Path, count: u32) -> Result<()> {
    let mut random = Random::new(2);
    let noise: Vec<u8> = (0..1 << 17).flat_map(|_| random.next().to_le_bytes()).collect();
    for number in 0..count {
        let directory = top.join(format!("usr/share/{}/{}", number / 4000, number / 200));
        fs::create_dir_all(&directory)?;
        let double = 1_usize << random.below(17);
        let size = double + random.index_below(double);
        let start = random.index_below(noise.len() - size);
        let content = [&number.to_le_bytes(), &noise[start..start + size]].concat();
        fs::write(directory.join(number.to_string()), content)
            .with_context(|| format!("writing below {}", directory.display()))?;
    }
    Ok(())
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
