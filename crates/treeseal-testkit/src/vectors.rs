use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::repository;

/// Scenarios in `vectors/image`. Change this with them.
pub const IMAGE_SCENARIOS: usize = 187;
/// Scenarios in `vectors/verity`. Change this with them.
pub const VERITY_SCENARIOS: usize = 51;

/// One scenario of `vectors/`.
#[derive(Clone, Debug)]
pub struct Vector {
    /// The file's name without `.json`: what the scenario is about.
    pub name: String,
    /// The scenario.
    pub value: Value,
    folder: PathBuf,
}

/// The scenarios in a folder of `vectors/`, in order of their names.
///
/// `count` is how many there are: a test that finds no files must not pass.
pub fn load_vectors(folder: &str, count: usize) -> Vec<Vector> {
    let folder = repository().join("vectors").join(folder);
    let mut vectors: Vec<Vector> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| Vector {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            value: serde_json::from_slice(&fs::read(&path).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            folder: folder.clone(),
        })
        .collect();
    vectors.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(vectors.len(), count, "number of scenarios in {}", folder.display());
    vectors
}

impl Vector {
    /// A field that is text.
    pub fn text(&self, field: &str) -> &str {
        self.value[field].as_str().unwrap_or_else(|| panic!("{}: no text `{field}`", self.name))
    }

    /// A field that is a number.
    pub fn number(&self, field: &str) -> u64 {
        self.value[field].as_u64().unwrap_or_else(|| panic!("{}: no number `{field}`", self.name))
    }

    /// A field that is true or false, and false when absent.
    pub fn flag(&self, field: &str) -> bool {
        self.value[field].as_bool().unwrap_or(false)
    }

    /// The dump of a scenario of `vectors/image`: the file of that name, or the field `dump`, a list
    /// of texts and of repeated bytes. Its characters are bytes, U+0000 to U+00FF.
    pub fn dump(&self) -> Vec<u8> {
        let Some(parts) = self.value.get("dump") else {
            let path = self.folder.join(format!("{}.dump", self.name));
            return fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        };
        parts.as_array().unwrap().iter().flat_map(dump_part).collect()
    }
}

fn dump_part(part: &Value) -> Vec<u8> {
    let bytes = |text: &str| -> Vec<u8> {
        text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect()
    };
    match part {
        Value::String(text) => bytes(text),
        repeated => {
            let count = usize::try_from(repeated[1].as_u64().unwrap()).unwrap();
            bytes(repeated[0].as_str().unwrap()).repeat(count)
        }
    }
}
