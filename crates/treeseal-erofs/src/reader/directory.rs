use treeseal_tree::FileType;

use super::bytes::{Bytes, Fields, is_zero};
use super::inode::Data;
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
/// entries lead is not. Holds one block.
pub struct Entries<'a> {
    bytes: Bytes<'a>,
    nid: u64,
    /// Offset and number of the blocks that have not been begun.
    next_block: u64,
    blocks: u64,
    /// Offset and length of what follows the blocks, if it has not been begun.
    tail: (u64, u64),
    /// Number of the current block.
    block_number: u64,
    block: Vec<u8>,
    /// Number of entries in the current block, and of those that have been read.
    count: usize,
    read: usize,
    /// Offset of the next name in the current block.
    name_offset: usize,
    /// The name before.
    previous: Vec<u8>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(inode: &Inode<'a>) -> Self {
        let data = if inode.is_directory() { inode.data() } else { Data::default() };
        Self {
            bytes: inode.image.bytes,
            nid: inode.nid(),
            next_block: data.start,
            blocks: data.blocks,
            tail: (inode.tail_offset(), data.tail),
            block_number: 0,
            block: Vec::new(),
            count: 0,
            read: 0,
            name_offset: 0,
            previous: Vec::new(),
        }
    }

    /// The next entry, or `None` behind the last. After an error nothing more is to be read.
    pub fn next_entry(&mut self) -> Result<Option<Dirent<'_>>, ImageError> {
        let nid = self.nid;
        let malformed = |problem| ImageError::Directory { nid, path: Vec::new(), problem };
        if self.read == self.count {
            if !self.read_block()? {
                return Ok(None);
            }
            self.begin_block().map_err(malformed)?;
        }
        self.parse_entry().map(Some).map_err(malformed)
    }

    /// Goes on to the next block; `false` if there is none.
    fn read_block(&mut self) -> Result<bool, ImageError> {
        if !self.block.is_empty() {
            self.block_number += 1;
        }
        self.block.clear();
        if self.blocks > 0 {
            self.bytes.append(self.next_block, BLOCK, &mut self.block)?;
            self.next_block += BLOCK;
            self.blocks -= 1;
        } else {
            let (offset, length) = core::mem::take(&mut self.tail);
            self.bytes.append(offset, length, &mut self.block)?;
        }
        Ok(!self.block.is_empty())
    }

    fn begin_block(&mut self) -> Result<(), DirectoryProblem> {
        // The first name begins where the entries end.
        let first = self.entry(0).map(name_offset).unwrap_or_default();
        if first == 0 || !first.is_multiple_of(DIRENT) || first > self.block.len() {
            return Err(self.bad_offset(0, first));
        }
        self.count = first / DIRENT;
        self.read = 0;
        self.name_offset = first;
        Ok(())
    }

    fn parse_entry(&mut self) -> Result<Dirent<'_>, DirectoryProblem> {
        let entry = self.entry(self.read).copied().unwrap_or_default();
        self.read += 1;
        let mut fields = Fields(&entry);
        let (nid, _) = (fields.u64().unwrap_or_default(), fields.u16());
        let (file_type, reserved) = (fields.u8().unwrap_or_default(), fields.u8());
        let block_number = self.block_number;
        let name = self.take_name()?;
        if reserved != Some(0) {
            return Err(DirectoryProblem::Reserved { block: block_number });
        }
        let file_type = file_type_of(file_type).ok_or_else(|| DirectoryProblem::Type {
            name: name.to_vec(),
            expected: None,
            found: file_type,
        })?;
        Ok(Dirent { nid, file_type, name })
    }

    /// The name that begins at the current offset: up to where the next begins, and the last up to
    /// the zeros that fill the block.
    fn take_name(&mut self) -> Result<&[u8], DirectoryProblem> {
        let start = self.name_offset;
        let name = if self.read < self.count {
            let end = self.entry(self.read).map(name_offset).unwrap_or_default();
            self.name_offset = end;
            self.block.get(start..end).ok_or(self.bad_offset(self.read, end))?
        } else {
            let names = self.block.get(start..).unwrap_or_default();
            let end = names.iter().position(|byte| *byte == 0).unwrap_or(names.len());
            let (name, padding) = names.split_at(end);
            if !is_zero(padding) {
                return Err(DirectoryProblem::Reserved { block: self.block_number });
            }
            name
        };
        let is_name = (1..=MAX_NAME).contains(&name.len());
        if !is_name || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
            return Err(DirectoryProblem::Name { found: name.to_vec() });
        }
        if self.previous.as_slice() >= name {
            return Err(DirectoryProblem::Order { found: name.to_vec() });
        }
        self.previous.clear();
        self.previous.extend_from_slice(name);
        Ok(name)
    }

    /// An entry of the current block.
    fn entry(&self, number: usize) -> Option<&[u8; DIRENT]> {
        self.block.get(number.checked_mul(DIRENT)?..)?.first_chunk()
    }

    /// The error about the name offset of an entry.
    fn bad_offset(&self, entry: usize, found: usize) -> DirectoryProblem {
        DirectoryProblem::NameOffset {
            block: self.block_number,
            entry: u64::try_from(entry).unwrap_or(u64::MAX),
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
