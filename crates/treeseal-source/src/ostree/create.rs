use std::io;
use std::path::Path;

use treeseal_sys::{Directory, DurableDir, DurableOptions, FileError, ListBuffer};

use super::{Mode, OstreeError, Repository};

/// The directories of a repository, one before what is in it.
const DIRECTORIES: [&str; 9] = [
    "extensions",
    "objects",
    "refs",
    "refs/heads",
    "refs/mirrors",
    "refs/remotes",
    "state",
    "tmp",
    "tmp/cache",
];

impl Repository {
    /// Opens a repository; where there is nothing or an empty directory, one is made, of mode `archive` if
    /// no other is asked for. One that is there must have the mode that is asked for.
    pub fn open_or_create(path: &Path, mode: Option<Mode>) -> Result<Self, OstreeError> {
        if is_missing_or_empty(path)? {
            create(path, mode.unwrap_or(Mode::Archive))?;
        }
        let repository = Self::open(path)?;
        let found = repository.mode();
        match mode {
            Some(asked) if asked != found => {
                Err(OstreeError::OtherMode { path: path.to_owned(), found, asked })
            }
            _ => Ok(repository),
        }
    }
}

fn is_missing_or_empty(path: &Path) -> Result<bool, OstreeError> {
    let directory = match Directory::open(path) {
        Err(error) if error.kind() == Some(io::ErrorKind::NotFound) => return Ok(true),
        opened => opened?,
    };
    let mut is_empty = true;
    directory.list(&mut ListBuffer::default(), |_, _| {
        is_empty = false;
        Ok::<_, FileError>(())
    })?;
    Ok(is_empty)
}

/// Makes a repository in a directory that is empty, or not there. What says that it is one is written last.
fn create(path: &Path, mode: Mode) -> Result<(), OstreeError> {
    let directory = open_or_make(path)?;
    for name in DIRECTORIES {
        directory.ensure_dir(name)?;
    }
    for name in ["refs", "tmp"] {
        directory.open_dir(name)?.sync()?;
    }
    let config = format!("[core]\nrepo_version=1\nmode={}\n", mode.name());
    directory.write_file("config", config.as_bytes(), &directory.open_dir("tmp")?)?;
    Ok(())
}

/// The directory above it is there.
fn open_or_make(path: &Path) -> Result<DurableDir, OstreeError> {
    if let (Some(parent), Some(name)) =
        (path.parent(), path.file_name().and_then(|name| name.to_str()))
    {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let parent = DurableDir::open(parent, DurableOptions::default())?;
        parent.ensure_dir(name)?;
        parent.sync()?;
    }
    Ok(DurableDir::open(path, DurableOptions::default())?)
}
