//! The trust root that a machine goes by: the pinned one, and what leads on from it.

use std::path::{Path, PathBuf};

use treeseal_store::Store;
use treeseal_trust::{MAX_ROOT_SIZE, TrustRoot};

use crate::files::Readable;
use crate::{Error, Locations, files, history};

/// The pinned trust root.
pub(crate) fn pinned_root(locations: &Locations) -> Result<TrustRoot, Error> {
    refuse_root_in_store(locations)?;
    read_pinned(&locations.root)
}

/// Reads a root that is to be trusted because it lies where it lies.
pub(crate) fn read_pinned(path: &Path) -> Result<TrustRoot, Error> {
    TrustRoot::pinned(&read_root(path)?).map_err(Error::root(path))
}

/// The bytes of a root, in which nothing is trusted.
pub(crate) fn read_root(path: &Path) -> Result<Vec<u8>, Error> {
    files::read(path, MAX_ROOT_SIZE)?.ok_or_else(|| Error::NoRoot { path: path.to_owned() })
}

/// Where versions of a trust root lie. Nothing in it is trusted.
pub(crate) trait RootSource {
    /// The bytes of a version; nothing where it is not there.
    fn root(&self, version: u64) -> Result<Option<Vec<u8>>, Error>;
    /// The newest version that is there.
    fn newest_version(&self) -> Result<Option<u64>, Error>;
    /// What has the versions; for messages.
    fn place(&self) -> &Path;
    /// The file of a version; for messages.
    fn path_of(&self, version: u64) -> PathBuf;
}

impl RootSource for Store {
    fn root(&self, version: u64) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.root(version)?)
    }

    fn newest_version(&self) -> Result<Option<u64>, Error> {
        Ok(self.root_versions()?.last().copied())
    }

    fn place(&self) -> &Path {
        self.path()
    }

    fn path_of(&self, version: u64) -> PathBuf {
        self.path().join(format!("roots/{version}.root.json"))
    }
}

/// The newest root that leads on from the pinned one, step by step, among those that the store has.
pub(crate) fn newest_root(store: &Store, pinned: TrustRoot) -> Result<TrustRoot, Error> {
    follow_chain(&[store], pinned, |_, _| ())
}

/// Follows roots from the pinned one on, and gives the newest; `passed` gets each one that another
/// replaces, oldest first, and the bytes of that other one.
pub(crate) fn follow_chain(
    sources: &[&dyn RootSource],
    pinned: TrustRoot,
    mut passed: impl FnMut(TrustRoot, Vec<u8>),
) -> Result<TrustRoot, Error> {
    let mut root = pinned;
    while let Some((next, bytes)) = next_root(sources, &root)? {
        passed(std::mem::replace(&mut root, next), bytes);
    }
    for source in sources {
        refuse_gap(*source, &root)?;
    }
    Ok(root)
}

/// The root after this one, of the first source in which it is one: where a file lies says nothing, so
/// a wrong one in one place does not hide the right one in another.
fn next_root(
    sources: &[&dyn RootSource],
    root: &TrustRoot,
) -> Result<Option<(TrustRoot, Vec<u8>)>, Error> {
    let version = root.version() + 1;
    let mut refused = None;
    for source in sources {
        let Some(bytes) = source.root(version)? else { continue };
        match root.advance(&bytes) {
            Ok(next) => return Ok(Some((next, bytes))),
            Err(error) => refused = refused.or(Some(Error::root(&source.path_of(version))(error))),
        }
    }
    refused.map_or(Ok(None), Err)
}

/// Refuses a source that has later roots than the last that can be reached: the one between is kept
/// back or lost, and what the later ones revoke would go unseen.
fn refuse_gap(source: &dyn RootSource, reached: &TrustRoot) -> Result<(), Error> {
    match source.newest_version()? {
        Some(newest) if newest > reached.version() => Err(Error::RootGap {
            place: source.place().to_owned(),
            missing: reached.version() + 1,
            newest,
        }),
        _ => Ok(()),
    }
}

/// The trust root of this machine, with what the store, if there is one, adds to the pinned one;
/// `None` where none is pinned.
pub(crate) fn trusted_root(locations: &Locations) -> Result<Option<TrustRoot>, Error> {
    let pinned = match pinned_root(locations) {
        Err(Error::NoRoot { .. }) => return Ok(None),
        pinned => pinned?,
    };
    if !locations.store.exists() {
        return Ok(Some(pinned));
    }
    newest_root(&Store::open_read_only(&locations.store)?, pinned).map(Some)
}

/// Checks that roots follow each other, the first being taken as the pinned one.
pub fn verify_chain(files: &[PathBuf]) -> Result<Vec<TrustRoot>, Error> {
    let mut chain: Vec<TrustRoot> = Vec::new();
    for path in files {
        let bytes = read_root(path)?;
        let next = match chain.last() {
            None => TrustRoot::pinned(&bytes),
            Some(root) => root.advance(&bytes),
        };
        chain.push(next.map_err(Error::root(path))?);
    }
    Ok(chain)
}

/// Makes a root the pinned one of this machine.
///
/// That it may be trusted is the caller's knowledge. In the place of another root goes only one that
/// the chain of that one leads to, or the next one after that chain.
pub fn pin_root(locations: &Locations, path: &Path) -> Result<TrustRoot, Error> {
    refuse_root_in_store(locations)?;
    let bytes = read_root(path)?;
    let root = TrustRoot::pinned(&bytes).map_err(Error::root(path))?;
    if locations.root.exists() {
        let chain = history::root_chain(locations)?;
        let is_known = chain.iter().any(|known| known.content() == root.content());
        let is_next = || chain.last().is_some_and(|newest| newest.advance(&bytes).is_ok());
        if !is_known && !is_next() {
            return Err(Error::OtherRoot { path: locations.root.clone(), found: path.to_owned() });
        }
    }
    files::replace(&locations.root, &bytes, Readable::ByAll)?;
    Ok(root)
}

/// A root that lies in the store could be changed by whoever can change the store.
fn refuse_root_in_store(locations: &Locations) -> Result<(), Error> {
    let real = |path: &Path| path.canonicalize().ok();
    // Where there is no root yet, its directory says where it would lie.
    let root = real(&locations.root).or_else(|| real(files::directory_of(&locations.root)));
    match (root, real(&locations.store)) {
        (Some(root), Some(store)) if root.starts_with(&store) => {
            Err(Error::RootInStore { path: locations.root.clone(), store })
        }
        _ => Ok(()),
    }
}
