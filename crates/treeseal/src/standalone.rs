//! One seal on its own: no store, and nothing remembered unless it is asked for.

use std::path::{Path, PathBuf};

use treeseal_trust::{
    MAX_ENVELOPE_SIZE, SealRequest, Statement, Stream, TrustRoot, Verified, claimed_stream,
    verify_seal,
};

use crate::root::{read_pinned, read_root};
use crate::stated_image::checked_image;
use crate::{Error, Locations, files, memory};

/// A seal that lies in files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealFiles {
    /// The envelope.
    pub seal: PathBuf,
    /// The image, if it is to be checked as well.
    pub image: Option<PathBuf>,
    /// A freshness statement, if there is one.
    pub freshness: Option<PathBuf>,
    /// Roots that lead on from the pinned one, in order.
    pub next_roots: Vec<PathBuf>,
}

/// A seal that the trust root accepts.
#[derive(Debug)]
pub struct Verification {
    /// The statement, with who vouches for it.
    pub statement: Verified<Statement>,
    /// The trust root that accepted it.
    pub root: TrustRoot,
    /// Whether nothing was remembered of any seal.
    pub is_first_contact: bool,
    /// Whether the image is one that the statement names.
    pub image_checked: bool,
}

/// Verifies a seal, and an image against it, with the pinned root of `locations` and without a store.
///
/// With a `stream` the seal must be one for it; without, it is judged as one for the stream that it
/// names, which the caller has to look at. What is remembered is used, and raised, if `with_memory`.
pub fn verify_files(
    locations: &Locations,
    files: &SealFiles,
    stream: Option<&Stream>,
    with_memory: bool,
) -> Result<Verification, Error> {
    let mut root = read_pinned(&locations.root)?;
    for next in &files.next_roots {
        root = root.advance(&read_root(next)?).map_err(Error::root(next))?;
    }
    let envelope = read_file(&files.seal, MAX_ENVELOPE_SIZE)?;
    let freshness = files.freshness.as_ref().map(|path| read_file(path, MAX_ENVELOPE_SIZE));
    let freshness = freshness.transpose()?;
    let refused = |source| Error::SealFile { path: files.seal.clone(), source: Box::new(source) };
    let stream = match stream {
        Some(stream) => stream.clone(),
        None => claimed_stream(&envelope).map_err(refused)?,
    };
    let remembered = if with_memory { memory::recall(locations)? } else { None };
    let is_first_contact = remembered.is_none();
    let state = remembered.unwrap_or_default();
    let clock = memory::clock()?;
    let request = if with_memory {
        memory::request(locations, &state, &stream, clock)?
    } else {
        SealRequest::first_contact(&stream, clock)
    };
    let request = request.with_freshness(freshness.as_deref());
    let statement = verify_seal(&envelope, &root, &request).map_err(refused)?;
    if let Some(path) = &files.image {
        check_image(path, &statement)?;
    }
    if with_memory {
        memory::remember(locations, &root, &statement)?;
    }
    let image_checked = files.image.is_some();
    Ok(Verification { statement, root, is_first_contact, image_checked })
}

/// Checks that a file is one of the images of a statement: the one of its size and SHA-256.
fn check_image(path: &Path, statement: &Verified<Statement>) -> Result<(), Error> {
    let largest = statement.images.iter().map(|image| image.size).max().unwrap_or(0);
    let limit = usize::try_from(largest).unwrap_or(usize::MAX);
    let bytes = match files::read(path, limit) {
        // A larger file is none of them, whatever is in it.
        Err(Error::FileTooLarge { .. }) => {
            return Err(Error::image_differs("size", &largest, &"more"));
        }
        bytes => bytes?.ok_or_else(|| Error::missing(path))?,
    };
    let sha256 = crate::sealed::sha256_of(&bytes);
    match statement.images.iter().find(|image| image.digests.sha256 == sha256) {
        Some(image) => checked_image(bytes, image).map(drop),
        None => {
            let expected: Vec<String> =
                statement.images.iter().map(|image| image.digests.sha256.to_hex()).collect();
            Err(Error::image_differs("SHA-256", &expected.join(" or "), &sha256))
        }
    }
}

fn read_file(path: &Path, limit: usize) -> Result<Vec<u8>, Error> {
    files::read(path, limit)?.ok_or_else(|| Error::missing(path))
}
