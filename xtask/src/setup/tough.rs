//! `tough-walk`, a small program around the TUF client that another project wrote in Rust.
//!
//! It is no part of the workspace, so that nothing of what it brings along is built, judged or
//! shipped with Treeseal.

use super::Peers;
use crate::process::run;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// The files that it is made from.
const SOURCES: [&str; 3] = ["Cargo.toml", "Cargo.lock", "src/main.rs"];

/// Builds the program anew unless it was built from these very files.
pub(super) fn build(peers: &Peers, workspace: &Workspace) -> Result<()> {
    let sources = workspace.root.join("reference/tough-walk");
    let wanted = read_all(&sources)?;
    let dir = peers.dir().join("tough-walk");
    // Written last, so a failed build is not taken for a program.
    let made_from = dir.join("made-from.txt");
    if fs::read_to_string(&made_from).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--locked", "--manifest-path"]).arg(sources.join("Cargo.toml"));
    // Its own target directory: another workspace's packages would clutter ours.
    run(cargo.env("CARGO_TARGET_DIR", &dir))?;
    let program = peers.program("tough-walk");
    fs::create_dir_all(peers.dir().join("bin")).context("creating the programs' directory")?;
    fs::copy(dir.join("debug/tough-walk"), &program)
        .with_context(|| format!("copying to {}", program.display()))?;
    fs::write(&made_from, wanted).with_context(|| format!("writing {}", made_from.display()))
}

fn read_all(dir: &Path) -> Result<String> {
    let read = |name| {
        let file = dir.join(name);
        fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
    };
    SOURCES.into_iter().map(read).collect()
}
