//! A virtual environment with the pinned Python implementations.

use super::{Peers, debian};
use crate::process::run;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes the environment anew unless it was made from these very requirements.
pub(super) fn create_environment(peers: &Peers, requirements: &Path) -> Result<()> {
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("reading {}", requirements.display()))?;
    let dir = peers.dir().join("venv");
    // Written last, so a half-made environment is not taken for a whole one.
    let made_from = dir.join("made-from.txt");
    if fs::read_to_string(&made_from).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    run(Command::new(debian::python()?).args(["-m", "venv", "--clear"]).arg(&dir))?;
    let mut pip = Command::new(peers.python());
    pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "install"]);
    run(pip.arg("--requirement").arg(requirements))?;
    fs::write(&made_from, wanted).with_context(|| format!("writing {}", made_from.display()))
}
