//! All tests, with the peers they compare with.

use crate::process::run as show_and_run;
use crate::setup::{self, Peers};
use crate::vm;
use crate::workspace::Workspace;
use anyhow::Result;
use std::process::Command;

mod hashes;

/// Checks by the reference implementation: a script under the root, and its arguments.
const PYTHON_CHECKS: &[&[&str]] = &[
    &["reference/verity_model.py", "check"],
    &["reference/image_vectors.py", "check"],
    &["reference/trust_vectors.py", "check"],
    &["reference/tpm_model.py", "check"],
];

/// The Python checks come first, so that the last lines printed are cargo's own results. Without a
/// filter the core is then run by every implementation of the hash functions, and the tests that need a
/// kernel of their own in virtual machines.
pub(crate) fn run(workspace: &Workspace, filter: Option<&str>) -> Result<()> {
    let peers = setup::run(workspace)?;
    python_checks(workspace, &peers, filter)?;
    build(workspace)?;
    let mut tests = workspace.cargo();
    tests.args(["test", "--workspace", "--no-fail-fast"]).args(filter);
    // This run is that of the implementation which is chosen when none is forced.
    tests.env_remove(hashes::VARIABLE).env("TREESEAL_PEERS", peers.dir());
    show_and_run(&mut tests)?;
    if filter.is_some() {
        return Ok(());
    }
    hashes::run(workspace, &peers)?;
    virtual_machines(workspace)
}

fn virtual_machines(workspace: &Workspace) -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        println!("vm: NOT TESTED, virtual machines are of x86-64 only");
        return Ok(());
    }
    vm::run(workspace, &[])
}

/// The part of the tests that is run by every implementation of the hash functions, alone.
pub(crate) fn run_hashes(workspace: &Workspace) -> Result<()> {
    let peers = setup::run(workspace)?;
    build(workspace)?;
    hashes::run(workspace, &peers)
}

/// Tests also run the programs of other packages than their own. They are built together with the
/// tests, because then the dependencies' features are those of the tests and nothing is built twice.
fn build(workspace: &Workspace) -> Result<()> {
    show_and_run(workspace.cargo().args(["build", "--workspace", "--bins", "--tests"]))
}

fn python_checks(workspace: &Workspace, peers: &Peers, filter: Option<&str>) -> Result<()> {
    for check in PYTHON_CHECKS {
        let wanted = filter.is_none_or(|filter| check[0].contains(filter));
        if wanted && workspace.root.join(check[0]).exists() {
            let mut command = Command::new(peers.python());
            show_and_run(command.current_dir(&workspace.root).args(*check))?;
        }
    }
    Ok(())
}
