//! Takes objects apart field by field; what is not taken is an unknown field.
//!
//! For every strict JSON format: those of seals and roots, and the configuration of programs.
//!
//! ```
//! use treeseal_trust::{json, schema::{Node, SchemaError}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut fields = Node::top(json::parse(br#"{"tries": 3, "tires": 4}"#, 1024)?).fields()?;
//! assert_eq!(fields.required("tries")?.integer(0, 10)?, 3);
//! let error = fields.end().unwrap_err();
//! assert!(matches!(error, SchemaError::Unknown { path } if path == "/tires"));
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;

use crate::json::Json;

/// A JSON document lacks a field, has one too many, or one of the wrong kind.
///
/// Paths are written `/signed/roles/root`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A field that must be there is not.
    #[error("{path} is missing")]
    Missing {
        /// Where it should be.
        path: String,
    },
    /// A field that this format does not have.
    #[error("{path} is not a field of this format: a newer version may be needed to read it")]
    Unknown {
        /// Where it is.
        path: String,
    },
    /// A field holds another kind of value.
    #[error("{path} must be {expected}, found {found}")]
    Type {
        /// Where it is.
        path: String,
        /// The kind that belongs there.
        expected: &'static str,
        /// The kind that is there.
        found: &'static str,
    },
    /// An integer is out of range.
    #[error("{path} must be from {min} to {max}, found {found}")]
    Range {
        /// Where it is.
        path: String,
        /// Smallest value allowed.
        min: u64,
        /// Largest value allowed.
        max: u64,
        /// The value there.
        found: i128,
    },
    /// A string or a list is too short or too long.
    #[error("{path} must have a length from {min} to {max}, found {found}")]
    Length {
        /// Where it is.
        path: String,
        /// Smallest length allowed, in bytes or entries.
        min: usize,
        /// Largest length allowed, in bytes or entries.
        max: usize,
        /// The length there.
        found: usize,
    },
    /// A string is not the one value that this format knows.
    #[error("{path} must be `{expected}`, found `{found}`")]
    Value {
        /// Where it is.
        path: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A string is none of those that this format knows.
    #[error("{path} must be {expected}, found `{}`", found.escape_debug())]
    Choice {
        /// Where it is.
        path: String,
        /// What it can be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
}

impl SchemaError {
    /// A stable name of the class of refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "field_missing",
            Self::Unknown { .. } => "field_unknown",
            Self::Type { .. } => "field_type",
            Self::Range { .. } => "field_range",
            Self::Length { .. } => "field_length",
            Self::Value { .. } | Self::Choice { .. } => "field_value",
        }
    }
}

/// A value and where it was found.
pub struct Node {
    pub(crate) path: String,
    value: Json,
}

impl Node {
    /// The document itself.
    pub const fn top(value: Json) -> Self {
        Self { path: String::new(), value }
    }

    /// Where it was found, like `/signed/roles/root`; empty for the document itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// An object, to be taken apart.
    pub fn fields(self) -> Result<Fields, SchemaError> {
        match self.value {
            Json::Object(fields) => Ok(Fields { path: self.path, fields }),
            other => Err(wrong_type(self.path, "an object", &other)),
        }
    }

    /// An array of at most `max` entries.
    pub fn items(self, max: usize) -> Result<Vec<Node>, SchemaError> {
        let path = self.path;
        match self.value {
            Json::Array(items) => {
                check_length(&path, 0, max, items.len())?;
                let node = |(index, value)| Node { path: format!("{path}/{index}"), value };
                Ok(items.into_iter().enumerate().map(node).collect())
            }
            other => Err(wrong_type(path, "an array", &other)),
        }
    }

    /// A string.
    pub fn string(self) -> Result<String, SchemaError> {
        match self.value {
            Json::String(text) => Ok(text),
            other => Err(wrong_type(self.path, "a string", &other)),
        }
    }

    /// A boolean.
    pub fn boolean(self) -> Result<bool, SchemaError> {
        match self.value {
            Json::Bool(value) => Ok(value),
            other => Err(wrong_type(self.path, "a boolean", &other)),
        }
    }

    /// An integer from `min` to `max`.
    pub fn integer(self, min: u64, max: u64) -> Result<u64, SchemaError> {
        let path = self.path;
        match self.value {
            Json::Integer(found) => match u64::try_from(found) {
                Ok(number) if (min..=max).contains(&number) => Ok(number),
                _ => Err(SchemaError::Range { path, min, max, found }),
            },
            other => Err(wrong_type(path, "an integer", &other)),
        }
    }

    /// The string `expected` and no other.
    pub fn constant(self, expected: &'static str) -> Result<(), SchemaError> {
        let path = self.path.clone();
        let found = self.string()?;
        if found == expected { Ok(()) } else { Err(SchemaError::Value { path, expected, found }) }
    }

    /// One of these strings, and what it stands for. `expected` lists them for a person.
    pub fn choice<T: Copy>(
        self,
        choices: &[(&str, T)],
        expected: &'static str,
    ) -> Result<T, SchemaError> {
        let path = self.path.clone();
        let found = self.string()?;
        let chosen = choices.iter().find(|(name, _)| *name == found);
        chosen.map(|(_, value)| *value).ok_or(SchemaError::Choice { path, expected, found })
    }

    /// The value as it was read.
    pub const fn json(&self) -> &Json {
        &self.value
    }
}

/// An object that is being taken apart.
pub struct Fields {
    path: String,
    fields: BTreeMap<String, Json>,
}

impl Fields {
    /// Takes a field that must be there.
    pub fn required(&mut self, name: &str) -> Result<Node, SchemaError> {
        self.optional(name).ok_or_else(|| SchemaError::Missing { path: self.path_of(name) })
    }

    /// Takes a field that may be there. `null` is not the same as absent.
    pub fn optional(&mut self, name: &str) -> Option<Node> {
        let value = self.fields.remove(name)?;
        Some(Node { path: self.path_of(name), value })
    }

    /// Ends the object: what is left is unknown.
    pub fn end(self) -> Result<(), SchemaError> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(name) => Err(SchemaError::Unknown { path: self.path_of(name) }),
        }
    }

    /// All fields left, at most `max`, for objects whose keys are data.
    pub fn entries(self, max: usize) -> Result<Vec<(String, Node)>, SchemaError> {
        check_length(&self.path, 0, max, self.fields.len())?;
        let path = self.path;
        let entry = |(name, value)| {
            let path = format!("{path}/{name}");
            (name, Node { path, value })
        };
        Ok(self.fields.into_iter().map(entry).collect())
    }

    fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }
}

/// Refuses a length outside `min..=max`.
pub(crate) fn check_length(
    path: &str,
    min: usize,
    max: usize,
    found: usize,
) -> Result<(), SchemaError> {
    if (min..=max).contains(&found) {
        Ok(())
    } else {
        Err(SchemaError::Length { path: path.to_owned(), min, max, found })
    }
}

fn wrong_type(path: String, expected: &'static str, found: &Json) -> SchemaError {
    let path = if path.is_empty() { "the document".to_owned() } else { path };
    SchemaError::Type { path, expected, found: found.kind() }
}
