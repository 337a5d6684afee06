use treeseal_tree::FileType;

use super::bytes::{Fields, is_zero, length};
use super::{DirectoryProblem, ImageError, Inode};
use crate::format::BLOCK;

/// Size of an entry without its name.
const DIRENT: usize = 12;
const MAX_NAME: usize = 255;

/// A name in a directory of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirent<'a> {
    /// Number of the inode.
    pub nid: u64,
    /// Type of the inode, as the entry states it.
    pub file_type: FileType,
    /// The name: 1 to 255 bytes, none of them `/` or NUL.
    pub name: &'a [u8],
}

impl Dirent<'_> {
    /// Whether this is `.` or `..`.
    pub fn is_dots(&self) -> bool {
        matches!(self.name, b"." | b"..")
    }
}

/// Reads the entries of a directory in order. Names are checked, and that they ascend; where the
/// entries lead is not.
pub struct Entries<'a> {
    nid: u64,
    /// Blocks that have not been begun.
    blocks: &'a [u8],
    tail: &'a [u8],
    /// Number of the current block.
    block_number: u64,
    /// The current block: its entries that are still to come, and the whole.
    entries: &'a [[u8; DIRENT]],
    block: &'a [u8],
    /// Offset of the next name in the current block.
    name_offset: usize,
    previous: &'a [u8],
}

impl<'a> Entries<'a> {
    pub(super) fn new(inode: &Inode<'a>) -> Self {
        let is_directory = inode.is_directory();
        Self {
            nid: inode.nid(),
            blocks: if is_directory { inode.block_bytes() } else { &[] },
            tail: if is_directory { inode.tail() } else { &[] },
            block_number: 0,
            entries: &[],
            block: &[],
            name_offset: 0,
            previous: &[],
        }
    }

    /// The next entry, or `None` behind the last. After an error nothing more is to be read.
    pub fn next_entry(&mut self) -> Result<Option<Dirent<'a>>, ImageError> {
        self.advance().map_err(|problem| ImageError::Directory {
            nid: self.nid,
            path: Vec::new(),
            problem,
        })
    }

    fn advance(&mut self) -> Result<Option<Dirent<'a>>, DirectoryProblem> {
        if self.entries.is_empty() && !self.begin_block()? {
            return Ok(None);
        }
        let Some((entry, rest)) = self.entries.split_first() else { return Ok(None) };
        self.entries = rest;
        let mut fields = Fields(entry);
        let (nid, _) = (fields.u64().unwrap_or_default(), fields.u16());
        let (file_type, reserved) = (fields.u8().unwrap_or_default(), fields.u8());
        let name = self.take_name()?;
        if reserved != Some(0) {
            return Err(self.reserved());
        }
        let file_type = file_type_of(file_type).ok_or_else(|| DirectoryProblem::Type {
            name: name.to_vec(),
            expected: None,
            found: file_type,
        })?;
        Ok(Some(Dirent { nid, file_type, name }))
    }

    /// Goes on to the next block; `false` if there is none.
    fn begin_block(&mut self) -> Result<bool, DirectoryProblem> {
        let block_size = usize::try_from(BLOCK).unwrap_or(usize::MAX);
        if !self.block.is_empty() {
            self.block_number += 1;
        }
        self.block = if self.blocks.is_empty() {
            core::mem::take(&mut self.tail)
        } else {
            let (block, rest) = self.blocks.split_at(block_size.min(self.blocks.len()));
            self.blocks = rest;
            block
        };
        if self.block.is_empty() {
            return Ok(false);
        }
        // The first name begins where the entries end.
        let first = self.block.first_chunk().map(name_offset).unwrap_or_default();
        let (count, rest) = (first / DIRENT, first % DIRENT);
        let entries = self.block.get(..first).filter(|_| count > 0 && rest == 0);
        let entries = entries.ok_or(self.bad_offset(0, first))?;
        self.entries = entries.as_chunks().0;
        self.name_offset = first;
        Ok(true)
    }

    /// The name that begins at the current offset: up to where the next begins, and the last up to
    /// the zeros that fill the block.
    fn take_name(&mut self) -> Result<&'a [u8], DirectoryProblem> {
        let start = self.name_offset;
        let name = match self.entries.first() {
            Some(next) => {
                let end = name_offset(next);
                let name = self.block.get(start..end).ok_or(self.bad_offset(1, end))?;
                self.name_offset = end;
                name
            }
            None => {
                let names = self.block.get(start..).unwrap_or_default();
                let end = names.iter().position(|byte| *byte == 0).unwrap_or(names.len());
                let (name, padding) = names.split_at(end);
                if !is_zero(padding) {
                    return Err(self.reserved());
                }
                name
            }
        };
        let is_name = (1..=MAX_NAME).contains(&name.len());
        if !is_name || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
            return Err(DirectoryProblem::Name { found: name.to_vec() });
        }
        if self.previous >= name {
            return Err(DirectoryProblem::Order { found: name.to_vec() });
        }
        self.previous = name;
        Ok(name)
    }

    fn reserved(&self) -> DirectoryProblem {
        DirectoryProblem::Reserved { block: self.block_number }
    }

    /// The error about the name offset of the current entry or of one that follows it.
    fn bad_offset(&self, ahead: u64, found: usize) -> DirectoryProblem {
        let count = self.block.first_chunk().map(name_offset).unwrap_or_default();
        let entries = length(self.block.get(..count).unwrap_or_default()) / 12;
        let entry = entries.saturating_sub(length(self.entries.as_flattened()) / 12);
        DirectoryProblem::NameOffset {
            block: self.block_number,
            entry: (entry + ahead).saturating_sub(1),
            found: u64::try_from(found).unwrap_or(u64::MAX),
        }
    }
}

/// Where the name of an entry begins in its block.
fn name_offset(entry: &[u8; DIRENT]) -> usize {
    let [.., low, high, _, _] = *entry;
    usize::from(u16::from_le_bytes([low, high]))
}

fn file_type_of(number: u8) -> Option<FileType> {
    Some(match number {
        1 => FileType::Regular,
        2 => FileType::Directory,
        3 => FileType::CharDevice,
        4 => FileType::BlockDevice,
        5 => FileType::Fifo,
        6 => FileType::Socket,
        7 => FileType::Symlink,
        _ => return None,
    })
}
