use treeseal_source::ostree::{Checksum, DetachedMetadata, Repository};

use crate::Error;
use crate::files::{self, Lock, Readable};

/// A change to what is kept beside a commit. Until it ends, who makes one in the same way waits, so
/// nothing is lost.
pub(super) struct Change<'r> {
    repository: &'r Repository,
    _lock: Lock,
    pub(super) checksum: Checksum,
    pub(super) metadata: DetachedMetadata,
}

impl<'r> Change<'r> {
    /// Begins a change beside the commit with this name.
    pub(super) fn begin(repository: &'r Repository, name: &str) -> Result<Self, Error> {
        let _lock = files::lock(&repository.path().join(".lock"))?;
        let checksum = repository.resolve(name)?;
        let metadata = repository.detached_metadata(&checksum)?;
        Ok(Self { repository, _lock, checksum, metadata })
    }

    /// Writes it: after a crash there is the old or the new metadata.
    pub(super) fn write(self) -> Result<(), Error> {
        let path = self.repository.detached_metadata_path(&self.checksum);
        files::replace(&path, &self.metadata.to_bytes(), Readable::ByAll)
    }
}
