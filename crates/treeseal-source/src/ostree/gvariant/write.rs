use super::{BYTES, DICTIONARY, DICTIONARY_ALIGNMENT, Layout, offset_size};

/// A string with the NUL that ends it. The text has none of its own.
pub(crate) fn write_string(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// A tuple of members that are serialized already.
pub(crate) fn write_tuple(members: &[(Layout, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut ends = Vec::new();
    for (index, (layout, member)) in members.iter().enumerate() {
        push_aligned(&mut body, layout.alignment(), member);
        if layout.is_variable() && index + 1 < members.len() {
            ends.push(body.len());
        }
    }
    ends.reverse();
    with_table(body, &ends)
}

/// An array of elements that are serialized already, none of a fixed size.
pub(crate) fn write_array(elements: &[Vec<u8>], alignment: usize) -> Vec<u8> {
    let mut body = Vec::new();
    let mut ends = Vec::with_capacity(elements.len());
    for element in elements {
        push_aligned(&mut body, alignment, element);
        ends.push(body.len());
    }
    with_table(body, &ends)
}

/// A dictionary of variants, `a{sv}`: each key with the type and the serialization of its value.
pub(crate) fn write_dictionary<'a>(
    items: impl IntoIterator<Item = (&'a str, &'a str, &'a [u8])>,
) -> Vec<u8> {
    let write_item = |(key, kind, value): (&str, &str, &[u8])| {
        let variant = [value, &[0], kind.as_bytes()].concat();
        write_tuple(&[(BYTES, &write_string(key)), (DICTIONARY, &variant)])
    };
    let items: Vec<Vec<u8>> = items.into_iter().map(write_item).collect();
    write_array(&items, DICTIONARY_ALIGNMENT)
}

fn push_aligned(body: &mut Vec<u8>, alignment: usize, member: &[u8]) {
    body.resize(body.len().next_multiple_of(alignment), 0);
    body.extend_from_slice(member);
}

fn with_table(mut body: Vec<u8>, ends: &[usize]) -> Vec<u8> {
    let size = offset_size(body.len(), ends.len());
    for end in ends {
        // No address is longer than eight bytes.
        body.extend_from_slice(&(*end as u64).to_le_bytes()[..size]);
    }
    body
}
