//! What a system of OSTree expects around its deployment. No seal vouches for what is bound here from
//! outside of the tree.

use std::fs::{self, File};
use std::path::Path;

use treeseal::boot::{Config, Writable};
use treeseal::source::ostree::{Deployment, Sysroot};

use crate::Failure;
use crate::writable::{Place, in_memory};

/// By this file a system knows that OSTree has deployed it, and OSTree, which deployment it is.
const BOOTED: &str = "/run/ostree-booted";

/// Completes the tree of a deployment at `root`: `/etc` and `/var` as the configuration says, the top of
/// `filesystem` at `/sysroot`, and the `boot` of there.
pub(crate) fn apply(
    root: &Path,
    config: &Config,
    filesystem: &Path,
    deployment: &Deployment,
) -> Result<(), Failure> {
    let sysroot = Sysroot::open(filesystem).map_err(treeseal::Error::from)?;
    let open = |path: &Path| sysroot.open_directory(path).map_err(treeseal::Error::from);
    let (etc, sealed_etc) = (Place::new(root, "etc"), Place::new(root, "usr/etc"));
    match config.etc {
        Writable::Sealed => etc.bind(&sealed_etc.open()?)?,
        Writable::Transient => etc.overlay_with(&sealed_etc.open()?, &in_memory("etc")?)?,
        Writable::Persistent => etc.bind_whole(&open(&deployment.path().join("etc"))?)?,
    }
    let var = Place::new(root, "var");
    match config.var {
        Writable::Sealed => {}
        Writable::Transient => var.overlay(&in_memory("var")?)?,
        Writable::Persistent => var.bind_whole(&open(&deployment.var())?)?,
    }
    let top = File::open(filesystem).map_err(Failure::io("open", filesystem))?;
    Place::new(root, "sysroot").bind(&top)?;
    let boot = filesystem.join("boot");
    if boot.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        Place::new(root, "boot").bind(&open(Path::new("boot"))?)?;
    }
    let record = sysroot.booted_record(deployment).map_err(treeseal::Error::from)?;
    fs::write(BOOTED, record).map_err(Failure::io("write", Path::new(BOOTED)))
}
