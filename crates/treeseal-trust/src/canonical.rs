//! OLPC canonical JSON, the form in which TUF signs: keys sorted by code point, no white space,
//! and in strings only `"` and `\` escaped.
//!
//! Control characters stand for themselves, so the result need not be JSON; it is only ever hashed
//! or signed, never parsed. Numbers are integers by construction of [`Json`].

use crate::json::Json;

/// The canonical form of `value`.
pub fn to_bytes(value: &Json) -> Vec<u8> {
    let mut text = String::new();
    value.write(&mut text, write_canonical);
    text.into_bytes()
}

fn write_canonical(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        if matches!(char, '"' | '\\') {
            out.push('\\');
        }
        out.push(char);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn keys_are_sorted_and_only_quotes_and_backslashes_escaped() {
        let text = "{\"b\": [1, -2, \"\\n\\\"\\\\\\u00e9\"], \"\u{ffff}\": null, \"\u{1f600}\": true, \"B\": {}}";
        let value = json::parse(text.as_bytes(), 1000).unwrap();
        assert_eq!(
            to_bytes(&value),
            "{\"B\":{},\"b\":[1,-2,\"\n\\\"\\\\é\"],\"\u{ffff}\":null,\"\u{1f600}\":true}"
                .as_bytes()
        );
    }
}
