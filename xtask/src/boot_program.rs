//! The boot program as it is shipped: static, small, and without what loads foreign libraries.

use crate::process::output;
use crate::static_programs::{self, Profile};
use crate::workspace::Workspace;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;

const PACKAGE: &str = "treeseal-boot";

/// It is loaded at every boot, and is a part of every signed image that boots.
const MOST_BYTES: u64 = 3 << 20;

/// Crates that it must not contain: they run code of others in its process.
const EXCLUDED: [&str; 3] = ["treeseal-token", "cryptoki", "libloading"];

/// Builds the program, and fails when it is too large or contains what it must not.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    exclude_foreign(workspace)?;
    let program = build(workspace)?;
    let size = fs::metadata(&program).with_context(|| format!("{}", program.display()))?.len();
    println!("{}: {size} bytes, {MOST_BYTES} are allowed", program.display());
    ensure!(size <= MOST_BYTES, "{PACKAGE} is too large");
    Ok(())
}

/// Builds the program on its own: together with others it would be built with what those ask of the same
/// crates.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    Ok(static_programs::build(workspace, &[PACKAGE], Profile::Boot)?.join(PACKAGE))
}

fn exclude_foreign(workspace: &Workspace) -> Result<()> {
    let tree = ["tree", "--package", PACKAGE, "--edges", "normal", "--prefix", "none"];
    let listed = output(workspace.cargo().args(tree))?;
    let names = || listed.lines().filter_map(|line| line.split(' ').next());
    ensure!(names().any(|name| name == PACKAGE), "cargo tree does not list {PACKAGE}");
    let found = names().find(|name| EXCLUDED.contains(name));
    ensure!(found.is_none(), "{PACKAGE} contains {}", found.unwrap_or_default());
    Ok(())
}
