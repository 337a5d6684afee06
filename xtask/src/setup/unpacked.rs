//! Programs from newer Debian suites than the machine's own, each in a root of its own.

use super::Peers;
use super::archive::{Archive, extract, libraries_and_loader};
use crate::process::output;
use anyhow::{Context, Result};
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

/// Of forky, the first suite whose `ostree` makes composefs images.
pub(super) const OSTREE: Unpacked =
    Unpacked { suite: "forky", package: "ostree", programs: &["ostree"] };

/// Of trixie, the first suite that has it.
const COSIGN: Unpacked = Unpacked { suite: "trixie", package: "cosign", programs: &["cosign"] };

/// Unpacks what makes the root in an initramfs of OSTree, and gives the program and the root with its
/// libraries. It is in a package of its own, which depends on much that it does without.
pub(super) fn prepare_root(peers: &Peers) -> Result<(PathBuf, PathBuf)> {
    OSTREE.unpack(peers)?;
    let root = peers.dir().join("forky-ostree-boot");
    if !root.exists() {
        let archive = Archive::of(OSTREE.suite, &peers.dir().join("apt"))?;
        let packages = archive.download(&["ostree-boot".to_owned()])?;
        // So a half-made root is not taken for a whole one.
        let unpacked = root.with_extension("new");
        extract(&packages, &unpacked)?;
        fs::rename(&unpacked, &root).with_context(|| format!("renaming to {}", root.display()))?;
    }
    Ok((root.join("usr/lib/ostree/ostree-prepare-root"), OSTREE.root(peers)))
}

pub(super) fn unpack_all(peers: &Peers) -> Result<()> {
    [COMPOSEFS, OSTREE, COSIGN].iter().try_for_each(|wanted| wanted.unpack(peers))
}

impl Unpacked {
    /// The version of the package that is unpacked.
    pub(super) fn version(&self, peers: &Peers) -> Result<String> {
        let file = self.version_file(peers);
        let text = fs::read_to_string(&file);
        let text = text.with_context(|| format!("reading {}", file.display()))?;
        Ok(text.trim().to_owned())
    }

    pub(super) fn unpack(&self, peers: &Peers) -> Result<()> {
        if self.version(peers).is_ok() {
            return Ok(());
        }
        let archive = Archive::of(self.suite, &peers.dir().join("apt"))?;
        let packages = archive.download_with_dependencies(&[self.package])?;
        extract(&packages, &self.root(peers))?;
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

    fn write_wrappers(&self, peers: &Peers) -> Result<()> {
        let (libraries, loader) = libraries_and_loader()?;
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
