//! A root filesystem of Debian's essential packages and apt, as `debootstrap` makes it.

use super::archive::remove_dir;
use super::debian::{is_root, mirror};
use crate::process::run;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of a suite below `dir`, made when it is not there. That takes a minute, and root.
pub(crate) fn root(suite: &str, dir: &Path) -> Result<PathBuf> {
    let root = dir.join(format!("debian-{suite}"));
    // Written last, so a half-made root is not taken for a whole one.
    let made = dir.join(format!("debian-{suite}.txt"));
    if made.exists() && root.exists() {
        return Ok(root);
    }
    ensure!(is_root()?, "debootstrap needs root");
    remove_dir(&root)?;
    let mirror = mirror()?;
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.arg(format!("--keyring={}", mirror.keyring)).args(["--variant=minbase", suite]);
    run(debootstrap.arg(&root).arg(&mirror.uri))?;
    fs::write(&made, suite).with_context(|| format!("writing {}", made.display()))?;
    Ok(root)
}
