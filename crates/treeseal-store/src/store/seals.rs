use std::path::PathBuf;

use treeseal_sys::{Entry, EntryKind};
use treeseal_trust::{Sequence, Stream};

use super::Store;
use crate::StoreError;
use crate::layout::{self, CURRENT, FRESH, SEALS};

/// The seals of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSeals {
    /// The stream.
    pub stream: Stream,
    /// Sequences of its seals, in order.
    pub sequences: Vec<Sequence>,
}

/// Something that lies below `seals`.
#[derive(Debug)]
pub(crate) enum SealEntry {
    Seal(Stream, Sequence),
    Pointer(Stream),
    Freshness,
    /// Path in the store of something that is neither.
    Strange(PathBuf),
}

impl Store {
    /// The streams that have seals here, by name, and those seals.
    pub fn streams(&self) -> Result<Vec<StreamSeals>, StoreError> {
        let mut streams: Vec<StreamSeals> = Vec::new();
        for entry in self.seal_entries()? {
            let SealEntry::Seal(stream, sequence) = entry else { continue };
            match streams.iter_mut().rfind(|known| known.stream == stream) {
                Some(known) => known.sequences.push(sequence),
                None => streams.push(StreamSeals { stream, sequences: vec![sequence] }),
            }
        }
        streams.sort_unstable_by(|a, b| a.stream.cmp(&b.stream));
        for stream in &mut streams {
            stream.sequences.sort_unstable();
        }
        Ok(streams)
    }

    /// The sequences of the stream's seals here, in order.
    pub fn sequences(&self, stream: &Stream) -> Result<Vec<Sequence>, StoreError> {
        let entries = self.entries(&format!("{SEALS}/{stream}"))?;
        let names = entries.iter().filter_map(|entry| entry.name.to_str());
        let mut sequences: Vec<Sequence> = names.filter_map(layout::sequence_of_name).collect();
        sequences.sort_unstable();
        Ok(sequences)
    }

    /// Everything below `seals`. All entries of one stream come one after the other.
    pub(crate) fn seal_entries(&self) -> Result<Vec<SealEntry>, StoreError> {
        let mut found = Vec::new();
        self.walk_seals(None, &mut found)?;
        Ok(found)
    }

    /// Goes through one stream, and the streams below it. A stream has at most 16 components, and
    /// only directories that are part of a stream's name are entered: so this ends.
    fn walk_seals(
        &self,
        stream: Option<&Stream>,
        found: &mut Vec<SealEntry>,
    ) -> Result<(), StoreError> {
        let path = match stream {
            None => SEALS.to_owned(),
            Some(stream) => format!("{SEALS}/{stream}"),
        };
        let entries = self.entries(&path)?;
        let (directories, files): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| entry.kind == EntryKind::Directory);
        for file in files {
            found.push(match (stream, file.name.to_str(), file.kind) {
                (Some(stream), Some(CURRENT), EntryKind::Regular) => {
                    SealEntry::Pointer(stream.clone())
                }
                (Some(_), Some(FRESH), EntryKind::Regular) => SealEntry::Freshness,
                (Some(stream), Some(name), EntryKind::Regular) => {
                    match layout::sequence_of_name(name) {
                        Some(sequence) => SealEntry::Seal(stream.clone(), sequence),
                        None => SealEntry::Strange(PathBuf::from(&path).join(name)),
                    }
                }
                _ => SealEntry::Strange(PathBuf::from(&path).join(&file.name)),
            });
        }
        for directory in directories {
            match directory.name.to_str().and_then(|name| below(stream, name)) {
                Some(stream) => self.walk_seals(Some(&stream), found)?,
                None => found.push(SealEntry::Strange(PathBuf::from(&path).join(&directory.name))),
            }
        }
        Ok(())
    }
}

fn below(stream: Option<&Stream>, name: &str) -> Option<Stream> {
    match stream {
        None => name.parse().ok(),
        Some(stream) => format!("{stream}/{name}").parse().ok(),
    }
}
