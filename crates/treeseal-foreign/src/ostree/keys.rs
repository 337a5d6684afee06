use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use treeseal_trust::{KeyError, PublicKey};

/// The keys that somebody trusts, and those that are not to be trusted again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Any one of them is enough, unless it is revoked.
    pub trusted: Vec<PublicKey>,
    /// What they sign counts for nothing, however they came to be trusted.
    pub revoked: Vec<PublicKey>,
}

/// A file of public keys that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// A line is no key.
    #[error("line {line} is no Ed25519 public key: expected 32 bytes as base64")]
    Line {
        /// The line, from 1.
        line: usize,
    },
    /// A key is not to be used.
    #[error("line {line}: {source}")]
    Key {
        /// The line, from 1, where the key begins.
        line: usize,
        /// Why.
        source: KeyError,
    },
    /// The file is no text.
    #[error("the file is no text")]
    NoText,
    /// There is no key in the file.
    #[error("there is no key in the file")]
    Empty,
}

const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";

/// Reads a file of public keys: one a line, 32 bytes as base64, as OSTree has those of Ed25519; or as
/// PEM, as it has others.
pub fn parse_keys(bytes: &[u8]) -> Result<Vec<PublicKey>, KeyFileError> {
    let text = str::from_utf8(bytes).map_err(|_| KeyFileError::NoText)?;
    let mut keys = Vec::new();
    let mut lines = text.lines().map(str::trim).zip(1..).filter(|(text, _)| !text.is_empty());
    while let Some((text, line)) = lines.next() {
        let key = if text == PEM_BEGIN {
            let rest = lines.by_ref().map(|(text, _)| text);
            pem_key(rest).map_err(|source| KeyFileError::Key { line, source })?
        } else {
            line_key(text, line)?
        };
        keys.push(key);
    }
    if keys.is_empty() { Err(KeyFileError::Empty) } else { Ok(keys) }
}

fn line_key(text: &str, line: usize) -> Result<PublicKey, KeyFileError> {
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    let bytes: [u8; 32] = bytes.ok_or(KeyFileError::Line { line })?;
    PublicKey::ed25519(&bytes).map_err(|source| KeyFileError::Key { line, source })
}

/// A key whose first line was read.
fn pem_key<'a>(lines: impl Iterator<Item = &'a str>) -> Result<PublicKey, KeyError> {
    let mut pem = format!("{PEM_BEGIN}\n");
    for line in lines {
        pem.push_str(line);
        pem.push('\n');
        if line == PEM_END {
            break;
        }
    }
    PublicKey::from_pem(&pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "O2P4AF07OgzG8ccrfNPwyQ8X2nCnqzNuTK/WQl5Ym1w=";

    #[test]
    fn keys_are_read_from_lines_and_from_pem() {
        let [key] = parse_keys(KEY.as_bytes()).unwrap().try_into().unwrap();
        let text = format!("\n{KEY}\n\n{}{KEY}\n", key.to_pem());
        assert_eq!(parse_keys(text.as_bytes()), Ok(vec![key.clone(), key.clone(), key]));
    }

    #[test]
    fn what_is_no_key_is_refused_by_its_line() {
        let refused = |text: &str| parse_keys(text.as_bytes()).unwrap_err().to_string();
        let no_key = "line 2 is no Ed25519 public key: expected 32 bytes as base64";
        assert_eq!(refused(&format!("{KEY}\nAAAA\n")), no_key);
        assert_eq!(refused(&format!("{KEY}\n# comment\n")), no_key);
        assert_eq!(refused(" \n"), "there is no key in the file");
        let zero = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        assert!(refused(zero).starts_with("line 1: "), "{}", refused(zero));
        assert!(refused(PEM_BEGIN).starts_with("line 1: "), "{}", refused(PEM_BEGIN));
        assert_eq!(parse_keys(b"\xff").unwrap_err(), KeyFileError::NoText);
    }
}
