//! The kernels, as Debian builds them for virtual machines.

use crate::process::{output, run_quietly};
use crate::setup::archive::{Archive, extract};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    /// The kernel itself, decompressed once: an emulated processor would need a second for it at every start.
    pub(super) fn image(&self) -> Result<PathBuf> {
        let image = self.root.join("vmlinux");
        if !image.exists() {
            // Given its name last, so half a kernel is not taken for a whole one.
            let made = self.root.join("vmlinux.tmp");
            decompress(&self.compressed_image()?, &made)?;
            fs::rename(&made, &image).context("renaming the kernel")?;
        }
        Ok(image)
    }

    fn compressed_image(&self) -> Result<PathBuf> {
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

/// Writes the ELF file that is in a `bzImage`.
fn decompress(image: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(image).with_context(|| format!("reading {}", image.display()))?;
    let payload = payload(&bytes);
    let payload = payload.with_context(|| format!("{} is no bzImage", image.display()))?;
    let decompressed = File::create(to).with_context(|| format!("creating {}", to.display()))?;
    let mut command = Command::new("zstd");
    command.args(["--decompress", "--stdout"]).stdin(Stdio::piped()).stdout(decompressed);
    let mut zstd = command.spawn().context("starting zstd")?;
    let mut input = zstd.stdin.take().context("zstd takes input")?;
    input.write_all(payload).context("decompressing the kernel")?;
    drop(input);
    let status = zstd.wait().context("waiting for zstd")?;
    ensure!(status.success(), "{} is not compressed by zstd: {status}", image.display());
    Ok(())
}

/// What is compressed in a `bzImage`, as the kernel's boot protocol says where it lies.
fn payload(image: &[u8]) -> Option<&[u8]> {
    const SECTOR: usize = 512;
    /// Where the number of sectors before the protected-mode code stands; this one is not counted.
    const SETUP_SECTORS: usize = 0x1f1;
    const PAYLOAD_OFFSET: usize = 0x248;
    const PAYLOAD_LENGTH: usize = 0x24c;
    let word = |at: usize| {
        let bytes = image.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let code = (usize::from(*image.get(SETUP_SECTORS)?) + 1) * SECTOR;
    let begin = code.checked_add(word(PAYLOAD_OFFSET)?)?;
    // The kernel's makefile puts the size of what was compressed behind it.
    let length = word(PAYLOAD_LENGTH)?.checked_sub(4)?;
    image.get(begin..begin.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_in_a_kernel_is_found_by_its_header() {
        let mut image = vec![0; 2048];
        image[0x1f1] = 1;
        image[0x248..0x24c].copy_from_slice(&16u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&12u32.to_le_bytes());
        image[1040..1052].copy_from_slice(b"compressed!!");
        assert_eq!(payload(&image), Some(&b"compress"[..]));
        image[0x24c..0x250].copy_from_slice(&2000u32.to_le_bytes());
        assert_eq!(payload(&image), None);
        assert_eq!(payload(b"MZ"), None);
    }

    #[test]
    fn the_newest_release_of_a_series_is_found_by_number() {
        let releases = ["6.12.9+deb13-cloud-amd64", "6.12.107+deb13-cloud-amd64", "6.1.200+x"];
        assert_eq!(newest_of("6.12", &releases).unwrap(), releases[1]);
        assert_eq!(newest_of("6.1", &releases).unwrap(), releases[2]);
        assert_eq!(newest_of("7.3", &releases), None);
    }
}
