//! What a machine remembers of the seals that it accepted, outside the store.

use std::time::SystemTime;

use treeseal_trust::{
    Clock, MAX_STATE_SIZE, RollbackState, Statement, Timestamp, TrustRoot, Verified,
};

use crate::files::{self, Readable};
use crate::{Error, Locations};

/// Reads what is remembered; nothing, where nothing was ever written.
pub(crate) fn recall(locations: &Locations) -> Result<RollbackState, Error> {
    let path = locations.state.join(FILE);
    match files::read(&path, MAX_STATE_SIZE)? {
        None => Ok(RollbackState::default()),
        Some(bytes) => {
            RollbackState::from_bytes(&bytes).map_err(|source| Error::State { path, source })
        }
    }
}

/// Raises the floors to an accepted seal, and writes them down when that changes anything.
pub(crate) fn remember(
    locations: &Locations,
    mut state: RollbackState,
    root: &TrustRoot,
    seal: &Verified<Statement>,
) -> Result<(), Error> {
    let before = state.to_bytes();
    state.raise_root(root);
    state.raise(seal);
    let after = state.to_bytes();
    if after == before {
        return Ok(());
    }
    files::replace(&locations.state.join(FILE), &after, Readable::ByAll)
}

const FILE: &str = "state.json";

/// The time by the system's clock.
pub(crate) fn now() -> Result<Timestamp, Error> {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok();
    since_epoch.and_then(|time| Timestamp::from_unix(time.as_secs())).ok_or(Error::Clock)
}

/// The system's clock, taken as one that may be trusted: the machine is up and running.
pub(crate) fn clock() -> Result<Clock, Error> {
    now().map(Clock::Trusted)
}
