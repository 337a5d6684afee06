//! PEM of public keys, in the one spelling that openssl and the TUF libraries write: lines of 64
//! characters, ended by `\n`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----\n";
const END: &str = "-----END PUBLIC KEY-----";
const LINE: usize = 64;

/// The text of a public key's DER, with a line feed at the end.
pub(crate) fn encode(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut rest = body.as_str();
    let mut text = String::from(BEGIN);
    while let Some((line, after)) =
        rest.split_at_checked(LINE).filter(|(_, after)| !after.is_empty())
    {
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(rest);
    text.push('\n');
    text.push_str(END);
    text.push('\n');
    text
}

/// The DER in `text`, whose last line feed may be missing; none if anything else is different from
/// what [`encode`] writes.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let body = text.strip_prefix(BEGIN)?.strip_suffix(END)?;
    let der = STANDARD.decode(body.replace('\n', "")).ok()?;
    (encode(&der).strip_suffix('\n') == Some(text)).then_some(der)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_and_its_missing_last_line_feed_are_read() {
        let text = encode(&[7; 91]);
        assert_eq!(decode(&text), Some(vec![7; 91]));
        assert_eq!(decode(text.trim_end()), Some(vec![7; 91]));
        for wrong in [
            format!("{text}\n"),
            format!(" {text}"),
            text.replace('\n', "\r\n"),
            text.replacen("Bwc", "Bwc\n", 1),
            text.replace("PUBLIC", "PRIVATE"),
            String::new(),
        ] {
            assert_eq!(decode(&wrong), None, "{wrong}");
        }
    }
}
