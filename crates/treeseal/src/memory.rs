//! What a machine remembers of the seals that it accepted, outside the store.

use std::time::SystemTime;

use treeseal_trust::{
    Clock, MAX_STATE_SIZE, RollbackState, Statement, Timestamp, TrustRoot, Verified,
};

use crate::files::{self, Readable};
use crate::{Error, Locations};

/// Reads what is remembered; `None` where nothing was ever written, or it was lost.
pub(crate) fn recall(locations: &Locations) -> Result<Option<RollbackState>, Error> {
    let path = locations.state.join(FILE);
    let bytes = files::read(&path, MAX_STATE_SIZE)?;
    let state = bytes.map(|bytes| RollbackState::from_bytes(&bytes)).transpose();
    state.map_err(|source| Error::State { path, source })
}

/// Raises the floors to an accepted seal, and writes them down when that changes anything.
///
/// What is remembered is read again under a lock: another process may have raised it meanwhile, and
/// must not see its floors fall.
pub(crate) fn remember(
    locations: &Locations,
    root: &TrustRoot,
    seal: &Verified<Statement>,
) -> Result<(), Error> {
    raise(locations, root, Some(seal))
}

/// Raises the floor of the trust root to one that was accepted.
pub(crate) fn remember_root(locations: &Locations, root: &TrustRoot) -> Result<(), Error> {
    raise(locations, root, None)
}

fn raise(
    locations: &Locations,
    root: &TrustRoot,
    seal: Option<&Verified<Statement>>,
) -> Result<(), Error> {
    if raised(locations, root, seal)?.is_none() {
        return Ok(());
    }
    let _lock = files::lock(&locations.state.join(LOCK))?;
    match raised(locations, root, seal)? {
        None => Ok(()),
        Some(state) => files::replace(&locations.state.join(FILE), &state, Readable::ByAll),
    }
}

/// What is to be written down, if it differs from what is.
fn raised(
    locations: &Locations,
    root: &TrustRoot,
    seal: Option<&Verified<Statement>>,
) -> Result<Option<Vec<u8>>, Error> {
    let mut state = recall(locations)?.unwrap_or_default();
    let before = state.to_bytes();
    state.raise_root(root);
    if let Some(seal) = seal {
        state.raise(seal);
    }
    let after = state.to_bytes();
    Ok((after != before).then_some(after))
}

const FILE: &str = "state.json";
const LOCK: &str = "lock";

/// The time by the system's clock.
pub(crate) fn now() -> Result<Timestamp, Error> {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok();
    since_epoch.and_then(|time| Timestamp::from_unix(time.as_secs())).ok_or(Error::Clock)
}

/// The system's clock, taken as one that may be trusted: the machine is up and running.
pub(crate) fn clock() -> Result<Clock, Error> {
    now().map(Clock::Trusted)
}
