//! Drafts of trust roots: what the next version is to say, before anybody has signed it.

use std::num::NonZeroU32;
use std::path::Path;

use treeseal_trust::{RootContent, RootFile, Timestamp, TrustRoot, TufKey};

use crate::files::{self, Readable};
use crate::root::{read_root, trusted_root};
use crate::{Error, Locations, memory};

/// A draft that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// What it says now.
    pub content: RootContent,
    /// Signatures that it had and that a change makes void.
    pub dropped_signatures: usize,
}

/// The keys that a first root is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstKeys {
    /// Keys of the root role.
    pub root: Vec<TufKey>,
    /// How many of them must sign.
    pub root_threshold: NonZeroU32,
    /// Keys that seal.
    pub seal: Vec<TufKey>,
    /// How many of them must sign.
    pub seal_threshold: NonZeroU32,
}

/// Writes the draft of a first root to `path`, which may not exist.
///
/// `change` says what it is to say beside its keys.
pub fn first(
    path: &Path,
    keys: &FirstKeys,
    expires: Timestamp,
    change: impl FnOnce(&mut RootContent) -> Result<(), Error>,
) -> Result<Edited, Error> {
    require_future(expires)?;
    let root = (keys.root_threshold, &keys.root[..]);
    let mut content = RootContent::new(expires, root, (keys.seal_threshold, &keys.seal));
    change(&mut content)?;
    let file = RootFile::new(content).map_err(|source| Error::MakeRoot { source })?;
    files::create(path, &file.to_bytes(), Readable::ByAll)?;
    Ok(Edited { content: file.content().clone(), dropped_signatures: 0 })
}

/// Changes the draft at `path`. Where there is none, it begins as the version after the trust root of
/// this machine.
///
/// The file is written only if the whole is a root that can be signed; else it stays as it is.
pub fn edit(
    locations: &Locations,
    path: &Path,
    change: impl FnOnce(&mut RootContent) -> Result<(), Error>,
) -> Result<Edited, Error> {
    let (mut content, dropped_signatures) = begin(locations, path)?;
    let before = content.clone();
    change(&mut content)?;
    if content == before && path.exists() {
        // Signatures hold for what they were made for.
        return Ok(Edited { content, dropped_signatures: 0 });
    }
    if content.expires != before.expires {
        require_future(content.expires)?;
    }
    let file = RootFile::new(content).map_err(|source| Error::MakeRoot { source })?;
    files::replace(path, &file.to_bytes(), Readable::ByAll)?;
    Ok(Edited { content: file.content().clone(), dropped_signatures })
}

/// What a root or a draft says, for which nobody vouches.
pub fn read(path: &Path) -> Result<RootContent, Error> {
    let file = RootFile::parse(&read_root(path)?).map_err(Error::root(path))?;
    Ok(file.content().clone())
}

/// The trust root that a draft is to follow; `None` where none is pinned.
pub fn present_root(locations: &Locations) -> Result<Option<TrustRoot>, Error> {
    trusted_root(locations)
}

/// The trust root that this machine goes by.
pub fn require_present_root(locations: &Locations) -> Result<TrustRoot, Error> {
    trusted_root(locations)?.ok_or_else(|| Error::NoRoot { path: locations.root.clone() })
}

/// What a draft says now, and how many signatures it has.
fn begin(locations: &Locations, path: &Path) -> Result<(RootContent, usize), Error> {
    if path.symlink_metadata().is_err() {
        return Ok((require_present_root(locations)?.content().successor(), 0));
    }
    let root = trusted_root(locations)?;
    let file = RootFile::parse(&read_root(path)?).map_err(Error::root(path))?;
    let content = file.content().clone();
    let expected = root.map_or(1, |root| root.version() + 1);
    if content.version != expected {
        let (path, found) = (path.to_owned(), content.version);
        return Err(Error::DraftVersion { path, expected, found });
    }
    Ok((content, file.claimed_signers().count()))
}

/// A root that has expired already would be of no use to anybody.
pub(crate) fn require_future(expires: Timestamp) -> Result<(), Error> {
    let now = memory::now()?;
    if expires > now { Ok(()) } else { Err(Error::ExpiresInPast { expires, now }) }
}
