use super::error::{TpmFloorError, TpmHalfMade};
use crate::tpm::client::Tpm;
use crate::tpm::record::{RECORD_SIZE, Record, RecordFault, TpmIndices};
use crate::tpm::response::NvPublic;
use crate::tpm::wire::attribute;

/// What a TPM has of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) counter: CounterState,
    pub(super) record: RecordState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CounterState {
    Absent,
    Unwritten,
    Value(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordState {
    Absent,
    Unwritten,
    Unlocked,
    Locked(Record),
}

impl State {
    /// The floor of a whole enrolment.
    pub(super) fn floor(self, indices: TpmIndices) -> Result<Option<u64>, TpmFloorError> {
        match (self.counter, self.record) {
            (CounterState::Value(counter), RecordState::Locked(record)) => {
                floor_of(indices, &record, counter, record.counter).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Reads both indices. That one belongs to something else, or to another stream, is an error:
    /// nothing of theirs may be used or removed.
    pub(super) fn read(
        tpm: &mut Tpm,
        stream_hash: &[u8; 32],
        indices: TpmIndices,
    ) -> Result<Self, TpmFloorError> {
        let counter = match own_attributes(tpm, &indices.counter_public())? {
            None => CounterState::Absent,
            Some(state) if state & attribute::WRITTEN == 0 => CounterState::Unwritten,
            Some(_) => CounterState::Value(u64::from_be_bytes(tpm.read(indices.counter)?)),
        };
        let record = match own_attributes(tpm, &indices.record_public())? {
            None => RecordState::Absent,
            Some(state) if state & attribute::WRITTEN == 0 => RecordState::Unwritten,
            Some(state) => {
                let record = read_record(tpm, stream_hash, indices)?;
                let is_locked = state & attribute::WRITE_LOCKED != 0;
                if is_locked { RecordState::Locked(record) } else { RecordState::Unlocked }
            }
        };
        Ok(Self { counter, record })
    }

    /// The whole enrolment, if there is one; that it is half made is an error.
    pub(super) fn enrolment(self) -> Result<Option<(Record, u64)>, TpmFloorError> {
        let state = match (self.counter, self.record) {
            (CounterState::Absent, RecordState::Absent) => return Ok(None),
            (CounterState::Value(counter), RecordState::Locked(record)) => {
                return Ok(Some((record, counter)));
            }
            (_, RecordState::Absent) => TpmHalfMade::NoRecord,
            (_, RecordState::Unwritten) => TpmHalfMade::RecordUnwritten,
            (_, RecordState::Unlocked) => TpmHalfMade::RecordUnlocked,
            (_, RecordState::Locked(_)) => TpmHalfMade::NoCounter,
        };
        Err(TpmFloorError::HalfMade { state })
    }
}

/// The attributes that change with use, of an index that is otherwise exactly as expected. More
/// rights than we give would let others write it.
fn own_attributes(tpm: &mut Tpm, expected: &NvPublic) -> Result<Option<u32>, TpmFloorError> {
    const CHANGING: u32 = attribute::WRITTEN | attribute::WRITE_LOCKED;
    let Some(found) = tpm.read_public(expected.index)? else { return Ok(None) };
    let changing = found.attributes & CHANGING;
    if found == (NvPublic { attributes: expected.attributes | changing, ..*expected }) {
        return Ok(Some(changing));
    }
    Err(TpmFloorError::ForeignIndex {
        index: expected.index,
        expected: expected.attributes,
        found: found.attributes,
        expected_size: expected.data_size,
        size: found.data_size,
    })
}

fn read_record(
    tpm: &mut Tpm,
    stream_hash: &[u8; 32],
    indices: TpmIndices,
) -> Result<Record, TpmFloorError> {
    let index = indices.record;
    let bytes: [u8; RECORD_SIZE] = tpm.read(index)?;
    Record::from_bytes(&bytes, stream_hash).map_err(|fault| match fault {
        RecordFault::Format(found) => TpmFloorError::Format { index, found },
        RecordFault::OtherStream(found) => TpmFloorError::OtherStream { index, found },
    })
}

/// The floor that the counter leads to; it cannot be below `lowest`.
pub(super) fn floor_of(
    indices: TpmIndices,
    record: &Record,
    counter: u64,
    lowest: u64,
) -> Result<u64, TpmFloorError> {
    let floor = record.floor(counter).filter(|_| counter >= lowest);
    floor.ok_or(TpmFloorError::Counter { index: indices.counter, lowest, found: counter })
}
