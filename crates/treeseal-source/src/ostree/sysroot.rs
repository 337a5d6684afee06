use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use treeseal_sys::{Directory, FileError, FileId, read_file_limited};

use super::gvariant::write_dictionary;
use super::{OstreeError, Repository};

mod boot_entry;
mod deployment;
mod prepare_root;

pub use boot_entry::BootEntry;
use deployment::BootLink;
pub use deployment::Deployment;
pub use prepare_root::{Composefs, PrepareRoot};

/// The filesystem that OSTree deploys to, which is not the root that a booted system sees. Nothing in it
/// is trusted.
#[derive(Debug)]
pub struct Sysroot {
    path: PathBuf,
    directory: Directory,
}

/// What is found of a system's deployments, and is not as OSTree writes it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SysrootError {
    /// A file or directory cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The repository cannot be used.
    #[error(transparent)]
    Repository(#[from] OstreeError),
    /// The kernel's command line names no deployment.
    #[error("`ostree={found}` names no deployment: `/ostree/boot.N/STATEROOT/CHECKSUM/N` does", found = found.escape_debug())]
    Argument {
        /// What it has.
        found: String,
    },
    /// Nothing is booted from here.
    #[error("no entry of a boot loader in `{}` leads to a deployment", path.join("boot/loader/entries").display())]
    NoDeployment {
        /// The system's root.
        path: PathBuf,
    },
    /// A symlink that OSTree makes leads elsewhere than OSTree lets it.
    #[error("`{}` leads to `{}`, and should lead to {expected}", path.display(), found.escape_debug())]
    Link {
        /// The symlink.
        path: PathBuf,
        /// Where it leads.
        found: String,
        /// Where it should.
        expected: &'static str,
    },
    /// A directory has not the name of a deployment.
    #[error("`{}` is no deployment: its name is no checksum and number", path.display())]
    Name {
        /// The directory.
        path: PathBuf,
    },
    /// A file of the boot loader cannot be understood.
    #[error("`{}` is no entry of a boot loader: {why}", path.display())]
    BootEntry {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More entries of the boot loader than are read.
    #[error("`{}` has more than {limit} entries", path.display())]
    TooManyEntries {
        /// The directory.
        path: PathBuf,
        /// How many it may have.
        limit: usize,
    },
    /// A configuration cannot be understood.
    #[error("`{}` cannot be understood: {why}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// The image of a deployment, in its directory.
const IMAGE: &str = ".ostree.cfs";

const REPOSITORY: &str = "ostree/repo";

impl Sysroot {
    /// Opens the physical root of a system: the directory that has `ostree`.
    pub fn open(path: &Path) -> Result<Self, SysrootError> {
        Ok(Self { path: path.to_owned(), directory: Directory::open(path)? })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens its repository.
    pub fn repository(&self) -> Result<Repository, SysrootError> {
        Ok(Repository::open(&self.path.join(REPOSITORY))?)
    }

    /// The deployment that `ostree=` on the kernel's command line stands for.
    ///
    /// The symlinks on the way are read and not followed: they can lead nowhere but to a deployment.
    pub fn resolve(&self, argument: &str) -> Result<Deployment, SysrootError> {
        let link = BootLink::parse(argument)
            .ok_or_else(|| SysrootError::Argument { found: argument.to_owned() })?;
        let BootLink { boot, stateroot, checksum, name } = link;
        let found = self.read_link("ostree", boot)?;
        if ![".0", ".1"].iter().any(|end| found.strip_prefix(boot) == Some(end)) {
            let path = self.path.join("ostree").join(boot);
            return Err(SysrootError::Link { path, found, expected: "`boot.N.0` or `boot.N.1`" });
        }
        let directory = format!("ostree/{found}/{stateroot}/{checksum}");
        let found = self.read_link(&directory, name)?;
        let deployment = found
            .strip_prefix("../../../")
            .and_then(|rest| Deployment::at(&format!("ostree/{rest}")));
        let path = self.path.join(directory).join(name);
        deployment.ok_or(SysrootError::Link { path, found, expected: "a deployment" })
    }

    /// The deployment with this directory: a path from the system's root on, or with that in front.
    pub fn deployment_at(&self, path: &Path) -> Result<Deployment, SysrootError> {
        let path = path.strip_prefix(&self.path).unwrap_or(path);
        let deployment = path.to_str().and_then(Deployment::at);
        deployment.ok_or_else(|| SysrootError::Name { path: path.to_owned() })
    }

    /// The boot loader's entries, the one that is booted if nobody chooses first: the one with the highest
    /// version, as OSTree numbers them.
    pub fn boot_entries(&self) -> Result<Vec<BootEntry>, SysrootError> {
        let loader = match self.read_link("boot", "loader") {
            // Where its filesystem has no symlinks, OSTree has a directory.
            Err(SysrootError::File(error)) if error.kind() == Some(ErrorKind::InvalidInput) => {
                "loader".to_owned()
            }
            read => read?,
        };
        if !matches!(&*loader, "loader" | "loader.0" | "loader.1") {
            let path = self.path.join("boot/loader");
            let expected = "`loader.0` or `loader.1`";
            return Err(SysrootError::Link { path, found: loader, expected });
        }
        let path = format!("boot/{loader}/entries");
        boot_entry::read_all(&self.open_below(&path)?, &self.path.join(path))
    }

    /// Opens the image of a deployment; `None` where it has none. A symlink cannot be opened.
    pub fn open_image(&self, deployment: &Deployment) -> Result<Option<File>, SysrootError> {
        let opened = self.open_deployment(deployment)?.open_file(IMAGE.as_bytes());
        if_there(opened, || self.image_path(deployment))
    }

    /// Where the image of a deployment lies, for messages.
    pub fn image_path(&self, deployment: &Deployment) -> PathBuf {
        self.path.join(deployment.path()).join(IMAGE)
    }

    /// Where the objects lie that the images of deployments name, for messages.
    pub fn objects_path(&self) -> PathBuf {
        self.path.join(REPOSITORY).join("objects")
    }

    /// Opens the directory with the objects that the images of deployments name.
    pub fn open_objects(&self) -> Result<Directory, SysrootError> {
        self.open_below(&format!("{REPOSITORY}/objects"))
    }

    /// What a deployment's files say of how it is to be booted. The initramfs goes by its own copies of
    /// them.
    pub fn prepare_root(&self, deployment: &Deployment) -> Result<PrepareRoot, SysrootError> {
        let mut configuration = PrepareRoot::default();
        for name in ["usr/lib/ostree/prepare-root.conf", "etc/ostree/prepare-root.conf"] {
            let Some(bytes) = self.read(deployment, name, PrepareRoot::MAX_SIZE)? else { continue };
            configuration.add(&bytes).map_err(|why| {
                let path = self.path.join(deployment.path()).join(name);
                SysrootError::Configuration { path, why }
            })?;
        }
        Ok(configuration)
    }

    /// A small file of a deployment; `None` where there is none. The way to it may hold no symlink.
    pub fn read(
        &self,
        deployment: &Deployment,
        name: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, SysrootError> {
        let path = || self.path.join(deployment.path()).join(name);
        let opened = self.open_deployment(deployment)?.open_beneath(name.as_bytes());
        let Some(file) = if_there(opened, path)? else { return Ok(None) };
        read_file_limited(file, limit).map(Some).map_err(|error| named(path(), error))
    }

    /// Opens a directory by its path from the system's root on, through no symlink.
    pub fn open_directory(&self, path: &Path) -> Result<Directory, SysrootError> {
        self.open_below(&path.to_string_lossy())
    }

    /// What the system has in `/run/ostree-booted` when a deployment runs from its image, with fs-verity
    /// required: by this OSTree knows which one it is.
    pub fn booted_record(&self, deployment: &Deployment) -> Result<Vec<u8>, SysrootError> {
        let FileId { device, inode } = self.open_deployment(deployment)?.stat()?.id;
        let identity = [device.into(), inode].map(u64::to_le_bytes).concat();
        let is_so: &[u8] = &[1];
        Ok(write_dictionary([
            ("backing-root-device-inode", "(tt)", &*identity),
            ("composefs", "b", is_so),
            ("composefs.verity", "b", is_so),
        ]))
    }

    fn open_deployment(&self, deployment: &Deployment) -> Result<Directory, SysrootError> {
        self.open_below(&deployment.path().to_string_lossy())
    }

    /// Opens a directory below the root, through no symlink.
    fn open_below(&self, path: &str) -> Result<Directory, SysrootError> {
        let opened = path.split('/').try_fold(None::<Directory>, |at, name| {
            at.as_ref().unwrap_or(&self.directory).open_directory(name.as_bytes()).map(Some)
        });
        match opened {
            Ok(Some(directory)) => Ok(directory),
            Ok(None) => Ok(Directory::open(&self.path)?),
            Err(error) => Err(named(self.path.join(path), error)),
        }
    }

    /// The target of a symlink in a directory below the root.
    fn read_link(&self, directory: &str, name: &str) -> Result<String, SysrootError> {
        let target = self.open_below(directory)?.read_link(name.as_bytes());
        let target = target.map_err(|error| named(self.path.join(directory).join(name), error))?;
        Ok(String::from_utf8_lossy(&target).into_owned())
    }
}

fn if_there(
    opened: Result<File, FileError>,
    path: impl Fn() -> PathBuf,
) -> Result<Option<File>, SysrootError> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == Some(ErrorKind::NotFound) => Ok(None),
        Err(error) => Err(named(path(), error)),
    }
}

/// An error of a file, with the whole path to it.
fn named(path: PathBuf, error: FileError) -> SysrootError {
    error.with_path(path.into_os_string().into_encoded_bytes()).into()
}
