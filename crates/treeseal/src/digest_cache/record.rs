//! One record: what the filesystem said of a file, and the digest of the content that it had.

use treeseal_sys::{FilesystemId, Stat, Timestamp};
use treeseal_trust::Timestamp as Time;
use treeseal_verity::{FileDigest, HashAlgorithm, Hasher};

/// Numbers are big-endian, so that records sort as their keys do.
///
/// | bytes | what |
/// |--:|---|
/// | 4 | device |
/// | 8 | inode |
/// | 8 | filesystem |
/// | 8 | size |
/// | 12 | time of modification: seconds, nanoseconds |
/// | 12 | time of change: seconds, nanoseconds |
/// | 32 | file digest: SHA-256, blocks of 4096 bytes, no salt |
/// | 1 | extended attributes: 0 if there may be some, 1 if none were shown, 2 if there were none |
/// | 8 | the mark of the directory in which a store had the object; zeros if there is none |
/// | 4 | the day on which it was last of use, counted from 1970 |
/// | 8 | checksum |
///
/// The checksum is the beginning of the SHA-256 of what is before it. It tells damage from data and
/// no more. A secret key in it would lie beside it, readable to whoever could write the records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Record([u8; SIZE]);

/// Size of a record in bytes.
pub(super) const SIZE: usize = KEY + DIGEST + XATTRS + MARK + DAY + CHECKSUM;

/// What a file is known by.
pub(super) struct Key([u8; KEY]);

/// What was learnt of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Learnt {
    pub(super) digest: FileDigest,
    pub(super) xattrs: SeenXattrs,
    /// Where a store had the object.
    pub(super) mark: Option<Mark>,
}

/// The state of a directory. Of two it can be said that they are the same, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark([u8; MARK]);

/// Days since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(pub(super) u32);

/// Which extended attributes a process is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// All but those of the namespace `trusted`.
    Limited,
    /// All.
    Full,
}

/// What was seen of a file's extended attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SeenXattrs {
    /// There were some, or nobody looked for all of them.
    Some,
    /// A process of this sight was shown none.
    NoneBy(Sight),
}

/// Which inode it is: device, inode and filesystem as two numbers, which are in the order of their
/// bytes and faster to compare. There is one record for each.
pub(super) type Place = (u128, u32);

const KEY: usize = 4 + 8 + 8 + 8 + 12 + 12;
const DIGEST: usize = 32;
const XATTRS: usize = 1;
const MARK: usize = 8;
const DAY: usize = 4;
const CHECKSUM: usize = 8;
const BEFORE_DAY: usize = KEY + DIGEST + XATTRS + MARK;

const NO_MARK: [u8; MARK] = [0; MARK];

impl Key {
    pub(super) fn new(stat: &Stat, filesystem: FilesystemId) -> Self {
        Self(join(&[
            &stat.id.device.to_be_bytes(),
            &stat.id.inode.to_be_bytes(),
            &filesystem.0.to_be_bytes(),
            &stat.size.to_be_bytes(),
            &time(stat.mtime),
            &time(stat.ctime),
        ]))
    }

    pub(super) fn place(&self) -> Place {
        place(&self.0)
    }
}

impl Record {
    /// `None` for a digest of another algorithm.
    pub(super) fn new(key: &Key, learnt: &Learnt, day: Day) -> Option<Self> {
        let Learnt { digest, xattrs, mark } = learnt;
        if digest.algorithm() != HashAlgorithm::Sha256 {
            return None;
        }
        let mark = mark.map_or(NO_MARK, |mark| mark.0);
        let (xattrs, day) = ([xattrs.code()], day.0.to_be_bytes());
        Some(Self::with_checksum(&[&key.0, digest.as_bytes(), &xattrs, &mark, &day]))
    }

    pub(super) const fn from_bytes(bytes: &[u8; SIZE]) -> Self {
        Self(*bytes)
    }

    pub(super) const fn to_bytes(&self) -> &[u8; SIZE] {
        &self.0
    }

    pub(super) fn place(&self) -> Place {
        place(&self.0)
    }

    /// Whether it is as it was written.
    pub(super) fn is_whole(&self) -> bool {
        let (data, found) = self.0.split_at(SIZE - CHECKSUM);
        checksum(&[data]) == found
    }

    /// What is known, if the record is whole and about this file.
    pub(super) fn learnt(&self, key: &Key) -> Option<Learnt> {
        let (digest, rest) = self.0.strip_prefix(&key.0[..])?.split_at_checked(DIGEST)?;
        let (xattrs, rest) = rest.split_first()?;
        let mark = *rest.first_chunk()?;
        let learnt = Learnt {
            digest: FileDigest::from_bytes(HashAlgorithm::Sha256, digest)?,
            xattrs: SeenXattrs::from_code(*xattrs),
            mark: (mark != NO_MARK).then_some(Mark(mark)),
        };
        self.is_whole().then_some(learnt)
    }

    /// The day on which it was last of use.
    pub(super) fn day(&self) -> Day {
        Day(self.0[BEFORE_DAY..].first_chunk().copied().map_or(0, u32::from_be_bytes))
    }

    /// The same record, of use on this day.
    pub(super) fn used_on(&self, day: Day) -> Self {
        Self::with_checksum(&[&self.0[..BEFORE_DAY], &day.0.to_be_bytes()])
    }

    fn with_checksum(parts: &[&[u8]]) -> Self {
        let checksum = checksum(parts);
        let mut all = parts.to_vec();
        all.push(&checksum);
        Self(join(&all))
    }
}

impl Mark {
    /// The mark of the directory with this key, until the machine starts again.
    pub(super) fn new(directory: &Key, boot: &[u8]) -> Self {
        Self(checksum(&[&directory.0, boot]))
    }
}

impl SeenXattrs {
    /// Whether a process of this sight would be shown none.
    pub(super) fn none_for(self, sight: Sight) -> bool {
        match self {
            Self::Some => false,
            Self::NoneBy(Sight::Full) => true,
            Self::NoneBy(Sight::Limited) => sight == Sight::Limited,
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Some => 0,
            Self::NoneBy(Sight::Limited) => 1,
            Self::NoneBy(Sight::Full) => 2,
        }
    }

    const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::NoneBy(Sight::Limited),
            2 => Self::NoneBy(Sight::Full),
            _ => Self::Some,
        }
    }
}

impl Day {
    pub(super) fn of(time: Time) -> Self {
        Self(u32::try_from(time.to_unix() / 86_400).unwrap_or(u32::MAX))
    }

    /// How many days this one is after another; 0 where the clock was set back.
    pub(super) const fn since(self, other: Self) -> u32 {
        self.0.saturating_sub(other.0)
    }
}

/// The inode that the bytes of a record or a key are about.
pub(super) fn place(bytes: &[u8]) -> Place {
    let (first, rest) = bytes.split_first_chunk().unwrap_or((&[0; 16], &[]));
    let last = rest.first_chunk().unwrap_or(&[0; 4]);
    (u128::from_be_bytes(*first), u32::from_be_bytes(*last))
}

pub(super) fn checksum(parts: &[&[u8]]) -> [u8; CHECKSUM] {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    parts.iter().for_each(|part| hasher.update(part));
    let mut hash = [0; 32];
    hasher.finish_into(&mut hash);
    join(&[&hash[..CHECKSUM]])
}

fn time(time: Timestamp) -> [u8; 12] {
    join(&[&time.seconds.to_be_bytes(), &time.nanoseconds.to_be_bytes()])
}

/// Puts parts after one another. They fill the array; their lengths are constants.
pub(super) fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut rest = &mut bytes[..];
    for part in parts {
        let (here, behind) = rest.split_at_mut(part.len());
        here.copy_from_slice(part);
        rest = behind;
    }
    debug_assert!(rest.is_empty());
    bytes
}
