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

/// Which printable bytes are escaped besides the backslash. The numbers are indices of [`PLAIN`].
#[derive(Clone, Copy)]
pub(super) enum Escape {
    /// Space.
    Field = 0,
    /// Space and `=`.
    Xattr = 1,
    /// None: for listings that keep spaces.
    Listed = 2,
}

/// Appends `bytes` in escaped form. Most bytes are plain, and runs of them are copied at once.
pub(super) fn escape_into(out: &mut Vec<u8>, bytes: &[u8], escape: Escape) {
    let plain = &PLAIN[escape as usize];
    let mut rest = bytes;
    while let Some(length) = rest.iter().position(|byte| !plain[usize::from(*byte)]) {
        let (run, behind) = rest.split_at(length);
        out.extend_from_slice(run);
        let Some((&special, behind)) = behind.split_first() else { break };
        match special {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => push_hex(out, byte),
        }
        rest = behind;
    }
    out.extend_from_slice(rest);
}

/// The bytes that stand for themselves, for each [`Escape`].
const PLAIN: [[bool; 256]; 3] =
    [plain_bytes(Escape::Field), plain_bytes(Escape::Xattr), plain_bytes(Escape::Listed)];

const fn plain_bytes(escape: Escape) -> [bool; 256] {
    let mut plain = [false; 256];
    let mut byte = 0x21;
    while byte <= 0x7e {
        plain[byte] = byte != b'\\' as usize;
        byte += 1;
    }
    match escape {
        Escape::Field => {}
        Escape::Xattr => plain[b'=' as usize] = false,
        Escape::Listed => plain[b' ' as usize] = true,
    }
    plain
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
