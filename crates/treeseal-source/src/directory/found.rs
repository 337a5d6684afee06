//! What one worker has found.

use std::collections::HashMap;
use std::sync::Arc;

use treeseal_sys::{Stat, Xattr};
use treeseal_tree::{FileType, Mtime, TreeError};
use treeseal_verity::{FileDigest, HashAlgorithm};

use super::ImportStats;

/// The tables of one worker. Numbers in them are indices into the same worker's tables, except
/// those of directories and groups, which are the import's.
#[derive(Default)]
pub(super) struct Found {
    pub(super) names: Vec<Name>,
    pub(super) inodes: Vec<Inode>,
    /// The groups whose inode is in this table, with its number.
    pub(super) group_inodes: Vec<(u32, u32)>,
    pub(super) stats: ImportStats,
    /// Names, symlink targets and inline content.
    bytes: Vec<u8>,
    digests: Vec<u8>,
    xattr_sets: HashMap<Arc<[Xattr]>, u32>,
}

/// A name in a directory: 16 bytes.
pub(super) struct Name {
    /// The directory that it is in.
    pub(super) directory: u32,
    offset: u32,
    /// The number of an inode or a group.
    pub(super) target: u32,
    length: u8,
    /// Whether `target` is a group: one inode with several names, whoever found them.
    pub(super) is_group: bool,
}

/// An inode: 40 bytes.
pub(super) struct Inode {
    seconds: i64,
    /// Of a regular file or symlink target.
    pub(super) size: u64,
    nanoseconds: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Number of a set of attributes.
    pub(super) xattrs: u32,
    /// Number of a directory, of a device, or where content or digest lies.
    pub(super) content: u32,
    pub(super) mode: u16,
    pub(super) file_type: FileType,
    /// Set when the content is external.
    digest: Option<HashAlgorithm>,
}

/// What an inode holds.
pub(super) enum Held<'a> {
    /// The number of a directory.
    Directory(u32),
    /// Content that becomes part of the image.
    Inline(&'a [u8]),
    /// Content that has gone to the sink, of this many bytes.
    External(u64, FileDigest),
    /// The target of a symlink.
    Symlink(&'a [u8]),
    /// A device number.
    Device(u32),
    /// Nothing.
    Nothing,
}

/// Digests are kept in units of this many bytes.
const DIGEST_UNIT: usize = 32;

impl Found {
    pub(super) fn add_name(
        &mut self,
        directory: u32,
        name: &[u8],
        target: u32,
        is_group: bool,
    ) -> Result<(), TreeError> {
        let offset = self.add_bytes(name)?;
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        self.names.push(Name { directory, offset, target, length, is_group });
        Ok(())
    }

    /// Adds an inode and gives its number.
    pub(super) fn add_inode(
        &mut self,
        stat: &Stat,
        file_type: FileType,
        xattrs: u32,
        held: &Held<'_>,
    ) -> Result<u32, TreeError> {
        let (size, content, digest) = match *held {
            Held::Directory(number) => (0, number, None),
            Held::Device(number) => (0, number, None),
            Held::Nothing => (0, 0, None),
            Held::Inline(bytes) | Held::Symlink(bytes) => {
                (bytes.len() as u64, self.add_bytes(bytes)?, None)
            }
            Held::External(size, digest) => {
                (size, self.add_digest(&digest)?, Some(digest.algorithm()))
            }
        };
        let number = number(self.inodes.len(), "files")?;
        self.inodes.push(Inode {
            seconds: stat.mtime.seconds,
            size,
            nanoseconds: stat.mtime.nanoseconds,
            uid: stat.uid,
            gid: stat.gid,
            xattrs,
            content,
            mode: stat.mode,
            file_type,
            digest,
        });
        Ok(number)
    }

    /// The number of a set of attributes, which is kept when it is new.
    pub(super) fn add_xattrs(&mut self, set: Vec<Xattr>) -> Result<u32, TreeError> {
        if let Some(number) = self.xattr_sets.get(set.as_slice()) {
            return Ok(*number);
        }
        let number = number(self.xattr_sets.len(), "sets of attributes")?;
        self.xattr_sets.insert(set.into(), number);
        Ok(number)
    }

    /// Takes the sets of attributes out, in the order of their numbers.
    pub(super) fn take_xattr_sets(&mut self) -> Vec<Arc<[Xattr]>> {
        let mut sets: Vec<_> = core::mem::take(&mut self.xattr_sets).into_iter().collect();
        sets.sort_unstable_by_key(|(_, number)| *number);
        sets.into_iter().map(|(set, _)| set).collect()
    }

    pub(super) fn name(&self, name: &Name) -> &[u8] {
        &self.bytes[index(name.offset)..][..usize::from(name.length)]
    }

    pub(super) fn held(&self, inode: &Inode) -> Held<'_> {
        match (inode.file_type, inode.digest) {
            (FileType::Directory, _) => Held::Directory(inode.content),
            (FileType::Symlink, _) => Held::Symlink(self.stored(inode)),
            (FileType::BlockDevice | FileType::CharDevice, _) => Held::Device(inode.content),
            (FileType::Fifo | FileType::Socket, _) => Held::Nothing,
            (FileType::Regular, None) => Held::Inline(self.stored(inode)),
            (FileType::Regular, Some(algorithm)) => {
                let mut bytes = [0; HashAlgorithm::MAX_DIGEST_SIZE];
                let size = algorithm.digest_size();
                let start = index(inode.content) * DIGEST_UNIT;
                bytes[..size].copy_from_slice(&self.digests[start..start + size]);
                Held::External(inode.size, FileDigest::from_padded(algorithm, bytes))
            }
        }
    }

    /// How many digests there are, each counted as often as it was found.
    pub(super) fn digest_count(&self) -> usize {
        self.digests.len() / DIGEST_UNIT
    }

    fn stored(&self, inode: &Inode) -> &[u8] {
        // It was added with this length.
        let length = usize::try_from(inode.size).unwrap_or(usize::MAX);
        &self.bytes[index(inode.content)..][..length]
    }

    fn add_bytes(&mut self, bytes: &[u8]) -> Result<u32, TreeError> {
        let offset = number(self.bytes.len(), "bytes of names and values")?;
        self.bytes.extend_from_slice(bytes);
        Ok(offset)
    }

    fn add_digest(&mut self, digest: &FileDigest) -> Result<u32, TreeError> {
        let unit = number(self.digest_count(), "distinct digests")?;
        self.digests.extend_from_slice(digest.as_bytes());
        self.digests.resize(self.digests.len().next_multiple_of(DIGEST_UNIT), 0);
        Ok(unit)
    }
}

impl Inode {
    pub(super) fn mtime(&self) -> Mtime {
        Mtime { seconds: self.seconds, nanoseconds: self.nanoseconds }
    }
}

/// A count as a 32-bit number.
pub(super) fn number(count: usize, what: &'static str) -> Result<u32, TreeError> {
    u32::try_from(count).map_err(|_| TreeError::TooLarge(what))
}

/// A 32-bit number as an index.
#[allow(clippy::cast_possible_truncation, reason = "usize has at least 32 bits here")]
pub(super) const fn index(number: u32) -> usize {
    const { assert!(usize::BITS >= 32) };
    number as usize
}
