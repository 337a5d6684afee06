use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use treeseal_erofs::{Image, Index, to_tree};
use treeseal_foreign::ostree::{Keys, SignersError, signers};
use treeseal_source::ostree::{BootEntry, Composefs, Deployment, Sysroot, SysrootError};
use treeseal_tree::{Content, Tree};
use treeseal_trust::{PublicKey, Stream};
use treeseal_verity::{Digester, FileDigest, HashAlgorithm, Params};

use super::seals::Purpose;
use super::{CommitSeal, keys};
use crate::fsverity::measure_if_enabled;
use crate::{Error, Locations, files};

/// Which deployment is to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentRequest {
    /// The filesystem that OSTree deploys to.
    pub sysroot: PathBuf,
    /// The directory of a deployment, below that; without it the one that is booted if nobody chooses.
    pub deployment: Option<PathBuf>,
    /// The stream of which the commit must have a seal that this machine accepts.
    pub stream: Option<Stream>,
    /// Files of keys by which the commit may be signed; without any, the one that the deployment's
    /// configuration names, as far as it is there.
    pub keys: Vec<PathBuf>,
}

/// How a deployment would be booted by `ostree-prepare-root`, and what is there to be booted.
#[derive(Debug)]
pub struct CheckedDeployment {
    /// The deployment.
    pub deployment: Deployment,
    /// The boot loader's entry for it. Nothing where no entry leads to it.
    pub entry: Option<BootEntry>,
    /// `composefs.enabled` in its files.
    pub configured: Composefs,
    /// `ostree.prepare-root.composefs=` in the entry.
    pub command_line: Option<String>,
    /// Its image; nothing where it has none.
    pub image: Option<DeployedImage>,
    /// Who has signed its commit.
    pub signature: Signature,
    /// Its seal, or why there is none that holds; nothing where no stream was asked for, or no image is
    /// there.
    pub seal: Option<Result<CommitSeal, Error>>,
}

/// The image of a deployment.
#[derive(Debug, PartialEq, Eq)]
pub struct DeployedImage {
    /// Its file digest.
    pub digest: FileDigest,
    /// Whether that is the kernel's, which checks each byte that is read.
    pub has_verity: bool,
    /// Whether it is the one that the commit states; nothing where the commit states none.
    pub is_stated: Option<bool>,
    /// The objects that it names.
    pub objects: DeployedObjects,
}

/// The objects of an image.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DeployedObjects {
    /// Those that the kernel checks, and by the digest that the image has.
    pub checked: u64,
    /// Those that nothing checks.
    pub unchecked: u64,
    /// The first that is missing, or that the kernel checks by another digest than the image's.
    pub wrong: Option<PathBuf>,
}

/// Whether a commit is signed.
#[derive(Debug, PartialEq, Eq)]
pub enum Signature {
    /// There were no keys to ask.
    NotAsked,
    /// By none of the keys.
    Refused(SignersError),
    /// By these keys.
    By(Vec<PublicKey>),
}

/// What may be required of a boot by `ostree-prepare-root`; the most comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protection {
    /// The kernel checks the image and every object, and the image is the one that the commit states.
    Verity,
    /// As `Verity`, and the commit must be signed, and is.
    Signed,
}

/// Why a deployment does not boot, or not as it is said to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Contradiction {
    /// The command line has a value that is none.
    #[error("`ostree.prepare-root.composefs={0}` on the command line has no meaning")]
    CommandLine(String),
    /// The command line asks for signatures that the configuration has no keys for.
    #[error(
        "the command line asks for a signed commit, and the configuration does not: there are no keys"
    )]
    SignedWithoutKeys,
    /// No image where one must be.
    #[error("there is no `.ostree.cfs`, and an image must be mounted")]
    NoImage,
    /// The image has no fs-verity, and must have it.
    #[error("`.ostree.cfs` has no fs-verity, and must have it")]
    ImageWithoutVerity,
    /// The image is not the one of the commit.
    #[error("`.ostree.cfs` is not the image that the commit states")]
    OtherImage,
    /// The commit states no image, and must.
    #[error("the commit states no image, and must be signed with one")]
    NothingStated,
    /// Nobody has signed the commit, and somebody must.
    #[error("the commit must be signed: {0}")]
    Unsigned(SignersError),
    /// An object is not there, or another.
    #[error("`{}` is missing or another object: what it is needed for cannot be read", .0.display())]
    WrongObject(PathBuf),
    /// Objects without fs-verity, and all must have it.
    #[error("{0} objects have no fs-verity: what they are needed for cannot be read")]
    ObjectsWithoutVerity(u64),
}

/// What an attacker can still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Gap {
    /// No image.
    #[error("no image is mounted: whoever writes to the disk changes any file")]
    NoImage,
    /// Verity is not required.
    #[error("fs-verity is not required: a changed image, or a changed object, is used as it is")]
    VerityNotRequired,
    /// No signature is required.
    #[error("no signature is required: whoever writes to the disk puts another image in its place")]
    NotSigned,
    /// An old commit is as good as a new one.
    #[error(
        "any commit that the key ever signed is booted: older ones, and those of other systems"
    )]
    AnyCommit,
    /// One key.
    #[error("one key is enough, and none can be revoked or replaced without a new initramfs")]
    OneKey,
    /// The command line.
    #[error(
        "the command line chooses the deployment, and with `ostree.prepare-root.composefs=` turns \
         signatures off: it and the initramfs must be authenticated, as in a signed unified kernel image"
    )]
    CommandLine,
    /// The initramfs was not looked at.
    #[error(
        "the initramfs goes by its own configuration, which was not looked at: only that of the deployment"
    )]
    Initramfs,
    /// What is not in the image.
    #[error(
        "`/etc`, `/var`, `/boot` and other stateroots are in no image: nothing vouches for them"
    )]
    Outside,
    /// Damage is found when it is read.
    #[error(
        "a changed object is found when it is read, not before: `treeseal ostree verify` reads all"
    )]
    FoundWhenRead,
}

/// Looks at a deployment, and changes nothing: what is found of its seal is not remembered.
///
/// `locations` is what this machine goes by for seals; its store does not matter.
pub fn check_deployment(
    locations: &Locations,
    request: &DeploymentRequest,
) -> Result<CheckedDeployment, Error> {
    let sysroot = Sysroot::open(&request.sysroot)?;
    let (deployment, entry) = chosen(&sysroot, request)?;
    let configuration = sysroot.prepare_root(&deployment)?;
    let repository = sysroot.repository()?;
    let (commit, bytes) = repository.commit(&deployment.commit)?;
    let key_path = configuration.key_path.as_deref();
    let signature = match keys_of(&sysroot, &deployment, request, key_path)? {
        Some(keys) => {
            let metadata = repository.detached_metadata(&deployment.commit)?;
            signers(&bytes, &metadata, &keys).map_or_else(Signature::Refused, Signature::By)
        }
        None => Signature::NotAsked,
    };
    let image = match sysroot.open_image(&deployment)? {
        Some(file) => Some(check_image(&sysroot, &deployment, file, commit.composefs_digest)?),
        None => None,
    };
    let seal = request.stream.as_ref().zip(image.as_ref()).map(|(stream, image)| {
        CommitSeal::find(
            locations,
            &repository,
            &deployment.commit,
            stream,
            &image.digest,
            Purpose::Use,
        )
    });
    let command_line = entry.as_ref().and_then(|entry| entry.option(COMMAND_LINE));
    Ok(CheckedDeployment {
        command_line: command_line.map(str::to_owned),
        deployment,
        entry,
        configured: configuration.composefs.unwrap_or(Composefs::No),
        image,
        signature,
        seal,
    })
}

const COMMAND_LINE: &str = "ostree.prepare-root.composefs";

/// Where `ostree-prepare-root` has its keys if nothing is configured.
const KEY_PATH: &str = "/etc/ostree/initramfs-root-binding.key";

impl CheckedDeployment {
    /// What is in force: the configuration, as far as the command line leaves it.
    ///
    /// Whatever the command line says instead of `signed` ends signatures; it does not end that verity is
    /// required where the configuration requires it, as long as there is an image at all.
    pub fn effective(&self) -> Composefs {
        let asked = self.command_line.as_deref().and_then(Composefs::parse);
        match (self.configured, asked) {
            (configured, None) => configured,
            (_, Some(Composefs::No)) => Composefs::No,
            (Composefs::Signed, Some(Composefs::Signed)) => Composefs::Signed,
            (configured, Some(_)) if configured >= Composefs::Verity => Composefs::Verity,
            (_, Some(asked)) => asked.min(Composefs::Verity),
        }
    }

    /// Why it does not boot, or not as it is said to.
    pub fn contradictions(&self) -> Vec<Contradiction> {
        let mut found = Vec::new();
        let asked = self.command_line.as_deref().map(Composefs::parse);
        match asked {
            Some(None) => {
                found.extend(self.command_line.clone().map(Contradiction::CommandLine));
            }
            Some(Some(Composefs::Signed)) if self.configured != Composefs::Signed => {
                found.push(Contradiction::SignedWithoutKeys);
            }
            _ => {}
        }
        let effective = self.effective();
        match &self.image {
            None if effective >= Composefs::Yes => found.push(Contradiction::NoImage),
            Some(image) if effective >= Composefs::Verity => {
                found.extend(image.contradictions());
            }
            _ => {}
        }
        if effective == Composefs::Signed {
            if self.image.as_ref().is_some_and(|image| image.is_stated.is_none()) {
                found.push(Contradiction::NothingStated);
            }
            if let Signature::Refused(error) = &self.signature {
                found.push(Contradiction::Unsigned(error.clone()));
            }
        }
        found
    }

    /// The most that is known to protect the boot.
    pub fn protection(&self) -> Option<Protection> {
        let is_verified = self.image.as_ref().is_some_and(|image| image.is_stated == Some(true));
        if !is_verified || !self.contradictions().is_empty() {
            return None;
        }
        match (self.effective(), &self.signature) {
            (Composefs::Signed, Signature::By(_)) => Some(Protection::Signed),
            (Composefs::Signed | Composefs::Verity, _) => Some(Protection::Verity),
            _ => None,
        }
    }

    /// Whether `treeseal-boot` boots it, as far as its own configuration is as this machine's: there is a
    /// seal that holds, and the kernel checks the image and all that it names.
    pub fn is_sealed(&self) -> bool {
        let is_checked =
            self.image.as_ref().is_some_and(|image| image.unchecked().next().is_none());
        is_checked && matches!(self.seal, Some(Ok(_)))
    }

    /// What an attacker can still do where `ostree-prepare-root` boots it, the worst first.
    pub fn gaps(&self) -> Vec<Gap> {
        let effective = self.effective();
        let mut gaps = match effective {
            Composefs::No => return vec![Gap::NoImage, Gap::Initramfs],
            Composefs::Maybe | Composefs::Yes => vec![Gap::VerityNotRequired, Gap::NotSigned],
            Composefs::Verity => vec![Gap::NotSigned],
            Composefs::Signed => vec![Gap::AnyCommit, Gap::OneKey],
        };
        gaps.extend([Gap::CommandLine, Gap::Initramfs, Gap::Outside]);
        if effective >= Composefs::Verity {
            gaps.push(Gap::FoundWhenRead);
        }
        gaps
    }
}

impl DeployedImage {
    /// What keeps it from being used where verity is required.
    fn contradictions(&self) -> impl Iterator<Item = Contradiction> {
        let is_other = self.is_stated == Some(false);
        self.unchecked().chain(is_other.then_some(Contradiction::OtherImage))
    }

    /// What the kernel does not check, or not as the image says.
    fn unchecked(&self) -> impl Iterator<Item = Contradiction> {
        let DeployedObjects { unchecked, wrong, .. } = &self.objects;
        let image = (!self.has_verity).then_some(Contradiction::ImageWithoutVerity);
        let objects = (*unchecked > 0).then_some(Contradiction::ObjectsWithoutVerity(*unchecked));
        let wrong = wrong.clone().map(Contradiction::WrongObject);
        image.into_iter().chain(wrong).chain(objects)
    }
}

/// The deployment that is asked for, and the first entry of the boot loader that leads to it.
fn chosen(
    sysroot: &Sysroot,
    request: &DeploymentRequest,
) -> Result<(Deployment, Option<BootEntry>), Error> {
    let entries = sysroot.boot_entries()?;
    let resolved = |entry: &BootEntry| entry.option("ostree").map(|link| sysroot.resolve(link));
    if let Some(path) = &request.deployment {
        let deployment = sysroot.deployment_at(path)?;
        let leads_there =
            |entry: &BootEntry| matches!(resolved(entry), Some(Ok(found)) if found == deployment);
        let entry = entries.into_iter().find(leads_there);
        return Ok((deployment, entry));
    }
    let none = || SysrootError::NoDeployment { path: request.sysroot.clone() };
    let entry = entries.into_iter().next().ok_or_else(none)?;
    let deployment = resolved(&entry).ok_or_else(none)??;
    Ok((deployment, Some(entry)))
}

/// The keys that are asked for; nothing where there are none to ask.
fn keys_of(
    sysroot: &Sysroot,
    deployment: &Deployment,
    request: &DeploymentRequest,
    key_path: Option<&str>,
) -> Result<Option<Keys>, Error> {
    let mut trusted = Vec::new();
    for path in &request.keys {
        trusted.extend(keys::read_file(path)?);
    }
    if trusted.is_empty() {
        let name = key_path.unwrap_or(KEY_PATH).trim_start_matches('/');
        if let Some(bytes) = sysroot.read(deployment, name, keys::MAX_SIZE)? {
            trusted = keys::parse(&sysroot.path().join(deployment.path()).join(name), &bytes)?;
        }
    }
    Ok((!trusted.is_empty()).then(|| Keys { trusted, revoked: Vec::new() }))
}

/// Reads an image, and looks at every object that it names.
fn check_image(
    sysroot: &Sysroot,
    deployment: &Deployment,
    file: File,
    stated: Option<[u8; 32]>,
) -> Result<DeployedImage, Error> {
    let path = sysroot.image_path(deployment);
    let measured = measure_if_enabled(&file, &path)?;
    let bytes = files::read_open(file, &path, MAX_IMAGE)?;
    let params = Params::with_algorithm(HashAlgorithm::Sha256);
    let digest = measured.unwrap_or_else(|| Digester::digest_of(&params, &bytes));
    let tree = Image::parse(&bytes).and_then(Index::new).and_then(|index| to_tree(&index));
    let tree = tree.map_err(|source| Error::Image { path, source })?;
    Ok(DeployedImage {
        digest,
        has_verity: measured.is_some(),
        is_stated: stated.map(|stated| digest.as_bytes() == stated),
        objects: check_objects(sysroot, &tree)?,
    })
}

/// More than the image of 20,000,000 names.
const MAX_IMAGE: usize = 8 << 30;

fn check_objects(sysroot: &Sysroot, tree: &Tree) -> Result<DeployedObjects, Error> {
    let directory = sysroot.open_objects()?;
    let objects = sysroot.objects_path();
    let mut checked = DeployedObjects::default();
    for (payload, digest) in external_files(tree) {
        let path = objects.join(&payload);
        let found = match directory.open_beneath(payload.as_os_str().as_bytes()) {
            Ok(file) => Ok(measure_if_enabled(&file, &path)?),
            Err(error) if error.kind() == Some(ErrorKind::NotFound) => Err(()),
            Err(error) => return Err(error.into()),
        };
        match found {
            Ok(None) => checked.unchecked += 1,
            Ok(found) if found == digest => checked.checked += 1,
            Ok(Some(_)) | Err(()) => checked.wrong = checked.wrong.or(Some(path)),
        }
    }
    Ok(checked)
}

/// Where the objects of a tree lie, and their digests as the tree has them; each once.
fn external_files(tree: &Tree) -> BTreeMap<PathBuf, Option<FileDigest>> {
    let files = tree.inode_ids().filter_map(|id| match tree.inode(id).content() {
        Content::External { payload, digest } => {
            let path = OsString::from_vec(tree.payload_path(payload)?);
            Some((path.into(), digest.map(|id| tree.digest(id))))
        }
        _ => None,
    });
    files.collect()
}

#[cfg(test)]
mod tests {
    use treeseal_source::ostree::Checksum;

    use super::*;

    /// A deployment in order, with this configuration.
    fn deployment(configured: Composefs) -> CheckedDeployment {
        let digest = Digester::digest_of(&Params::with_algorithm(HashAlgorithm::Sha256), b"");
        let commit = Checksum::from_bytes([1; 32]);
        CheckedDeployment {
            deployment: Deployment { stateroot: "acme".to_owned(), commit, serial: 0 },
            entry: None,
            configured,
            command_line: None,
            image: Some(DeployedImage {
                digest,
                has_verity: true,
                is_stated: Some(true),
                objects: DeployedObjects { checked: 2, unchecked: 0, wrong: None },
            }),
            signature: Signature::By(Vec::new()),
            seal: None,
        }
    }

    fn with_command_line(configured: Composefs, value: &str) -> CheckedDeployment {
        CheckedDeployment { command_line: Some(value.to_owned()), ..deployment(configured) }
    }

    #[test]
    fn the_command_line_ends_signatures_and_not_verity() {
        use Composefs::{Maybe, No, Signed, Verity, Yes};
        for (configured, value, effective) in [
            (Signed, "signed", Signed),
            (Signed, "yes", Verity),
            (Signed, "maybe", Verity),
            (Signed, "no", No),
            (Verity, "maybe", Verity),
            (Yes, "maybe", Maybe),
            (No, "verity", Verity),
        ] {
            let found = with_command_line(configured, value);
            assert_eq!(found.effective(), effective, "{configured:?} {value}");
            assert_eq!(found.contradictions(), []);
        }
        let found = with_command_line(Verity, "signed");
        assert_eq!(found.contradictions(), [Contradiction::SignedWithoutKeys]);
        let found = with_command_line(Verity, "on");
        assert_eq!(found.contradictions(), [Contradiction::CommandLine("on".to_owned())]);
    }

    #[test]
    fn what_is_in_order_is_protected_by_what_is_in_force() {
        use Composefs::{Maybe, No, Signed, Verity, Yes};
        let protection = |configured| deployment(configured).protection();
        assert_eq!([No, Maybe, Yes].map(protection), [None; 3]);
        assert_eq!(protection(Verity), Some(Protection::Verity));
        assert_eq!(protection(Signed), Some(Protection::Signed));
        assert_eq!(with_command_line(Signed, "yes").protection(), Some(Protection::Verity));
        let unasked = CheckedDeployment { signature: Signature::NotAsked, ..deployment(Signed) };
        assert_eq!(unasked.protection(), Some(Protection::Verity));
    }

    /// A change of the image by which it is not used.
    type Change = fn(&mut DeployedImage);

    #[test]
    fn whatever_is_wrong_is_named_and_leaves_no_protection() {
        let changes: [(Change, Contradiction); 4] = [
            (|image| image.has_verity = false, Contradiction::ImageWithoutVerity),
            (|image| image.is_stated = Some(false), Contradiction::OtherImage),
            (|image| image.objects.unchecked = 3, Contradiction::ObjectsWithoutVerity(3)),
            (
                |image| image.objects.wrong = Some("ab/c.file".into()),
                Contradiction::WrongObject("ab/c.file".into()),
            ),
        ];
        for (change, named) in changes {
            let mut found = deployment(Composefs::Verity);
            found.image.as_mut().map(change);
            assert_eq!(found.contradictions(), [named]);
            assert_eq!(found.protection(), None);
        }
        let none = CheckedDeployment { image: None, ..deployment(Composefs::Yes) };
        assert_eq!(none.contradictions(), [Contradiction::NoImage]);
        let refused = Signature::Refused(SignersError::Unsigned);
        let unsigned = CheckedDeployment { signature: refused, ..deployment(Composefs::Signed) };
        assert_eq!(unsigned.contradictions(), [Contradiction::Unsigned(SignersError::Unsigned)]);
    }
}
