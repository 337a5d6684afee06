//! One file's content, and its sidecar with it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use treeseal_verity::{Digester, FileDigest, Params};

use crate::layout::sidecar_size;
use crate::runs::{UpperLevels, leaf_block, run_size};
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

/// Reads a file once and gives its digest. If `sidecar` is asked for, compares that too: the inner
/// option is the file, if there is one. `progress` is told of bytes.
pub(super) fn read_content(
    file: &File,
    params: &Params,
    sidecar: Option<Option<&File>>,
    buffer: &mut Vec<u8>,
    progress: &dyn Fn(u64),
) -> io::Result<Content> {
    let size = file.metadata()?.len();
    let mut comparison = Comparison::new(params, size, sidecar)?;
    buffer.resize(run_size(params), 0);
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

/// A sidecar that is compared block by block while the content is read.
struct Comparison<'f> {
    file: Option<&'f File>,
    result: Sidecar,
    /// Where the next block of the leaf level is.
    offset: u64,
    buffer: Vec<u8>,
}

impl<'f> Comparison<'f> {
    fn new(params: &Params, size: u64, sidecar: Option<Option<&'f File>>) -> io::Result<Self> {
        let expected = sidecar_size(params, size);
        let result = match sidecar {
            None => Sidecar::Right,
            Some(None) if expected == 0 => Sidecar::Right,
            Some(None) => Sidecar::Missing,
            Some(Some(_)) if expected == 0 => Sidecar::Needless,
            Some(Some(file)) => match file.metadata()?.len() {
                found if found == expected => Sidecar::Right,
                found => Sidecar::Wrong { found },
            },
        };
        let file = sidecar.flatten().filter(|_| result == Sidecar::Right);
        let offset = expected.saturating_sub(leaf_level_size(params, size) as u64);
        Ok(Self { file, result, offset, buffer: Vec::new() })
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
        let Some(file) = self.file else { return Ok(()) };
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
