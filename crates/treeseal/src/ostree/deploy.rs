use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use treeseal_source::ostree::{Deployment, Repository, Sysroot, SysrootError};
use treeseal_sys::measure_verity;
use treeseal_trust::{Sequence, Stream};
use treeseal_verity::{Digester, FileDigest, Params};

use super::seals::Purpose;
use super::{CommitError, CommitSeal};
use crate::{Answer, Error, Locations};

/// Which deployment is to be verified, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployRequest {
    /// The root of the system.
    pub sysroot: PathBuf,
    /// The stream that its commits must be sealed for.
    pub stream: Stream,
    /// The directory of the deployment, from the root on or with that in front; none for the one that is booted by default.
    pub deployment: Option<PathBuf>,
    /// How its image is checked.
    pub check: ImageCheck,
}

/// How the image of a deployment is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageCheck {
    /// The kernel says by which digest it checks the image whenever it is read.
    #[default]
    Kernel,
    /// It is read now, and nothing checks it later.
    Scan,
}

/// A deployment whose commit is sealed, in a system in which no entry of the boot loader leads to one
/// that is not.
#[derive(Debug)]
pub struct VerifiedDeployment {
    /// The deployment.
    pub deployment: Deployment,
    /// The digest of its image, which is the sealed one.
    pub image: FileDigest,
    /// Its seal.
    pub seal: CommitSeal,
    /// Where the boot loader's entries lead, the one that is booted by default first.
    pub entries: Vec<SealedEntry>,
    /// Entries that boot something else than a deployment: nothing was asked of it.
    pub others: Vec<String>,
}

/// An entry of the boot loader that leads to a deployment whose commit is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedEntry {
    /// The name of its file.
    pub file: String,
    /// The deployment.
    pub deployment: Deployment,
    /// The sequence of its seal.
    pub sequence: Sequence,
}

/// A deployment that is not sealed, or an entry of the boot loader that leads to none.
#[derive(Debug)]
pub struct Unsealed {
    /// What it is, for people.
    pub what: String,
    /// Why.
    pub reason: Box<Error>,
}

/// Verifies a deployment: that its image is the one that somebody trusted has sealed for the stream, and
/// that every entry of the boot loader leads to a sealed one.
///
/// The deployment is judged as if it were new. To the others one may go back, so of them neither floors
/// nor times are asked: whether the trust root of today accepts their seals. Nothing is remembered: that
/// a deployment is there does not say that it boots.
pub fn verify_deployment(
    locations: &Locations,
    request: &DeployRequest,
) -> Result<VerifiedDeployment, Error> {
    let sysroot = Sysroot::open(&request.sysroot)?;
    let repository = sysroot.repository()?;
    let judge = Judge { locations, request, sysroot, repository };
    let (entries, others) = judge.entries()?;
    let deployment = judge.wanted(&entries)?;
    let wanted = judge.judge(&deployment, Purpose::Use);
    let sequence = wanted.as_ref().ok().map(|(seal, _)| seal.statement.sequence);
    let mut sealed = Vec::new();
    let mut unsealed = Vec::new();
    for (file, found) in entries {
        match judge.entry(file, found, &deployment, sequence) {
            Ok(entry) => sealed.extend(entry),
            Err(entry) => unsealed.push(entry),
        }
    }
    match wanted {
        Ok((seal, image)) if unsealed.is_empty() => {
            return Ok(VerifiedDeployment { deployment, image, seal, entries: sealed, others });
        }
        Ok(_) => {}
        Err(error) => {
            unsealed.insert(0, Unsealed::new(deployment.path().display().to_string(), error));
        }
    }
    Err(CommitError::Unsealed { stream: request.stream.clone(), unsealed }.into())
}

impl Unsealed {
    fn new(what: String, reason: impl Into<Error>) -> Self {
        Self { what, reason: Box::new(reason.into()) }
    }

    pub(super) fn answer(&self) -> Answer {
        match &*self.reason {
            // What is not there is no sealed deployment.
            Error::Commit(error) if is_missing(error) => Answer::No,
            reason => reason.answer(),
        }
    }
}

fn is_missing(error: &CommitError) -> bool {
    matches!(
        error,
        CommitError::Sysroot(SysrootError::File(error))
            if error.kind() == Some(io::ErrorKind::NotFound)
    )
}

struct Judge<'a> {
    locations: &'a Locations,
    request: &'a DeployRequest,
    sysroot: Sysroot,
    repository: Repository,
}

/// The name of an entry of the boot loader, and the deployment to which it leads.
type Entry = (String, Result<Deployment, SysrootError>);

impl Judge<'_> {
    /// The entries of the boot loader that lead to deployments, and those that boot something else.
    fn entries(&self) -> Result<(Vec<Entry>, Vec<String>), SysrootError> {
        let (mut entries, mut others) = (Vec::new(), Vec::new());
        for entry in self.sysroot.boot_entries()? {
            let file = entry.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match entry.option("ostree") {
                Some(named) => entries.push((file, self.sysroot.resolve(named))),
                None => others.push(file),
            }
        }
        Ok((entries, others))
    }

    /// The deployment that was asked for, or the one that is booted by default.
    fn wanted(&self, entries: &[Entry]) -> Result<Deployment, Error> {
        if let Some(directory) = &self.request.deployment {
            return Ok(self.sysroot.deployment_at(directory)?);
        }
        match entries.iter().find_map(|(_, deployment)| deployment.as_ref().ok()) {
            Some(deployment) => Ok(deployment.clone()),
            None => Err(SysrootError::NoDeployment { path: self.request.sysroot.clone() }.into()),
        }
    }

    /// Judges where an entry leads. `wanted` has been judged, and has this sequence; without one it has
    /// its reason elsewhere.
    fn entry(
        &self,
        file: String,
        found: Result<Deployment, SysrootError>,
        wanted: &Deployment,
        sequence: Option<Sequence>,
    ) -> Result<Option<SealedEntry>, Unsealed> {
        let deployment = found.map_err(|problem| Unsealed::new(file.clone(), problem))?;
        if deployment == *wanted {
            return Ok(sequence.map(|sequence| SealedEntry { file, deployment, sequence }));
        }
        let (seal, _) = self.judge(&deployment, Purpose::GoingBack).map_err(|error| {
            Unsealed::new(format!("{file} ({})", deployment.path().display()), error)
        })?;
        Ok(Some(SealedEntry { file, deployment, sequence: seal.statement.sequence }))
    }

    fn judge(
        &self,
        deployment: &Deployment,
        purpose: Purpose,
    ) -> Result<(CommitSeal, FileDigest), Error> {
        let image = self.image_digest(deployment)?;
        let (commit, stream) = (&deployment.commit, &self.request.stream);
        let (locations, repository) = (self.locations, &self.repository);
        let seal = CommitSeal::find(locations, repository, commit, stream, &image, purpose)?;
        Ok((seal, image))
    }

    fn image_digest(&self, deployment: &Deployment) -> Result<FileDigest, Error> {
        let (file, path) = open_image(&self.sysroot, deployment)?;
        match self.request.check {
            ImageCheck::Kernel => measure_verity(&file).map_err(Error::verity("measure", &path)),
            ImageCheck::Scan => digest_of(file).map_err(|source| Error::io("read", &path, source)),
        }
    }
}

/// Opens the image of a deployment, which must have one, and gives its path for messages.
pub(crate) fn open_image(
    sysroot: &Sysroot,
    deployment: &Deployment,
) -> Result<(File, PathBuf), Error> {
    let path = sysroot.image_path(deployment);
    match sysroot.open_image(deployment)? {
        Some(file) => Ok((file, path)),
        None => Err(CommitError::NotDeployed { path }.into()),
    }
}

fn digest_of(mut file: File) -> io::Result<FileDigest> {
    let mut digester = Digester::new(Params::default());
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(digester.finish().digest),
            Ok(length) => digester.update(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Bytes that are read at once.
const BUFFER: usize = 128 * 1024;
