//! What a machine remembers of the seals that it accepted, outside the store.

use std::time::SystemTime;

use treeseal_trust::{
    Clock, MAX_STATE_SIZE, RollbackState, SealRequest, Statement, Stream, Timestamp, TrustRoot,
    Verified,
};

use crate::files::{self, Lock, Readable};
use crate::{Error, Locations, tpm};

/// Reads what is remembered; `None` where nothing was ever written, or it was lost.
pub(crate) fn recall(locations: &Locations) -> Result<Option<RollbackState>, Error> {
    let path = locations.state.join(FILE);
    let bytes = files::read(&path, MAX_STATE_SIZE)?;
    let state = bytes.map(|bytes| RollbackState::from_bytes(&bytes)).transpose();
    state.map_err(|source| Error::State { path, source })
}

/// A seal for `stream` that is not older than what is remembered, in the file and in the TPM.
pub(crate) fn request<'a>(
    locations: &Locations,
    state: &RollbackState,
    stream: &'a Stream,
    clock: Clock,
) -> Result<SealRequest<'a>, Error> {
    let request = SealRequest::new(stream, state, clock);
    Ok(match tpm::floor(locations.tpm.as_ref(), stream)? {
        Some(floor) => request.not_below(floor),
        None => request,
    })
}

/// Raises the floors to an accepted seal, and writes them down when that changes anything.
///
/// What is remembered is read again under a lock: another process may have raised it meanwhile, and
/// must not see its floors fall. The file comes before the TPM: after a crash between the two the
/// next seal that is accepted raises the TPM.
pub(crate) fn remember(
    locations: &Locations,
    root: &TrustRoot,
    seal: &Verified<Statement>,
) -> Result<(), Error> {
    if locations.tpm.is_none() && raised(locations, root, Some(seal))?.is_none() {
        return Ok(());
    }
    let lock = lock(locations)?;
    raise(locations, root, Some(seal), &lock)?;
    tpm::raise(locations.tpm.as_ref(), &seal.stream, seal.sequence, &lock)
}

/// Raises the floor of the trust root to one that was accepted.
pub(crate) fn remember_root(locations: &Locations, root: &TrustRoot) -> Result<(), Error> {
    if raised(locations, root, None)?.is_none() {
        return Ok(());
    }
    raise(locations, root, None, &lock(locations)?)
}

/// Waits until no other process changes what is remembered.
pub(crate) fn lock(locations: &Locations) -> Result<Lock, Error> {
    files::lock(&locations.state.join(LOCK))
}

fn raise(
    locations: &Locations,
    root: &TrustRoot,
    seal: Option<&Verified<Statement>>,
    _lock: &Lock,
) -> Result<(), Error> {
    match raised(locations, root, seal)? {
        None => Ok(()),
        Some(state) => files::replace_locked(&locations.state.join(FILE), &state, Readable::ByAll),
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
