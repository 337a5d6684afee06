use super::response::NvPublic;
use super::wire::attribute;

/// The highest sequence that a stream can have, 2^53 - 1, because not every JSON reader keeps more.
pub const TPM_MAX_SEQUENCE: u64 = (1 << 53) - 1;

/// The first index of those that the TCG's *Registry of Reserved TPM 2.0 Handles and Localities*
/// leaves to the owner; the last is 0x01bfffff.
const FIRST_INDEX: u32 = 0x0180_0000;

/// Pairs of indices in the owner's range.
const PAIRS_LOG2: u32 = 21;

/// The indices that belong to one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TpmIndices {
    /// The counter; its number is even.
    pub counter: u32,
    /// The record of the enrolment, which is the index after it.
    pub record: u32,
}

impl TpmIndices {
    /// The first 21 bits of the hash number the pair: the owner's 2^22 indices are 2^21 pairs.
    ///
    /// Two streams of one machine meet by chance once in two million times, and whoever may name
    /// streams can make them meet. The record has the whole hash, so that they are told apart.
    pub fn of_stream(stream_hash: &[u8; 32]) -> Self {
        let [first, second, third, fourth, ..] = *stream_hash;
        let pair = u32::from_be_bytes([first, second, third, fourth]) >> (32 - PAIRS_LOG2);
        let counter = FIRST_INDEX + 2 * pair;
        Self { counter, record: counter + 1 }
    }

    /// Anyone who reaches the TPM may raise and read it.
    pub(super) fn counter_public(self) -> NvPublic {
        let rights = attribute::AUTH_WRITE | attribute::AUTH_READ | attribute::NO_LOCKOUT;
        // A counter has 8 bytes (Part 3, 31.3).
        NvPublic::new(self.counter, attribute::COUNTER | rights, 8)
    }

    /// The owner writes and locks it, and anyone who reaches the TPM may read it.
    pub(super) fn record_public(self) -> NvPublic {
        let rights = attribute::OWNER_WRITE | attribute::AUTH_READ | attribute::NO_LOCKOUT;
        NvPublic::new(self.record, attribute::WRITE_DEFINE | rights, RECORD_SIZE_FIELD)
    }
}

const FORMAT: u8 = 1;

/// Format, stream, and two numbers.
pub(super) const RECORD_SIZE: usize = 1 + 32 + 8 + 8;
const RECORD_SIZE_FIELD: u16 = 49;
const _: () = assert!(RECORD_SIZE == 49);

/// What is written once, at enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) stream_hash: [u8; 32],
    /// The floor at enrolment.
    pub(super) sequence: u64,
    /// The counter's value at enrolment.
    pub(super) counter: u64,
}

/// Why a record is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordFault {
    /// It has a format that is not known here.
    Format(u8),
    /// It belongs to the stream whose name has this hash.
    OtherStream([u8; 32]),
}

impl Record {
    pub(super) fn to_bytes(self) -> [u8; RECORD_SIZE] {
        let mut bytes = [0; RECORD_SIZE];
        bytes[0] = FORMAT;
        bytes[1..33].copy_from_slice(&self.stream_hash);
        bytes[33..41].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[41..].copy_from_slice(&self.counter.to_be_bytes());
        bytes
    }

    /// The record, if it is one of this stream.
    pub(super) fn from_bytes(
        bytes: &[u8; RECORD_SIZE],
        stream_hash: &[u8; 32],
    ) -> Result<Self, RecordFault> {
        let (format, rest) = (bytes[0], &bytes[1..]);
        if format != FORMAT {
            return Err(RecordFault::Format(format));
        }
        let (mut found, mut sequence, mut counter) = ([0; 32], [0; 8], [0; 8]);
        found.copy_from_slice(&rest[..32]);
        sequence.copy_from_slice(&rest[32..40]);
        counter.copy_from_slice(&rest[40..]);
        if found != *stream_hash {
            return Err(RecordFault::OtherStream(found));
        }
        let (sequence, counter) = (u64::from_be_bytes(sequence), u64::from_be_bytes(counter));
        Ok(Self { stream_hash: found, sequence, counter })
    }

    /// The floor when the counter has this value; `None` if it cannot have it.
    pub(super) fn floor(&self, counter: u64) -> Option<u64> {
        let risen = counter.checked_sub(self.counter)?;
        let floor = self.sequence.checked_add(risen)?;
        (floor <= TPM_MAX_SEQUENCE).then_some(floor)
    }
}

#[cfg(test)]
mod tests {
    use treeseal_testkit::{Vector, load_vectors};

    use super::*;

    /// Scenarios in `vectors/tpm`. Change this with them.
    const SCENARIOS: usize = 12;

    fn bytes<const N: usize>(vector: &Vector, field: &str) -> [u8; N] {
        let hex = vector.text(field);
        assert_eq!(hex.len(), 2 * N, "{}: {field}", vector.name);
        std::array::from_fn(|index| u8::from_str_radix(&hex[2 * index..][..2], 16).unwrap())
    }

    /// The class of refusal, or the floor.
    fn read(vector: &Vector) -> Result<u64, &'static str> {
        let record = Record::from_bytes(&bytes(vector, "record"), &bytes(vector, "streamHash"));
        let record = record.map_err(|fault| match fault {
            RecordFault::Format(_) => "format",
            RecordFault::OtherStream(_) => "other-stream",
        })?;
        assert_eq!(record.to_bytes(), bytes(vector, "record"), "{}", vector.name);
        record.floor(u64::from_be_bytes(bytes(vector, "counter"))).ok_or("counter")
    }

    #[test]
    fn every_vector_has_its_indices_and_its_outcome() {
        for vector in load_vectors("tpm", SCENARIOS) {
            let indices = TpmIndices::of_stream(&bytes(&vector, "streamHash"));
            assert_eq!(u64::from(indices.counter), vector.number("counterIndex"));
            assert_eq!(u64::from(indices.record), vector.number("recordIndex"));
            match read(&vector) {
                Ok(floor) => {
                    assert_eq!(vector.text("expect"), "floor", "{}", vector.name);
                    assert_eq!(floor, vector.number("floor"), "{}", vector.name);
                }
                Err(class) => assert_eq!(vector.text("expect"), class, "{}", vector.name),
            }
        }
    }

    #[test]
    fn every_stream_has_a_pair_in_the_range_of_the_owner() {
        let lowest = TpmIndices::of_stream(&[0; 32]);
        let highest = TpmIndices::of_stream(&[0xff; 32]);
        assert_eq!((lowest.counter, lowest.record), (0x0180_0000, 0x0180_0001));
        assert_eq!((highest.counter, highest.record), (0x01bf_fffe, 0x01bf_ffff));
    }
}
