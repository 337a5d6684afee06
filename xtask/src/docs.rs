//! The command-line reference, written by the command itself so that it cannot differ.

use crate::process::output;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;

const REFERENCE: &str = "docs/cli-reference.md";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Check,
}

pub(crate) fn run(workspace: &Workspace, mode: Mode) -> Result<()> {
    let path = workspace.root.join(REFERENCE);
    let generated = output(workspace.cargo().args([
        "run",
        "--quiet",
        "--package",
        "treeseal-cli",
        "--",
        "docs",
        "cli-reference",
    ]))?;
    match mode {
        Mode::Write => fs::write(&path, generated).with_context(|| format!("writing {REFERENCE}")),
        Mode::Check => {
            let kept = fs::read_to_string(&path).with_context(|| format!("reading {REFERENCE}"))?;
            if kept != generated {
                bail!("{REFERENCE} is not what the command prints: run `cargo xtask docs`");
            }
            Ok(())
        }
    }
}
