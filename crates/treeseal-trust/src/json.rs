//! Strict JSON: one reading of the bytes, or none.
//!
//! Two programs that read the same signed bytes must see the same values, so everything on which
//! JSON readers are known to differ is refused: a key that comes twice, numbers that are no
//! integers of 64 bits (fractions, exponents, `-0`), lone surrogates, a byte order mark, bytes
//! after the value. Size and nesting are bounded before they cost anything: the tree built is
//! linear in the text, and the recursion ends at [`MAX_DEPTH`].
//!
//! The reader is written by hand rather than on top of a general one: it is small, it can say at
//! which byte and why it refused, and the boot path needs no other JSON code. Its tests hold it
//! against `serde_json`.

use core::fmt::Write as _;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Arrays and objects may be nested this deep. The formats here need 6.
pub const MAX_DEPTH: usize = 16;

/// The largest integer that every JSON reader keeps exactly: 2^53 - 1.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// A JSON value without fractions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer from -2^63 to 2^64 - 1.
    Integer(i128),
    /// A string; every Rust string is possible.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object, ordered by key: bytes of UTF-8, which is the order of code points.
    Object(BTreeMap<String, Json>),
}

/// The bytes are not the strict JSON that is read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// More bytes than the format allows.
    #[error("the text has {found} bytes; at most {limit} are allowed")]
    TooLarge {
        /// Number of bytes allowed.
        limit: usize,
        /// Number of bytes given.
        found: usize,
    },
    /// The bytes are not UTF-8.
    #[error("byte {offset} is not UTF-8")]
    NotUtf8 {
        /// Offset of the first byte that is not.
        offset: usize,
    },
    /// The text is not JSON.
    #[error("expected {expected} at byte {offset}")]
    Syntax {
        /// Where.
        offset: usize,
        /// What could have stood there.
        expected: &'static str,
    },
    /// Something follows the value.
    #[error("the value ends at byte {offset}, but more follows")]
    TrailingBytes {
        /// Offset of the first byte after the value and white space.
        offset: usize,
    },
    /// An object has the same key twice.
    #[error("the key `{key}` ending at byte {offset} comes twice in one object")]
    DuplicateKey {
        /// Where its second coming ends.
        offset: usize,
        /// The key.
        key: String,
    },
    /// Arrays and objects are nested too deep.
    #[error("more than {MAX_DEPTH} arrays and objects are nested at byte {offset}")]
    TooDeep {
        /// Offset of the bracket too many.
        offset: usize,
    },
    /// A number with a fraction or an exponent, or `-0`.
    #[error("the number at byte {offset} is not a plain integer")]
    NotInteger {
        /// Where the number starts.
        offset: usize,
    },
    /// An integer that 64 bits cannot hold.
    #[error("the integer at byte {offset} does not fit into 64 bits")]
    IntegerRange {
        /// Where the number starts.
        offset: usize,
    },
}

impl JsonError {
    /// A stable name of the class of refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "json_too_large",
            Self::NotUtf8 { .. } => "json_not_utf8",
            Self::Syntax { .. } => "json_syntax",
            Self::TrailingBytes { .. } => "json_trailing_bytes",
            Self::DuplicateKey { .. } => "json_duplicate_key",
            Self::TooDeep { .. } => "json_too_deep",
            Self::NotInteger { .. } => "json_not_integer",
            Self::IntegerRange { .. } => "json_integer_range",
        }
    }
}

/// Reads `bytes`, at most `limit` of them, as one JSON value.
pub fn parse(bytes: &[u8], limit: usize) -> Result<Json, JsonError> {
    if bytes.len() > limit {
        return Err(JsonError::TooLarge { limit, found: bytes.len() });
    }
    let text = core::str::from_utf8(bytes)
        .map_err(|error| JsonError::NotUtf8 { offset: error.valid_up_to() })?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    match reader.peek_token() {
        None => Ok(value),
        Some(_) => Err(JsonError::TrailingBytes { offset: reader.at }),
    }
}

impl Json {
    /// The value as compact JSON: keys sorted, no white space, only what must be escaped escaped.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, write_escaped);
        text
    }

    /// Writes the value; `write_string` decides how a string looks.
    pub(crate) fn write(&self, out: &mut String, write_string: fn(&mut String, &str)) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Integer(number) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "{number}");
            }
            Self::String(text) => write_string(out, text),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out, write_string);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (index, (key, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(out, key);
                    out.push(':');
                    value.write(out, write_string);
                }
                out.push('}');
            }
        }
    }

    /// What the value is, for messages.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// An object with these fields.
    pub fn object<const N: usize>(fields: [(&str, Json); N]) -> Self {
        Self::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Integer(number.into())
    }
}

fn write_escaped(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            _ => out.push(char),
        }
    }
    out.push('"');
}

/// A cursor over the text; `at` is always at a character boundary.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// Reads a value inside `depth` arrays and objects.
    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        match self.peek_token() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'n') => self.literal("null", Json::Null),
            Some(b't') => self.literal("true", Json::Bool(true)),
            Some(b'f') => self.literal("false", Json::Bool(false)),
            _ => Err(self.expected("a value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        let depth = self.open(depth)?;
        let mut fields = BTreeMap::new();
        if self.take_token(b'}') {
            return Ok(Json::Object(fields));
        }
        loop {
            if self.peek_token() != Some(b'"') {
                return Err(self.expected("a key in quotes"));
            }
            let place = match fields.entry(self.string()?) {
                Entry::Vacant(place) => place,
                Entry::Occupied(first) => {
                    let key = first.key().clone();
                    return Err(JsonError::DuplicateKey { offset: self.at, key });
                }
            };
            if !self.take_token(b':') {
                return Err(self.expected("`:`"));
            }
            place.insert(self.value(depth)?);
            if self.take_token(b'}') {
                return Ok(Json::Object(fields));
            }
            if !self.take_token(b',') {
                return Err(self.expected("`,` or `}`"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        let depth = self.open(depth)?;
        let mut items = Vec::new();
        if self.take_token(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            if self.take_token(b']') {
                return Ok(Json::Array(items));
            }
            if !self.take_token(b',') {
                return Err(self.expected("`,` or `]`"));
            }
        }
    }

    /// Steps over an opening bracket and returns the depth inside it.
    fn open(&mut self, depth: usize) -> Result<usize, JsonError> {
        if depth >= MAX_DEPTH {
            return Err(JsonError::TooDeep { offset: self.at });
        }
        self.at += 1;
        Ok(depth + 1)
    }

    /// Reads a string; the cursor is at its opening quote.
    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut value = String::new();
        loop {
            let plain = self.rest().bytes().take_while(|byte| !ends_plain_run(*byte)).count();
            // Runs end before ASCII bytes only, so the range lies on character boundaries.
            value.push_str(self.rest().get(..plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(value);
                }
                Some(b'\\') => value.push(self.escape()?),
                Some(_) => return Err(self.expected("an escape: strings hold no control bytes")),
                None => return Err(self.expected("`\"`")),
            }
        }
    }

    /// Reads one escape; the cursor is at its backslash.
    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        self.at += 1;
        let letter = self.peek().ok_or_else(|| self.expected("an escape"))?;
        let plain = match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(start),
            _ => return Err(JsonError::Syntax { offset: start, expected: "a known escape" }),
        };
        self.at += 1;
        Ok(plain)
    }

    /// Reads `uXXXX`, or `uXXXX\uXXXX` when the first is a high surrogate.
    fn unicode_escape(&mut self, start: usize) -> Result<char, JsonError> {
        let lone = JsonError::Syntax { offset: start, expected: "a pair of surrogates" };
        let first = self.code_unit()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or(lone);
        }
        if self.peek() != Some(b'\\') {
            return Err(lone);
        }
        self.at += 1;
        if self.peek() != Some(b'u') {
            return Err(lone);
        }
        let second = self.code_unit()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(lone);
        }
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(lone)
    }

    /// Reads four hex digits after a `u`.
    fn code_unit(&mut self) -> Result<u32, JsonError> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit << 4 | digit.ok_or_else(|| self.expected("a hex digit"))?;
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(self.expected("a digit"));
        }
        if digits > 1 && self.peek() == Some(b'0') {
            return Err(self.expected("a number without leading zeros"));
        }
        self.at += digits;
        let text = self.text.get(start..self.at).unwrap_or_default();
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) || text == "-0" {
            return Err(JsonError::NotInteger { offset: start });
        }
        match text.parse::<i128>() {
            Ok(number) if (i64::MIN.into()..=u64::MAX.into()).contains(&number) => {
                Ok(Json::Integer(number))
            }
            _ => Err(JsonError::IntegerRange { offset: start }),
        }
    }

    fn literal(&mut self, word: &'static str, value: Json) -> Result<Json, JsonError> {
        if !self.rest().starts_with(word) {
            return Err(self.expected("`null`, `true` or `false`"));
        }
        self.at += word.len();
        Ok(value)
    }

    /// The next byte after white space, which is stepped over.
    fn peek_token(&mut self) -> Option<u8> {
        self.at += self.rest().bytes().take_while(|byte| is_space(*byte)).count();
        self.peek()
    }

    /// Steps over white space and, if it comes next, over `token`.
    fn take_token(&mut self, token: u8) -> bool {
        let found = self.peek_token() == Some(token);
        if found {
            self.at += 1;
        }
        found
    }

    fn peek(&self) -> Option<u8> {
        self.rest().bytes().next()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    const fn expected(&self, expected: &'static str) -> JsonError {
        JsonError::Syntax { offset: self.at, expected }
    }
}

const fn ends_plain_run(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..=0x1f)
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Json, JsonError> {
        parse(text.as_bytes(), 1 << 16)
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let value = read(
            " {\"a\" : [null,true,false,-9223372036854775808,18446744073709551615],\r\n\t\"b\":{}, \"\":[] } ",
        );
        assert_eq!(
            value.unwrap().to_text(),
            "{\"\":[],\"a\":[null,true,false,-9223372036854775808,18446744073709551615],\"b\":{}}"
        );
    }

    #[test]
    fn escapes_are_read_and_only_the_needed_ones_written() {
        let value =
            read("\"\\u00e9\\ud83d\\ude00\\/\\b\\f\\n\\r\\t\\\"\\\\\\u0000é\u{7f}\"").unwrap();
        assert_eq!(value, Json::from("é😀/\u{8}\u{c}\n\r\t\"\\\0é\u{7f}"));
        assert_eq!(value.to_text(), "\"é😀/\\u0008\\u000c\\n\\r\\t\\\"\\\\\\u0000é\u{7f}\"");
    }

    #[test]
    fn numbers_other_than_plain_integers_are_refused() {
        for text in ["1.0", "1e3", "1E3", "-0", "-0.0", "0.5", "0e0"] {
            assert_eq!(read(text), Err(JsonError::NotInteger { offset: 0 }), "{text}");
        }
        for text in ["18446744073709551616", "-9223372036854775809", &"9".repeat(500)] {
            assert_eq!(read(text), Err(JsonError::IntegerRange { offset: 0 }), "{text}");
        }
        for text in ["01", "-", "-01", "+1", ".5", "1_0", "0x1", "NaN", "Infinity"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_that_comes_twice_is_refused_at_any_depth_and_in_any_spelling() {
        let error = read("[{\"ab\":1,\"\\u0061b\":1}]").unwrap_err();
        assert_eq!(error, JsonError::DuplicateKey { offset: 18, key: "ab".to_owned() });
        assert_eq!(error.to_string(), "the key `ab` ending at byte 18 comes twice in one object");
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(read(&nested(MAX_DEPTH + 1)), Err(JsonError::TooDeep { offset: MAX_DEPTH }));
        assert!(matches!(read(&"{\"a\":".repeat(9999)), Err(JsonError::TooDeep { .. })));
    }

    #[test]
    fn size_encoding_and_trailing_bytes_are_checked() {
        assert_eq!(parse(b"[] ", 2), Err(JsonError::TooLarge { limit: 2, found: 3 }));
        assert_eq!(parse(b"\"\xff\"", 9), Err(JsonError::NotUtf8 { offset: 1 }));
        assert_eq!(read("{} x"), Err(JsonError::TrailingBytes { offset: 3 }));
        assert_eq!(read("{}\0"), Err(JsonError::TrailingBytes { offset: 2 }));
        assert_eq!(read("\u{feff}{}").unwrap_err().code(), "json_syntax");
        assert_eq!(read("").unwrap_err().to_string(), "expected a value at byte 0");
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in [
            "{",
            "[",
            "\"",
            "\"\\",
            "\"\\u12",
            "\"\\x\"",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" 1}",
            "[1 2]",
            "nul",
            "tru",
            "'a'",
            "\"\n\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\n\"",
            "\"\\ud800\\u0041\"",
            "]",
            "//",
            "\"\\u+123\"",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    /// What `serde_json` sees, or nothing if it sees something that is refused here.
    fn second_opinion(value: &serde_json::Value) -> Option<Json> {
        Some(match value {
            serde_json::Value::Null => Json::Null,
            serde_json::Value::Bool(value) => Json::Bool(*value),
            serde_json::Value::Number(number) => {
                Json::Integer(match (number.as_i64(), number.as_u64()) {
                    (Some(number), _) => number.into(),
                    (_, Some(number)) => number.into(),
                    _ => return None,
                })
            }
            serde_json::Value::String(text) => Json::from(text.as_str()),
            serde_json::Value::Array(items) => {
                Json::Array(items.iter().map(second_opinion).collect::<Option<_>>()?)
            }
            serde_json::Value::Object(fields) => Json::Object(
                fields
                    .iter()
                    .map(|(key, value)| Some((key.clone(), second_opinion(value)?)))
                    .collect::<Option<_>>()?,
            ),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn what_is_accepted_means_the_same_to_serde_json(
            parts in proptest::collection::vec(
                proptest::sample::select(vec![
                    "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"b\":", "\\", "\\u", "d83d", "\\ude00",
                    "1", "-", "0", ".5", "e1", "18446744073709551615", "9", "null", "true", " ", "é", "\n",
                ]),
                0..12,
            ),
        ) {
            let text = parts.concat();
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match read(&text) {
                Ok(ours) => {
                    prop_assert_eq!(Some(ours.clone()), second_opinion(&theirs.unwrap()));
                    prop_assert_eq!(read(&ours.to_text()), Ok(ours));
                }
                Err(error) => {
                    // Whatever serde_json reads and means the same to everybody is read here too.
                    let plain = !matches!(
                        error,
                        JsonError::NotInteger { .. }
                            | JsonError::IntegerRange { .. }
                            | JsonError::DuplicateKey { .. }
                    );
                    prop_assert!(!plain || theirs.is_err(), "{text}: {error}");
                }
            }
        }
    }
}
