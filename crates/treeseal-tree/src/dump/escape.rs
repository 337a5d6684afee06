//! Escapes of the dump text: `\\`, `\n`, `\r`, `\t` and `\xHH`.

use std::borrow::Cow;

/// Undoes the escapes of a field, or `None` when one is unknown or cut short.
pub(super) fn unescape(field: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(first) = memchr::memchr(b'\\', field) else {
        return Some(Cow::Borrowed(field));
    };
    let mut plain = Vec::with_capacity(field.len());
    plain.extend_from_slice(&field[..first]);
    let mut rest = field[first..].iter();
    while let Some(&byte) = rest.next() {
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        plain.push(match rest.next()? {
            b'\\' => b'\\',
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => hex_value(*rest.next()?)? << 4 | hex_value(*rest.next()?)?,
            _ => return None,
        });
    }
    Some(Cow::Owned(plain))
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Which printable bytes are escaped besides the backslash.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Escape {
    /// Space.
    Field,
    /// Space and `=`.
    Xattr,
    /// None: for listings that keep spaces.
    Listed,
}

/// Appends `bytes` in escaped form.
pub(super) fn escape_into(out: &mut Vec<u8>, bytes: &[u8], escape: Escape) {
    for &byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'=' if escape == Escape::Xattr => push_hex(out, byte),
            b' ' if escape == Escape::Listed => out.push(byte),
            0x21..=0x7e => out.push(byte),
            _ => push_hex(out, byte),
        }
    }
}

fn push_hex(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(&[
        b'\\',
        b'x',
        DIGITS[usize::from(byte >> 4)],
        DIGITS[usize::from(byte & 15)],
    ]);
}
