//! Sealed trees as mounts whose every byte the kernel checks.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use treeseal_store::{Store, StoreError};
use treeseal_sys::{
    DetachedMount, DurableDir, DurableOptions, MountError, Overlay, OverlayVerity, measure_verity,
    mount_erofs, mount_overlay,
};
use treeseal_trust::{Statement, Verified};

use crate::Error;

/// A mount in which the kernel checks every byte. It has no place yet; when it is dropped, it is gone.
#[derive(Debug)]
pub struct EnforcedMount(DetachedMount);

/// Mounts the tree of a statement out of a store, enforced by the kernel.
///
/// The first of the statement's images that the store has must have fs-verity with a digest that the
/// statement names; it is measured and mounted by one descriptor. Overlayfs then serves no object that
/// has not the digest in the image.
pub fn enforce(store: &Store, statement: &Verified<Statement>) -> Result<EnforcedMount, Error> {
    let (image, path) = open_image(store, statement)?;
    let refused = |source| Error::Mount { path: path.clone(), source };
    let objects = DurableDir::open(store.path(), DurableOptions::default())?.open_dir("objects")?;
    let mount = mount_overlay(Overlay {
        source: "treeseal",
        image: mount_erofs(&image).map_err(refused)?,
        objects: &[objects.as_fd()],
        verity: OverlayVerity::Require,
        upper: None,
    });
    mount.map(EnforcedMount).map_err(refused)
}

impl EnforcedMount {
    /// Gives the mount a place: it covers the open directory, for everybody in this mount namespace.
    pub fn attach(self, directory: impl AsFd) -> Result<(), MountError> {
        self.0.attach(directory)
    }
}

/// Opens the first of a statement's images that the store has. The kernel checks it against a digest
/// that the statement names.
fn open_image(store: &Store, statement: &Verified<Statement>) -> Result<(File, PathBuf), Error> {
    let mut missing = None;
    for image in &statement.images {
        for name in image.digests.files() {
            match store.open_image(name) {
                Err(error @ StoreError::Missing { .. }) => missing = missing.or(Some(error)),
                opened => {
                    let path = store.path().join("images").join(name.object_path());
                    return Ok((measured(opened?, &path, image)?, path));
                }
            }
        }
    }
    // A statement without images is none.
    Err(missing.map_or_else(|| Error::image_differs("images", &"some", &"none"), Into::into))
}

fn measured(file: File, path: &Path, image: &treeseal_trust::Image) -> Result<File, Error> {
    let found = measure_verity(&file).map_err(Error::verity("measure", path))?;
    if image.digests.files().any(|stated| *stated == found) {
        return Ok(file);
    }
    let expected: Vec<_> = image.digests.files().map(ToString::to_string).collect();
    Err(Error::image_differs("file digest", &expected.join(" or "), &found))
}
