//! Programs from newer Debian suites than the machine's own.
//!
//! They need their suite's C library, so each package is unpacked with it into a root of its own and
//! its programs are run by that root's loader. Nothing is installed, and the machine's apt
//! configuration is only read.

use super::Peers;
use super::debian::{Mirror, apt_get, mirror};
use crate::process::{output, run, run_quietly};
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package and the programs of it that are wanted.
pub(super) struct Unpacked {
    suite: &'static str,
    package: &'static str,
    programs: &'static [&'static str],
}

/// Of forky, because 1.0.8 is the version whose images ours must equal.
pub(super) const COMPOSEFS: Unpacked =
    Unpacked { suite: "forky", package: "composefs", programs: &["mkcomposefs", "composefs-info"] };

/// Of trixie, the first suite that has it.
const COSIGN: Unpacked = Unpacked { suite: "trixie", package: "cosign", programs: &["cosign"] };

pub(super) fn unpack_all(peers: &Peers) -> Result<()> {
    [COMPOSEFS, COSIGN].iter().try_for_each(|wanted| wanted.unpack(peers))
}

impl Unpacked {
    /// The version of the package that is unpacked.
    pub(super) fn version(&self, peers: &Peers) -> Result<String> {
        let file = self.version_file(peers);
        let text = fs::read_to_string(&file);
        let text = text.with_context(|| format!("reading {}", file.display()))?;
        Ok(text.trim().to_owned())
    }

    fn unpack(&self, peers: &Peers) -> Result<()> {
        if self.version(peers).is_ok() {
            return Ok(());
        }
        let root = self.root(peers);
        remove_dir(&root)?;
        let packages = self.download(&peers.dir().join("apt"), &mirror()?)?;
        for package in &packages {
            run_quietly(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&root))?;
        }
        self.write_wrappers(peers)?;
        let this = packages.iter().find(|package| self.is_file_of(package));
        let this = this.with_context(|| format!("apt downloaded no package {}", self.package))?;
        let version = output(Command::new("dpkg-deb").arg("--field").arg(this).arg("Version"))?;
        // Written last, so a half-made root is not taken for a whole one.
        let file = self.version_file(peers);
        fs::write(&file, version).with_context(|| format!("writing {}", file.display()))
    }

    fn root(&self, peers: &Peers) -> PathBuf {
        peers.dir().join(self.root_name())
    }

    fn root_name(&self) -> String {
        format!("{}-{}", self.suite, self.package)
    }

    fn version_file(&self, peers: &Peers) -> PathBuf {
        self.root(peers).join("version.txt")
    }

    fn is_file_of(&self, deb: &Path) -> bool {
        let name = deb.file_name().unwrap_or_default().to_string_lossy();
        name.split_once('_').is_some_and(|(package, _)| package == self.package)
    }

    /// Downloads the package and all that it depends on: to an apt whose list of installed packages
    /// is empty, nothing is there yet.
    fn download(&self, dir: &Path, mirror: &Mirror) -> Result<Vec<PathBuf>> {
        remove_dir(dir)?;
        for made in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(made)).context("creating apt's directories")?;
        }
        let source =
            format!("deb [signed-by={}] {} {} main\n", mirror.keyring, mirror.uri, self.suite);
        fs::write(dir.join("sources.list"), source).context("writing sources.list")?;
        fs::write(dir.join("status"), "").context("writing apt's status")?;
        run(private_apt(dir).args(["update", "--quiet=2"]))?;
        let mut install = private_apt(dir);
        install.args(["install", "--quiet=2", "--yes", "--no-install-recommends"]);
        run(install.args(["--download-only", self.package]))?;
        let archives = dir.join("cache/archives");
        let mut packages = Vec::new();
        for entry in fs::read_dir(&archives).context("reading apt's archives")? {
            packages.push(entry?.path());
        }
        packages.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
        Ok(packages)
    }

    fn write_wrappers(&self, peers: &Peers) -> Result<()> {
        let (libraries, loader) = match std::env::consts::ARCH {
            "x86_64" => ("usr/lib/x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
            "aarch64" => ("usr/lib/aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
            other => bail!("no wrapper for the programs of {} on {other}", self.package),
        };
        let root = self.root_name();
        fs::create_dir_all(peers.dir().join("bin")).context("creating the wrappers' directory")?;
        for program in self.programs {
            let script = format!(
                "#!/bin/sh\n\
                 # Runs {program} with the C library that it was built for.\n\
                 R=${{0%/*}}/../{root}\n\
                 L=$R/{libraries}\n\
                 exec \"$L/{loader}\" --library-path \"$L\" \"$R/usr/bin/{program}\" \"$@\"\n"
            );
            let path = peers.program(program);
            fs::write(&path, script).with_context(|| format!("writing {}", path.display()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
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

fn remove_dir(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))?;
    }
    Ok(())
}
