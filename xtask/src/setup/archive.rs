//! Debian packages of any suite, downloaded and unpacked without being installed.
//!
//! An apt with directories of its own asks the machine's mirror, so the machine's configuration is
//! only read. Unpacked programs need their suite's C library, and are run by the loader that belongs
//! to it.

use super::debian::{apt_get, mirror};
use crate::process::{output, run, run_quietly};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages of one suite.
pub(crate) struct Archive {
    dir: PathBuf,
}

impl Archive {
    /// Fetches the suite's list of packages; `dir` is emptied for it.
    pub(crate) fn of(suite: &str, dir: &Path) -> Result<Self> {
        remove_dir(dir)?;
        for made in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(made)).context("creating apt's directories")?;
        }
        let mirror = mirror()?;
        let source = format!("deb [signed-by={}] {} {suite} main\n", mirror.keyring, mirror.uri);
        fs::write(dir.join("sources.list"), source).context("writing sources.list")?;
        // Nothing is installed, so all that a package depends on is to be downloaded.
        fs::write(dir.join("status"), "").context("writing apt's status")?;
        let archive = Self { dir: dir.to_owned() };
        run(archive.with_options(apt_get()).args(["update", "--quiet=2"]))?;
        Ok(archive)
    }

    /// The names of all packages that begin with `prefix`.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let mut command = self.with_options(Command::new("apt-cache"));
        let names = output(command.args(["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Downloads packages and all that they depend on.
    pub(crate) fn download_with_dependencies(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let mut install = self.with_options(apt_get());
        install.args(["install", "--quiet=2", "--yes", "--no-install-recommends"]);
        run(install.arg("--download-only").args(packages))?;
        debs(&self.dir.join("cache/archives"))
    }

    /// Downloads these packages alone.
    pub(crate) fn download(&self, packages: &[String]) -> Result<Vec<PathBuf>> {
        let mut download = self.with_options(apt_get());
        download.current_dir(&self.dir).args(["download", "--quiet=2"]);
        run(download.args(packages))?;
        debs(&self.dir)
    }

    fn with_options(&self, mut command: Command) -> Command {
        let option = |key: &str, value: &Path| format!("--option={key}={}", value.display());
        command.args([
            option("Dir::Etc::sourcelist", &self.dir.join("sources.list")),
            option("Dir::Etc::sourceparts", Path::new("/dev/null")),
            option("Dir::State::lists", &self.dir.join("lists")),
            option("Dir::State::status", &self.dir.join("status")),
            option("Dir::Cache", &self.dir.join("cache")),
            // apt's own user may not be able to read the target directory.
            option("APT::Sandbox::User", Path::new("root")),
            option("Acquire::Languages", Path::new("none")),
        ]);
        command
    }
}

fn debs(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut packages = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        packages.push(entry?.path());
    }
    packages.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    Ok(packages)
}

/// Unpacks packages into `root`, which is emptied for it.
pub(crate) fn extract(packages: &[PathBuf], root: &Path) -> Result<()> {
    remove_dir(root)?;
    let mut extract =
        |package| run_quietly(Command::new("dpkg-deb").arg("--extract").arg(package).arg(root));
    packages.iter().try_for_each(&mut extract)
}

/// Where a root has its libraries, and the name of its loader there.
pub(crate) fn libraries_and_loader() -> Result<(&'static str, &'static str)> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(("usr/lib/x86_64-linux-gnu", "ld-linux-x86-64.so.2")),
        "aarch64" => Ok(("usr/lib/aarch64-linux-gnu", "ld-linux-aarch64.so.1")),
        other => bail!("unpacked programs cannot be run on {other}"),
    }
}

/// The loader of `root` with its libraries: a program and its arguments are to follow.
pub(crate) fn loader(root: &Path) -> Result<Command> {
    let (libraries, loader) = libraries_and_loader()?;
    let libraries = root.join(libraries);
    let mut command = Command::new(libraries.join(loader));
    command.arg("--library-path").arg(libraries);
    Ok(command)
}

pub(crate) fn remove_dir(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))?;
    }
    Ok(())
}
