use core::fmt;

use super::MAX_STEP;
use crate::tpm::error::TpmError;
use crate::tpm::record::TPM_MAX_SEQUENCE;

/// A floor could not be read, enrolled, raised or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TpmFloorError {
    /// The TPM could not be asked, or refused.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// No stream can have this sequence.
    #[error("sequence {found} is above {TPM_MAX_SEQUENCE}, the highest that a stream can have")]
    Sequence {
        /// The sequence given.
        found: u64,
    },
    /// An enrolment or removal was interrupted.
    #[error("this stream is enrolled in the TPM by half: {state}; enrol it again, or remove it")]
    HalfMade {
        /// How far it got.
        state: TpmHalfMade,
    },
    /// Something else made this index.
    #[error(
        "index {index:#010x} of the TPM belongs to something else: its attributes are {found:#010x} \
         and its size is {size}, expected {expected:#010x} and {expected_size}; \
         remove it if nothing needs it"
    )]
    ForeignIndex {
        /// The index.
        index: u32,
        /// The attributes that it would have.
        expected: u32,
        /// The attributes that it has.
        found: u32,
        /// The size that it would have, in bytes.
        expected_size: u16,
        /// The size that it has, in bytes.
        size: u16,
    },
    /// Another stream has the same indices.
    #[error(
        "index {index:#010x} of the TPM holds the floor of another stream, whose name has the \
         SHA-256 {}; only one of the two can have its floor there",
        hex(found)
    )]
    OtherStream {
        /// The index of the record.
        index: u32,
        /// SHA-256 of the other stream's name.
        found: [u8; 32],
    },
    /// The record was written by something newer.
    #[error("the record in index {index:#010x} of the TPM has format {found}, expected 1")]
    Format {
        /// The index of the record.
        index: u32,
        /// The format found.
        found: u8,
    },
    /// An enrolment would put the floor down.
    #[error(
        "the stream is enrolled with floor {floor}, and enrolling it at {sequence} would lower it; \
         if that is meant, remove it first"
    )]
    WouldLower {
        /// The floor that the stream has.
        floor: u64,
        /// The sequence at which it was to be enrolled.
        sequence: u64,
    },
    /// More steps than are taken at once.
    #[error(
        "raising the floor from {floor} to {sequence} takes more than {MAX_STEP} writes to the \
         TPM; enrol the stream again at {sequence}"
    )]
    TooFar {
        /// The floor that the stream has.
        floor: u64,
        /// The sequence to which it was to be raised.
        sequence: u64,
    },
    /// The counter has a value that it cannot have.
    #[error(
        "the counter in index {index:#010x} of the TPM is {found}, expected {lowest} or more and a \
         floor up to {TPM_MAX_SEQUENCE}: this is not the counter of this enrolment"
    )]
    Counter {
        /// The index of the counter.
        index: u32,
        /// The lowest value it can have.
        lowest: u64,
        /// Its value.
        found: u64,
    },
}

/// How far an enrolment or removal got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TpmHalfMade {
    /// There is a counter that was never raised, or one without a record.
    NoRecord,
    /// There is room for a record, and nothing in it.
    RecordUnwritten,
    /// The record is written, and not locked.
    RecordUnlocked,
    /// There is a record, and no counter with a value.
    NoCounter,
}

impl fmt::Display for TpmHalfMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRecord => "it has no record",
            Self::RecordUnwritten => "its record is not written",
            Self::RecordUnlocked => "its record is not locked",
            Self::NoCounter => "it has no counter",
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
