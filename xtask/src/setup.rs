//! Installs what the tests and benches compare with, below `target/peers`.
//!
//! Every step first looks whether its work is done, so a second run takes well under a second.

use crate::process::run as show_and_run;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub(crate) mod archive;
mod debian;
pub(crate) mod debootstrap;
mod python;
mod tough;
mod unpacked;

/// Where the peers are. Tests find the directory in `TREESEAL_PEERS`:
/// `bin/` has the programs, `venv/bin/` the Python implementations.
pub(crate) struct Peers {
    dir: PathBuf,
}

impl Peers {
    pub(crate) fn of(workspace: &Workspace) -> Self {
        Self { dir: workspace.target.join("peers") }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A program: a wrapper script of an unpacked one, or one that was built here.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.dir.join("bin").join(name)
    }

    pub(crate) fn python(&self) -> PathBuf {
        self.dir.join("venv/bin/python")
    }

    /// The version of Debian's composefs package in use.
    pub(crate) fn composefs_version(&self) -> Result<String> {
        unpacked::COMPOSEFS.version(self)
    }

    /// The version of Debian's ostree package in use.
    pub(crate) fn ostree_version(&self) -> Result<String> {
        unpacked::OSTREE.version(self)
    }
}

/// Installs the Debian packages that tests and benches use, and nothing else.
pub(crate) fn packages() -> Result<()> {
    debian::install_packages()
}

pub(crate) fn run(workspace: &Workspace) -> Result<Peers> {
    let peers = Peers::of(workspace);
    fs::create_dir_all(peers.dir()).with_context(|| format!("creating {}", peers.dir.display()))?;
    packages()?;
    python::create_environment(&peers, &workspace.root.join("xtask/requirements.txt"))?;
    unpacked::unpack_all(&peers)?;
    tough::build(&peers, workspace)?;
    Ok(peers)
}

/// The machines of all kernels want the same, and one of them unpacks it.
static UNPACKING: Mutex<()> = Mutex::new(());

/// The real `ostree`, unpacked if it is not there.
pub(crate) fn ostree(workspace: &Workspace) -> Result<PathBuf> {
    let _one = UNPACKING.lock().unwrap_or_else(PoisonError::into_inner);
    let peers = Peers::of(workspace);
    unpacked::OSTREE.unpack(&peers)?;
    Ok(peers.program("ostree"))
}

/// The real `ostree-prepare-root`, unpacked if it is not there, and the root with its libraries.
pub(crate) fn ostree_prepare_root(workspace: &Workspace) -> Result<(PathBuf, PathBuf)> {
    let _one = UNPACKING.lock().unwrap_or_else(PoisonError::into_inner);
    unpacked::prepare_root(&Peers::of(workspace))
}

/// A program that Cargo installs.
pub(crate) struct CargoTool {
    pub(crate) package: &'static str,
    pub(crate) program: &'static str,
    pub(crate) version: &'static str,
    /// Built without optimisation: for a tool that runs for a second, a minute less to wait.
    pub(crate) debug: bool,
}

/// The tool on `PATH`, or else this version of it below `target/peers`, installed when absent.
pub(crate) fn cargo_tool(workspace: &Workspace, tool: &CargoTool) -> Result<PathBuf> {
    if let Some(found) = crate::process::find_program(tool.program) {
        return Ok(found);
    }
    let root = Peers::of(workspace).dir().join(format!("{}-{}", tool.program, tool.version));
    let installed = root.join("bin").join(tool.program);
    if !installed.exists() {
        let mut command = workspace.cargo();
        command.args(["install", "--locked", "--version", tool.version, "--root"]).arg(&root);
        command.args(tool.debug.then_some("--debug")).arg(tool.package);
        // Its own target directory: the profile of another workspace would clutter ours.
        show_and_run(command.env_remove("CARGO_TARGET_DIR"))?;
    }
    Ok(installed)
}
