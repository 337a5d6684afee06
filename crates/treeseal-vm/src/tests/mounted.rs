//! Mounts that the kernel enforces, and what happens to their files beneath them.

use crate::guest::{Filesystem, Guest, Verity, drop_caches};
use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use treeseal::erofs::{ImageWriter, VersionChoice};
use treeseal::tree::dump::{DumpParser, Strictness};
use treeseal::verity::{Digester, HashAlgorithm, Params};
use treeseal_sys::{
    DetachedMount, MountError, Overlay, OverlayVerity, enable_verity, mount_erofs, mount_overlay,
};
use treeseal_testkit::counter_words;

/// Many blocks, the last of them not full, and a Merkle tree of two levels with either block size.
const SIZE: usize = 600_001;

/// Where ext4 keeps the Merkle tree of a file of that size: at the next multiple of 64 KiB.
const TREE: u64 = 655_360;

/// A directory with objects and an image of a tree with one file, `file`.
struct Sealed {
    home: PathBuf,
    object: PathBuf,
}

impl Sealed {
    fn new(filesystem: &Filesystem, params: &Params) -> Result<Self> {
        let home = filesystem.path().to_owned();
        let digest = Digester::digest_of(params, &content());
        let object = home.join("objects").join(digest.object_path());
        fs::create_dir_all(object.parent().context("an object has a directory")?)?;
        write_with_verity(&object, &content(), params)?;
        let dump = format!(
            "/ 0 40755 2 0 0 0 1.0 - - -\n/file {SIZE} 100644 1 0 0 0 1.0 {} - {}\n",
            digest.object_path(),
            digest.to_hex()
        );
        let tree = DumpParser::parse(dump.as_bytes(), Strictness::Strict)?;
        let image = ImageWriter::new(&tree, VersionChoice::Auto)?.to_bytes();
        let sealed = Self { home, object };
        write_with_verity(&sealed.image(), &image, params)?;
        Ok(sealed)
    }

    fn image(&self) -> PathBuf {
        self.home.join("image")
    }

    fn mount(&self) -> Result<DetachedMount> {
        let objects = File::open(self.home.join("objects")).context("opening the objects")?;
        let image = File::open(self.image()).context("opening the image")?;
        Ok(mount_overlay(Overlay {
            source: "treeseal-test",
            image: mount_erofs(image)?,
            objects: &[objects.as_fd()],
            verity: OverlayVerity::Require,
            upper: None,
            restrictions: &[],
        })?)
    }
}

fn content() -> Vec<u8> {
    counter_words(SIZE)
}

fn write_with_verity(path: &Path, content: &[u8], params: &Params) -> Result<()> {
    fs::write(path, content).with_context(|| format!("writing {}", path.display()))?;
    enable_verity(File::open(path)?, params).with_context(|| format!("enabling {}", path.display()))
}

/// Puts another file in the place of one, as whoever can write to the directory does.
fn replace(path: &Path, content: &[u8], params: &Params) -> Result<()> {
    let aside = path.with_extension("new");
    write_with_verity(&aside, content, params)?;
    fs::rename(aside, path).context("replacing the object")
}

fn inside(mount: &DetachedMount, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", mount.as_fd().as_raw_fd()))
}

/// Damage on the disk beneath a mounted tree makes reads of that block fail, whichever it is, of the
/// Merkle tree too; no read gives a wrong byte. Put right, all can be read again.
pub(super) fn damage_beneath_a_mount_is_eio(guest: &Guest) -> Result<()> {
    for block_size in [4096, 1024] {
        let disk = guest.ext4(block_size, Verity::On)?;
        let params = Params::new(HashAlgorithm::Sha256, block_size, b"")?;
        let sealed = Sealed::new(&disk, &params)?;
        let mount = sealed.mount()?;
        let faults = DataFaults { disk: &disk, sealed: &sealed, mount: &mount, block_size };
        for offset in [0, 300_000, SIZE as u64 - 4] {
            faults.of_content(offset).with_context(|| format!("{block_size}: byte {offset}"))?;
        }
        for block in [0, 2] {
            faults.of_tree(block).with_context(|| format!("{block_size}: tree block {block}"))?;
        }
        damage_of_the_image(&disk, &sealed, &mount, block_size)?;
    }
    Ok(())
}

struct DataFaults<'t> {
    disk: &'t Filesystem,
    sealed: &'t Sealed,
    mount: &'t DetachedMount,
    block_size: u32,
}

impl DataFaults<'_> {
    fn of_content(&self, offset: u64) -> Result<()> {
        let start = usize::try_from(offset)?;
        let good = content().get(start..start + 4).context("an offset in the file")?.to_vec();
        self.damage(offset, |refused, block_size| refused.contains(&(offset / block_size)))?;
        self.heal(offset, &good)
    }

    fn of_tree(&self, block: u64) -> Result<()> {
        let params = Params::new(HashAlgorithm::Sha256, self.block_size, b"")?;
        let mut digester = Digester::with_tree(params);
        digester.update(&content());
        let tree = digester.finish().tree.context("the digester keeps the tree")?;
        let offset = block * u64::from(self.block_size);
        let start = usize::try_from(offset)?;
        let good = tree.get(start..start + 4).context("a block of the tree")?;
        self.damage(TREE + offset, |refused, _| !refused.is_empty())?;
        self.heal(TREE + offset, good)
    }

    /// Damages a place of the object; of the blocks that cannot be read then, something must hold.
    fn damage(&self, offset: u64, holds: impl Fn(&[u64], u64) -> bool) -> Result<()> {
        self.disk.overwrite_beneath(&self.sealed.object, offset, b"evil")?;
        let block_size = u64::from(self.block_size);
        let refused = refused_blocks(&inside(self.mount, "file"), block_size)?;
        ensure!(holds(&refused, block_size), "blocks that cannot be read: {refused:?}");
        Ok(())
    }

    fn heal(&self, offset: u64, good: &[u8]) -> Result<()> {
        self.disk.overwrite_beneath(&self.sealed.object, offset, good)?;
        let found = fs::read(inside(self.mount, "file")).context("reading what was put right")?;
        ensure!(found == content(), "other content after it was put right");
        Ok(())
    }
}

/// Reads block by block and gives the numbers of those that are refused; the others must be right.
fn refused_blocks(path: &Path, block_size: u64) -> Result<Vec<u64>> {
    let file = File::open(path).context("opening the file")?;
    let mut refused = Vec::new();
    for (number, expected) in (0..).zip(content().chunks(usize::try_from(block_size)?)) {
        let mut found = vec![0; expected.len()];
        match file.read_exact_at(&mut found, number * block_size) {
            Ok(()) => ensure!(found == expected, "block {number} has wrong bytes"),
            Err(error) => {
                expect_errno(&error, &[Errno::IO])?;
                refused.push(number);
            }
        }
    }
    Ok(refused)
}

/// With every block of the image damaged, nothing in the mount can be looked at.
fn damage_of_the_image(
    disk: &Filesystem,
    sealed: &Sealed,
    mount: &DetachedMount,
    block_size: u32,
) -> Result<()> {
    let length = fs::metadata(sealed.image())?.len();
    for offset in (0..length).step_by(usize::try_from(block_size)?) {
        disk.overwrite_beneath(&sealed.image(), offset, b"evil")?;
    }
    let error = fs::metadata(inside(mount, "file")).err().context("a damaged image is read")?;
    expect_errno(&error, &[Errno::IO, Errno::UCLEAN])
}

fn expect_errno(error: &io::Error, expected: &[Errno]) -> Result<()> {
    let is_expected =
        expected.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
    ensure!(is_expected, "expected {expected:?}, found {error}");
    Ok(())
}

/// An object that is exchanged while the tree is mounted: who has it open goes on with the right one, and
/// who opens it then gets that or an error.
pub(super) fn object_swapped_while_mounted(guest: &Guest) -> Result<()> {
    let disk = guest.ext4(4096, Verity::On)?;
    let params = Params::default();
    let sealed = Sealed::new(&disk, &params)?;
    let mount = sealed.mount()?;
    let mut opened = File::open(inside(&mount, "file")).context("opening before")?;
    let mut found = vec![0; 4096];
    opened.read_exact(&mut found).context("reading before")?;

    let wrong: Vec<u8> = content().iter().map(|byte| !byte).collect();
    replace(&sealed.object, &wrong, &params)?;
    expect_right_or_eio(&inside(&mount, "file"))?;
    drop_caches()?;
    opened.read_to_end(&mut found).context("going on to read")?;
    ensure!(found == content(), "who has it open reads other content");
    expect_right_or_eio(&inside(&mount, "file"))?;

    // When nobody has it open any more, the kernel looks at the new one.
    drop(opened);
    drop_caches()?;
    let error = fs::read(inside(&mount, "file")).err().context("another object is served")?;
    expect_errno(&error, &[Errno::IO])
}

fn expect_right_or_eio(path: &Path) -> Result<()> {
    match fs::read(path) {
        Ok(found) => ensure!(found == content(), "wrong content"),
        Err(error) => expect_errno(&error, &[Errno::IO])?,
    }
    Ok(())
}

/// An object is served only with the digest of the algorithm that the image names, and whole.
pub(super) fn other_objects_are_not_served(guest: &Guest) -> Result<()> {
    let disk = guest.ext4(4096, Verity::On)?;
    let [sha256, sha512] =
        [HashAlgorithm::Sha256, HashAlgorithm::Sha512].map(Params::with_algorithm);
    let small_blocks = Params::new(HashAlgorithm::Sha256, 1024, b"")?;
    let sealed = Sealed::new(&disk, &sha256)?;
    for (what, content, params) in [
        ("SHA-512", &content()[..], &sha512),
        ("blocks of 1024 bytes", &content()[..], &small_blocks),
        ("a byte less", &content()[..SIZE - 1], &sha256),
        ("no bytes", &[][..], &sha256),
    ] {
        replace(&sealed.object, content, params)?;
        let read = fs::read(inside(&sealed.mount()?, "file"));
        let error = read.err().with_context(|| format!("served: {what}"))?;
        expect_errno(&error, &[Errno::IO]).with_context(|| what.to_owned())?;
    }
    replace(&sealed.object, &content(), &sha256)?;
    ensure!(
        fs::read(inside(&sealed.mount()?, "file"))? == content(),
        "the right one is not served"
    );
    drop(disk);

    let disk = guest.ext4(4096, Verity::On)?;
    let sealed = Sealed::new(&disk, &sha512)?;
    ensure!(fs::read(inside(&sealed.mount()?, "file"))? == content(), "SHA-512 is not served");
    Ok(())
}

/// Without `/proc` there is no mount, and the error says why.
pub(super) fn no_proc_is_said(guest: &Guest) -> Result<()> {
    let disk = guest.ext4(4096, Verity::On)?;
    let sealed = Sealed::new(&disk, &Params::default())?;
    // The machine's own one stays, covered.
    mount("none", "/proc", c"tmpfs", MountFlags::empty(), c"").context("covering /proc")?;
    let refused = sealed.mount();
    unmount("/proc", UnmountFlags::empty()).context("uncovering /proc")?;
    let error = refused.err().context("there is a mount without /proc")?;
    let said = error.downcast_ref::<MountError>();
    ensure!(matches!(said, Some(MountError::NoProc)), "another error: {error:#}");
    ensure!(fs::read(inside(&sealed.mount()?, "file"))? == content(), "no mount with /proc");
    Ok(())
}
