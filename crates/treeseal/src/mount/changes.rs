use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use treeseal_sys::{Directory, Upper, mount_of};

use super::Changes;
use crate::Error;

/// The directories for changes, by an open directory above them.
pub(super) struct OpenChanges {
    directory: Directory,
    upper: PathBuf,
    work: PathBuf,
}

impl OpenChanges {
    pub(super) fn open(changes: &Changes) -> Result<Self, Error> {
        let (upper, work) = (real(&changes.upper)?, real(&changes.work)?);
        let apart =
            || Error::ChangesApart { upper: changes.upper.clone(), work: changes.work.clone() };
        let common = common_directory(&upper, &work);
        let directory = Directory::open(&common)?;
        // They are looked up below the directory again, where other mounts may not be seen.
        let mount = mount_of(&directory)?.id;
        for path in [&upper, &work] {
            if *path == common || mount_of(Directory::open(path)?)?.id != mount {
                return Err(apart());
            }
        }
        let below = |path: &Path| path.strip_prefix(&common).map(Path::to_owned);
        let (upper, work) =
            (below(&upper).map_err(|_| apart())?, below(&work).map_err(|_| apart())?);
        Ok(Self { directory, upper, work })
    }

    pub(super) fn upper(&self) -> Upper<'_> {
        Upper { directory: self.directory.as_fd(), upper: &self.upper, work: &self.work }
    }
}

fn real(path: &Path) -> Result<PathBuf, Error> {
    path.canonicalize().map_err(|source| Error::io("find", path, source))
}

/// The directory that two absolute paths lie below, or that is one of them.
fn common_directory(first: &Path, second: &Path) -> PathBuf {
    let pairs = first.components().zip(second.components());
    pairs.take_while(|(first, second)| first == second).map(|(first, _)| first).collect()
}
