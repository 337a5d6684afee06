use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use treeseal_sys::{Directory, OverlayVerity, measure_verity};
use treeseal_verity::FileDigest;

use super::MountOptions;
use super::enforced::Layers;
use crate::{Error, fsverity};

/// An image that is mounted as composefs's own tool mounts it. No seal is involved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposefsMount {
    /// The image.
    pub image: PathBuf,
    /// Object directories, the first that has an object counts.
    pub objects: Vec<PathBuf>,
    /// The digest that the image must have by its fs-verity. **Without one, whatever the image says is
    /// believed.**
    pub digest: Option<FileDigest>,
    /// Whether objects must have the digests that the image names.
    pub verity: OverlayVerity,
    /// How it is mounted.
    pub options: MountOptions,
}

/// Mounts an image over a directory.
pub fn mount_composefs(request: &ComposefsMount, directory: &Path) -> Result<(), Error> {
    let target = Directory::open(directory)?;
    let image = fsverity::open(&request.image)?;
    if let Some(expected) = &request.digest {
        require_digest(&image, &request.image, expected)?;
    }
    let objects = request.objects.iter().map(|path| Directory::open(path));
    let objects: Vec<_> = objects.collect::<Result<_, _>>()?;
    let objects: Vec<_> = objects.iter().map(Directory::as_fd).collect();
    let layers = Layers {
        source: "composefs",
        image: &image,
        image_path: &request.image,
        objects: &objects,
        verity: request.verity,
    };
    let mount = layers.mount(&request.options)?;
    mount.attach(target).map_err(|source| Error::Place { path: directory.to_owned(), source })
}

fn require_digest(image: &File, path: &Path, expected: &FileDigest) -> Result<(), Error> {
    let found = measure_verity(image).map_err(Error::verity("measure", path))?;
    if found == *expected {
        return Ok(());
    }
    Err(Error::WrongImage { path: path.to_owned(), expected: *expected, found })
}
