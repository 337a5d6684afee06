//! Lower-case hex. Upper case is refused, so that a value has one spelling only.

use core::fmt::Write as _;

/// A text that should be lower-case hex is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HexError {
    /// The number of digits does not fit the value.
    #[error("expected {expected} hex digits, found {found} bytes")]
    Length {
        /// Number of digits wanted.
        expected: usize,
        /// Number of bytes in the text.
        found: usize,
    },
    /// The number of digits is odd.
    #[error("expected an even number of hex digits, found {found}")]
    Odd {
        /// Number of bytes in the text.
        found: usize,
    },
    /// A character that is no lower-case hex digit.
    #[error("byte {offset} is not a lower-case hex digit")]
    NotHex {
        /// Offset of the offending byte in the text.
        offset: usize,
    },
}

/// The bytes that `text` spells.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, HexError> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return Err(HexError::Odd { found: text.len() });
    };
    let mut bytes = Vec::with_capacity(pairs.len());
    for (index, [high, low]) in pairs.iter().enumerate() {
        let offset = 2 * index;
        let high = digit_value(*high).ok_or(HexError::NotHex { offset })?;
        let low = digit_value(*low).ok_or(HexError::NotHex { offset: offset + 1 })?;
        bytes.push(high << 4 | low);
    }
    Ok(bytes)
}

/// The `N` bytes that `text` spells.
pub(crate) fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    if text.len() != 2 * N {
        return Err(HexError::Length { expected: 2 * N, found: text.len() });
    }
    <[u8; N]>::try_from(decode(text)?)
        .map_err(|_| HexError::Length { expected: 2 * N, found: text.len() })
}

/// `bytes` in lower-case hex.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

const fn digit_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&bytes)).unwrap(), bytes);
    }

    #[test]
    fn upper_case_odd_and_wrong_lengths_are_refused() {
        assert_eq!(decode("aB"), Err(HexError::NotHex { offset: 1 }));
        assert_eq!(decode("abc"), Err(HexError::Odd { found: 3 }));
        assert_eq!(decode_array::<2>("ab"), Err(HexError::Length { expected: 4, found: 2 }));
        assert_eq!(decode_array::<2>("é1b"), Err(HexError::NotHex { offset: 0 }));
    }
}
