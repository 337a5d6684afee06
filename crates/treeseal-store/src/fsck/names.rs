//! What can be seen without reading content: names, types, pointers.

use std::path::{Path, PathBuf};

use treeseal_sys::{Entry, EntryKind};
use treeseal_trust::Stream;

use super::{Finding, Problem};
use crate::layout::{self, DIRECTORIES, ROOTS, TEMPORARY, TOP};
use crate::store::SealEntry;
use crate::{Part, Store, StoreError};

type Found<'f> = dyn FnMut(Finding) + 'f;

/// Checks the store's own directory and everything in it whose name is not that of a digest.
pub(super) fn check_names(store: &Store, found: &mut Found<'_>) -> Result<(), StoreError> {
    check_top(store, found)?;
    for entry in directory(store, TEMPORARY)? {
        report(found, Path::new(TEMPORARY).join(&entry.name), Problem::Leftover);
    }
    for entry in directory(store, ROOTS)? {
        let known = entry.name.to_str().and_then(layout::version_of_name).is_some();
        check_entry(Path::new(ROOTS), &entry, known, EntryKind::Regular, found);
    }
    check_seals(store, found)?;
    for part in [Part::Object, Part::Sidecar, Part::Image] {
        for entry in directory(store, part.dir())? {
            let known = layout::is_fanout(entry.name.as_encoded_bytes());
            check_entry(Path::new(part.dir()), &entry, known, EntryKind::Directory, found);
        }
    }
    Ok(())
}

/// Checks that an entry has a name that belongs there, and the type that belongs to the name.
pub(super) fn check_entry(
    directory: &Path,
    entry: &Entry,
    known: bool,
    expected: EntryKind,
    found: &mut Found<'_>,
) {
    let path = directory.join(&entry.name);
    if !known {
        report(found, path, Problem::StrangeName);
    } else if entry.kind != expected {
        report(found, path, Problem::WrongKind { expected, found: entry.kind });
    }
}

/// What is in a directory; nothing if something else is in its place, which is found elsewhere.
fn directory(store: &Store, path: &str) -> Result<Vec<Entry>, StoreError> {
    match store.entries(path) {
        Err(StoreError::Io(treeseal_sys::DurableError::Kind { .. })) => Ok(Vec::new()),
        result => result,
    }
}

fn check_top(store: &Store, found: &mut Found<'_>) -> Result<(), StoreError> {
    for entry in store.dir().entries()? {
        let name = entry.name.to_str().unwrap_or_default();
        let expected =
            if DIRECTORIES.contains(&name) { EntryKind::Directory } else { EntryKind::Regular };
        check_entry(Path::new(""), &entry, TOP.contains(&name), expected, found);
    }
    Ok(())
}

fn check_seals(store: &Store, found: &mut Found<'_>) -> Result<(), StoreError> {
    let entries = match store.seal_entries() {
        Err(StoreError::Io(treeseal_sys::DurableError::Kind { .. })) => return Ok(()),
        result => result?,
    };
    for entry in entries {
        match entry {
            // What they say is for whoever verifies a seal.
            SealEntry::Seal(..) | SealEntry::Freshness => {}
            SealEntry::Pointer(stream) => check_pointer(store, &stream, found)?,
            SealEntry::Strange(path) => report(found, path, Problem::StrangeName),
        }
    }
    Ok(())
}

fn check_pointer(store: &Store, stream: &Stream, found: &mut Found<'_>) -> Result<(), StoreError> {
    let path = PathBuf::from(layout::current_path(stream));
    match store.current(stream) {
        Ok(Some(sequence)) => match store.seal(stream, sequence) {
            Err(StoreError::NoSeal { .. }) => {
                let sequence = sequence.number();
                report(found, path, Problem::PointerDangling { sequence });
            }
            result => {
                result?;
            }
        },
        Ok(None) => {}
        Err(StoreError::Pointer { found: text, .. }) => {
            report(found, path, Problem::PointerDamaged { found: text });
        }
        Err(StoreError::TooLarge { found: size, .. }) => {
            report(found, path, Problem::PointerDamaged { found: format!("{size} bytes") });
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

fn report(found: &mut Found<'_>, path: PathBuf, problem: Problem) {
    found(Finding { path, problem });
}
