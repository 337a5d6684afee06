//! The file that records are kept in between runs.
//!
//! | bytes | what |
//! |--:|---|
//! | 16 | `treeseal digests` |
//! | 4 | version of this layout: 2 |
//! | 8 | number of records |
//! | 8 | checksum of the above |
//! | | the records, sorted |
//!
//! Nobody else reads it, and a program that does not know the version starts anew; so it has no
//! specification of its own.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use treeseal_sys::{Directory, FileError, effective_user, stat_file};

use super::record::{self, Record, SIZE};
use super::table::{MOST_RECORDS, Table};
use crate::Error;
use crate::files::{self, Readable};

/// Why digests that earlier seals learnt were not used, or new ones not kept. Files were read
/// instead, or will be next time: the seal is the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheNote {
    /// Someone else can say what is in it.
    #[error("the digests in `{}` are not used: the file belongs to user {owner}, not {user}", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who runs this process.
        user: u32,
    },
    /// Someone else can change it.
    #[error("the digests in `{}` are not used: others may write to it, its mode is {mode:o}", path.display())]
    Writable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u16,
    },
    /// It cannot be read.
    #[error("the digests in `{}` are not used: it cannot be read", path.display())]
    NotRead {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// It cannot be written.
    #[error("the digests of this tree are not kept")]
    NotWritten(#[source] Box<Error>),
}

const NAME: &str = "digests";
const TEMPORARY: &str = "digests.tmp";
const LOCK: &str = "digests.lock";

const MAGIC: &[u8; 16] = b"treeseal digests";
const VERSION: u32 = 2;
const HEADER: usize = 16 + 4 + 8 + 8;

/// Reads the records; there are none where there is no file, or another one than was written here.
pub(super) fn read(state: &Path) -> Result<Table, CacheNote> {
    let path = state.join(NAME);
    let failed = |source: FileError| CacheNote::NotRead { path: path.clone(), source };
    let opened = Directory::open(state).and_then(|state| state.open_file(NAME.as_bytes()));
    let file = match opened {
        Err(error) if error.kind() == Some(ErrorKind::NotFound) => return Ok(Table::default()),
        opened => opened.map_err(failed)?,
    };
    let stat = stat_file(&file).map_err(failed)?;
    let user = effective_user();
    if stat.uid != user {
        return Err(CacheNote::Owner { path, owner: stat.uid, user });
    }
    if stat.mode & 0o022 != 0 {
        return Err(CacheNote::Writable { path, mode: stat.mode & 0o7777 });
    }
    Ok(records(file, stat.size).map(Table::new).unwrap_or_default())
}

/// The bytes of the records, if the file is one of these, and complete. `size` is that of the file.
fn records(mut file: File, size: u64) -> Option<Vec<u8>> {
    let mut found = [0; HEADER];
    file.read_exact(&mut found).ok()?;
    let length = size.checked_sub(HEADER as u64)?;
    let count = length / SIZE as u64;
    if count > MOST_RECORDS || length % SIZE as u64 != 0 || found != header(count) {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// Writes a file of these records, which are sorted, in place of the one that is there.
///
/// Two runs at once write one after the other, each a whole file: the last one stays.
pub(super) fn write(state: &Path, records: impl Iterator<Item = Record>) -> Result<(), Error> {
    // With the lock the temporary name is nobody else's, and what a killed run left under it goes.
    let _lock = files::lock(&state.join(LOCK))?;
    let (path, temporary) = (state.join(NAME), state.join(TEMPORARY));
    files::replace_by(&path, &temporary, Readable::ByOwner, |file| {
        let mut output = BufWriter::with_capacity(WRITE_BUFFER, file);
        output.write_all(&[0; HEADER])?;
        let mut count: u64 = 0;
        for record in records {
            output.write_all(record.to_bytes())?;
            count += 1;
        }
        output.rewind()?;
        output.write_all(&header(count))?;
        output.flush()
    })
}

const WRITE_BUFFER: usize = 256 * 1024;

fn header(count: u64) -> [u8; HEADER] {
    let parts: [&[u8]; 3] = [MAGIC, &VERSION.to_be_bytes(), &count.to_be_bytes()];
    let checksum = record::checksum(&parts);
    record::join(&[parts[0], parts[1], parts[2], &checksum])
}
