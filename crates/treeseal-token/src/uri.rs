use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Which key on which token, and through which module: a `pkcs11:` URI (RFC 7512).
///
/// Attributes that are absent restrict nothing. Values are bytes and are compared as they are. The
/// text is
///
/// ```text
/// pkcs11:token=Release;object=seal;id=%01%02?module-path=/usr/lib/softhsm/libsofthsm2.so
/// ```
///
/// with, before the `?`, any of `token`, `manufacturer`, `model`, `serial`, `slot-id`, `object`,
/// `id` and `type` (which must be `private`). A PIN, or the place of one, is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUri {
    pub(crate) token: Option<Vec<u8>>,
    pub(crate) manufacturer: Option<Vec<u8>>,
    pub(crate) model: Option<Vec<u8>>,
    pub(crate) serial: Option<Vec<u8>>,
    pub(crate) slot: Option<u64>,
    pub(crate) object: Option<Vec<u8>>,
    pub(crate) id: Option<Vec<u8>>,
    module: Option<PathBuf>,
}

/// A text is not a URI of a private key on a token.
///
/// No value of the text is repeated in a message, because it could be a PIN in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenUriError {
    /// The scheme is another one, or there is none.
    #[error(
        "the text does not begin with `pkcs11:`: name a key on a token like \
         `pkcs11:token=TOKEN;object=KEY?module-path=/path/of/module.so`"
    )]
    Scheme,
    /// Something between two separators is not `NAME=VALUE`.
    #[error("attribute {position} of the token URI is not NAME=VALUE")]
    NotAnAttribute {
        /// The attribute's number, from 1, before or after the `?`.
        position: usize,
    },
    /// The attribute is none that is known here.
    #[error("the token URI has the unknown attribute {name:?} {place}: known there are {known}")]
    Unknown {
        /// The attribute's name.
        name: String,
        /// Before or after the `?`.
        place: &'static str,
        /// What may stand there.
        known: &'static str,
    },
    /// An attribute stands there twice.
    #[error("the token URI has the attribute {name:?} more than once: leave one of them")]
    Repeated {
        /// The attribute's name.
        name: String,
    },
    /// The URI has a PIN or says where one is.
    #[error(
        "`{name}` is refused: what stands in a token URI is seen in the list of processes and kept \
         in the shell's history; leave it out, the PIN is asked for"
    )]
    Pin {
        /// `pin-value` or `pin-source`.
        name: &'static str,
    },
    /// A character must not stand in a value as it is.
    #[error("the value of `{name}` has the character {found:?}: write it as {}", encoded(*found))]
    Character {
        /// The attribute's name.
        name: String,
        /// The character.
        found: char,
    },
    /// A percent sign begins no byte.
    #[error("the value of `{name}` has a `%` without two hexadecimal digits: write `%` as %25")]
    Percent {
        /// The attribute's name.
        name: String,
    },
    /// The URI names a certificate, a public key, or whatever else cannot sign.
    #[error("the token URI names an object that is no private key: write `type=private`")]
    Type,
    /// The slot is not a number.
    #[error("`slot-id` is not a decimal number below 2^64")]
    Slot,
}

impl TokenUri {
    /// Whether a text that names a key is meant as a token URI, and not as the name of a file.
    pub fn is_meant_by(text: &str) -> bool {
        after_scheme(text).is_some()
    }

    /// The module that the URI names.
    pub fn module_path(&self) -> Option<&Path> {
        self.module.as_deref()
    }

    fn set_before_query(&mut self, name: &str, text: &str) -> Result<(), TokenUriError> {
        let value = || decode(name, text, PATH_CHARACTERS);
        match name {
            "token" => self.token = Some(value()?),
            "manufacturer" => self.manufacturer = Some(value()?),
            "model" => self.model = Some(value()?),
            "serial" => self.serial = Some(value()?),
            "slot-id" => self.slot = Some(decimal(&value()?).ok_or(TokenUriError::Slot)?),
            "object" => self.object = Some(value()?),
            "id" => self.id = Some(value()?),
            "type" if value()? == b"private" => {}
            "type" => return Err(TokenUriError::Type),
            _ => return Err(unknown(name, "before the `?`", KNOWN_BEFORE_QUERY)),
        }
        Ok(())
    }

    fn set_in_query(&mut self, name: &str, text: &str) -> Result<(), TokenUriError> {
        match name {
            "module-path" => {
                let value = decode(name, text, QUERY_CHARACTERS)?;
                self.module = Some(OsString::from_vec(value).into());
                Ok(())
            }
            _ => Err(unknown(name, "after the `?`", "module-path")),
        }
    }
}

impl FromStr for TokenUri {
    type Err = TokenUriError;

    fn from_str(text: &str) -> Result<Self, TokenUriError> {
        let rest = after_scheme(text).ok_or(TokenUriError::Scheme)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let mut uri = Self::default();
        // RFC 7512 allows a URI without any attribute, but no empty one between two separators.
        if !path.is_empty() {
            for (name, value) in attributes(path, ';')? {
                uri.set_before_query(name, value)?;
            }
        }
        if let Some(query) = query {
            for (name, value) in attributes(query, '&')? {
                uri.set_in_query(name, value)?;
            }
        }
        Ok(uri)
    }
}

impl fmt::Display for TokenUri {
    /// The URI that reads back as the same, whatever text it was read from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot = self.slot.map(|slot| slot.to_string().into_bytes());
        let attributes = [
            ("token", &self.token),
            ("manufacturer", &self.manufacturer),
            ("model", &self.model),
            ("serial", &self.serial),
            ("slot-id", &slot),
            ("object", &self.object),
            ("id", &self.id),
        ];
        f.write_str(SCHEME)?;
        let present = attributes.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        for (position, (name, value)) in present.enumerate() {
            let separator = if position == 0 { "" } else { ";" };
            write!(f, "{separator}{name}=")?;
            // An id is bytes and no text, so all of it is written in the same way.
            encode(f, value, |byte| *name != "id" && is_unreserved(byte))?;
        }
        if let Some(module) = &self.module {
            f.write_str("?module-path=")?;
            let path = module.as_os_str().as_bytes();
            encode(f, path, |byte| is_unreserved(byte) || byte == b'/')?;
        }
        Ok(())
    }
}

const SCHEME: &str = "pkcs11:";

/// What may stand in a value before the `?`, besides unreserved characters (RFC 7512, section 2.3).
const PATH_CHARACTERS: &[u8] = b":[]@!$'()*+,=&";

/// What may stand in a value after the `?`, besides unreserved characters (RFC 7512, section 2.3).
const QUERY_CHARACTERS: &[u8] = b":[]@!$'()*+,=/?|";

const KNOWN_BEFORE_QUERY: &str = "token, manufacturer, model, serial, slot-id, object, id, type";

/// The rest of a text that begins with the scheme, in letters of either case.
fn after_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

/// The names and undecoded values, each name once and none of them a PIN's.
fn attributes(text: &str, separator: char) -> Result<Vec<(&str, &str)>, TokenUriError> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for (part, position) in text.split(separator).zip(1..) {
        let attribute = part.split_once('=').filter(|(name, _)| !name.is_empty());
        let (name, value) = attribute.ok_or(TokenUriError::NotAnAttribute { position })?;
        if let Some(name) = ["pin-value", "pin-source"].into_iter().find(|pin| *pin == name) {
            return Err(TokenUriError::Pin { name });
        }
        if found.iter().any(|(earlier, _)| *earlier == name) {
            return Err(TokenUriError::Repeated { name: name.to_owned() });
        }
        found.push((name, value));
    }
    Ok(found)
}

fn unknown(name: &str, place: &'static str, known: &'static str) -> TokenUriError {
    TokenUriError::Unknown { name: name.to_owned(), place, known }
}

fn decode(name: &str, text: &str, reserved: &[u8]) -> Result<Vec<u8>, TokenUriError> {
    let mut value = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match u8::try_from(character) {
            Ok(b'%') => {
                let byte = hex_byte(characters.next(), characters.next());
                value.push(byte.ok_or_else(|| TokenUriError::Percent { name: name.to_owned() })?);
            }
            Ok(byte) if is_unreserved(byte) || reserved.contains(&byte) => value.push(byte),
            _ => return Err(TokenUriError::Character { name: name.to_owned(), found: character }),
        }
    }
    Ok(value)
}

/// What RFC 3986 lets stand for itself anywhere.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn hex_byte(high: Option<char>, low: Option<char>) -> Option<u8> {
    let high = high?.to_digit(16)?;
    let low = low?.to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

/// A number in digits alone; Rust's own reader would take a sign as well.
fn decimal(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

fn encode(out: &mut impl fmt::Write, bytes: &[u8], is_plain: impl Fn(u8) -> bool) -> fmt::Result {
    for &byte in bytes {
        if is_plain(byte) {
            out.write_char(char::from(byte))?;
        } else {
            write!(out, "%{byte:02X}")?;
        }
    }
    Ok(())
}

/// A character as its bytes in UTF-8, percent-encoded.
fn encoded(character: char) -> String {
    let mut text = String::new();
    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
        // Writing to a String cannot fail.
        let _ = write!(text, "%{byte:02X}");
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<TokenUri, TokenUriError> {
        text.parse()
    }

    fn message(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn all_attributes_are_read() {
        let text = "pkcs11:token=Release%20keys;manufacturer=SoftHSM%20project;model=SoftHSM%20v2;\
                    serial=0a1b;slot-id=18446744073709551615;object=a+b=c;id=%01%fF;type=private\
                    ?module-path=/usr/lib/softhsm/libsofthsm2.so";
        let expected = TokenUri {
            token: Some(b"Release keys".to_vec()),
            manufacturer: Some(b"SoftHSM project".to_vec()),
            model: Some(b"SoftHSM v2".to_vec()),
            serial: Some(b"0a1b".to_vec()),
            slot: Some(u64::MAX),
            object: Some(b"a+b=c".to_vec()),
            id: Some(vec![1, 255]),
            module: Some(PathBuf::from("/usr/lib/softhsm/libsofthsm2.so")),
        };
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn the_order_of_attributes_does_not_matter() {
        let one = parse("pkcs11:id=%01;token=A;object=k").unwrap();
        assert_eq!(parse("PKCS11:token=A;object=%6b;id=%01"), Ok(one));
    }

    #[test]
    fn a_uri_may_restrict_nothing() {
        assert_eq!(parse("pkcs11:"), Ok(TokenUri::default()));
        let module = parse("pkcs11:?module-path=/m.so").unwrap();
        assert_eq!(module.module_path(), Some(Path::new("/m.so")));
    }

    #[test]
    fn a_value_may_be_empty_and_then_matches_nothing_else() {
        assert_eq!(parse("pkcs11:object=").unwrap().object, Some(Vec::new()));
    }

    #[test]
    fn percent_encoding_gives_bytes_that_need_not_be_text() {
        assert_eq!(parse("pkcs11:object=%ff%00").unwrap().object, Some(vec![255, 0]));
        let uri = parse("pkcs11:?module-path=/%ff%3b.so").unwrap();
        assert_eq!(uri.module_path().unwrap().as_os_str().as_bytes(), b"/\xff;.so");
    }

    #[test]
    fn the_text_written_is_the_canonical_one() {
        let uri =
            parse("pkcs11:id=%41b;object=a%2Fb;token=%41:;type=private?module-path=/a%20b?.so");
        let text = "pkcs11:token=A%3A;object=a%2Fb;id=%41%62?module-path=/a%20b%3F.so";
        assert_eq!(uri.unwrap().to_string(), text);
        assert_eq!(TokenUri::default().to_string(), "pkcs11:");
    }

    #[test]
    fn a_pin_is_refused_wherever_it_stands_and_is_not_repeated() {
        for text in [
            "pkcs11:token=A?pin-value=987654",
            "pkcs11:token=A?module-path=/m.so&pin-value=987654",
            "pkcs11:token=A;pin-value=987654",
            "pkcs11:pin-value=%zz987654",
        ] {
            let pin = TokenUriError::Pin { name: "pin-value" };
            assert_eq!(parse(text), Err(pin), "{text}");
            assert!(!message(text).contains("987654"));
        }
        assert_eq!(
            message("pkcs11:token=A?pin-source=/etc/pin"),
            "`pin-source` is refused: what stands in a token URI is seen in the list of processes \
             and kept in the shell's history; leave it out, the PIN is asked for"
        );
    }

    #[test]
    fn another_scheme_is_refused() {
        for text in ["", "pkcs11", "pkcs12:token=A", "/etc/key.pem", "pkcs1\u{e9}:"] {
            assert_eq!(parse(text), Err(TokenUriError::Scheme), "{text}");
            assert!(!TokenUri::is_meant_by(text));
        }
        assert!(TokenUri::is_meant_by("Pkcs11:nonsense"));
    }

    #[test]
    fn what_is_no_attribute_is_refused_with_its_number() {
        for (text, position) in [
            ("pkcs11:token", 1),
            ("pkcs11:=A", 1),
            ("pkcs11:token=A;", 2),
            ("pkcs11:token=A;;id=%01", 2),
            ("pkcs11:token=A?", 1),
            ("pkcs11:?module-path=/m.so&", 2),
        ] {
            assert_eq!(parse(text), Err(TokenUriError::NotAnAttribute { position }), "{text}");
        }
        assert_eq!(
            message("pkcs11:token=A;987654"),
            "attribute 2 of the token URI is not NAME=VALUE"
        );
    }

    #[test]
    fn unknown_attributes_are_refused_with_those_that_are_known() {
        assert_eq!(
            message("pkcs11:lable=A"),
            "the token URI has the unknown attribute \"lable\" before the `?`: known there are \
             token, manufacturer, model, serial, slot-id, object, id, type"
        );
        assert_eq!(
            message("pkcs11:?module-name=softhsm"),
            "the token URI has the unknown attribute \"module-name\" after the `?`: known there \
             are module-path"
        );
        for text in ["pkcs11:module-path=/m.so", "pkcs11:?token=A", "pkcs11:Token=A"] {
            assert!(matches!(parse(text), Err(TokenUriError::Unknown { .. })), "{text}");
        }
    }

    #[test]
    fn repeated_attributes_are_refused_even_when_they_agree() {
        for (text, name) in [
            ("pkcs11:token=A;token=A", "token"),
            ("pkcs11:type=private;id=%01;type=private", "type"),
            ("pkcs11:?module-path=/a&module-path=/a", "module-path"),
        ] {
            let repeated = TokenUriError::Repeated { name: name.to_owned() };
            assert_eq!(parse(text), Err(repeated), "{text}");
        }
    }

    #[test]
    fn characters_that_must_be_encoded_are_refused_with_their_encoding() {
        assert_eq!(
            message("pkcs11:token=My token"),
            "the value of `token` has the character ' ': write it as %20"
        );
        assert_eq!(
            message("pkcs11:object=\u{e9}"),
            "the value of `object` has the character 'é': write it as %C3%A9"
        );
        for text in
            ["pkcs11:token=a/b", "pkcs11:token=a#b", "pkcs11:?module-path=/m;n", "pkcs11:id=\n"]
        {
            assert!(matches!(parse(text), Err(TokenUriError::Character { .. })), "{text}");
        }
    }

    #[test]
    fn a_percent_sign_alone_is_refused() {
        for text in ["%", "%4", "%4g", "a%", "%%41", "%+1", "%\u{e9}1"] {
            let percent = TokenUriError::Percent { name: "id".to_owned() };
            assert_eq!(parse(&format!("pkcs11:id={text}")), Err(percent), "{text}");
        }
    }

    #[test]
    fn only_private_keys_are_named() {
        for text in ["cert", "public", "secret-key", "data", "", "Private"] {
            assert_eq!(parse(&format!("pkcs11:type={text}")), Err(TokenUriError::Type), "{text}");
        }
        assert!(parse("pkcs11:type=priv%61te").is_ok());
    }

    #[test]
    fn a_slot_is_a_decimal_number() {
        for text in ["", "+1", "-1", "0x1", "18446744073709551616", "%ff"] {
            assert_eq!(
                parse(&format!("pkcs11:slot-id={text}")),
                Err(TokenUriError::Slot),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            token: Option<Vec<u8>>,
            serial: Option<Vec<u8>>,
            slot: Option<u64>,
            object: Option<Vec<u8>>,
            id: Option<Vec<u8>>,
            module: Option<Vec<u8>>,
        ) {
            let module = module.map(|bytes| PathBuf::from(OsString::from_vec(bytes)));
            let uri = TokenUri { token, serial, slot, object, id, module, ..TokenUri::default() };
            prop_assert_eq!(parse(&uri.to_string()), Ok(uri));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "pkcs11:[ -~é;=?&%]{0,40}") {
            if let Ok(uri) = parse(&text) {
                prop_assert_eq!(parse(&uri.to_string()), Ok(uri));
            }
        }
    }
}
