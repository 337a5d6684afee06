mod error;
mod state;

use self::state::{CounterState, RecordState, State, floor_of};
use super::client::Tpm;
use super::record::{Record, TPM_MAX_SEQUENCE, TpmIndices};

pub use self::error::{TpmFloorError, TpmHalfMade};

/// Most steps that [`TpmFloor::raise_to`] takes at once. Each is a write to the TPM's memory: some
/// ten milliseconds, and one of the hundred thousand or so that such memory is made for.
const MAX_STEP: u64 = 1024;

/// The rollback floor of one stream, kept by a TPM.
///
/// A counter of a TPM only grows, one by one, and a new one begins above the highest that there
/// ever was, removed ones too. Its start is therefore arbitrary, and a record beside it says to
/// which sequence its value at enrolment belongs:
///
/// floor = sequence at enrolment + (counter - counter at enrolment)
///
/// # Who may do what
///
/// *Raising* needs no password, but access to the TPM. A machine raises its floor by itself, so a
/// password would lie on it; and whoever gets that access by other means can only raise the floor
/// above every tree, which denies service and brings no older tree back. The way out is
/// [`TpmFloor::remove`] and [`TpmFloor::enrol`].
///
/// *Enrolling and removing* need the password of the owner hierarchy, which is empty on a new TPM.
/// While it is empty, whoever can use the TPM can remove the floor and enrol a lower one, and
/// **nothing is protected**. Set it (`tpm2_changeauth -c owner`), to one that cannot be guessed,
/// because the TPM does not limit guesses at it, and keep it off the machine. Then the floor is
/// protected from those who can change everything that the machine stores, and from those who use
/// the TPM without the password, root among them.
///
/// It is not protected from those who can clear the TPM (so the password of the lockout hierarchy
/// must be set too, and the firmware's setup be closed), exchange it, or speak on its wires.
/// Clearing removes the enrolment as a whole. A caller that was told to keep floors in the TPM must
/// therefore take `None` from [`TpmFloor::open`] for a refusal and not for a floor of zero.
///
/// # One at a time
///
/// Two programs that raise the same floor at the same time can raise it too far, because the TPM
/// has no way to raise it *to* a value. Callers hold a lock of theirs while they raise.
#[derive(Debug)]
pub struct TpmFloor<'t> {
    tpm: &'t mut Tpm,
    indices: TpmIndices,
    record: Record,
    counter: u64,
    floor: u64,
}

impl<'t> TpmFloor<'t> {
    /// Begins to keep the floor of a stream at `sequence`, or moves one that is kept up to it.
    ///
    /// `stream_hash` is the SHA-256 of the stream's name. At a higher sequence than the floor the
    /// stream is enrolled anew, at the same one nothing is done, and a lower one is an error. An
    /// enrolment that was interrupted is completed, at any sequence: its floor is not known.
    ///
    /// When it is interrupted, [`TpmFloor::open`] gives an error until it is completed, and never a
    /// lower floor.
    pub fn enrol(
        tpm: &'t mut Tpm,
        stream_hash: &[u8; 32],
        sequence: u64,
        owner_auth: &[u8],
    ) -> Result<Self, TpmFloorError> {
        check_sequence(sequence)?;
        let indices = TpmIndices::of_stream(stream_hash);
        let state = State::read(tpm, stream_hash, indices)?;
        match state.floor(indices)? {
            Some(floor) if sequence < floor => {
                return Err(TpmFloorError::WouldLower { floor, sequence });
            }
            Some(floor) if sequence == floor => {}
            _ => write_enrolment(tpm, stream_hash, sequence, state, owner_auth)?,
        }
        // What counts is what the TPM now has, and not what it was told.
        let half_made = TpmFloorError::HalfMade { state: TpmHalfMade::NoRecord };
        Self::open(tpm, stream_hash)?.ok_or(half_made)
    }

    /// The floor of a stream as the TPM has it; `None` if the stream is not enrolled.
    pub fn open(tpm: &'t mut Tpm, stream_hash: &[u8; 32]) -> Result<Option<Self>, TpmFloorError> {
        let indices = TpmIndices::of_stream(stream_hash);
        let state = State::read(tpm, stream_hash, indices)?;
        let Some((record, counter)) = state.enrolment()? else { return Ok(None) };
        let floor = floor_of(indices, &record, counter, record.counter)?;
        Ok(Some(Self { tpm, indices, record, counter, floor }))
    }

    /// The lowest sequence that is still accepted, as it was when it was last read.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Raises the floor to `sequence`; one that is as high already stays.
    ///
    /// It rises one by one, so that an interruption leaves it anywhere in between. More than 1024
    /// steps are an error, and then none is taken.
    pub fn raise_to(&mut self, sequence: u64) -> Result<(), TpmFloorError> {
        check_sequence(sequence)?;
        self.read_counter(self.counter)?;
        if sequence.saturating_sub(self.floor) > MAX_STEP {
            return Err(TpmFloorError::TooFar { floor: self.floor, sequence });
        }
        // Each step is read back: it ends even if the TPM does not count, and a step that somebody
        // else takes in the meantime is not taken again.
        while self.floor < sequence {
            self.tpm.increment(self.indices.counter)?;
            self.read_counter(self.counter.saturating_add(1))?;
        }
        Ok(())
    }

    /// Ends the keeping of a stream's floor, or an enrolment that was interrupted. Gives whether
    /// there was one.
    ///
    /// When it is interrupted, [`TpmFloor::open`] gives an error until it is completed.
    pub fn remove(
        tpm: &mut Tpm,
        stream_hash: &[u8; 32],
        owner_auth: &[u8],
    ) -> Result<bool, TpmFloorError> {
        let indices = TpmIndices::of_stream(stream_hash);
        let state = State::read(tpm, stream_hash, indices)?;
        let has_record = state.record != RecordState::Absent;
        let has_counter = state.counter != CounterState::Absent;
        if has_record {
            tpm.undefine(indices.record, owner_auth)?;
        }
        if has_counter {
            tpm.undefine(indices.counter, owner_auth)?;
        }
        Ok(has_record || has_counter)
    }

    fn read_counter(&mut self, lowest: u64) -> Result<(), TpmFloorError> {
        let counter = u64::from_be_bytes(self.tpm.read(self.indices.counter)?);
        self.floor = floor_of(self.indices, &self.record, counter, lowest)?;
        self.counter = counter;
        Ok(())
    }
}

/// Makes what is missing of an enrolment. The lock is the last step, because an unlocked record is
/// no enrolment.
fn write_enrolment(
    tpm: &mut Tpm,
    stream_hash: &[u8; 32],
    sequence: u64,
    state: State,
    owner_auth: &[u8],
) -> Result<(), TpmFloorError> {
    let indices = TpmIndices::of_stream(stream_hash);
    let is_locked = matches!(state.record, RecordState::Locked(_));
    if is_locked {
        tpm.undefine(indices.record, owner_auth)?;
    }
    let counter = start_counter(tpm, indices, state.counter, owner_auth)?;
    let record = Record { stream_hash: *stream_hash, sequence, counter };
    if is_locked || state.record == RecordState::Absent {
        tpm.define(&indices.record_public(), owner_auth)?;
    }
    tpm.write(indices.record, &record.to_bytes(), owner_auth)?;
    Ok(tpm.write_lock(indices.record, owner_auth)?)
}

/// Makes sure that the counter is there and has a value, and gives it.
fn start_counter(
    tpm: &mut Tpm,
    indices: TpmIndices,
    state: CounterState,
    owner_auth: &[u8],
) -> Result<u64, TpmFloorError> {
    if let CounterState::Value(value) = state {
        return Ok(value);
    }
    if state == CounterState::Absent {
        tpm.define(&indices.counter_public(), owner_auth)?;
    }
    tpm.increment(indices.counter)?;
    Ok(u64::from_be_bytes(tpm.read(indices.counter)?))
}

fn check_sequence(found: u64) -> Result<(), TpmFloorError> {
    if found > TPM_MAX_SEQUENCE { Err(TpmFloorError::Sequence { found }) } else { Ok(()) }
}
