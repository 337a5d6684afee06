use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use treeseal::boot::{Config, Filesystem, Source};

use crate::{Failure, device};

/// Where filesystems are mounted, and where what is handed over lies.
pub(crate) const RUN: &str = "/run/treeseal";

/// Whether anything is written to a filesystem.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// The filesystems of the trees and of the state, which may be one.
pub(crate) struct Filesystems {
    trees: Mounted,
    state: Option<Mounted>,
}

impl Filesystems {
    pub(crate) fn mount(config: &Config) -> Result<Self, Failure> {
        let run = Path::new(RUN);
        let (name, access) = match &config.source {
            Source::Store { .. } if config.state.is_some() => ("store", Access::Read),
            Source::Store { .. } => ("store", Access::Write),
            // OSTree has on it what the system writes to.
            Source::Sysroot(_) => ("sysroot", Access::Write),
        };
        let trees = Mounted::device(config.source.filesystem(), run.join(name), access, config)?;
        let state = config
            .state
            .as_ref()
            .map(|state| Mounted::device(state, run.join("state"), Access::Write, config));
        Ok(Self { trees, state: state.transpose()? })
    }

    pub(crate) fn trees(&self) -> &Path {
        self.trees.place()
    }

    pub(crate) fn state(&self) -> &Path {
        self.state.as_ref().unwrap_or(&self.trees).place()
    }

    /// Leaves them mounted for the system.
    pub(crate) fn keep(self) {
        self.trees.keep();
        if let Some(state) = self.state {
            state.keep();
        }
    }
}

/// A place where something is mounted, until this is dropped.
pub(crate) struct Mounted {
    place: PathBuf,
    is_kept: bool,
}

impl Mounted {
    /// Something that was mounted here.
    pub(crate) fn at(place: &Path) -> Self {
        Self { place: place.to_owned(), is_kept: false }
    }

    fn device(
        filesystem: &Filesystem,
        place: PathBuf,
        access: Access,
        config: &Config,
    ) -> Result<Self, Failure> {
        let device = device::find(&filesystem.device, config.wait)?;
        fs::create_dir_all(&place).map_err(Failure::io("create", &place))?;
        // Nothing on it was verified: by this name no program on it is run, and no device opened.
        let mut flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
        if access == Access::Read {
            flags |= MountFlags::RDONLY;
        }
        mount(&device, &place, filesystem.kind.as_str(), flags, None)
            .map_err(Failure::os("mount", &device))?;
        Ok(Self { place, is_kept: false })
    }

    fn place(&self) -> &Path {
        &self.place
    }

    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if !self.is_kept {
            // The boot has failed already: there is nobody to tell.
            let _ = unmount(&self.place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        }
    }
}
