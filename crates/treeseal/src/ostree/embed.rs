use std::path::Path;

use treeseal_source::Progress;
use treeseal_source::ostree::{Checksum, Repository, read_commit};
use treeseal_store::Store;
use treeseal_trust::{Statement, Stream, Verified};

use super::change::Change;
use super::seals::{MAX_ROOTS, ROOTS, STATEMENT};
use super::{CommitError, CommitSeal, image_digest};
use crate::{Error, Locations};

/// A seal that was put beside its commit.
#[derive(Debug)]
pub struct EmbeddedSeal {
    /// The commit.
    pub checksum: Checksum,
    /// The seal's statement.
    pub statement: Verified<Statement>,
}

/// Puts the seal that the store of `locations` has of a commit beside the commit, with the store's trust
/// roots: both then go wherever OSTree takes the commit.
///
/// The commit is read to its last byte, and the seal judged as by whoever has made it. Of several seals
/// that are accepted the newest is taken.
pub fn embed_seal(
    locations: &Locations,
    repository: &Path,
    name: &str,
    stream: &Stream,
    progress: &Progress,
) -> Result<EmbeddedSeal, Error> {
    let repository = Repository::open(repository)?;
    let checksum = repository.resolve(name)?;
    let (commit, _) = repository.commit(&checksum)?;
    let store = Store::open_read_only(&locations.store)?;
    let image = image_digest(&checksum, &commit, &read_commit(&repository, &commit, progress)?)?;
    let seal = CommitSeal::find_own(locations, &store, &checksum, stream, &image)?;
    put_beside(&repository, &checksum, &seal.envelope, &store)?;
    Ok(EmbeddedSeal { checksum, statement: seal.statement })
}

/// Puts a seal and the trust roots of a store beside a commit, in the place of those that are there.
pub(crate) fn put_beside(
    repository: &Repository,
    commit: &Checksum,
    envelope: &[u8],
    store: &Store,
) -> Result<(), Error> {
    let mut roots = Vec::new();
    for version in store.root_versions()? {
        roots.extend(store.root(version)?);
    }
    if roots.len() > MAX_ROOTS {
        let path = store.path().join("roots");
        return Err(CommitError::TooManyRoots { path, limit: MAX_ROOTS }.into());
    }
    let mut change = Change::begin(repository, &commit.to_string())?;
    change.metadata.set_bytes(STATEMENT, envelope);
    change.metadata.set_list(ROOTS, &roots);
    change.write()
}
