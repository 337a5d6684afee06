//! Small files outside the store: the trust root, keys, what is remembered.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::Error;

/// A lock on a file, held until it is dropped.
pub(crate) struct Lock(#[expect(dead_code, reason = "closing it ends the lock")] fs::File);

/// Who may read a file that is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readable {
    ByAll,
    ByOwner,
}

/// Reads a file of at most `limit` bytes; `None` if there is none.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, Error> {
    match fs::File::open(path) {
        Ok(file) => read_open(file, path, limit).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// Reads an open file of at most `limit` bytes; `path` is for messages.
pub(crate) fn read_open(file: fs::File, path: &Path, limit: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| Error::io("read", path, source))?;
    if bytes.len() > limit {
        return Err(Error::FileTooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Writes a file in place of one that may be there: after a crash there is the old or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8], readable: Readable) -> Result<(), Error> {
    let ending = format!(".{}.tmp", std::process::id());
    replace_by(path, &temporary(path, &ending), readable, |file| file.write_all(bytes))
}

/// The same for whoever holds a lock on the file: what a process that was killed left goes away.
pub(crate) fn replace_locked(path: &Path, bytes: &[u8], readable: Readable) -> Result<(), Error> {
    replace_by(path, &temporary(path, ".tmp"), readable, |file| file.write_all(bytes))
}

fn temporary(path: &Path, ending: &str) -> PathBuf {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(ending);
    temporary.into()
}

/// Lets `write` write a file in place of one that may be there, under a name of its own first. One
/// that was left under that name is removed.
pub(crate) fn replace_by(
    path: &Path,
    temporary: &Path,
    readable: Readable,
    write: impl FnOnce(&mut fs::File) -> io::Result<()>,
) -> Result<(), Error> {
    let directory = directory_of(path);
    make_directory(directory)?;
    let written = write_new(temporary, readable, write)
        .and_then(|()| fs::rename(temporary, path))
        .and_then(|()| fs::File::open(directory)?.sync_all());
    written.map_err(|source| {
        // Nothing is left behind; that this may fail too does not matter to the caller.
        let _ = fs::remove_file(temporary);
        Error::io("write", path, source)
    })
}

/// Writes a file where none may be.
pub(crate) fn create(path: &Path, bytes: &[u8], readable: Readable) -> Result<(), Error> {
    make_directory(directory_of(path))?;
    let written = write_exclusively(path, readable, |file| file.write_all(bytes));
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { path: path.to_owned() },
        _ => {
            // Nothing is left behind; that this may fail too does not matter to the caller.
            let _ = fs::remove_file(path);
            Error::io("write", path, source)
        }
    })
}

/// Waits until no other process has a lock on the file at `path`, and keeps it until dropped.
pub(crate) fn lock(path: &Path) -> Result<Lock, Error> {
    make_directory(directory_of(path))?;
    let failed = |source| Error::io("lock", path, source);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(Lock(file))
}

fn write_new(
    path: &Path,
    readable: Readable,
    write: impl FnOnce(&mut fs::File) -> io::Result<()>,
) -> io::Result<()> {
    // One that a process left when it was killed is of no use to anyone.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_exclusively(path, readable, write)
}

fn write_exclusively(
    path: &Path,
    readable: Readable,
    write: impl FnOnce(&mut fs::File) -> io::Result<()>,
) -> io::Result<()> {
    let mode = match readable {
        Readable::ByAll => 0o644,
        Readable::ByOwner => 0o600,
    };
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    write(&mut file)?;
    file.sync_all()
}

/// The directory that a file lies in. The parent of a bare name is the empty path.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a directory that only its owner may enter, with those above it.
pub(crate) fn make_directory(path: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(|source| Error::io("create", path, source))
}
