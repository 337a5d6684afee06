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
