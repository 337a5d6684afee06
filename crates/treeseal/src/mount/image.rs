use std::fs::File;
use std::path::PathBuf;

use treeseal_source::ostree::{Deployment, Sysroot};
use treeseal_store::Store;
use treeseal_sys::{measure_verity, seal_into_memfd};
use treeseal_tree::Tree;
use treeseal_trust::{Statement, Verified};
use treeseal_verity::FileDigest;

use crate::Error;
use crate::fsverity::measure_if_enabled;
use crate::ostree::open_image;
use crate::sealed::{objects_of, read_tree};
use crate::stated_image::{Found, first_image};

/// What keeps an image as it was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// fs-verity of its file.
    Verity,
    /// Nobody can write to the memory that it was copied to.
    Memory,
}

/// An image that stays as it was checked.
#[derive(Debug)]
pub(crate) struct HeldImage {
    pub(super) file: File,
    /// For messages.
    pub(super) path: PathBuf,
    /// By which it was checked.
    pub(crate) digest: FileDigest,
    pub(super) hold: Hold,
}

impl HeldImage {
    /// Opens the first of a statement's images that the store has. The file is opened once: what is
    /// measured is what will be mounted.
    pub(super) fn open(store: &Store, statement: &Verified<Statement>) -> Result<Self, Error> {
        let found = first_image(store, statement, |name, _| store.open_image(name))?;
        match measure_if_enabled(&found.content, &found.path)? {
            Some(measured) => Self::measured(found, measured),
            None => Self::in_memory(store, statement),
        }
    }

    /// Opens the image of a deployment, once. Whether somebody has sealed what the kernel checks it by is
    /// still to be asked.
    pub(crate) fn of_deployment(sysroot: &Sysroot, deployment: &Deployment) -> Result<Self, Error> {
        let (file, path) = open_image(sysroot, deployment)?;
        let digest = measure_verity(&file).map_err(Error::unenforced(&path))?;
        Ok(Self { file, path, digest, hold: Hold::Verity })
    }

    /// Fails where it is none of a statement's images.
    pub(super) fn require_stated(&self, statement: &Verified<Statement>) -> Result<(), Error> {
        let mut stated = statement.images.iter().flat_map(|image| image.digests.files());
        if stated.any(|digest| *digest == self.digest) {
            return Ok(());
        }
        Err(Error::image_differs("file digest", &"a sealed one", &self.digest))
    }

    fn measured(found: Found<'_, File>, measured: FileDigest) -> Result<Self, Error> {
        let Found { content: file, stated, path, .. } = found;
        if stated.digests.files().any(|digest| *digest == measured) {
            return Ok(Self { file, path, digest: measured, hold: Hold::Verity });
        }
        let expected: Vec<_> = stated.digests.files().map(ToString::to_string).collect();
        Err(Error::image_differs("file digest", &expected.join(" or "), &measured))
    }

    /// Reads the image, checks it, and holds it in memory. As it is read anyway, the objects are looked
    /// at too: where the image has no fs-verity, they may have lost theirs as well, as in a store that
    /// was copied.
    fn in_memory(store: &Store, statement: &Verified<Statement>) -> Result<Self, Error> {
        let (Found { content, stated, name, path }, tree) = read_tree(store, statement)?;
        require_verity(store, &tree)?;
        let file = seal_into_memfd(content.as_slice(), stated.size)?;
        Ok(Self { file, path, digest: name, hold: Hold::Memory })
    }
}

/// Fails on the first object without fs-verity. That it has the right digest is seen to by the kernel.
fn require_verity(store: &Store, tree: &Tree) -> Result<(), Error> {
    for (digest, _) in objects_of(tree)? {
        let path = store.path().join("objects").join(digest.object_path());
        measure_verity(store.open_object(&digest)?).map_err(Error::unenforced(&path))?;
    }
    Ok(())
}
