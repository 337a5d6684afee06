//! The composefs tools, from a newer Debian suite than the machine's own.
//!
//! They need that suite's C library, so they are unpacked with it into a root of their own and run
//! by that root's loader. Nothing is installed, and the machine's apt configuration is only read.

use super::Peers;
use super::debian::{Mirror, apt_get, mirror};
use crate::process::{output, run, run_quietly};
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The suite that carries composefs 1.0.8, the version whose images ours must equal.
const SUITE: &str = "forky";

const PROGRAMS: [&str; 2] = ["mkcomposefs", "composefs-info"];

pub(super) fn unpack(peers: &Peers) -> Result<()> {
    if version(peers).is_ok() {
        return Ok(());
    }
    let root = root(peers);
    remove_dir(&root)?;
    let packages = download(&peers.dir().join("apt"), &mirror()?)?;
    for package in &packages {
        run_quietly(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&root))?;
    }
    write_wrappers(peers)?;
    let composefs = packages.iter().find(|package| is_composefs(package));
    let composefs = composefs.context("apt downloaded no composefs package")?;
    let version = output(Command::new("dpkg-deb").arg("--field").arg(composefs).arg("Version"))?;
    // Written last, so a half-made root is not taken for a whole one.
    fs::write(version_file(peers), version).context("writing the version of composefs")
}

/// The version of the unpacked composefs package.
pub(super) fn version(peers: &Peers) -> Result<String> {
    let file = version_file(peers);
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    Ok(text.trim().to_owned())
}

fn root(peers: &Peers) -> PathBuf {
    peers.dir().join(SUITE)
}

fn version_file(peers: &Peers) -> PathBuf {
    root(peers).join("composefs-version.txt")
}

fn is_composefs(package: &Path) -> bool {
    let name = package.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with("composefs_")
}

/// Downloads composefs and all that it depends on: to an apt whose list of installed packages is
/// empty, nothing is there yet.
fn download(dir: &Path, mirror: &Mirror) -> Result<Vec<PathBuf>> {
    remove_dir(dir)?;
    for made in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(dir.join(made)).context("creating apt's directories")?;
    }
    let source = format!("deb [signed-by={}] {} {SUITE} main\n", mirror.keyring, mirror.uri);
    fs::write(dir.join("sources.list"), source).context("writing sources.list")?;
    fs::write(dir.join("status"), "").context("writing apt's status")?;
    run(private_apt(dir).args(["update", "--quiet=2"]))?;
    let mut install = private_apt(dir);
    install.args(["install", "--quiet=2", "--yes", "--no-install-recommends", "--download-only"]);
    run(install.arg("composefs"))?;
    let archives = dir.join("cache/archives");
    let mut packages = Vec::new();
    for entry in fs::read_dir(&archives).context("reading apt's archives")? {
        packages.push(entry?.path());
    }
    packages.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    Ok(packages)
}

fn private_apt(dir: &Path) -> Command {
    let option = |key: &str, value: &Path| format!("--option={key}={}", value.display());
    let mut command = apt_get();
    command.args([
        option("Dir::Etc::sourcelist", &dir.join("sources.list")),
        option("Dir::Etc::sourceparts", Path::new("/dev/null")),
        option("Dir::State::lists", &dir.join("lists")),
        option("Dir::State::status", &dir.join("status")),
        option("Dir::Cache", &dir.join("cache")),
        // apt's own user may not be able to read the target directory.
        option("APT::Sandbox::User", Path::new("root")),
        option("Acquire::Languages", Path::new("none")),
    ]);
    command
}

fn write_wrappers(peers: &Peers) -> Result<()> {
    let (libraries, loader) = match std::env::consts::ARCH {
        "x86_64" => ("usr/lib/x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
        "aarch64" => ("usr/lib/aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
        other => bail!("no wrapper for the composefs tools on {other}"),
    };
    fs::create_dir_all(peers.dir().join("bin")).context("creating the wrappers' directory")?;
    for program in PROGRAMS {
        let script = format!(
            "#!/bin/sh\n\
             # Runs {program} with the C library that it was built for.\n\
             R=${{0%/*}}/../{SUITE}\n\
             L=$R/{libraries}\n\
             exec \"$L/{loader}\" --library-path \"$L\" \"$R/usr/bin/{program}\" \"$@\"\n"
        );
        let path = peers.program(program);
        fs::write(&path, script).with_context(|| format!("writing {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn remove_dir(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))?;
    }
    Ok(())
}
