use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use treeseal_foreign::ostree::{Keys, parse_keys};
use treeseal_trust::PublicKey;

use super::CommitError;
use crate::{Error, files};

/// Where keys come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySources {
    /// Files of keys that are trusted.
    pub trusted: Vec<PathBuf>,
    /// Files of keys that are not to be trusted again.
    pub revoked: Vec<PathBuf>,
    /// Directories as OSTree has them, with files like `trusted.ed25519` and directories like
    /// `revoked.ed25519.d`. None and no trusted file either: those where OSTree looks.
    pub directories: Vec<PathBuf>,
}

/// Where OSTree looks for keys. What is revoked there is revoked whatever else was named.
const SYSTEM: [&str; 2] = ["/etc/ostree", "/usr/share/ostree"];

/// The kinds of signatures, as they stand in the names of files.
const KINDS: [&str; 2] = ["ed25519", "spki"];

/// The largest file of keys, in bytes.
pub(super) const MAX_SIZE: usize = 1024 * 1024;

impl KeySources {
    pub(super) fn read(&self) -> Result<Keys, Error> {
        let mut keys = Keys::default();
        let system: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        let is_none_named = self.trusted.is_empty() && self.directories.is_empty();
        let trusted_in = if is_none_named { &system } else { &self.directories };
        for file in &self.trusted {
            keys.trusted.extend(read_file(file)?);
        }
        for file in &self.revoked {
            keys.revoked.extend(read_file(file)?);
        }
        for directory in trusted_in {
            keys.trusted.extend(read_directory(directory, "trusted")?);
        }
        for directory in self.directories.iter().chain(&system) {
            keys.revoked.extend(read_directory(directory, "revoked")?);
        }
        if keys.trusted.is_empty() { Err(CommitError::NoKeys.into()) } else { Ok(keys) }
    }
}

/// The keys of all kinds of which a directory says the same.
fn read_directory(directory: &Path, what: &str) -> Result<Vec<PublicKey>, Error> {
    let mut keys = Vec::new();
    for kind in KINDS {
        let file = directory.join(format!("{what}.{kind}"));
        if let Some(bytes) = files::read(&file, MAX_SIZE)? {
            keys.extend(parse(&file, &bytes)?);
        }
        for file in list(&directory.join(format!("{what}.{kind}.d")))? {
            keys.extend(read_file(&file)?);
        }
    }
    Ok(keys)
}

/// What is in a directory that need not be there, by its names.
fn list(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::io("list", directory, source);
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>().map_err(failed)?;
    paths.sort_unstable();
    Ok(paths)
}

/// The public keys in a file.
pub(super) fn read_file(path: &Path) -> Result<Vec<PublicKey>, Error> {
    let bytes = files::read(path, MAX_SIZE)?.ok_or_else(|| Error::missing(path))?;
    parse(path, &bytes)
}

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<PublicKey>, Error> {
    let failed = |source| CommitError::KeyFile { path: path.to_owned(), source };
    Ok(parse_keys(bytes).map_err(failed)?)
}
