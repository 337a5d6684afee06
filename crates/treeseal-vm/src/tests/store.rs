//! Stores on filesystems with fs-verity and without.

use crate::guest::{Guest, Verity, run};
use crate::place::{FILES, Place, SIZES, STREAM, content, digest, enable, names};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;

impl Place {
    /// How many objects the next seal does not read.
    fn seal_knows(&self, objects: usize, bytes: usize) -> Result<()> {
        let sealed = self.seal()?;
        let expected = format!("\"known\":{{\"bytes\":{bytes},\"objects\":{objects}}}");
        ensure!(sealed.contains(&expected), "expected {expected}, found {sealed}");
        Ok(())
    }

    /// Forgets the digests that earlier seals learnt.
    fn forget_digests(&self) -> Result<()> {
        match fs::remove_file(self.home.join("state/digests")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context("removing what was learnt")
            }
            _ => Ok(()),
        }
    }

    /// Every object and image is checked by the kernel against its name, and `stat` and `fsck` say so.
    fn expect_enforced(&self) -> Result<()> {
        let files = [self.files("objects")?, self.files("images")?].concat();
        ensure!(files.len() == FILES, "the store has {files:?}");
        for file in &files {
            let measured = digest("measure", file)?;
            let named = file.to_string_lossy().replace('/', "");
            ensure!(named.ends_with(&measured), "{} measures {measured}", file.display());
        }
        let line = format!("fs-verity on {FILES} of {FILES} objects and images\n");
        self.says(0, "store stat", &line)?;
        self.says(0, "store fsck", &line)?;
        self.says(0, "store fsck", "1 images, 0 bytes: 0 damaged or missing")?;
        self.says(0, "store fsck --read", &line)?;
        self.does(0, &format!("verify {STREAM} --deep")).map(drop)
    }
}

fn expect_unreadable(file: &Path) -> Result<()> {
    ensure!(fs::read(file).is_err(), "{} can be read", file.display());
    Ok(())
}

/// What is sealed is enforced at once, and stays so through a second seal, leftovers and removal.
pub(super) fn objects_and_images_have_verity(guest: &Guest) -> Result<()> {
    for filesystem in [guest.ext4(4096, Verity::On)?, guest.btrfs()?] {
        let place = Place::new(&filesystem)?;
        place.seal()?;
        place.expect_enforced()?;

        let leftover = place.store().join("tmp/.1-1.tmp");
        fs::write(&leftover, b"left behind").context("leaving something behind")?;
        enable(&leftover, &[])?;
        place.seal()?;
        ensure!(!leftover.exists(), "the leftover is still there");
        place.expect_enforced()?;

        let replaced = content(777);
        fs::write(place.source(100), &replaced).context("changing the tree")?;
        place.seal()?;
        fs::remove_file(place.store().join("seals").join(STREAM).join("@1.seal.json"))?;
        fs::remove_file(place.store().join("seals").join(STREAM).join("@2.seal.json"))?;
        place.says(0, "store gc", "removed 1 images, 1 objects")?;
        place.expect_enforced()?;
    }
    Ok(())
}

/// The long file of a commit is shared with its repository where the filesystem can do that, and the store's
/// objects have fs-verity all the same.
pub(super) fn imported_commits_share_blocks(guest: &Guest) -> Result<()> {
    let long = 1_500_000;
    ensure!(SIZES.contains(&long), "the tree has no file of {long} bytes");
    for (filesystem, objects) in [(guest.btrfs()?, 1), (guest.ext4(4096, Verity::On)?, 0)] {
        let place = Place::new(&filesystem)?;
        place.seal()?;
        place.does(0, &format!("ostree export {STREAM} repo --branch main --mode bare"))?;
        fs::remove_dir_all(place.store()).context("removing the store")?;
        let words = "ostree import repo main --stream test/imported --json";
        let cloned = format!("\"cloned\":{{\"bytes\":{},\"objects\":{objects}}}", objects * long);
        place.says(0, words, &cloned)?;
        place.does(0, "verify test/imported --deep")?;
        let measured = digest("measure", &place.object(long)?)?;
        let expected = digest("digest", &place.source(long))?;
        ensure!(measured == expected, "the object of the long file measures {measured}");
    }
    Ok(())
}

/// Objects that `image build` stores are enforced as those of `mkcomposefs` are.
pub(super) fn object_directories_have_verity(guest: &Guest) -> Result<()> {
    let filesystem = guest.ext4(4096, Verity::On)?;
    let place = Place::new(&filesystem)?;
    place.does(0, "image build tree image --digest-store objects")?;
    let mut objects = Vec::new();
    for fanout in names(&place.home.join("objects"))? {
        objects.extend(names(&fanout)?);
    }
    ensure!(objects.len() == SIZES.len(), "stored: {objects:?}");
    for object in objects {
        let measured = digest("measure", &object)?;
        let named = object.to_string_lossy().replace('/', "");
        ensure!(named.ends_with(&measured), "{} measures {measured}", object.display());
    }
    Ok(())
}

/// Damage beneath an object is found by reading it and not by measuring it; swapped objects are found by
/// measuring. Either is healed.
pub(super) fn damaged_objects_are_found_and_healed(guest: &Guest) -> Result<()> {
    let filesystem = guest.ext4(4096, Verity::On)?;
    let place = Place::new(&filesystem)?;
    place.seal()?;
    let object = place.object(600_000)?;
    filesystem.overwrite_beneath(&object, 300_000, b"damage")?;
    expect_unreadable(&object)?;
    let named = object.strip_prefix(place.store())?.to_string_lossy().into_owned();
    place.says(0, "store fsck", "0 damaged or missing")?;
    place.says(1, "store fsck --read", &format!("{named}: cannot be read"))?;
    place.says(1, "store fsck --read", " 1 damaged or missing")?;
    let deep = place.output(&format!("verify {STREAM} --deep"))?;
    ensure!(!deep.status.success(), "a tree with damage is verified");
    place.says(0, "store fsck --read --repair --from tree", "healed 1, 0 damaged or missing")?;
    place.expect_enforced()?;

    let (one, other) = (place.object(20_000)?, place.object(1_500_000)?);
    let aside = place.home.join("aside");
    fs::rename(&one, &aside)?;
    fs::rename(&other, &one)?;
    fs::rename(&aside, &other)?;
    let found = place.does(1, "store fsck")?;
    let swapped = found.lines().filter(|line| line.contains(": swapped: ")).count();
    ensure!(swapped == 2, "two objects were swapped: {found}");
    place.says(0, "store fsck --repair --from tree", "healed 2, 0 damaged or missing")?;
    place.expect_enforced()
}

/// A copy has no fs-verity. That is said, and a seal or a repair changes it.
pub(super) fn a_copied_store_is_enforced_again(guest: &Guest) -> Result<()> {
    for filesystem in [guest.ext4(4096, Verity::On)?, guest.btrfs()?] {
        let place = Place::new(&filesystem)?;
        place.seal()?;
        let original = place.home.join("original");
        fs::rename(place.store(), &original)?;
        let copy = || run("cp", ["-a".as_ref(), original.as_os_str(), place.store().as_os_str()]);
        let unenforced = format!(
            "fs-verity on 0 of {FILES} objects and images; `treeseal store fsck --repair` enables it"
        );

        copy()?;
        place.says(0, "store stat", &unenforced)?;
        let found = place.does(0, "store fsck")?;
        ensure!(found.contains(&unenforced), "not said: {found}");
        ensure!(found.matches(": unenforced: ").count() == FILES, "not named: {found}");
        place.says(0, "store fsck --repair", &format!("healed {FILES}, 0 damaged or missing"))?;
        place.expect_enforced()?;

        fs::remove_dir_all(place.store())?;
        copy()?;
        place.seal_knows(0, 0)?;
        place.expect_enforced()?;
    }
    Ok(())
}

/// Where the filesystem has none, or none for blocks of 4096 bytes, a tree is sealed and the reason said.
pub(super) fn stores_without_verity_say_why(guest: &Guest) -> Result<()> {
    let small_blocks =
        "blocks of 4096 bytes are not taken: the filesystem has blocks of 1024 bytes";
    for (filesystem, reason) in [
        (guest.ext4(1024, Verity::On)?, small_blocks),
        (guest.ext4(4096, Verity::Off)?, "fs-verity is not turned on in its ext4 filesystem"),
        (guest.tmpfs()?, "its filesystem has no fs-verity"),
    ] {
        let place = Place::new(&filesystem)?;
        let line = format!("fs-verity on 0 of {FILES} objects and images: {reason}\n");
        for _ in 0..2 {
            place.seal()?;
            place.says(0, "store stat", &line)?;
            place.says(0, "store fsck", &line)?;
            place.does(0, &format!("verify {STREAM} --deep"))?;
        }
    }
    Ok(())
}

/// A source file that has fs-verity is not read where the store has its object, which shows by damage
/// beneath it. It is read for `--no-cache`, for other parameters, and for a store without the object.
pub(super) fn sources_with_verity_are_not_read(guest: &Guest) -> Result<()> {
    let filesystem = guest.ext4(4096, Verity::On)?;
    let place = Place::new(&filesystem)?;
    enable(&place.source(600_000), &[])?;
    enable(&place.source(20_000), &["--salt=5a17"])?;
    enable(&place.source(1_500_000), &["--block-size=1024"])?;
    place.seal_knows(0, 0)?;
    filesystem.overwrite_beneath(&place.source(600_000), 300_000, b"damage")?;
    expect_unreadable(&place.source(600_000))?;

    place.forget_digests()?;
    place.seal_knows(1, 600_000)?;
    place.expect_enforced()?;

    let refused = place.output(&format!("seal tree --stream {STREAM} --no-cache"))?;
    ensure!(!refused.status.success(), "--no-cache does not read every file");
    place.forget_digests()?;
    fs::remove_file(place.object(20_000)?)?;
    place.seal_knows(1, 600_000)?;
    fs::rename(place.store(), place.home.join("aside"))?;
    let refused = place.output(&format!("seal tree --stream {STREAM}"))?;
    ensure!(!refused.status.success(), "a store got an object that cannot be read");
    Ok(())
}

/// On btrfs, where kernels before 7 do not give out the descriptor, such a file is read or not; what is
/// sealed is the same.
pub(super) fn sources_with_verity_on_btrfs_are_sealed(guest: &Guest) -> Result<()> {
    let filesystem = guest.btrfs()?;
    let place = Place::new(&filesystem)?;
    for size in SIZES {
        enable(&place.source(size), &[])?;
    }
    for _ in 0..2 {
        place.seal()?;
        place.forget_digests()?;
        place.expect_enforced()?;
    }
    Ok(())
}
