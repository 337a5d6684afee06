//! The rollback floor of a stream in this machine's TPM, where it is asked for.

use treeseal_sys::{Tpm, TpmAddress, TpmFloor, TpmFloorError};
use treeseal_trust::{Sequence, Sha256Digest, Stream};

use crate::{Error, Locations, files, memory};

/// Begins to keep the floor of a stream in the TPM of `locations`, from `sequence` on; `None` for the
/// sequence that is remembered, or the first.
///
/// `owner` is the password of the TPM's owner. While it is empty the floor protects from nothing:
/// see [`TpmFloor`].
pub fn enrol_floor(
    locations: &Locations,
    stream: &Stream,
    sequence: Option<Sequence>,
    owner: &[u8],
) -> Result<Sequence, Error> {
    let remembered = memory::recall(locations)?.unwrap_or_default().floor(stream);
    let remembered = remembered.map(|floor| floor.sequence);
    let sequence = sequence.or(remembered).unwrap_or(Sequence::FIRST);
    let _lock = memory::lock(locations)?;
    let mut tpm = open(require_address(locations)?, stream)?;
    let failed = Error::tpm_floor(stream);
    TpmFloor::enrol(&mut tpm, &name(stream), sequence.number(), owner).map_err(failed)?;
    Ok(sequence)
}

/// The floor that the TPM of `locations` keeps for a stream.
pub fn show_floor(locations: &Locations, stream: &Stream) -> Result<Sequence, Error> {
    let address = require_address(locations)?;
    floor(Some(address), stream)?.ok_or_else(|| Error::NotEnrolled { stream: stream.clone() })
}

/// Ends to keep the floor of a stream in the TPM. `false` if none was kept.
pub fn remove_floor(locations: &Locations, stream: &Stream, owner: &[u8]) -> Result<bool, Error> {
    let _lock = memory::lock(locations)?;
    let mut tpm = open(require_address(locations)?, stream)?;
    TpmFloor::remove(&mut tpm, &name(stream), owner).map_err(Error::tpm_floor(stream))
}

/// The floor of a stream in a TPM; `None` where none is asked for.
///
/// A TPM that is asked for and has no floor is an error: it may have been cleared.
pub(crate) fn floor(
    address: Option<&TpmAddress>,
    stream: &Stream,
) -> Result<Option<Sequence>, Error> {
    let Some(address) = address else { return Ok(None) };
    let mut tpm = open(address, stream)?;
    let found = enrolled(&mut tpm, stream)?.floor();
    let no_sequence = || Error::tpm_floor(stream)(TpmFloorError::Sequence { found });
    Sequence::new(found).ok_or_else(no_sequence).map(Some)
}

/// Raises the floor of a stream in a TPM, where one is asked for. The caller holds the lock of what
/// is remembered beside it.
pub(crate) fn raise(
    address: Option<&TpmAddress>,
    stream: &Stream,
    sequence: Sequence,
    _lock: &files::Lock,
) -> Result<(), Error> {
    let Some(address) = address else { return Ok(()) };
    let mut tpm = open(address, stream)?;
    enrolled(&mut tpm, stream)?.raise_to(sequence.number()).map_err(Error::tpm_floor(stream))
}

fn enrolled<'t>(tpm: &'t mut Tpm, stream: &Stream) -> Result<TpmFloor<'t>, Error> {
    let floor = TpmFloor::open(tpm, &name(stream)).map_err(Error::tpm_floor(stream))?;
    floor.ok_or_else(|| Error::NotEnrolled { stream: stream.clone() })
}

fn open(address: &TpmAddress, stream: &Stream) -> Result<Tpm, Error> {
    Tpm::open(address).map_err(|error| Error::tpm_floor(stream)(error.into()))
}

fn require_address(locations: &Locations) -> Result<&TpmAddress, Error> {
    locations.tpm.as_ref().ok_or(Error::NoTpm)
}

/// What the TPM knows a stream by.
fn name(stream: &Stream) -> [u8; 32] {
    *Sha256Digest::of(stream.as_str().as_bytes()).as_bytes()
}
