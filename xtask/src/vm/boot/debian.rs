//! A root of Debian that is booted as a sealed tree.

use super::sealed_disk::SealedDisk;
use super::trial::{Settings, Trial};
use crate::process::{output, run_quietly};
use crate::setup::archive::remove_dir;
use crate::setup::debootstrap;
use crate::vm::disk::Disk;
use crate::vm::host::{BOOT_TIME, Host};
use crate::vm::machine::Next;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Instant;

const SUITE: &str = "trixie";

/// Room for the tree, for the store that it is sealed into, and for Merkle trees.
const DISK_BYTES: u64 = 1 << 30;

/// What dpkg does not need, as images for containers leave it out too. An emulated machine would hash it.
const LEFT_OUT: [&str; 8] = [
    "usr/share/doc",
    "usr/share/i18n",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/zoneinfo",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
];

const INIT: &str = "usr/sbin/init";

/// What begins the lines that the init says, and ends them.
const SAID: &str = "system: ";
const END: &str = "system ends";

/// A shell is the init. What dpkg finds wrong is said before its status.
const INIT_SCRIPT: &str = r#"#!/bin/sh
exec 2>&1
dpkg --audit | sed 's/^/system: /'
dpkg --audit > /dev/null
echo "system: audited, status $?"
echo "system: $(dpkg-query --show --showformat . | wc --bytes) packages"
echo "system: $(grep --only-matching '"enforcement":"kernel"' /run/treeseal/boot.json)"
touch /usr/changed 2> /dev/null || echo "system: /usr cannot be changed"
touch /etc/changed && echo "system: /etc can be changed"
echo "system ends"
exec sleep infinity
"#;

/// A root of Debian, as debootstrap makes it, boots to a shell that runs `dpkg --audit`.
pub(in crate::vm) fn debian_boots_to_a_shell(host: &Host) -> Result<()> {
    let disk = sealed_debian(host)?;
    let trial = Trial::new(host, "boot-debian", &disk)?;
    let settings = Settings::of(&disk).with("etc", "transient").with("var", "transient");
    let machine = trial.start(&trial.initramfs(&settings)?, Disk::kept(trial.disk()), &[])?;
    let ends = Instant::now() + BOOT_TIME;
    let mut said = Vec::new();
    while let Next::Line(line) = machine.next(ends)
        && line != END
    {
        said.extend(line.strip_prefix(SAID).map(str::to_owned));
    }
    ensure!(said == expected(&disk)?, "the shell said {said:#?}{}", machine.last_lines());
    Ok(())
}

fn sealed_debian(host: &Host) -> Result<SealedDisk> {
    let treeseal = host.programs.join("treeseal");
    let sealer = output(Command::new("sha256sum").arg(&treeseal))?;
    let made_from = format!("{SUITE}, without {}\n{INIT_SCRIPT}\n{sealer}", LEFT_OUT.join(" "));
    SealedDisk::prepare(host, "debian", DISK_BYTES, &made_from, |disk| {
        let root = debootstrap::root(SUITE, host.dir)?;
        let tree = disk.tree();
        run_quietly(Command::new("cp").args(["--archive", "--"]).args([&root, &tree]))?;
        LEFT_OUT.iter().try_for_each(|name| remove_dir(&tree.join(name)))?;
        let init = tree.join(INIT);
        fs::write(&init, INIT_SCRIPT).context("writing the init")?;
        fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).context("the init's mode")?;
        disk.seal(host, &tree)
    })
}

/// What the init says, where dpkg knows as many packages as were installed.
fn expected(disk: &SealedDisk) -> Result<Vec<String>> {
    let status = disk.tree().join("var/lib/dpkg/status");
    let status = fs::read_to_string(status).context("reading dpkg's status")?;
    let packages = status.lines().filter(|line| line.starts_with("Package: ")).count();
    let lines = [
        "audited, status 0",
        &format!("{packages} packages"),
        "\"enforcement\":\"kernel\"",
        "/usr cannot be changed",
        "/etc can be changed",
    ];
    Ok(lines.map(str::to_owned).into())
}
