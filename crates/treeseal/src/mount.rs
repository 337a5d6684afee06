//! Sealed trees as mounts whose every byte the kernel checks.
//!
//! [`enforce`] is the one place where a mount is made of a statement, for the boot program as for
//! [`mount()`]: the image is opened once, checked by that descriptor against the statement, and that
//! same descriptor is mounted. `spec/mounts.md` has the order of the checks and the format of the
//! [`Record`]s.

mod changes;
mod composefs;
mod enforced;
mod image;
mod record;
mod status;

use std::path::{Path, PathBuf};

use treeseal_sys::Directory;
pub use treeseal_sys::{MountTableError, OverlayVerity, Restriction};
use treeseal_trust::Stream;

use crate::{CurrentSeal, Error, Locations};

pub use composefs::{ComposefsMount, mount_composefs};
pub(crate) use enforced::enforce_deployment;
pub use enforced::{EnforcedMount, NewRecord, enforce};
pub(crate) use image::HeldImage;
pub use image::Hold;
pub use record::{Record, RecordError};
pub use status::{MountStatus, Recorded, status, umount};

/// How a tree is mounted, beyond what is enforced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Where changes go; without it nothing can be changed.
    pub changes: Option<Changes>,
    /// A user namespace, like `/proc/PID/ns/user`: the owners of the files are shown as it maps them.
    pub id_map: Option<PathBuf>,
    /// What the mount does not allow.
    pub restrictions: Vec<Restriction>,
}

/// Two directories on one mount, neither in the other. Nobody vouches for what is in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// What was changed.
    pub upper: PathBuf,
    /// What overlayfs works in; empty.
    pub work: PathBuf,
}

/// A tree that was mounted.
#[derive(Debug)]
pub struct Mounted {
    /// The seal that it was mounted by.
    pub seal: CurrentSeal,
    /// What was written down of it.
    pub record: Record,
}

/// Mounts the current tree of a stream over a directory, and writes a record of it below `run`.
///
/// The seal is verified as everywhere, and remembered once the tree is ready to be given its place.
/// After a failure there is no mount and no record.
pub fn mount(
    locations: &Locations,
    stream: &Stream,
    directory: &Path,
    options: &MountOptions,
    run: &Path,
) -> Result<Mounted, Error> {
    let target = Directory::open(directory)?;
    let seal = CurrentSeal::verify(locations, stream)?;
    let mount = enforce(&seal.store, &seal.statement, options)?;
    seal.remember(locations)?;
    // Before the mount has its place, so that there is none without its record.
    let recorded = mount.record(&seal.statement, seal.store.path(), options, run)?;
    match mount.attach(target) {
        Ok(()) => Ok(Mounted { seal, record: recorded.record }),
        Err(source) => {
            recorded.undo()?;
            Err(Error::Place { path: directory.to_owned(), source })
        }
    }
}
