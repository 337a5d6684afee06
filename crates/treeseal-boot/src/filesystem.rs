use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use treeseal::boot::{Config, Filesystem};

use crate::{Failure, device};

/// Where filesystems are mounted, and where what is handed over lies.
pub(crate) const RUN: &str = "/run/treeseal";

/// Whether anything is written to a filesystem.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// The filesystems of the store and of the state, which may be one.
pub(crate) struct Filesystems {
    store: Mounted,
    state: Option<Mounted>,
}

impl Filesystems {
    pub(crate) fn mount(config: &Config) -> Result<Self, Failure> {
        let run = Path::new(RUN);
        let access = if config.state.is_some() { Access::Read } else { Access::Write };
        let store = Mounted::device(&config.store, run.join("store"), access, config)?;
        let state = config
            .state
            .as_ref()
            .map(|state| Mounted::device(state, run.join("state"), Access::Write, config));
        Ok(Self { store, state: state.transpose()? })
    }

    pub(crate) fn store(&self) -> &Path {
        self.store.place()
    }

    pub(crate) fn state(&self) -> &Path {
        self.state.as_ref().unwrap_or(&self.store).place()
    }

    /// Leaves them mounted for the system.
    pub(crate) fn keep(self) {
        self.store.keep();
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
