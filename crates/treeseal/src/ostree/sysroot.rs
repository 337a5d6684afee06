//! A system that OSTree deploys: its deployments, and the boot loader's entries that lead to them.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use treeseal_source::ostree::{Checksum, Repository};
use treeseal_sys::{DurableDir, DurableOptions};

use crate::{Error, files};

/// A system that OSTree deploys.
pub(super) struct Sysroot {
    /// Its real path.
    path: PathBuf,
    /// Where the commits of its deployments are.
    pub(super) repository: Repository,
}

/// A deployment of a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The system's name: OSTree calls it a stateroot.
    pub os: String,
    /// The commit that was deployed.
    pub commit: Checksum,
    /// How often the commit had been deployed before.
    pub serial: u32,
}

/// An entry of the boot loader.
pub(super) struct BootEntry {
    /// The name of its file.
    pub(super) file: String,
    /// OSTree's entries are chosen by it, the highest first.
    version: u64,
    /// What it boots: a deployment, if it is one of OSTree's.
    pub(super) deployment: Option<Result<Deployment, EntryProblem>>,
}

/// Why an entry of the boot loader leads to no deployment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryProblem {
    /// It names several, and what counts is for the initramfs to say.
    #[error("it has `ostree=` more than once")]
    Several,
    /// What it names is not there.
    #[error("its deployment `{path}` cannot be found")]
    NotFound {
        /// What it names.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// What it names is no deployment of the system.
    #[error("it leads to `{}`, which is no deployment of this system", path.display())]
    Elsewhere {
        /// Where it leads.
        path: PathBuf,
    },
}

/// Where the boot loader's entries are.
const ENTRIES: &str = "boot/loader/entries";

/// The largest entry that is read, in bytes.
const MAX_ENTRY: usize = 64 * 1024;

/// The image of a deployment.
const IMAGE: &str = ".ostree.cfs";

impl fmt::Display for Deployment {
    /// Where it is, below the system's root.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { os, commit, serial } = self;
        write!(f, "ostree/deploy/{os}/deploy/{commit}.{serial}")
    }
}

impl Deployment {
    /// What a path below a system's root is.
    fn at(path: &Path) -> Option<Self> {
        let names = path.components().map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        });
        let names = names.collect::<Option<Vec<_>>>()?;
        let ["ostree", "deploy", os, "deploy", name] = names.as_slice() else { return None };
        let (commit, serial) = name.split_once('.')?;
        let commit = Checksum::from_hex(commit.as_bytes())?;
        Some(Self { os: (*os).to_owned(), commit, serial: serial.parse().ok()? })
    }
}

impl Sysroot {
    /// Opens the system whose root is at this path.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let path = path.canonicalize().map_err(|source| Error::io("open", path, source))?;
        let repository = Repository::open(&path.join("ostree/repo"))?;
        Ok(Self { path, repository })
    }

    /// The deployment whose directory this is.
    pub(super) fn deployment(&self, directory: &Path) -> Result<Deployment, EntryProblem> {
        let real = directory.canonicalize().map_err(|source| EntryProblem::NotFound {
            path: directory.display().to_string(),
            source,
        })?;
        let below = real.strip_prefix(&self.path).ok().and_then(Deployment::at);
        below.ok_or(EntryProblem::Elsewhere { path: real })
    }

    /// Opens the image of a deployment, through no symlink; and where it is, for messages.
    pub(super) fn open_image(&self, deployment: &Deployment) -> Result<(File, PathBuf), Error> {
        let directory = DurableDir::open(&self.path, DurableOptions::default())?
            .open_dir(&deployment.to_string())?;
        let (file, _) = directory.open_file(IMAGE)?;
        Ok((file, directory.join(IMAGE)))
    }

    /// The boot loader's entries, the one that is booted by default first.
    pub(super) fn entries(&self) -> Result<Vec<BootEntry>, Error> {
        let directory = self.path.join(ENTRIES);
        let failed = |source| Error::io("list", &directory, source);
        let mut entries = Vec::new();
        for found in fs::read_dir(&directory).map_err(failed)? {
            let path = found.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "conf") {
                let text = files::read(&path, MAX_ENTRY)?.ok_or_else(|| Error::missing(&path))?;
                entries.push(self.entry(&path, &String::from_utf8_lossy(&text)));
            }
        }
        entries.sort_by(|a, b| (b.version, &b.file).cmp(&(a.version, &a.file)));
        Ok(entries)
    }

    /// Reads an entry as the Boot Loader Specification has it: lines of a key and its value.
    fn entry(&self, path: &Path, text: &str) -> BootEntry {
        let values = |wanted: &'static str| {
            let pairs = text.lines().filter_map(|line| line.trim().split_once([' ', '\t']));
            pairs.filter(move |(key, _)| *key == wanted).map(|(_, value)| value.trim())
        };
        let version = values("version").last().and_then(|version| version.parse().ok());
        let arguments = values("options").flat_map(str::split_ascii_whitespace);
        let mut named = arguments.filter_map(|argument| argument.strip_prefix("ostree="));
        let deployment = named.next().map(|first| match named.next() {
            None => self.deployment(&self.path.join(first.trim_start_matches('/'))),
            Some(_) => Err(EntryProblem::Several),
        });
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        BootEntry { file, version: version.unwrap_or(0), deployment }
    }
}
