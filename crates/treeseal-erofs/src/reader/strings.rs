use super::bytes::{Fields, length};

/// Byte strings one behind another, each after its length. They are found by where they begin, and
/// cost two bytes more than they have.
#[derive(Default)]
pub(super) struct Strings {
    bytes: Vec<u8>,
}

impl Strings {
    /// Adds a name or a path, none of which has more than 4096 bytes, and gives its place.
    pub(super) fn push(&mut self, string: &[u8]) -> usize {
        let place = self.bytes.len();
        let length = u16::try_from(string.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend(string.iter().take(length.into()));
        place
    }

    /// The string at a place.
    pub(super) fn get(&self, place: usize) -> &[u8] {
        let mut fields = Fields(self.bytes.get(place..).unwrap_or_default());
        let length = fields.u16().unwrap_or_default();
        fields.0.get(..length.into()).unwrap_or_default()
    }

    /// Bytes that are taken up.
    pub(super) fn len(&self) -> u64 {
        length(&self.bytes)
    }
}
