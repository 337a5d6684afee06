use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use treeseal_source::ostree::Sysroot;
use treeseal_store::Store;
use treeseal_sys::{
    DetachedMount, MountError, Overlay, OverlayVerity, check_verity_support, mount_erofs,
    mount_overlay, stat_file,
};
use treeseal_trust::{Sequence, Statement, Stream, Verified};
use treeseal_verity::{FileDigest, Params};

use super::changes::OpenChanges;
use super::image::{HeldImage, Hold};
use super::{MountOptions, Record};
use crate::Error;
use crate::seal::OSTREE_SOURCE;

/// A mount in which the kernel checks every byte. It has no place yet; when it is dropped, it is gone.
#[derive(Debug)]
pub struct EnforcedMount {
    mount: DetachedMount,
    /// The digest by which the image was checked.
    pub image: FileDigest,
    /// What keeps the image as it was checked.
    pub hold: Hold,
}

/// Mounts the tree of a statement out of a store, enforced by the kernel.
///
/// The image is the first of the statement's images that the store has, and is checked against all that
/// the statement says of it: by measuring it, or, where it has no fs-verity, by reading it. Overlayfs
/// then serves no object that has not the digest in the image. Where the kernel cannot check the
/// objects, that is an error.
pub fn enforce(
    store: &Store,
    statement: &Verified<Statement>,
    options: &MountOptions,
) -> Result<EnforcedMount, Error> {
    if statement.sources.iter().any(|source| source.kind == OSTREE_SOURCE) {
        return Err(Error::ContentElsewhere { stream: statement.stream.clone() });
    }
    let objects = store.open_objects()?;
    require_checkable(&objects, objects.path())?;
    let image = HeldImage::open(store, statement)?;
    mount_image(&image, objects.as_fd(), statement, options)
}

/// Mounts a deployment of OSTree by its sealed image, enforced by the kernel in the same way. The objects
/// are those of the repository.
pub(crate) fn enforce_deployment(
    sysroot: &Sysroot,
    image: &HeldImage,
    statement: &Verified<Statement>,
    options: &MountOptions,
) -> Result<EnforcedMount, Error> {
    image.require_stated(statement)?;
    let objects = sysroot.open_objects()?;
    require_checkable(&objects, &sysroot.objects_path())?;
    mount_image(image, objects.as_fd(), statement, options)
}

/// Fails where the kernel cannot check objects in a directory.
fn require_checkable(objects: impl AsFd, path: &Path) -> Result<(), Error> {
    check_verity_support(objects, &Params::default()).map_err(Error::unenforced(path))
}

fn mount_image(
    image: &HeldImage,
    objects: BorrowedFd<'_>,
    statement: &Verified<Statement>,
    options: &MountOptions,
) -> Result<EnforcedMount, Error> {
    let layers = Layers {
        source: &source_of(&statement.stream, statement.sequence),
        image: &image.file,
        image_path: &image.path,
        objects: &[objects],
        verity: OverlayVerity::Require,
    };
    let mount = layers.mount(options)?;
    Ok(EnforcedMount { mount, image: image.digest, hold: image.hold })
}

impl EnforcedMount {
    /// Gives the mount a place: it covers the open directory, for everybody in this mount namespace.
    pub fn attach(self, directory: impl AsFd) -> Result<(), MountError> {
        self.mount.attach(directory)
    }

    /// Writes down below `run` what is about to be mounted. `store` is where it will be found.
    ///
    /// The record has the number of the filesystem's device as its name: it is the same wherever the
    /// filesystem is seen, and no other filesystem has it at the same time.
    pub fn record(
        &self,
        statement: &Verified<Statement>,
        store: &Path,
        options: &MountOptions,
        run: &Path,
    ) -> Result<NewRecord, Error> {
        let record = Record::new(statement, self, store, options)?;
        let device = stat_file(&self.mount)?.id.device;
        record.write(run, device)?;
        Ok(NewRecord { record, run: run.to_owned(), device })
    }
}

/// A record that was written for a mount that has no place yet.
#[derive(Debug)]
pub struct NewRecord {
    /// What it says.
    pub record: Record,
    run: PathBuf,
    device: u32,
}

impl NewRecord {
    /// Removes the record: the mount got no place.
    pub fn undo(self) -> Result<(), Error> {
        Record::remove(&self.run, self.device)
    }
}

/// What a mount table has as the source of every mount of a sealed tree, before what is mounted.
pub(super) const SOURCE: &[u8] = b"treeseal:";

/// What a mount table has as the source: what is mounted, for people. Of a name that is too long for the
/// kernel the end stands there.
pub(super) fn source_of(stream: &Stream, sequence: Sequence) -> String {
    let prefix = String::from_utf8_lossy(SOURCE);
    let name = format!("{stream}@{sequence}");
    let surplus = (prefix.len() + name.len()).saturating_sub(MAX_SOURCE);
    format!("{prefix}{}", name.get(surplus..).unwrap_or_default())
}

/// Bytes that the kernel takes for a source.
const MAX_SOURCE: usize = 255;

/// What a mount is made of, when it was checked as far as it is to be.
pub(super) struct Layers<'a> {
    pub(super) source: &'a str,
    pub(super) image: &'a File,
    /// For messages.
    pub(super) image_path: &'a Path,
    pub(super) objects: &'a [BorrowedFd<'a>],
    pub(super) verity: OverlayVerity,
}

impl Layers<'_> {
    pub(super) fn mount(&self, options: &MountOptions) -> Result<DetachedMount, Error> {
        let refused = |source| Error::Mount { path: self.image_path.to_owned(), source };
        let changes = options.changes.as_ref().map(OpenChanges::open).transpose()?;
        let mut image = mount_erofs(self.image).map_err(refused)?;
        if let Some(path) = &options.id_map {
            let namespace = File::open(path).map_err(|source| Error::io("open", path, source))?;
            image = image
                .map_ids(namespace)
                .map_err(|source| Error::IdMap { path: path.clone(), source })?;
        }
        mount_overlay(Overlay {
            source: self.source,
            image,
            objects: self.objects,
            verity: self.verity,
            upper: changes.as_ref().map(OpenChanges::upper),
            restrictions: &options.restrictions,
        })
        .map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_fits_the_kernel_and_has_the_sequence() {
        let sequence = Sequence::new(12).unwrap();
        let short = "acme/os".parse().unwrap();
        assert_eq!(source_of(&short, sequence), "treeseal:acme/os@12");
        let long = ["0123456789abcdef0123456789abcdef0123456789abcdef"; 5].join("/");
        let source = source_of(&long.parse().unwrap(), sequence);
        assert_eq!(source.len(), 255);
        assert!(source.starts_with("treeseal:") && source.ends_with("cdef@12"), "{source}");
    }
}
