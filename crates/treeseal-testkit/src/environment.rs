//! What tests want of the machine: programs, root, and data beside the repository.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The top of the repository.
pub fn repository() -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    top.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", top.display()))
}

/// A folder of the test data that is too large for the repository, where `TREESEAL_FIXTURES` names
/// the directory; `None` when it names none.
pub fn fixtures(folder: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env::var_os("TREESEAL_FIXTURES")?).join(folder);
    assert!(folder.is_dir(), "TREESEAL_FIXTURES has no folder {}", folder.display());
    Some(folder)
}

/// A program of the peers that `cargo xtask test` installs.
pub fn peer(name: &str) -> PathBuf {
    let Some(peers) = env::var_os("TREESEAL_PEERS") else {
        panic!("{name} is wanted, and TREESEAL_PEERS does not say where: run `cargo xtask test`");
    };
    let path = PathBuf::from(peers).join("bin").join(name);
    assert!(path.exists(), "{} is missing: run `cargo xtask test`", path.display());
    path
}

/// A program that a Debian package brings.
pub fn program(name: &str, package: &str) -> PathBuf {
    // Where root's programs are, which not every PATH has.
    let extra = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let found =
        env::split_paths(&path).chain(extra).map(|dir| dir.join(name)).find(|file| file.exists());
    found.unwrap_or_else(|| panic!("{name} is missing: install the Debian package {package}"))
}

/// The system's Python.
pub fn python() -> PathBuf {
    program("python3", "python3")
}

/// Fails the test when it does not run as root.
pub fn require_root(purpose: &str) {
    let output = run(Command::new(program("id", "coreutils")).arg("-u"));
    let is_root = output.stdout == b"0\n";
    assert!(is_root, "{purpose}: only root may do that; run the tests as root");
}

/// Runs a command that is to succeed, and gives what it printed.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{messages}", output.status);
    output
}
