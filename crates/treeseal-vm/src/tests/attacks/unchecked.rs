//! A reader who checks nothing: what an attack does where nothing stops it.

use super::finding::Finding;
use super::world::World;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};
use treeseal::trust::{Envelope, Statement};
use treeseal_sys::{DetachedMount, Overlay, OverlayVerity, mount_erofs, mount_overlay};
use treeseal_testkit::attacks::{STREAM, Victim};

/// No pointer and no seal of an honest store is as large.
const READ_MOST: u64 = 1 << 20;

/// Follows the store's pointer to a seal and the seal to an image, and reads what that names.
pub(super) fn by_nobody(world: &World, victim: &Victim<'_>) -> Result<Finding> {
    let mount = match mount_current(victim) {
        Ok(mount) => mount,
        Err(error) => return Ok(Finding::nothing_served(&error, world)),
    };
    let top = PathBuf::from(format!("/proc/self/fd/{}/.", mount.as_fd().as_raw_fd()));
    Ok(match world.newest.compare(&top) {
        Err(wrong) => Finding::wrong(&wrong),
        Ok(failures) => match failures.first() {
            Some(failure) => Finding::failed_read(failure),
            None => Finding::harmless(),
        },
    })
}

fn mount_current(victim: &Victim<'_>) -> Result<DetachedMount> {
    let seals = victim.store().join("seals").join(STREAM);
    let pointer = String::from_utf8(read(&seals.join("@current"))?).context("no text")?;
    let seal = Envelope::parse(&read(&seals.join(format!("@{}.seal.json", pointer.trim())))?)?;
    let statement = Statement::parse(seal.payload())?;
    let digest = statement.images.first().and_then(|image| image.digests.fsverity_sha256);
    let digest = digest.context("the statement names no image by SHA-256")?;
    let image = File::open(victim.store().join("images").join(digest.object_path()))?;
    let objects = File::open(victim.store().join("objects"))?;
    Ok(mount_overlay(Overlay {
        source: "unchecked",
        image: mount_erofs(image)?,
        objects: &[objects.as_fd()],
        verity: OverlayVerity::Ignore,
        upper: None,
        restrictions: &[],
    })?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    file.take(READ_MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}
