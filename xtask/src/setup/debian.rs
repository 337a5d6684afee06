//! Debian packages, and the mirror that this machine has them from.

use crate::process::{output, run, succeeds};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// What the tests and benches run beside the programs of a minimal system, and the C compiler that building
/// tough takes.
const PACKAGES: &[&str] = &[
    "acl",
    "attr",
    "btrfs-progs",
    "cpio",
    "debootstrap",
    "erofs-utils",
    "faketime",
    "fsverity",
    "gcc",
    "libc6-dev",
    "opensc",
    "openssl",
    "ostree",
    "qemu-system-x86",
    "qemu-utils",
    "rsync",
    "softhsm2",
    "strace",
    "swtpm",
    "time",
    "tpm2-tools",
    "valgrind",
    "xz-utils",
    "zstd",
];

/// Installs the packages that are missing, or says which they are.
pub(super) fn install_packages() -> Result<()> {
    let missing = missing_packages()?;
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)
}

/// Installs packages as root; otherwise fails with the command that would do it.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if !is_root()? {
        bail!(
            "missing Debian packages: {names}\n\
             hint: apt-get update && apt-get install --yes --no-install-recommends {names}"
        );
    }
    update()?;
    run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages))
}

/// apt-get that asks nothing.
pub(super) fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command
}

/// A Debian archive as this machine reaches it.
pub(super) struct Mirror {
    pub(super) uri: String,
    pub(super) keyring: &'static str,
}

/// The mirror of the installed release, which carries the other suites as well.
pub(super) fn mirror() -> Result<Mirror> {
    let uri = match main_archive()? {
        Some(uri) => uri,
        // Without package lists apt knows its archives, but not yet that they are Debian's.
        None if is_root()? => {
            update()?;
            main_archive()?.context("no Debian archive among apt's sources")?
        }
        None => bail!("apt has no package lists\nhint: run apt-get update as root"),
    };
    let keyrings = [
        "/usr/share/keyrings/debian-archive-keyring.pgp",
        "/usr/share/keyrings/debian-archive-keyring.gpg",
    ];
    let keyring = keyrings.into_iter().find(|file| Path::new(file).exists());
    Ok(Mirror { uri, keyring: keyring.context("no Debian archive keyring")? })
}

/// The first archive of Debian itself; those of security and proposed updates have other suites.
fn main_archive() -> Result<Option<String>> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)"]);
    let targets = output(command.arg("Created-By: Packages"))?;
    Ok(targets.lines().find_map(|line| line.strip_prefix("Debian Debian main ")).map(str::to_owned))
}

fn missing_packages() -> Result<Vec<&'static str>> {
    let mut command = Command::new("dpkg-query");
    command.args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"]);
    // It fails when it does not know one of the names, and still lists the others.
    let listed = command.args(PACKAGES).stderr(Stdio::null()).output();
    let listed = listed.context("starting dpkg-query (setup knows Debian only)")?.stdout;
    let listed = String::from_utf8_lossy(&listed);
    let is_installed = |name: &&str| listed.lines().any(|line| line == format!("{name} installed"));
    Ok(PACKAGES.iter().copied().filter(|name| !is_installed(name)).collect())
}

fn update() -> Result<()> {
    run(apt_get().args(["update", "--quiet=2"]))
}

pub(super) fn is_root() -> Result<bool> {
    Ok(output(Command::new("id").arg("-u"))?.trim() == "0")
}

/// A Python that can make virtual environments.
pub(super) fn python() -> Result<&'static str> {
    if let Some(python) = usable_python() {
        return Ok(python);
    }
    install(&["python3-venv"])?;
    usable_python().context("no usable python3, though python3-venv is installed")
}

fn usable_python() -> Option<&'static str> {
    let usable =
        |python: &&str| succeeds(Command::new(python).args(["-c", "import ensurepip, venv"]));
    ["python3", "/usr/bin/python3"].into_iter().find(usable)
}
