//! Programs that need nothing of the system they run on but its kernel.

use crate::process::run as show_and_run;
use crate::workspace::Workspace;
use anyhow::{Result, ensure};
use std::path::PathBuf;

/// The target is the machine's own. It is named all the same, because flags then concern it alone, and
/// neither build scripts nor procedural macros, which cannot be static.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// How programs are optimised: a profile in `Cargo.toml`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// For virtual machines: built at once.
    Static,
    /// For an initramfs: as small as it gets.
    Boot,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Boot => "boot",
        }
    }
}

/// Builds the programs of these packages, and gives the directory they are in.
pub(crate) fn build(workspace: &Workspace, packages: &[&str], profile: Profile) -> Result<PathBuf> {
    ensure!(std::env::consts::ARCH == "x86_64", "static programs are built on x86-64 only");
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--bins", "--target", TARGET, "--profile", profile.name()]);
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    show_and_run(cargo.env("RUSTFLAGS", "-Ctarget-feature=+crt-static"))?;
    Ok(workspace.target.join(TARGET).join(profile.name()))
}
