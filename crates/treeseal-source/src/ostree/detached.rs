use super::gvariant::{array, dictionary, write_array, write_dictionary};
use super::{GvariantError, ObjectError};

/// What is kept beside a commit, `a{sv}`: signatures, and whatever else somebody put there.
///
/// It is not part of the commit, and anybody who can write to the repository can change it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DetachedMetadata(Vec<Item>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    key: String,
    /// Type of the value, as a type string.
    kind: String,
    value: Vec<u8>,
}

/// The type of bytes.
const BYTES: &str = "ay";

/// The type of a list of bytes, like one of signatures.
const LIST: &str = "aay";

impl DetachedMetadata {
    /// Reads the bytes of a `.commitmeta`.
    pub fn parse(bytes: &[u8]) -> Result<Self, ObjectError> {
        let items = dictionary(bytes)?;
        let items = items.items().iter().map(|item| Item {
            key: item.key.to_owned(),
            kind: item.kind.to_owned(),
            value: item.value.to_vec(),
        });
        Ok(Self(items.collect()))
    }

    /// The bytes under a key, `ay`; nothing where it is not there.
    pub fn bytes(&self, key: &str) -> Result<Option<&[u8]>, ObjectError> {
        self.value(key, BYTES)
    }

    /// The elements of a list of bytes under a key, `aay`, like the signatures of
    /// `ostree.sign.ed25519`; none where it is not there.
    pub fn list(&self, key: &str) -> Result<Vec<Vec<u8>>, ObjectError> {
        let Some(value) = self.value(key, LIST)? else { return Ok(Vec::new()) };
        array(value, 1)?.map(|element| Ok(element?.to_vec())).collect()
    }

    /// Puts bytes under a key, in the place of what is there. Everything else stays as it is.
    pub fn set_bytes(&mut self, key: &str, bytes: &[u8]) {
        self.set(key, BYTES, bytes.to_vec());
    }

    /// Puts a list of bytes under a key, in the place of what is there. Everything else stays as it is.
    pub fn set_list(&mut self, key: &str, elements: &[Vec<u8>]) {
        self.set(key, LIST, write_array(elements, 1));
    }

    /// Adds an element to the list under a key. Everything else stays as it is.
    pub fn add_to_list(&mut self, key: &str, element: &[u8]) -> Result<(), ObjectError> {
        let mut elements = self.list(key)?;
        elements.push(element.to_vec());
        self.set_list(key, &elements);
        Ok(())
    }

    /// The bytes of a `.commitmeta`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let items = self.0.iter();
        write_dictionary(items.map(|item| (&*item.key, &*item.kind, &*item.value)))
    }

    fn value(&self, key: &str, kind: &str) -> Result<Option<&[u8]>, ObjectError> {
        match self.0.iter().find(|item| item.key == key) {
            Some(item) if item.kind != kind => Err(GvariantError::Kind.into()),
            found => Ok(found.map(|item| &*item.value)),
        }
    }

    fn set(&mut self, key: &str, kind: &str, value: Vec<u8>) {
        self.0.retain(|item| item.key != key);
        self.0.push(Item { key: key.to_owned(), kind: kind.to_owned(), value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of `spec/ostree.md`.
    #[test]
    fn values_are_written_as_the_specification_has_them() {
        let mut metadata = DetachedMetadata::default();
        metadata.set_bytes("treeseal.statement", b"{}");
        metadata.set_list("treeseal.roots", &[b"{}".to_vec()]);
        let written = metadata.to_bytes();
        assert_eq!(
            written,
            b"treeseal.statement\0\0\0\0\0\0{}\0ay\x13\0\0\
              treeseal.roots\0\0{}\x02\0aay\x0f\x1e\x38"
        );
        assert_eq!(DetachedMetadata::parse(&written), Ok(metadata));
    }

    #[test]
    fn a_value_is_replaced_alone_and_read_as_its_own_type() {
        let mut metadata = DetachedMetadata::default();
        metadata.set_list("list", &[b"one".to_vec()]);
        metadata.set_bytes("bytes", b"two");
        metadata.set_bytes("bytes", b"three");
        metadata.add_to_list("list", b"four").unwrap();
        let read = DetachedMetadata::parse(&metadata.to_bytes()).unwrap();
        assert_eq!(read.bytes("bytes"), Ok(Some(&b"three"[..])));
        assert_eq!(read.list("list"), Ok(vec![b"one".to_vec(), b"four".to_vec()]));
        assert_eq!((read.bytes("none"), read.list("none")), (Ok(None), Ok(Vec::new())));
        let other_kind = GvariantError::Kind.into();
        assert_eq!(read.bytes("list"), Err(other_kind));
        assert_eq!(read.list("bytes"), Err(GvariantError::Kind.into()));
    }
}
