//! What must hold of the source itself, before any test runs.

use crate::boot_program;
use crate::layering;
use crate::process::run as show_and_run;
use crate::section::Document;
use crate::setup::{self, CargoTool};
use crate::workspace::Workspace;
use anyhow::Result;
use std::process::Command;

/// Whether to ask the advisory database, which is fetched from the network.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advisories {
    Skip,
    Check,
}

pub(crate) fn run(workspace: &Workspace, advisories: Advisories) -> Result<()> {
    show_and_run(workspace.cargo().args(["fmt", "--all", "--check"]))?;
    layering::run(workspace, Document::Compare)?;
    clippy(workspace)?;
    rustdoc(workspace)?;
    boot_program::run(workspace)?;
    dependencies(workspace, advisories)
}

/// Warnings become errors here by an argument and not by `RUSTFLAGS`, which would make every
/// dependency be built once more.
fn clippy(workspace: &Workspace) -> Result<()> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    show_and_run(workspace.cargo().args(arguments))
}

fn rustdoc(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo();
    command.env("RUSTDOCFLAGS", "-Dwarnings").args(["doc", "--no-deps", "--workspace"]);
    show_and_run(&mut command)
}

fn dependencies(workspace: &Workspace, advisories: Advisories) -> Result<()> {
    let deny = setup::cargo_tool(workspace, &CARGO_DENY)?;
    let mut command = Command::new(deny);
    command.current_dir(&workspace.root).args(["check", "--hide-inclusion-graph"]);
    command.args(["bans", "licenses", "sources"]);
    if advisories == Advisories::Check {
        command.arg("advisories");
    }
    show_and_run(&mut command)
}

const CARGO_DENY: CargoTool =
    CargoTool { package: "cargo-deny", program: "cargo-deny", version: "0.20.2", debug: true };
