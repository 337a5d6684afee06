//! The images that a statement names, and the one of them that a store has.

use std::path::PathBuf;

use treeseal_store::{Store, StoreError};
use treeseal_trust::{Statement, Verified};
use treeseal_verity::{Digester, FileDigest, Params};

use crate::Error;
use crate::sealed::sha256_of;

/// An image as a statement names it, beside erofs's of the same name.
pub(crate) type StatedImage = treeseal_trust::Image;

/// The image of a statement that a store has.
pub(crate) struct Found<'s, T> {
    /// What was made of it.
    pub(crate) content: T,
    /// What the statement says of it.
    pub(crate) stated: &'s StatedImage,
    /// The digest that the store has it under.
    pub(crate) name: FileDigest,
    /// For messages.
    pub(crate) path: PathBuf,
}

/// Reads the first of a statement's images that the store has, and checks all of its digests and its
/// size.
pub(crate) fn read_image<'s>(
    store: &Store,
    statement: &'s Verified<Statement>,
) -> Result<Found<'s, Vec<u8>>, Error> {
    let image = first_image(store, statement, |name, stated| store.read_image(name, stated.size))?;
    let content = checked_image(image.content, image.stated)?;
    Ok(Found { content, ..image })
}

/// Opens, as `open` does, the first of a statement's images that the store has. One image is as good as
/// another, so a store need not have them all.
pub(crate) fn first_image<'s, T>(
    store: &Store,
    statement: &'s Verified<Statement>,
    open: impl Fn(&FileDigest, &StatedImage) -> Result<T, StoreError>,
) -> Result<Found<'s, T>, Error> {
    let mut missing = None;
    for stated in &statement.images {
        for name in stated.digests.files() {
            match open(name, stated) {
                Err(error @ StoreError::Missing { .. }) => missing = missing.or(Some(error)),
                opened => {
                    let path = store.path().join("images").join(name.object_path());
                    return Ok(Found { content: opened?, stated, name: *name, path });
                }
            }
        }
    }
    // A statement without images is none.
    Err(missing.map_or_else(|| Error::image_differs("images", &"some", &"none"), Into::into))
}

/// The bytes of an image file, if they are what the statement says in every respect.
pub(crate) fn checked_image(bytes: Vec<u8>, image: &StatedImage) -> Result<Vec<u8>, Error> {
    let size = bytes.len() as u64;
    if size != image.size {
        return Err(Error::image_differs("size", &image.size, &size));
    }
    let sha256 = sha256_of(&bytes);
    if sha256 != image.digests.sha256 {
        return Err(Error::image_differs("SHA-256", &image.digests.sha256, &sha256));
    }
    for expected in image.digests.files() {
        let params = Params::with_algorithm(expected.algorithm());
        let found = Digester::digest_of(&params, &bytes);
        if found != *expected {
            return Err(Error::image_differs("file digest", &expected, &found));
        }
    }
    Ok(bytes)
}
