//! One file's content, and its sidecar with it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use treeseal_verity::{Batch, Digester, FileDigest, Params};

use crate::layout::sidecar_size;
use crate::runs::{UpperLevels, leaf_block};
use crate::store::leaf_level_size;

/// What was read.
pub(super) struct Content {
    pub(super) digest: FileDigest,
    pub(super) size: u64,
    pub(super) sidecar: Sidecar,
}

/// How an object's sidecar compares with its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sidecar {
    /// It is the Merkle tree, or there is to be none.
    Right,
    Missing,
    /// It is there, and the content has one run at most.
    Needless,
    /// It has this many bytes.
    Wrong {
        found: u64,
    },
}

/// Files of at most one run, which are read one after another and hashed together. Each comes with
/// what the caller knows it by.
pub(super) struct ShortFiles<T> {
    /// Of the algorithm that the last file had.
    batch: Option<(Params, Batch)>,
    files: Vec<(T, u64)>,
}

impl<T> ShortFiles<T> {
    pub(super) fn new() -> Self {
        Self { batch: None, files: Vec::new() }
    }

    /// Whether there is room for another short file. There is after [`finish`](Self::finish).
    pub(super) fn has_room(&mut self, params: &Params, size: u64) -> bool {
        self.room(params, size).is_some()
    }

    /// Reads a file for which there is room, to be [added](Self::add). `false` if it did not
    /// come at once and of this size: then it is to be read in the long way.
    pub(super) fn read(&mut self, file: &File, params: &Params, size: u64) -> io::Result<bool> {
        let Some(room) = self.room(params, size) else { return Ok(false) };
        // One byte more shows a file that has grown, without another call.
        let room = &mut room[..with_one_more(size)];
        match file.read_at(room, 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            read => Ok(read? as u64 == size),
        }
    }

    /// Adds the file that was read.
    pub(super) fn add(&mut self, known_by: T, size: u64) {
        if let (Some((_, batch)), Ok(length)) = (&mut self.batch, usize::try_from(size)) {
            batch.add(length);
            self.files.push((known_by, size));
        }
    }

    /// The digests and sizes of all that were added; then there are none.
    pub(super) fn finish(&mut self) -> impl Iterator<Item = (T, FileDigest, u64)> {
        let digests = self.batch.as_mut().map_or_else(Vec::new, |(_, batch)| batch.finish());
        let files = std::mem::take(&mut self.files);
        files.into_iter().zip(digests).map(|((known_by, size), digest)| (known_by, digest, size))
    }

    /// Where a file goes, which is hashed with others of the same algorithm only.
    fn room(&mut self, params: &Params, size: u64) -> Option<&mut [u8]> {
        if self.files.is_empty() && self.batch.as_ref().is_none_or(|(kept, _)| kept != params) {
            self.batch = Some((params.clone(), Batch::new(params.clone())));
        }
        let batch = self.batch.as_mut().filter(|(kept, _)| kept == params);
        batch.and_then(|(_, batch)| batch.room(with_one_more(size)))
    }
}

fn with_one_more(size: u64) -> usize {
    usize::try_from(size).map_or(usize::MAX, |size| size.saturating_add(1))
}

/// Reads a file of about `size` bytes once and gives its digest. If `sidecar` is asked for, compares
/// that too: the inner option is the file with its size, if there is one. `progress` is told of bytes.
pub(super) fn read_content(
    file: &File,
    size: u64,
    params: &Params,
    sidecar: Option<Option<(File, u64)>>,
    buffer: &mut Vec<u8>,
    progress: &dyn Fn(u64),
) -> io::Result<Content> {
    let mut comparison = Comparison::new(params, size, sidecar);
    buffer.resize(params.run_size(), 0);
    let mut upper = UpperLevels::new(params.clone());
    let mut offset = 0;
    loop {
        let filled = read_full_at(file, buffer, offset)?;
        let run = &buffer[..filled];
        progress(filled as u64);
        if offset == 0 && filled <= params.block_size() {
            let digest = Digester::digest_of(params, run);
            return Ok(Content { digest, size: filled as u64, sidecar: comparison.result });
        }
        if filled > 0 {
            let block = leaf_block(params, run);
            comparison.leaf(&block)?;
            upper.update(&block);
        }
        offset += filled as u64;
        if filled < buffer.len() {
            break;
        }
    }
    let (digest, levels) = upper.finish(offset);
    comparison.upper(&levels)?;
    Ok(Content { digest, size: offset, sidecar: comparison.result })
}

/// How a sidecar compares with an object of `size` bytes whose content is not read: leaves that lead to
/// its digest are the right ones.
pub(super) fn check_sidecar(
    digest: &FileDigest,
    size: u64,
    params: &Params,
    sidecar: Option<Option<(File, u64)>>,
    buffer: &mut Vec<u8>,
) -> io::Result<Sidecar> {
    let mut comparison = Comparison::new(params, size, sidecar);
    let Some(file) = &comparison.file else { return Ok(comparison.result) };
    buffer.resize(params.run_size(), 0);
    let mut upper = UpperLevels::new(params.clone());
    let found = sidecar_size(params, size);
    let mut offset = comparison.offset;
    while offset < found {
        let filled = read_full_at(file, buffer, offset)?;
        upper.update(&buffer[..filled]);
        offset += buffer.len() as u64;
    }
    let (led_to, levels) = upper.finish(size);
    if led_to != *digest {
        return Ok(Sidecar::Wrong { found });
    }
    comparison.upper(&levels)?;
    Ok(comparison.result)
}

/// A sidecar that is compared block by block while the content is read.
struct Comparison {
    file: Option<File>,
    result: Sidecar,
    /// Where the next block of the leaf level is.
    offset: u64,
    buffer: Vec<u8>,
}

impl Comparison {
    fn new(params: &Params, size: u64, sidecar: Option<Option<(File, u64)>>) -> Self {
        let expected = sidecar_size(params, size);
        let (result, file) = match sidecar {
            None => (Sidecar::Right, None),
            Some(None) if expected == 0 => (Sidecar::Right, None),
            Some(None) => (Sidecar::Missing, None),
            Some(Some(_)) if expected == 0 => (Sidecar::Needless, None),
            Some(Some((file, found))) if found == expected => (Sidecar::Right, Some(file)),
            Some(Some((_, found))) => (Sidecar::Wrong { found }, None),
        };
        let offset = expected.saturating_sub(leaf_level_size(params, size) as u64);
        Self { file, result, offset, buffer: Vec::new() }
    }

    fn leaf(&mut self, block: &[u8]) -> io::Result<()> {
        self.compare(block, self.offset)?;
        self.offset += block.len() as u64;
        Ok(())
    }

    fn upper(&mut self, levels: &[u8]) -> io::Result<()> {
        self.compare(levels, 0)
    }

    fn compare(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        self.buffer.resize(bytes.len(), 0);
        let filled = read_full_at(file, &mut self.buffer, offset)?;
        if self.buffer[..filled] != *bytes {
            self.result = Sidecar::Wrong { found: file.metadata()?.len() };
            self.file = None;
        }
        Ok(())
    }
}

/// Reads until the buffer is full or the file ends.
fn read_full_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const SIZE: usize = 1_200_000;

    /// How a sidecar of these bytes compares with an object of which only the digest is known.
    fn compared(content: &[u8], sidecar: Option<&[u8]>) -> Sidecar {
        let params = Params::default();
        let sidecar = sidecar.map(|bytes| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            (file, bytes.len() as u64)
        });
        let digest = Digester::digest_of(&params, content);
        let size = content.len() as u64;
        check_sidecar(&digest, size, &params, Some(sidecar), &mut Vec::new()).unwrap()
    }

    fn tree_of(content: &[u8]) -> Vec<u8> {
        let mut digester = Digester::with_tree(Params::default());
        digester.update(content);
        digester.finish().tree.unwrap()
    }

    #[test]
    fn a_sidecar_is_checked_against_the_digest_alone() {
        let content: Vec<u8> = (0..=250).cycle().take(SIZE).collect();
        let tree = tree_of(&content);
        let found = tree.len() as u64;
        assert_eq!(compared(&content, Some(&tree)), Sidecar::Right);
        assert_eq!(compared(&content, None), Sidecar::Missing);
        // In the root block, in its padding, in a leaf, in the padding of the last one.
        for position in [0, 4095, 4096, tree.len() - 1] {
            let mut damaged = tree.clone();
            damaged[position] ^= 1;
            let result = compared(&content, Some(&damaged));
            assert_eq!(result, Sidecar::Wrong { found }, "{position}");
        }
        let other = tree_of(&vec![7; SIZE]);
        assert_eq!(compared(&content, Some(&other)), Sidecar::Wrong { found });
        let short = compared(&content, Some(&tree[..4096]));
        assert_eq!(short, Sidecar::Wrong { found: 4096 });
    }

    #[test]
    fn a_short_object_has_no_sidecar_to_be_checked() {
        assert_eq!(compared(&[7; 5000], None), Sidecar::Right);
        assert_eq!(compared(&[7; 5000], Some(b"x")), Sidecar::Needless);
    }
}
