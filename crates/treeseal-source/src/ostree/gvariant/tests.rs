use proptest::prelude::*;

use super::*;

fn write_bytes_by_key(items: &[(String, Vec<u8>)]) -> Vec<u8> {
    write_dictionary(items.iter().map(|(key, value)| (key.as_str(), "ay", value.as_slice())))
}

fn elements(bytes: &[u8]) -> Result<Vec<Vec<u8>>, GvariantError> {
    array(bytes, 1)?.map(|element| element.map(<[u8]>::to_vec)).collect()
}

/// Examples of GLib's specification.
#[test]
fn the_examples_of_the_specification_are_read_and_written() {
    let texts = [&b"i\0"[..], b"can\0", b"has\0", b"strings?\0"].map(<[u8]>::to_vec);
    let bytes = b"i\0can\0has\0strings?\0\x02\x06\x0a\x13";
    assert_eq!(elements(bytes).unwrap(), texts);
    assert_eq!(write_array(&texts, 1), bytes);

    let number = (-1_i32).to_le_bytes();
    let bytes = b"foo\0\xff\xff\xff\xff\x04";
    let [text, last] = tuple(bytes, [BYTES, U32]).unwrap();
    assert_eq!((string(text), last), (Ok("foo"), &number[..]));
    assert_eq!(write_tuple(&[(BYTES, b"foo\0"), (U32, &number)]), bytes);
}

#[test]
fn what_is_not_normal_is_refused() {
    // An element that ends before it begins; a table that does not fit; one too wide.
    assert_eq!(elements(b"ab\x02\x01\x02"), Err(GvariantError::Size));
    assert_eq!(elements(b"ab\x09"), Err(GvariantError::Table));
    assert_eq!(elements(&[&[b'a'; 254][..], &[254, 0]].concat()), Err(GvariantError::Table));
    // Something between two members, and something after the last.
    assert_eq!(tuple(b"a\x01\0\0\0\0\0\0\0\0\0\x01", [BYTES, U32]), Err(GvariantError::Padding));
    assert_eq!(tuple(b"\0\0\0\0\0", [U32]), Err(GvariantError::Size));
    assert_eq!(tuple(b"", [U32]), Err(GvariantError::Size));
    for text in [&b""[..], b"a", b"a\0b\0", b"\xff\0"] {
        assert_eq!(string(text), Err(GvariantError::String));
    }
    let twice = write_bytes_by_key(&[("a".to_owned(), vec![1]), ("a".to_owned(), vec![2])]);
    assert_eq!(dictionary(&twice), Err(GvariantError::Key));
    let typeless = write_tuple(&[(BYTES, b"key\0"), (DICTIONARY, b"value\0")]);
    let typeless = write_array(&[typeless], DICTIONARY_ALIGNMENT);
    assert_eq!(dictionary(&typeless), Err(GvariantError::Variant));
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        elements in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..300),
    ) {
        prop_assert_eq!(tests::elements(&write_array(&elements, 1)), Ok(elements.clone()));
        if let [first, second, ..] = elements.as_slice() {
            let bytes = write_tuple(&[(BYTES, first), (U64, &[7; 8]), (BYTES, second)]);
            let expected = [&first[..], &[7; 8], second];
            prop_assert_eq!(tuple(&bytes, [BYTES, U64, BYTES]), Ok(expected));
        }
    }

    #[test]
    fn dictionaries_are_read_by_key_and_type(
        items in prop::collection::btree_map("[a-z]{1,9}", prop::collection::vec(any::<u8>(), 0..300), 0..20),
    ) {
        let items: Vec<(String, Vec<u8>)> = items.into_iter().collect();
        let bytes = write_bytes_by_key(&items);
        let read = dictionary(&bytes).unwrap();
        for (key, value) in &items {
            prop_assert_eq!(read.get(key, "ay"), Ok(Some(value.as_slice())));
            prop_assert_eq!(read.get(key, "s"), Err(GvariantError::Kind));
            prop_assert_eq!(read.get("another key", "s"), Ok(None));
        }
    }

    /// There is one serialization of a value, and no other is read: two readers cannot differ.
    #[test]
    fn what_is_read_is_written_the_same(
        mut bytes in prop::collection::vec(0..20_u8, 0..40),
        large in prop::collection::vec(any::<u8>(), 0..2),
    ) {
        bytes.splice(0..0, large.iter().flat_map(|byte| [*byte; 250]));
        if let Ok(elements) = elements(&bytes) {
            prop_assert_eq!(write_array(&elements, 1), bytes.clone());
        }
        if let Ok([first, number, last]) = tuple(&bytes, [BYTES, U32, BYTES]) {
            let written = write_tuple(&[(BYTES, first), (U32, number), (BYTES, last)]);
            prop_assert_eq!(written, bytes);
        }
    }
}
