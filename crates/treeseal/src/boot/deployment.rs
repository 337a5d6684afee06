use std::cell::RefCell;
use std::path::Path;

use treeseal_source::ostree::{Deployment, Sysroot};
use treeseal_trust::TrustRoot;
use treeseal_verity::FileDigest;

use super::select::{newest_root, verify};
use super::{Attempt, BootState, Candidate, Criteria};
use crate::Error;
use crate::mount::{EnforcedMount, HeldImage, MountOptions, enforce_deployment};
use crate::ostree::CommitSeals;

/// The deployment that the boot loader has chosen, and that may be started.
#[derive(Debug)]
pub struct ChosenDeployment {
    sysroot: Sysroot,
    deployment: Deployment,
    image: HeldImage,
    candidate: Candidate,
    root: Vec<u8>,
}

/// Finds the deployment that `named`, the value of `ostree` on the kernel's command line, leads to on a
/// filesystem, and the seal of its image, that the trust root accepts now and that is not below a floor.
///
/// `pinned` is the file of the trust root in the initramfs; the roots beside the commit and those of the
/// repository's store lead on from it. The image is opened once: it is measured by the descriptor by
/// which it will be mounted.
pub fn choose_deployment(
    filesystem: &Path,
    named: &str,
    pinned: &Path,
    state: &BootState,
    criteria: &Criteria<'_>,
) -> Result<ChosenDeployment, Error> {
    let sysroot = Sysroot::open(filesystem)?;
    let deployment = sysroot.resolve(named)?;
    let image = HeldImage::of_deployment(&sysroot, &deployment)?;
    let seals = CommitSeals::open(&sysroot.repository()?, &deployment.commit)?;
    let (trusted, root) = newest_root(&seals.root_sources(), pinned)?;
    let candidate = accepted(&seals, &image.digest, &trusted, criteria, state)?;
    require_asked(&candidate, criteria)?;
    Ok(ChosenDeployment { sysroot, deployment, image, candidate, root })
}

/// No try is counted: another deployment is started when the boot loader chooses it.
fn accepted(
    seals: &CommitSeals,
    image: &FileDigest,
    root: &TrustRoot,
    criteria: &Criteria<'_>,
    state: &BootState,
) -> Result<Candidate, Error> {
    let request = criteria.request(state);
    // What the seal that was judged last needed, which is the one that is found.
    let needed = RefCell::new(None);
    let found = seals.find(criteria.stream, image, |envelope, freshness| {
        let (statement, needs_freshness) = verify(envelope, root, request, freshness)?;
        needed.replace(freshness.filter(|_| needs_freshness).map(<[u8]>::to_vec));
        Ok(statement)
    })?;
    Ok(Candidate {
        statement: found.statement,
        envelope: found.envelope,
        freshness: needed.into_inner(),
        is_counted: false,
    })
}

fn require_asked(candidate: &Candidate, criteria: &Criteria<'_>) -> Result<(), Error> {
    let found = candidate.statement.sequence;
    match criteria.command_line.sequence {
        Some(asked) if asked != found => Err(Error::NotAskedFor { asked, found }),
        _ => Ok(()),
    }
}

impl ChosenDeployment {
    /// Its seal.
    pub const fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// Mounts it, enforced by the kernel.
    pub fn mount(self) -> Result<Attempt<EnforcedMount>, Error> {
        let Self { sysroot, deployment, image, candidate, root } = self;
        let options = MountOptions::default();
        let mounted = enforce_deployment(&sysroot, &image, &candidate.statement, &options)?;
        let deployment = Some(deployment);
        Ok(Attempt { candidate, mounted, root, refused: Vec::new(), deployment })
    }
}
