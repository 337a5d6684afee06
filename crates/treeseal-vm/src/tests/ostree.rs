//! Deployments of OSTree, whose images the kernel checks.

use crate::guest::{Filesystem, Guest, Verity};
use crate::place::{Place, STREAM, content, enable, names};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

const COMMIT: &str = "aab40b14bf2d468066283f133c1f95f68c7469f727b16637cbae217109c56792";

/// Kernel and initramfs of the deployment have this checksum together.
const BOOT: &str = "1ef25641152323996ac56d1a6081bf4392a090774b63be369637a6fca59e8c99";

const STORE: &str = "system/ostree/repo/extensions/treeseal";

/// A system with one deployment, and a seal of its commit. What is sealed is some tree: how an image came
/// about is nothing to the kernel.
struct System(Place);

impl System {
    fn new(filesystem: &Filesystem) -> Result<Self> {
        let system = Self(Place::new(filesystem)?);
        let root = system.0.home.join("system");
        let links = root.join("ostree/boot.1.1/acme").join(BOOT);
        let entries = root.join("boot/loader.1/entries");
        let repository = root.join("ostree/repo");
        for directory in [&links, &entries, &repository.join("objects"), &system.deployment()] {
            fs::create_dir_all(directory).context("making a system")?;
        }
        fs::write(repository.join("config"), "[core]\nrepo_version=1\nmode=bare\n")?;
        symlink("boot.1.1", root.join("ostree/boot.1"))?;
        symlink(format!("../../../deploy/acme/deploy/{COMMIT}.0"), links.join("0"))?;
        symlink("loader.1", root.join("boot/loader"))?;
        let entry = format!("version 1\noptions ostree=/ostree/boot.1/acme/{BOOT}/0\n");
        fs::write(entries.join("ostree-1.conf"), entry)?;
        system.0.does(0, &format!("seal tree --stream {STREAM} --store {STORE}"))?;
        fs::copy(system.sealed_image()?, system.image()).context("deploying the image")?;
        Ok(system)
    }

    fn deployment(&self) -> PathBuf {
        self.0.home.join(format!("system/ostree/deploy/acme/deploy/{COMMIT}.0"))
    }

    fn image(&self) -> PathBuf {
        self.deployment().join(".ostree.cfs")
    }

    fn sealed_image(&self) -> Result<PathBuf> {
        let fanout = names(&self.0.home.join(STORE).join("images"))?;
        let images = names(fanout.first().context("no image was stored")?)?;
        images.into_iter().next().context("no image was stored")
    }

    fn says(&self, code: i32, options: &str, expected: &str) -> Result<()> {
        let words = format!("ostree deploy-verify system --stream {STREAM} {options}");
        self.0.says(code, &words, expected)
    }
}

/// The digest that counts is the one by which the kernel checks the image. Without one nothing stands in
/// for it unless that is asked for.
pub(super) fn deployments_are_verified_by_the_kernel(guest: &Guest) -> Result<()> {
    let filesystem = guest.ext4(4096, Verity::On)?;
    let system = System::new(&filesystem)?;
    system.says(1, "", "hint: the kernel does not check such an image when it is used")?;
    system.says(0, "--enforce scan", ", scan\n")?;
    enable(&system.image(), &[])?;
    system.says(0, "", &format!("verified ostree/deploy/acme/deploy/{COMMIT}.0\n"))?;
    system.says(0, "", ", kernel\n")?;

    fs::remove_file(system.image()).context("removing the image")?;
    fs::write(system.image(), content(5000)).context("exchanging the image")?;
    enable(&system.image(), &[])?;
    system.says(1, "", "it seals another image: ")?;

    // The same bytes by another digest are not what was sealed.
    fs::remove_file(system.image()).context("removing the image")?;
    fs::copy(system.sealed_image()?, system.image()).context("deploying the image")?;
    enable(&system.image(), &["--salt=00"])?;
    system.says(1, "", "it seals another image: ")
}

/// Where there is no fs-verity, the kernel cannot vouch for anything, and that is said.
pub(super) fn deployments_without_verity_are_refused(guest: &Guest) -> Result<()> {
    let filesystem = guest.tmpfs()?;
    let system = System::new(&filesystem)?;
    system.says(2, "", "hint: the kernel does not check such an image when it is used")?;
    system.says(0, "--enforce scan", ", scan\n")
}
