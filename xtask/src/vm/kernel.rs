//! The kernels, as Debian builds them for virtual machines.

use crate::process::{output, run_quietly};
use crate::setup::archive::{Archive, extract};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

use super::tools::Tools;

/// A series of kernels, and the suite that has it.
pub(super) struct Series {
    pub(super) name: &'static str,
    suite: &'static str,
}

/// The oldest series with everything that enforcement by the kernel needs, and a recent one.
pub(super) const SERIES: [Series; 2] =
    [Series { name: "6.12", suite: "trixie" }, Series { name: "7.3", suite: "trixie-backports" }];

const FLAVOUR: &str = "-cloud-amd64";

/// Packages that a kernel can be divided into. The first one is there always, and empty where the
/// others are.
const PACKAGES: [&str; 4] = ["linux-image-", "linux-base-", "linux-binary-", "linux-modules-"];

/// A kernel with its modules, unpacked.
pub(super) struct Kernel {
    pub(super) series: &'static str,
    /// What `uname -r` says.
    pub(super) release: String,
    root: PathBuf,
}

impl Series {
    /// The kernel below `dir`, fetched when it is not there: the newest of its series.
    pub(super) fn kernel(&self, dir: &Path, tools: &Tools) -> Result<Kernel> {
        let root = dir.join(format!("kernel-{}", self.name));
        // Written last, so a half-made root is not taken for a whole one.
        let made = root.join("release.txt");
        if let Ok(release) = fs::read_to_string(&made) {
            return Ok(Kernel { series: self.name, release, root });
        }
        let archive = Archive::of(self.suite, &dir.join("apt"))?;
        let release = self.newest(&archive)?;
        let names = PACKAGES.map(|prefix| archive.names(&format!("{prefix}{release}")));
        let mut names: Vec<String> =
            names.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        names.retain(|name| name.ends_with(FLAVOUR));
        extract(&archive.download(&names)?, &root)?;
        let kernel = Kernel { series: self.name, release, root };
        kernel.index_modules(tools)?;
        fs::write(&made, &kernel.release).with_context(|| format!("writing {}", made.display()))?;
        Ok(kernel)
    }

    fn newest(&self, archive: &Archive) -> Result<String> {
        let prefix = PACKAGES[0];
        let names = archive.names(prefix)?;
        let releases: Vec<&str> = names
            .iter()
            .filter(|name| name.ends_with(FLAVOUR))
            .filter_map(|name| name.strip_prefix(prefix))
            .collect();
        newest_of(self.name, &releases).with_context(|| {
            format!("{} has no kernel {}; it has {}", self.suite, self.name, releases.join(", "))
        })
    }
}

/// The release of the series with the highest third number: 6.12.117+deb13-cloud-amd64.
fn newest_of(series: &str, releases: &[&str]) -> Option<String> {
    let third_number = |release: &&str| -> Option<u32> {
        let rest = release.strip_prefix(series)?.strip_prefix('.')?;
        rest.split_once('+')?.0.parse().ok()
    };
    let of_series = releases.iter().filter_map(|release| Some((third_number(release)?, *release)));
    of_series.max().map(|(_, release)| release.to_owned())
}

impl Kernel {
    /// The kernel itself.
    pub(super) fn image(&self) -> Result<PathBuf> {
        let places = [
            self.root.join(format!("boot/vmlinuz-{}", self.release)),
            self.root.join(format!("usr/lib/modules/{}/vmlinuz", self.release)),
        ];
        let found = places.into_iter().find(|place| place.exists());
        found.with_context(|| format!("no kernel in {}", self.root.display()))
    }

    /// The files of the modules and of those that they need, in the order in which they can be loaded.
    pub(super) fn modules(&self, wanted: &[&str], tools: &Tools) -> Result<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> = Vec::new();
        for name in wanted {
            let mut modprobe = tools.command("usr/sbin/modprobe")?;
            modprobe.arg("--dirname").arg(&self.root).args(["--set-version", &self.release]);
            let listed = output(modprobe.args(["--show-depends", name]))?;
            let listed = listed.lines().filter_map(|line| line.strip_prefix("insmod "));
            let before = files.len();
            for file in listed.map(|file| PathBuf::from(file.trim())) {
                if !files.contains(&file) {
                    files.push(file);
                }
            }
            ensure!(files.len() > before, "{} has no module {name}", self.release);
        }
        Ok(files)
    }

    /// Makes the index that `modprobe` reads; it looks for it in `/lib`.
    fn index_modules(&self, tools: &Tools) -> Result<()> {
        std::os::unix::fs::symlink("usr/lib", self.root.join("lib")).context("linking lib")?;
        let mut depmod = tools.command("usr/sbin/depmod")?;
        run_quietly(depmod.arg("--basedir").arg(&self.root).arg(&self.release))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_of_a_series_is_found_by_number() {
        let releases = ["6.12.9+deb13-cloud-amd64", "6.12.107+deb13-cloud-amd64", "6.1.200+x"];
        assert_eq!(newest_of("6.12", &releases).unwrap(), releases[1]);
        assert_eq!(newest_of("6.1", &releases).unwrap(), releases[2]);
        assert_eq!(newest_of("7.3", &releases), None);
    }
}
