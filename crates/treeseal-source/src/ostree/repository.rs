use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use treeseal_sys::{Directory, FileError, read_file_limited};
use treeseal_verity::Hasher;

use super::keyfile;
use super::object::{DirTree, Inode};
use super::{Checksum, Commit, DetachedMetadata, ObjectError, OstreeError};

/// An OSTree repository, opened for reading.
///
/// Nothing in it is trusted: an object is used only if its checksum is its name. What is not named by
/// a checksum, refs and the metadata beside commits, is given as found.
#[derive(Debug)]
pub struct Repository {
    path: PathBuf,
    directory: Directory,
    mode: Mode,
    objects: Directory,
    /// The directories of `objects`, by the first byte of what is in them.
    prefixes: Vec<OnceLock<Directory>>,
}

/// How a repository keeps files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Compressed, with their metadata inside: `archive`, also called `archive-z2`.
    Archive,
    /// As they will be used.
    Bare,
    /// With owner, mode and attributes in an attribute of their own.
    BareUser,
    /// Without owner and attributes.
    BareUserOnly,
}

impl Mode {
    /// The name that a repository's configuration has for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Archive => "archive-z2",
            Self::Bare => "bare",
            Self::BareUser => "bare-user",
            Self::BareUserOnly => "bare-user-only",
        }
    }
}

/// Kinds of objects whose whole bytes are hashed.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Commit,
    DirTree,
    DirMeta,
}

impl Kind {
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::DirTree => "dirtree",
            Self::DirMeta => "dirmeta",
        }
    }
}

/// The extension of what is kept beside a commit.
const DETACHED: &str = "commitmeta";

/// The largest object of metadata, in bytes, that libostree reads.
const MAX_METADATA: usize = 128 * 1024 * 1024;

/// The largest configuration, in bytes: it has remotes.
const MAX_CONFIG: usize = 1024 * 1024;

/// The bytes of a ref: a checksum in hex and the end of its line.
const MAX_REF: usize = 65;

impl Repository {
    /// Opens a repository: the directory that has `config` and `objects`.
    pub fn open(path: &Path) -> Result<Self, OstreeError> {
        let directory = Directory::open(path)?;
        let no_repository = |why: String| OstreeError::Repository { path: path.to_owned(), why };
        let config = directory
            .open_file(b"config")
            .and_then(|file| read_file_limited(file, MAX_CONFIG))
            .map_err(|error| no_repository(format!("config: {}", cause(&error))))?;
        let mode = Mode::of_config(&config).map_err(no_repository)?;
        let objects = directory
            .open_directory(b"objects")
            .map_err(|error| no_repository(format!("objects: {}", cause(&error))))?;
        let prefixes = std::iter::repeat_with(OnceLock::new).take(256).collect();
        Ok(Self { path: path.to_owned(), directory, mode, objects, prefixes })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it keeps files.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The commit that a name stands for: a ref, `REMOTE:REF`, or a checksum of a commit.
    pub fn resolve(&self, name: &str) -> Result<Checksum, OstreeError> {
        if let Some(checksum) = Checksum::from_hex(name.as_bytes()) {
            return Ok(checksum);
        }
        let path = match name.split_once(':') {
            Some((remote, rest)) if is_ref(remote) && is_ref(rest) => {
                format!("refs/remotes/{remote}/{rest}")
            }
            None if is_ref(name) => format!("refs/heads/{name}"),
            _ => return Err(OstreeError::RefName { name: name.to_owned() }),
        };
        let no_ref = || OstreeError::NoRef { path: self.path.clone(), name: name.to_owned() };
        self.read_ref(name, &path)?.ok_or_else(no_ref)
    }

    /// The commit that a ref of the repository itself names, if there is such a ref.
    pub fn local_ref(&self, name: &str) -> Result<Option<Checksum>, OstreeError> {
        self.read_ref(name, &local_ref_path(name)?)
    }

    fn read_ref(&self, name: &str, path: &str) -> Result<Option<Checksum>, OstreeError> {
        let file = match self.directory.open_beneath(path.as_bytes()) {
            Err(error) if error.kind() == Some(io::ErrorKind::NotFound) => return Ok(None),
            opened => opened.map_err(self.file_error(path))?,
        };
        let not_one = || OstreeError::Ref { name: name.to_owned() };
        let text = read_file_limited(file, MAX_REF).map_err(|error| match error {
            FileError::TooLarge { .. } => not_one(),
            other => self.file_error(path)(other),
        })?;
        Checksum::from_hex(text.trim_ascii_end()).map(Some).ok_or_else(not_one)
    }

    /// A commit, and its bytes, which are what OSTree signs.
    pub fn commit(&self, checksum: &Checksum) -> Result<(Commit, Vec<u8>), OstreeError> {
        let bytes = self.metadata(Kind::Commit, checksum)?;
        let commit = Commit::parse(&bytes);
        Ok((commit.map_err(self.malformed(Kind::Commit, checksum))?, bytes))
    }

    /// What is kept beside a commit, and is not part of it; nothing where there is no such file.
    pub fn detached_metadata(&self, checksum: &Checksum) -> Result<DetachedMetadata, OstreeError> {
        let bytes = match self.read(checksum, DETACHED) {
            Err(OstreeError::Missing { .. }) => return Ok(DetachedMetadata::default()),
            read => read?,
        };
        let path = self.detached_metadata_path(checksum);
        DetachedMetadata::parse(&bytes).map_err(|source| OstreeError::Object { path, source })
    }

    /// Where that is kept.
    pub fn detached_metadata_path(&self, checksum: &Checksum) -> PathBuf {
        self.object_path(checksum, DETACHED)
    }

    pub(super) fn dir_tree(&self, checksum: &Checksum) -> Result<DirTree, OstreeError> {
        let bytes = self.metadata(Kind::DirTree, checksum)?;
        DirTree::parse(&bytes).map_err(self.malformed(Kind::DirTree, checksum))
    }

    pub(super) fn dir_meta(&self, checksum: &Checksum) -> Result<Inode, OstreeError> {
        let bytes = self.metadata(Kind::DirMeta, checksum)?;
        Inode::parse_directory(&bytes).map_err(self.malformed(Kind::DirMeta, checksum))
    }

    /// Where an object lies, for messages.
    pub(super) fn object_path(&self, checksum: &Checksum, extension: &str) -> PathBuf {
        self.path.join("objects").join(checksum.object_path(extension))
    }

    /// The directory that has an object in it, and the object's name there.
    pub(super) fn directory_of(
        &self,
        checksum: &Checksum,
        extension: &str,
    ) -> Result<(&Directory, Vec<u8>), OstreeError> {
        let path = checksum.object_path(extension);
        let (prefix, name) = path.split_at(2);
        let name = name.trim_start_matches('/').as_bytes().to_vec();
        let [first, ..] = checksum.as_bytes();
        let Some(slot) = self.prefixes.get(usize::from(*first)) else {
            return Err(OstreeError::Missing { path: self.object_path(checksum, extension) });
        };
        if let Some(directory) = slot.get() {
            return Ok((directory, name));
        }
        let opened = self
            .objects
            .open_directory(prefix.as_bytes())
            .map_err(|error| self.object_error(checksum, extension)(error))?;
        Ok((slot.get_or_init(|| opened), name))
    }

    /// Says which object an error of the filesystem is about.
    pub(super) fn object_error<'a>(
        &'a self,
        checksum: &'a Checksum,
        extension: &'a str,
    ) -> impl FnOnce(FileError) -> OstreeError + 'a {
        move |error| {
            let path = self.object_path(checksum, extension);
            match error.kind() {
                Some(io::ErrorKind::NotFound) => OstreeError::Missing { path },
                _ => error.with_path(path.into_os_string().into_encoded_bytes()).into(),
            }
        }
    }

    /// An object of metadata whose checksum is right.
    fn metadata(&self, kind: Kind, checksum: &Checksum) -> Result<Vec<u8>, OstreeError> {
        let bytes = self.read(checksum, kind.extension())?;
        let found = Checksum::of(&bytes);
        if found != *checksum {
            let path = self.object_path(checksum, kind.extension());
            return Err(OstreeError::Differs { path, found });
        }
        Ok(bytes)
    }

    fn read(&self, checksum: &Checksum, extension: &str) -> Result<Vec<u8>, OstreeError> {
        let (directory, name) = self.directory_of(checksum, extension)?;
        let bytes =
            directory.open_file(&name).and_then(|file| read_file_limited(file, MAX_METADATA));
        bytes.map_err(self.object_error(checksum, extension))
    }

    fn malformed(
        &self,
        kind: Kind,
        checksum: &Checksum,
    ) -> impl FnOnce(ObjectError) -> OstreeError + use<> {
        let path = self.object_path(checksum, kind.extension());
        move |source| OstreeError::Object { path, source }
    }

    fn file_error(&self, name: &str) -> impl FnOnce(FileError) -> OstreeError + use<> {
        let path = self.path.join(name);
        move |error| error.with_path(path.into_os_string().into_encoded_bytes()).into()
    }
}

/// The checksum of everything that was hashed.
pub(super) fn finish(hasher: Hasher) -> Checksum {
    let mut bytes = [0; 32];
    hasher.finish_into(&mut bytes);
    Checksum::from_bytes(bytes)
}

/// Where a ref of a repository itself lies. A checksum is no ref: it would be read as a commit.
pub(super) fn local_ref_path(name: &str) -> Result<String, OstreeError> {
    if is_ref(name) && Checksum::from_hex(name.as_bytes()).is_none() {
        return Ok(format!("refs/heads/{name}"));
    }
    Err(OstreeError::RefName { name: name.to_owned() })
}

/// Whether a name may be a ref, or a remote: components of letters, digits and `-._`, none of which
/// begins with a dot.
fn is_ref(name: &str) -> bool {
    let is_character =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'+');
    name.split('/').all(|component| {
        !component.is_empty() && !component.starts_with('.') && component.bytes().all(is_character)
    })
}

impl Mode {
    /// The mode in a repository's configuration, a file of groups and keys as GLib's `GKeyFile` reads it.
    /// The error says what cannot be used.
    pub fn of_config(config: &[u8]) -> Result<Self, String> {
        let config = str::from_utf8(config).map_err(|_| "config is no text".to_owned())?;
        let value = |key| keyfile::value(config, "core", key);
        let version = value("repo_version").unwrap_or_default();
        if version != "1" {
            return Err(format!("its repo_version is `{}` and not 1", version.escape_debug()));
        }
        match value("mode") {
            Some("archive" | "archive-z2") => Ok(Self::Archive),
            None | Some("bare") => Ok(Self::Bare),
            Some("bare-user") => Ok(Self::BareUser),
            Some("bare-user-only") => Ok(Self::BareUserOnly),
            Some(other) => Err(format!("its mode `{}` is not read here", other.escape_debug())),
        }
    }
}

fn cause(error: &FileError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
