//! Who is attacked: a machine with a store, what it trusts, and what it remembers.

use std::error::Error;
use std::fs::{self, File, Permissions};
use std::num::NonZeroU32;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use treeseal_sys::enable_verity;
use treeseal_trust::{
    Envelope, Extension, RootContent, RootFile, Sequence, SigningKey, Statement, StreamRule, TufKey,
};
use treeseal_verity::{Digester, Params};

use crate::counter_words;

/// The stream that is attacked. It has two releases, of which the second is the newest.
pub const STREAM: &str = "test/victim/any/stable";

/// Another stream in the same store, with one release, sealed by the same keys.
pub const OTHER_STREAM: &str = "test/victim/any/beta";

/// A key, which all of it follows from.
pub type KeySeed = u8;

const ROOT_KEYS: [KeySeed; 2] = [1, 2];
/// Two of these must seal.
const RELEASE_KEYS: [KeySeed; 3] = [3, 4, 5];
/// The attacker has it, and nobody knows.
pub(super) const STOLEN_KEY: KeySeed = 3;
/// The attacker has it; it was a release key until version 2 of the root.
pub(super) const REVOKED_KEY: KeySeed = 6;
/// The attacker's own.
pub(super) const FOREIGN_KEY: KeySeed = 9;

/// The newest root that the victim has seen: versions 2 and later are in the store.
const NEWEST_ROOT: u64 = 3;

/// A machine with a store, in a directory.
pub struct Victim<'r> {
    home: PathBuf,
    reach: &'r dyn Reach,
}

/// An error fails the test.
type Reached<T> = Result<T, Box<dyn Error>>;

/// What the attacker can do beneath and beside the filesystem that the store lies on.
pub trait Reach {
    /// Writes to the disk where it has the byte of `file` at `offset`. Beyond the file's end is what
    /// the filesystem keeps of fs-verity.
    fn overwrite_beneath(&self, file: &Path, offset: u64, bytes: &[u8]) -> Reached<()>;

    /// An empty directory on a filesystem without fs-verity.
    fn without_verity(&self) -> Reached<PathBuf>;

    /// Sets the clock of the machine, as waiting would.
    fn wait_until(&self, time: SystemTime) -> Reached<()>;

    /// Adds a certificate to the kernel's keyring for fs-verity.
    fn add_to_keyring(&self, certificate: &Path) -> Reached<()>;
}

impl<'r> Victim<'r> {
    /// The victim in a directory.
    pub fn new(home: &Path, reach: &'r dyn Reach) -> Self {
        Self { home: home.to_owned(), reach }
    }

    /// A file or directory of the machine.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// The store.
    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// The pinned trust root, outside the store.
    pub fn root(&self) -> PathBuf {
        self.path("root.json")
    }

    /// What the kernel was started with: the attacker may edit it.
    pub fn command_line(&self) -> PathBuf {
        self.path("command-line")
    }

    /// The tree that a release is of.
    pub fn tree(&self, release: u64) -> PathBuf {
        self.path(&format!("tree-{release}"))
    }

    pub(super) fn reach(&self) -> &dyn Reach {
        self.reach
    }
}

/// Preparing the victim. What the store is made with is up to the caller: it imports each release,
/// signs what is to be signed, and adds the roots.
impl Victim<'_> {
    /// Pins the first trust root.
    pub fn pin_root(&self) {
        fs::write(self.root(), root_bytes(root_content(1), &ROOT_KEYS)).unwrap();
        fs::write(self.command_line(), "").unwrap();
    }

    /// Adds the roots that follow the pinned one to the store.
    pub fn add_roots(&self) {
        for version in 2..=NEWEST_ROOT {
            fs::write(self.root_file(version), root_bytes(root_content(version), &ROOT_KEYS))
                .unwrap();
        }
    }

    /// Signs a seal that waits for its signatures, as the owners of the stream do.
    pub fn sign(pending: &Path) {
        let mut seal = Envelope::parse(&fs::read(pending).unwrap()).unwrap();
        for seed in &RELEASE_KEYS[..2] {
            seal.sign(&key(*seed)).unwrap();
        }
        fs::write(pending, seal.to_bytes()).unwrap();
    }

    /// Writes the tree of a release. It has every kind of file and of attribute that a tree can have;
    /// only root can make it.
    pub fn write_tree(&self, release: u64) -> PathBuf {
        let tree = self.tree(release);
        for (directory, mode) in [("", 0o755), ("bin", 0o755), ("etc", 0o750), ("tmp", 0o1777)] {
            fs::create_dir(tree.join(directory)).unwrap();
            fs::set_permissions(tree.join(directory), Permissions::from_mode(mode)).unwrap();
        }
        write_file(&tree.join("etc/config"), &config_of(release), 0o644);
        write_file(&tree.join("etc/shadow"), &shadow(), 0o600);
        write_file(&tree.join("etc/release"), release.to_string().as_bytes(), 0o644);
        write_file(&tree.join("bin/large"), &large(), 0o755);
        write_file(&tree.join("bin/su"), &su(), 0o4755);
        write_file(&tree.join("bin/empty"), b"", 0o755);
        fs::hard_link(tree.join("bin/su"), tree.join("bin/sudo")).unwrap();
        symlink("../etc/config", tree.join("bin/config")).unwrap();
        chown(tree.join("etc/shadow"), Some(0), Some(42)).unwrap();
        chown(tree.join("etc/config"), Some(1000), Some(1000)).unwrap();
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(tree.join("bin/large"), "user.origin", b"upstream", flags).unwrap();
        for (number, name) in (0..).zip(["etc/config", "bin/su", "bin/large", "etc", "bin", ""]) {
            let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000 + number, 123_456_789);
            File::open(tree.join(name)).unwrap().set_modified(time).unwrap();
        }
        tree
    }
}

fn write_file(path: &Path, content: &[u8], mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The one file that differs between the releases and lies in an object.
pub(super) fn config_of(release: u64) -> Vec<u8> {
    let mut content = counter_words(5000);
    content.rotate_left(usize::try_from(release).unwrap());
    content
}

/// What the attacker would like `/etc/config` to be. It is as long as that.
pub(super) fn forged_config() -> Vec<u8> {
    counter_words(5000).iter().map(|byte| !byte).collect()
}

pub(super) fn shadow() -> Vec<u8> {
    counter_words(4100).split_off(4)
}

/// As long as `/etc/config`, so that swapping them changes no size.
pub(super) fn su() -> Vec<u8> {
    counter_words(5100).split_off(100)
}

/// Large enough for a sidecar, and for a Merkle tree of two levels.
pub(super) fn large() -> Vec<u8> {
    counter_words(600_000)
}

/// What attacks find and change.
impl Victim<'_> {
    pub(super) fn seal_file(&self, stream: &str, sequence: u64) -> PathBuf {
        self.store().join("seals").join(stream).join(format!("@{sequence}.seal.json"))
    }

    pub(super) fn pointer(&self) -> PathBuf {
        self.store().join("seals").join(STREAM).join("@current")
    }

    pub(super) fn root_file(&self, version: u64) -> PathBuf {
        self.store().join(format!("roots/{version}.root.json"))
    }

    pub(super) fn seal(&self, sequence: u64) -> Envelope {
        Envelope::parse(&fs::read(self.seal_file(STREAM, sequence)).unwrap()).unwrap()
    }

    pub(super) fn statement(&self, sequence: u64) -> Statement {
        Statement::parse(self.seal(sequence).payload()).unwrap()
    }

    /// The image of a release.
    pub(super) fn image(&self, release: u64) -> PathBuf {
        let digest = self.statement(release).images[0].digests.fsverity_sha256.unwrap();
        self.store().join("images").join(digest.object_path())
    }

    /// The object of a content.
    pub(super) fn object(&self, content: &[u8]) -> PathBuf {
        let digest = Digester::digest_of(&Params::default(), content);
        self.store().join("objects").join(digest.object_path())
    }

    /// The sidecar of the one object that has one.
    pub(super) fn sidecar(&self) -> PathBuf {
        let object = self.object(&large());
        self.store().join("trees").join(object.strip_prefix(self.store().join("objects")).unwrap())
    }

    /// Puts a seal where the store has the newest one, and points to it.
    pub(super) fn publish(&self, sequence: u64, seal: &[u8]) {
        replace(&self.seal_file(STREAM, sequence), seal);
        replace(&self.pointer(), format!("{sequence}\n").as_bytes());
    }
}

/// Puts another file in the place of one that may have fs-verity and not be writable.
pub(super) fn replace(path: &Path, content: &[u8]) {
    let _ = fs::remove_file(path);
    fs::write(path, content).unwrap();
}

/// The same, and makes it look right: the file has fs-verity.
pub(super) fn replace_with_verity(path: &Path, content: &[u8]) {
    replace(path, content);
    enable_verity(File::open(path).unwrap(), &Params::default()).unwrap();
}

/// Gives a name to another file.
pub(super) fn link_over(from: &Path, to: &Path) {
    let _ = fs::remove_file(to);
    fs::hard_link(from, to).unwrap();
}

pub(super) fn swap(one: &Path, other: &Path) {
    let aside = one.with_extension("aside");
    fs::rename(one, &aside).unwrap();
    fs::rename(other, one).unwrap();
    fs::rename(aside, other).unwrap();
}

pub(super) fn key(seed: KeySeed) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn public(seed: KeySeed) -> TufKey {
    TufKey::new(key(seed).public_key().clone())
}

/// A version of the victim's root. It takes two keys to seal; version 2 revokes one of them.
pub(super) fn root_content(version: u64) -> RootContent {
    let two = NonZeroU32::new(2).unwrap();
    let mut release_keys = RELEASE_KEYS.to_vec();
    if version == 1 {
        release_keys.push(REVOKED_KEY);
    }
    let expires = format!("203{version}-01-01T00:00:00Z").parse().unwrap();
    let root_keys = ROOT_KEYS.map(public);
    let release_keys: Vec<_> = release_keys.into_iter().map(public).collect();
    let mut content = RootContent::new(expires, (two, &root_keys), (two, &release_keys));
    content.version = version;
    let roles = vec!["targets".parse().unwrap()];
    let rule = StreamRule { roles, min_sequence: Sequence::FIRST, freshness: None };
    let extension = content.extension.get_or_insert_with(Extension::default);
    extension.streams.insert("test/*".parse().unwrap(), rule);
    content
}

pub(super) fn root_bytes(content: RootContent, signers: &[KeySeed]) -> Vec<u8> {
    let mut root = RootFile::new(content).unwrap();
    for seed in signers {
        root.sign(&key(*seed)).unwrap();
    }
    root.to_bytes()
}

/// Adds a key to those that may seal, as the attacker would like to.
pub(super) fn with_foreign_key(mut content: RootContent) -> RootContent {
    let keys = [public(FOREIGN_KEY)];
    content.set_role("targets".parse().unwrap(), NonZeroU32::MIN, &keys);
    content
}
