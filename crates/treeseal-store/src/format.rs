use core::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::StoreError;

/// The store format that this version writes.
pub const FORMAT_VERSION: u64 = 1;

/// Features that this version knows, in any class. There is none yet.
pub const FEATURES: &[&str] = &[];

/// Name of the file that makes a directory a store.
pub(crate) const FORMAT_FILE: &str = "treeseal-store.json";

/// Longest `treeseal-store.json`, in bytes: room for some thousand features.
pub(crate) const MAX_FORMAT_FILE: u64 = 64 * 1024;

/// What a version that does not know a feature may still do with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureClass {
    /// Read and write it.
    Compatible,
    /// Read it.
    ReadOnlyCompatible,
    /// Nothing.
    Incompatible,
}

/// The content of `treeseal-store.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Format {
    format: u64,
    compatible: Vec<String>,
    read_only_compatible: Vec<String>,
    incompatible: Vec<String>,
}

/// The one field that every version of the file has.
#[derive(Deserialize)]
struct Version {
    format: u64,
}

impl Format {
    pub(crate) const fn current() -> Self {
        Self {
            format: FORMAT_VERSION,
            compatible: Vec::new(),
            read_only_compatible: Vec::new(),
            incompatible: Vec::new(),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // A struct of numbers and strings always has a text.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads the file and refuses what forbids reading. `store` is for messages.
    pub(crate) fn from_bytes(bytes: &[u8], store: &Path) -> Result<Self, StoreError> {
        let malformed = |source| StoreError::Format { path: store.join(FORMAT_FILE), source };
        // The version first: a later one may have other fields.
        let version: Version = serde_json::from_slice(bytes).map_err(malformed)?;
        if version.format > FORMAT_VERSION {
            return Err(StoreError::NewerFormat { path: store.into(), found: version.format });
        }
        let format: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        refuse_unknown(&format.incompatible, FeatureClass::Incompatible, store)?;
        Ok(format)
    }

    /// Refuses what forbids writing.
    pub(crate) fn check_writable(&self, store: &Path) -> Result<(), StoreError> {
        refuse_unknown(&self.read_only_compatible, FeatureClass::ReadOnlyCompatible, store)
    }
}

fn refuse_unknown(
    features: &[String],
    class: FeatureClass,
    store: &Path,
) -> Result<(), StoreError> {
    match features.iter().find(|feature| !FEATURES.contains(&feature.as_str())) {
        None => Ok(()),
        Some(feature) => Err(StoreError::UnknownFeature {
            path: store.into(),
            class,
            feature: feature.escape_default().to_string(),
        }),
    }
}

impl FeatureClass {
    pub(crate) fn way_out(self) -> &'static str {
        match self {
            Self::Compatible => "it can be used all the same",
            Self::ReadOnlyCompatible => "open it for reading only, or use a newer treeseal",
            Self::Incompatible => "use a newer treeseal",
        }
    }
}

impl fmt::Display for FeatureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compatible => "compatible",
            Self::ReadOnlyCompatible => "read-only compatible",
            Self::Incompatible => "incompatible",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Format, StoreError> {
        Format::from_bytes(text.as_bytes(), Path::new("/s"))
    }

    fn text(features: &str) -> String {
        format!(r#"{{"format":1,{features}}}"#)
    }

    #[test]
    fn the_current_format_reads_back_as_written() {
        let bytes = Format::current().to_bytes();
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            "{\"format\":1,\"compatible\":[],\"readOnlyCompatible\":[],\"incompatible\":[]}\n"
        );
        let read = Format::from_bytes(&bytes, Path::new("/s")).unwrap();
        assert_eq!(read, Format::current());
        read.check_writable(Path::new("/s")).unwrap();
    }

    #[test]
    fn a_newer_format_says_what_to_do_whatever_else_it_holds() {
        assert_eq!(
            parse(r#"{"format":2,"packs":{}}"#).unwrap_err().to_string(),
            "`/s` has store format 2, this version knows formats up to 1; \
             use the version of treeseal that wrote it, or a newer one"
        );
    }

    #[test]
    fn unknown_features_forbid_what_their_class_says() {
        let compatible = r#""compatible":["x"],"readOnlyCompatible":[],"incompatible":[]"#;
        parse(&text(compatible)).unwrap().check_writable(Path::new("/s")).unwrap();

        let read_only = r#""compatible":[],"readOnlyCompatible":["x"],"incompatible":[]"#;
        let format = parse(&text(read_only)).unwrap();
        assert_eq!(
            format.check_writable(Path::new("/s")).unwrap_err().to_string(),
            "`/s` has the read-only compatible feature `x`, which this version does not know; \
             open it for reading only, or use a newer treeseal"
        );

        let incompatible = r#""compatible":[],"readOnlyCompatible":[],"incompatible":["x"]"#;
        assert_eq!(
            parse(&text(incompatible)).unwrap_err().to_string(),
            "`/s` has the incompatible feature `x`, which this version does not know; \
             use a newer treeseal"
        );
    }

    #[test]
    fn other_texts_describe_no_store() {
        let lists = r#""compatible":[],"readOnlyCompatible":[],"incompatible":[]"#;
        for text in [
            "",
            "{}",
            r#"{"format":1}"#,
            &text(&format!("{lists},\"more\":1")),
            &text(&format!("{lists},\"incompatible\":[]")),
            &format!("{} x", text(lists)),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.to_string(), "`/s/treeseal-store.json` does not describe a store");
        }
    }
}
