//! Keeping a store in order: what it holds, what is wrong with it, what it does not need.

use std::path::Path;

use treeseal_erofs::{Image, Index, to_tree};
use treeseal_source::{Amount, Phase, Progress};
use treeseal_store::{
    Finding, FsckOptions, FsckReads, FsckReport, GcOptions, GcReport, Reachable, References,
    Removal, RepairReport, SealFile, Store, StoreError, StreamSeals, Usage,
};
use treeseal_sys::VerityError;
use treeseal_trust::{Envelope, Sequence, Statement};
use treeseal_verity::FileDigest;

use crate::sealed::stored_objects_of;
use crate::{Error, Locations};

/// What a store holds.
#[derive(Debug)]
pub struct StoreStat {
    /// Files and bytes.
    pub usage: Usage,
    /// Why files of the store cannot have fs-verity; `None` if they can.
    pub verity_refusal: Option<VerityError>,
    /// Streams, each with its seals and its current one.
    pub streams: Vec<(StreamSeals, Option<Sequence>)>,
}

/// Says what a store holds.
pub fn stat(locations: &Locations) -> Result<StoreStat, Error> {
    let store = Store::open_read_only(&locations.store)?;
    let mut streams = Vec::new();
    for seals in store.streams()? {
        let current = store.current(&seals.stream)?;
        streams.push((seals, current));
    }
    Ok(StoreStat { usage: store.usage()?, verity_refusal: store.verity_refusal()?, streams })
}

/// Why files of a store cannot have fs-verity, as far as that shows without writing; `None` if they
/// can.
pub fn verity_refusal(locations: &Locations) -> Result<Option<VerityError>, Error> {
    Ok(Store::open_read_only(&locations.store)?.verity_refusal()?)
}

/// Checks everything in a store, and tells `found` of each problem.
///
/// This is upkeep, not verification: seals are taken as they are, to know what they refer to.
pub fn fsck(
    locations: &Locations,
    reads: FsckReads,
    progress: &Progress,
    found: &mut (dyn FnMut(Finding) + Send),
) -> Result<FsckReport, Error> {
    let store = Store::open_read_only(&locations.store)?;
    let references = known_references(&store)?;
    begin_check(&store, progress)?;
    let options = FsckOptions { reads, progress: Some(progress), ..FsckOptions::default() };
    Ok(treeseal_store::fsck(&store, Some(&references), options, found)?)
}

/// Checks everything in a store and heals what it can from the files below `copies`.
pub fn repair(
    locations: &Locations,
    copies: &[&Path],
    reads: FsckReads,
    progress: &Progress,
) -> Result<RepairReport, Error> {
    let store = Store::open(&locations.store)?;
    let mut writer = store.writer()?;
    let references = known_references(&store)?;
    begin_check(&store, progress)?;
    let options = FsckOptions { reads, progress: Some(progress), ..FsckOptions::default() };
    Ok(treeseal_store::repair(&mut writer, Some(&references), copies, options)?)
}

/// Removes what no seal reaches, and tells `removed` of each file.
pub fn gc(
    locations: &Locations,
    options: GcOptions,
    progress: &Progress,
    removed: &mut dyn FnMut(Removal),
) -> Result<GcReport, Error> {
    let store = Store::open(&locations.store)?;
    let mut writer = store.writer()?;
    // A seal that cannot be followed to its last object fails the whole: what it needs is not known.
    let reachable = Reachable::collect(&writer, |seal, references| {
        add_references(&store, seal, references).map_err(|error| error.to_string())
    })?;
    progress.begin(Phase::Remove);
    Ok(treeseal_store::gc(&mut writer, &reachable, options, &mut |removal| {
        progress.add_bytes(removal.size);
        progress.add_file();
        removed(removal);
    })?)
}

/// Says how much there is to check, for which the store is listed once more.
fn begin_check(store: &Store, progress: &Progress) -> Result<(), Error> {
    progress.begin(Phase::Check);
    if progress.is_watched() {
        let usage = store.usage()?;
        progress.expect(Amount {
            files: usage.objects.saturating_add(usage.images),
            bytes: usage.object_bytes.saturating_add(usage.image_bytes),
        });
    }
    Ok(())
}

/// What the seals of a store refer to, as far as it can be read; what cannot is for the check to
/// find.
fn known_references(store: &Store) -> Result<References, Error> {
    let mut references = References::new();
    for seals in store.streams()? {
        for sequence in seals.sequences {
            let envelope = store.seal(&seals.stream, sequence)?;
            let seal = SealFile { stream: &seals.stream, sequence, envelope: &envelope };
            // Its image, if it could be read so far, has been added.
            let _ = add_references(store, seal, &mut references);
        }
    }
    Ok(references)
}

/// Adds the images that a seal names, and the objects that these refer to.
fn add_references(
    store: &Store,
    seal: SealFile<'_>,
    references: &mut References,
) -> Result<(), Error> {
    let refused = Error::seal(seal.stream, seal.sequence);
    let envelope = Envelope::parse(seal.envelope).map_err(|error| refused(error.into()))?;
    let statement = Statement::parse(envelope.payload()).map_err(|error| refused(error.into()))?;
    let mut some_present = false;
    for image in &statement.images {
        for name in image.digests.files() {
            match store.open_image(name) {
                Err(StoreError::Missing { .. }) => continue,
                opened => drop(opened?),
            }
            some_present = true;
            add_image(store, *name, image.size, references)?;
        }
    }
    // One image is enough: the others are other spellings of the same tree.
    match statement.images.first().and_then(|image| Some((image, image.digests.files().next()?))) {
        Some((image, name)) if !some_present => add_image(store, *name, image.size, references),
        _ => Ok(()),
    }
}

/// Adds an image, and the objects that it refers to; not what lies in a repository of OSTree.
fn add_image(
    store: &Store,
    name: FileDigest,
    size: u64,
    references: &mut References,
) -> Result<(), Error> {
    if !references.add_image(name) {
        return Ok(());
    }
    let bytes = store.read_image(&name, size)?;
    let malformed = |source| Error::Image {
        path: store.path().join("images").join(name.object_path()),
        source,
    };
    let image = Image::parse(&bytes).and_then(Index::new);
    let tree = image.and_then(|index| to_tree(&index)).map_err(malformed)?;
    for (digest, size) in stored_objects_of(&tree)? {
        references.add_object(digest, size);
    }
    Ok(())
}
