use std::collections::{HashMap, HashSet};
use std::error::Error;

use treeseal_trust::{Sequence, Stream};
use treeseal_verity::FileDigest;

use crate::layout::{self};
use crate::store::SealEntry;
use crate::{StoreError, Writer};

/// Images, and the objects that they refer to.
#[derive(Clone, Debug, Default)]
pub struct References {
    images: HashSet<FileDigest>,
    objects: HashMap<FileDigest, u64>,
}

/// What all seals of a store reach: every other image and object can be removed.
///
/// Made only by [`Reachable::collect`], so that no seal is left out.
#[derive(Clone, Debug)]
pub struct Reachable(References);

/// A seal as it lies in a store.
#[derive(Clone, Copy, Debug)]
pub struct SealFile<'s> {
    /// The stream under whose name it lies.
    pub stream: &'s Stream,
    /// The sequence under whose number it lies.
    pub sequence: Sequence,
    /// The envelope.
    pub envelope: &'s [u8],
}

impl References {
    /// Refers to nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image. `false` if it was there; then its objects are too.
    pub fn add_image(&mut self, digest: FileDigest) -> bool {
        self.images.insert(digest)
    }

    /// Adds an object with its size in bytes.
    pub fn add_object(&mut self, digest: FileDigest, size: u64) {
        self.objects.insert(digest, size);
    }

    /// Whether an image is referred to.
    pub fn has_image(&self, digest: &FileDigest) -> bool {
        self.images.contains(digest)
    }

    /// The size of an object that is referred to.
    pub fn object_size(&self, digest: &FileDigest) -> Option<u64> {
        self.objects.get(digest).copied()
    }

    /// The images, in no order.
    pub fn images(&self) -> impl Iterator<Item = &FileDigest> {
        self.images.iter()
    }

    /// The objects and their sizes, in no order.
    pub fn objects(&self) -> impl Iterator<Item = (&FileDigest, u64)> {
        self.objects.iter().map(|(digest, size)| (digest, *size))
    }
}

impl Reachable {
    /// Collects what every seal in the store reaches. `resolve` adds the images that a seal names
    /// and the objects that these refer to.
    ///
    /// If it cannot do so for one seal, or if a file among the seals is not understood, it is not
    /// known what could be removed, and there is no `Reachable`.
    pub fn collect<E: Into<Box<dyn Error + Send + Sync>>>(
        writer: &Writer,
        mut resolve: impl FnMut(SealFile<'_>, &mut References) -> Result<(), E>,
    ) -> Result<Self, StoreError> {
        let store = writer.store();
        let mut references = References::new();
        for entry in store.seal_entries()? {
            let (stream, sequence) = match entry {
                SealEntry::Seal(stream, sequence) => (stream, sequence),
                SealEntry::Pointer(_) | SealEntry::Freshness => continue,
                SealEntry::Strange(path) => {
                    return Err(StoreError::StrangeSeal { path: store.path().join(path) });
                }
            };
            let envelope = store.seal(&stream, sequence)?;
            let seal = SealFile { stream: &stream, sequence, envelope: &envelope };
            resolve(seal, &mut references).map_err(|source| StoreError::Unresolved {
                path: store.path().join(layout::seal_path(&stream, sequence)),
                source: source.into(),
            })?;
        }
        Ok(Self(references))
    }

    /// What is reached.
    pub fn references(&self) -> &References {
        &self.0
    }

    /// Keeps an image that no seal names, for example one that is mounted.
    pub fn keep_image(&mut self, digest: FileDigest) {
        self.0.add_image(digest);
    }

    /// Keeps an object that no image of a seal refers to.
    pub fn keep_object(&mut self, digest: FileDigest, size: u64) {
        self.0.add_object(digest, size);
    }
}
