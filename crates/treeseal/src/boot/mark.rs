use std::ffi::OsStr;
use std::path::Path;

use treeseal_sys::{DurableOptions, TpmAddress};
use treeseal_trust::{Clock, Floor, SealRequest, TrustRoot};

use super::{Attempts, BootState, Handover, Started, select};
use crate::{Error, files, tpm};

/// What a system knows of its boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What was started.
    pub started: Started,
    /// Whether it was marked good.
    pub is_good: bool,
    /// The floor of its stream: what was marked good last.
    pub floor: Option<Floor>,
    /// How often trees were tried that were not marked good.
    pub attempts: Attempts,
}

/// Marks the running tree good: the floors rise to it, and nothing older is started any more.
///
/// `run` is where the boot program wrote what was started, `/run/treeseal`. The seal is verified again,
/// against the trust root that was written there. The file comes before the TPM: after a crash between
/// the two, doing it again raises the TPM.
pub fn mark_good(run: &Path) -> Result<Status, Error> {
    mark_good_on(run, DurableOptions::default())
}

pub(super) fn mark_good_on(run: &Path, options: DurableOptions) -> Result<Status, Error> {
    let handover = Handover::read(run)?;
    let started = &handover.started;
    let lock = files::lock(&run.join("lock"))?;
    let mut state = open_state(started, options)?;
    let root = TrustRoot::pinned(&handover.root).map_err(Error::root(&run.join("root.json")))?;
    // It was accepted at boot; that it has expired since does not make it worse.
    let request = SealRequest::new(&started.stream, state.floors(), Clock::Unknown);
    let verified = select::verify(&handover.seal, &root, request, handover.freshness.as_deref());
    let (statement, _) = verified.map_err(Error::seal(&started.stream, started.sequence))?;
    state.raise(&root, &statement)?;
    let tpm = started.tpm.as_ref().map(|tpm| TpmAddress::from(OsStr::new(tpm)));
    tpm::raise(tpm.as_ref(), &statement.stream, statement.sequence, &lock)?;
    Ok(Status::new(handover.started, &state))
}

/// Says what was started, and whether it was marked good.
pub fn status(run: &Path) -> Result<Status, Error> {
    let started = Handover::read(run)?.started;
    let state = open_state(&started, DurableOptions::default())?;
    Ok(Status::new(started, &state))
}

fn open_state(started: &Started, options: DurableOptions) -> Result<BootState, Error> {
    BootState::open_with(Path::new(&started.state_filesystem), &started.state_directory, options)
}

impl Status {
    fn new(started: Started, state: &BootState) -> Self {
        let Started { stream, sequence, payload, .. } = &started;
        Self {
            is_good: state.is_good(stream, *sequence, *payload),
            floor: state.floors().floor(stream),
            attempts: state.attempts().clone(),
            started,
        }
    }
}
