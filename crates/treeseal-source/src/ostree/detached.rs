use super::ObjectError;
use super::gvariant::{array, dictionary, write_array, write_dictionary};

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

/// The type of a list of signatures.
const SIGNATURES: &str = "aay";

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

    /// The signatures under a key, like `ostree.sign.ed25519`; none where it is not there.
    pub fn signatures(&self, key: &str) -> Result<Vec<Vec<u8>>, ObjectError> {
        let Some(item) = self.0.iter().find(|item| item.key == key) else {
            return Ok(Vec::new());
        };
        if item.kind != SIGNATURES {
            return Err(super::GvariantError::Kind.into());
        }
        array(&item.value, 1)?.map(|element| Ok(element?.to_vec())).collect()
    }

    /// Adds a signature to those under a key. Everything else stays as it is.
    pub fn add_signature(&mut self, key: &str, signature: &[u8]) -> Result<(), ObjectError> {
        let mut signatures = self.signatures(key)?;
        signatures.push(signature.to_vec());
        let value = write_array(&signatures, 1);
        self.0.retain(|item| item.key != key);
        self.0.push(Item { key: key.to_owned(), kind: SIGNATURES.to_owned(), value });
        Ok(())
    }

    /// The bytes of a `.commitmeta`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let items = self.0.iter();
        write_dictionary(items.map(|item| (&*item.key, &*item.kind, &*item.value)))
    }
}
