//! Our images as others read them: `fsck.erofs`, and the running kernel.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use treeseal_erofs::{FormatVersion, ImageWriter, VersionChoice};
use treeseal_testkit::{IMAGE_SCENARIOS, load_vectors, program, require_root, run};
use treeseal_tree::dump::{DumpParser, Strictness};
use treeseal_tree::{Content, FileType, InodeId, Tree, display_path};

#[test]
fn fsck_accepts_the_images_of_the_vectors() {
    let fsck = program("fsck.erofs", "erofs-utils");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let mut checked = 0;
    for vector in load_vectors("image", IMAGE_SCENARIOS) {
        let Ok(tree) = DumpParser::parse(&vector.dump(), Strictness::Lenient) else { continue };
        let image = ImageWriter::new(&tree, VersionChoice::Auto).unwrap().to_bytes();
        fs::write(&path, image).unwrap();
        let output = Command::new(&fsck).arg(&path).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{}: {said}", vector.name);
        assert!(!said.to_lowercase().contains("error"), "{}: {said}", vector.name);
        checked += 1;
    }
    assert!(checked > 100, "only {checked} images checked");
}

/// What the mounted image is to have in it. The kernel shows only an ACL and capabilities that are
/// valid; `ACL` and `CAP` stand for such.
const DUMP: &str = concat!(
    "/ 4096 41755 2 7 8 0 5.7 - - - security.selinux=root:label\\x00 user.top=1\n",
    "/block 0 60660 1 0 6 259 5.7 - - -\n",
    "/char 0 20666 1 0 0 1281 5.7 - - -\n",
    "/d 0 42755 2 70000 65536 0 6.8 - - - user.overlay.opaque=y trusted.overlay.opaque=y\n",
    "/d/deep 0 40700 2 0 0 0 5.7 - - - trusted.t=deep\n",
    "/d/deep/down 5 100600 1 0 0 0 -9.999999999 - inner -\n",
    "/d/gone 0 20000 1 0 0 0 5.7 - - -\n",
    "/empty 0 100644 1 1000 1000 0 5.7 - - - user.empty= security.capability=CAP\n",
    "/external 70000 104755 1 0 0 0 5.7 ab/cdef - DIGEST user.top=1\n",
    "/fifo 0 10644 1 0 0 0 5.7 - - -\n",
    "/inline 12 100640 3 0 0 0 7.999999999 - hello\\x20world\\n - ACL user.shared=v\n",
    "/inline-again 0 @100640 3 0 0 0 0.0 /inline - -\n",
    "/d/inline-below 0 @100640 3 0 0 0 0.0 /inline-again - -\n",
    "/link 5 120777 1 0 0 0 5.7 empty - - trusted.link=1\n",
    "/long-link 4095 120777 1 0 0 0 5.7 TARGET - -\n",
    "/ownerless 5000 100000 1 4294967294 4294967294 0 5.7 - CONTENT - user.shared=v\n",
    "/socket 0 140755 1 0 0 0 5.7 - - -\n",
    "/00 0 100644 1 0 0 0 5.7 - - -\n",
);

/// Read, write for the owner; read for user 1000, by way of the mask; nothing for others.
const ACL: &[(u16, u16, u32)] =
    &[(1, 6, !0), (2, 4, 1000), (4, 4, !0), (0x10, 4, !0), (0x20, 0, !0)];

/// Capabilities in their second version: effective, `cap_net_raw`.
const NET_RAW: &str = "\\x01\\x00\\x00\\x02\\x00\\x20\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00";

fn acl_value() -> String {
    let entries = ACL.iter().flat_map(|(tag, permissions, id)| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    });
    2u32.to_le_bytes().into_iter().chain(entries).map(|byte| format!("\\x{byte:02x}")).collect()
}

fn mounted_tree() -> Tree {
    let mut text = DUMP
        .replace("DIGEST", &"5a".repeat(32))
        .replace("TARGET", &"t/".repeat(2048)[..4095])
        .replace("CONTENT", &"c".repeat(5000))
        .replace("CAP", NET_RAW)
        .replace("ACL", &format!("system.posix_acl_access={}", acl_value()));
    // Enough names for several blocks, and attributes that are and are not shared.
    text += "/many 0 40755 2 0 0 0 5.7 - - -\n";
    for number in 0..400 {
        let name = "n".repeat(number % 60);
        let (nanoseconds, third) = (number * 7, number % 3);
        text += &format!(
            "/many/{number:03}{name} 0 100644 1 0 0 0 5.{nanoseconds} - - - user.n={number} user.third={third}\n"
        );
    }
    DumpParser::parse(text.as_bytes(), Strictness::Strict).unwrap()
}

#[test]
fn the_kernel_shows_the_tree_that_was_written() {
    require_root("mounting an image");
    let tree = mounted_tree();
    for version in [FormatVersion::V0, FormatVersion::V1] {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        let writer = ImageWriter::new(&tree, VersionChoice::Fixed(version)).unwrap();
        fs::write(&image, writer.to_bytes()).unwrap();
        let mount = Mount::new(&image, &folder.path().join("mount"));
        let mut expected = Expected { tree: &tree, version, files: BTreeMap::new() };
        expected.add_directory(b"", Tree::ROOT);
        expected.add_stubs();
        let found = mount.files();
        for (path, file) in &expected.files {
            assert_eq!(found.get(path), Some(file), "{}", display_path(path));
        }
        let surplus: Vec<_> =
            found.keys().filter(|path| !expected.files.contains_key(*path)).collect();
        assert_eq!(surplus, Vec::<&Vec<u8>>::new());
        mount.assert_hard_links(&[&b"/inline"[..], b"/inline-again", b"/d/inline-below"]);
    }
}

/// Names and values; bytes that are not printable are escaped, for the messages.
type Attributes = BTreeMap<String, String>;

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// What both a tree and a mounted image say of a file.
#[derive(Debug, PartialEq)]
struct File {
    mode: u32,
    owner: (u32, u32),
    /// Of directories also given, because the image's is computed.
    nlink: u64,
    rdev: u64,
    mtime: (i64, i64),
    /// A symlink's target, or content that is in the image.
    data: Vec<u8>,
    /// Size of a regular file whose content is elsewhere.
    size: u64,
    attributes: Attributes,
}

/// The files that an image of a tree is to show, by `spec/image.md`.
struct Expected<'t> {
    tree: &'t Tree,
    version: FormatVersion,
    files: BTreeMap<Vec<u8>, File>,
}

impl Expected<'_> {
    fn add_directory(&mut self, path: &[u8], id: InodeId) {
        let tree = self.tree;
        let mut subdirectories = 0;
        let mut holds_whiteout = false;
        for child in tree.children(id) {
            let path = [path, b"/", child.name].concat();
            if tree.inode(child.inode).file_type() == FileType::Directory {
                subdirectories += 1;
                self.add_directory(&path, child.inode);
            } else {
                holds_whiteout |= tree.inode(child.inode).is_whiteout() && !child.is_link;
                let file = self.file(child.inode);
                self.files.insert(path, file);
            }
        }
        let mut directory = self.file(id);
        directory.nlink = 2 + subdirectories;
        if holds_whiteout {
            mark(&mut directory, "whiteouts", b"");
            if self.version == FormatVersion::V1 {
                mark(&mut directory, "opaque", b"x");
            }
        }
        if id == Tree::ROOT {
            directory.attributes.insert("trusted.overlay.opaque".into(), "y".into());
        }
        self.files.insert(path.to_vec(), directory);
    }

    fn file(&self, id: InodeId) -> File {
        let inode = self.tree.inode(id);
        let metadata = inode.metadata();
        let escape = |name: &[u8]| match name.strip_prefix(b"trusted.overlay.") {
            Some(rest) => [b"trusted.overlay.overlay.", rest].concat(),
            None => name.to_vec(),
        };
        let mut file = File {
            mode: inode.mode().into(),
            owner: (metadata.uid, metadata.gid),
            nlink: metadata.nlink.into(),
            rdev: 0,
            mtime: (metadata.mtime.seconds, metadata.mtime.nanoseconds.into()),
            data: Vec::new(),
            size: 0,
            attributes: inode
                .xattrs()
                .map(|(name, value)| (shown(&escape(name)), shown(value)))
                .collect(),
        };
        match inode.content() {
            Content::Inline(data) | Content::Symlink(data) => file.data = data.to_vec(),
            Content::External { digest, payload } => {
                file.size = inode.size();
                let digest = self.tree.digest(digest.unwrap());
                let metacopy = [&[0, 36, 0, 1], digest.as_bytes()].concat();
                file.attributes.insert("trusted.overlay.metacopy".into(), shown(&metacopy));
                let redirect = [&b"/"[..], &self.tree.payload_path(payload).unwrap()].concat();
                file.attributes.insert("trusted.overlay.redirect".into(), shown(&redirect));
            }
            Content::Device(0) => {
                file.mode = 0o100_000 | (file.mode & 0o7777);
                mark(&mut file, "whiteout", b"");
            }
            Content::Device(number) => file.rdev = number.into(),
            Content::Directory | Content::Empty | Content::Special => {}
        }
        file
    }

    fn add_stubs(&mut self) {
        let root = self.tree.inode(Tree::ROOT);
        for number in 0..=255 {
            let path = format!("/{number:02x}").into_bytes();
            let label = root.xattrs().find(|(name, _)| *name == b"security.selinux");
            let metadata = root.metadata();
            self.files.entry(path).or_insert_with(|| File {
                mode: 0o20_644,
                owner: (metadata.uid, metadata.gid),
                nlink: 1,
                rdev: 0,
                mtime: (metadata.mtime.seconds, metadata.mtime.nanoseconds.into()),
                data: Vec::new(),
                size: 0,
                attributes: label
                    .map(|(name, value)| (shown(name), shown(value)))
                    .into_iter()
                    .collect(),
            });
        }
    }
}

/// Sets both forms of an overlayfs mark.
fn mark(file: &mut File, name: &str, value: &[u8]) {
    for prefix in ["trusted.overlay.overlay.", "user.overlay."] {
        file.attributes.insert(format!("{prefix}{name}"), shown(value));
    }
}

/// A mounted image; unmounted when dropped, also by a test that fails.
struct Mount {
    at: PathBuf,
}

impl Mount {
    fn new(image: &Path, at: &Path) -> Self {
        fs::create_dir(at).unwrap();
        let mut mount = Command::new(program("mount", "mount"));
        run(mount.args(["-t", "erofs", "-o", "ro,loop"]).arg(image).arg(at));
        Self { at: at.to_owned() }
    }

    fn files(&self) -> BTreeMap<Vec<u8>, File> {
        let mut attributes = self.attributes();
        let mut files = BTreeMap::new();
        let mut waiting = vec![self.at.clone()];
        while let Some(path) = waiting.pop() {
            let tree_path = self.tree_path(&path);
            let mut file = read_file(&path);
            file.attributes = attributes.remove(&tree_path).unwrap_or_default();
            if path.symlink_metadata().unwrap().is_dir() {
                waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            files.insert(tree_path, file);
        }
        files
    }

    /// A path as the tree has it; the root's is empty.
    fn tree_path(&self, path: &Path) -> Vec<u8> {
        path.as_os_str().as_bytes()[self.at.as_os_str().len()..].to_vec()
    }

    /// All attributes of all files, by one run of getfattr.
    fn attributes(&self) -> BTreeMap<Vec<u8>, Attributes> {
        let mut list = Command::new(program("getfattr", "attr"));
        list.args(["-R", "-P", "-h", "-d", "-m", "-", "-e", "hex", "--absolute-names"]);
        let text = String::from_utf8(run(list.arg(&self.at)).stdout).unwrap();
        let mut files = BTreeMap::<_, Attributes>::new();
        let mut current = Vec::new();
        for line in text.lines() {
            if let Some(path) = line.strip_prefix("# file: ") {
                current = self.tree_path(Path::new(path));
            } else if !line.is_empty() {
                let (name, value) = line.split_once('=').unwrap_or((line, ""));
                let value = unhex(value.strip_prefix("0x").unwrap_or(value));
                files.entry(current.clone()).or_default().insert(name.to_owned(), shown(&value));
            }
        }
        files
    }

    fn assert_hard_links(&self, paths: &[&[u8]]) {
        let number = |path: &&[u8]| {
            let path = std::str::from_utf8(&path[1..]).unwrap();
            self.at.join(path).metadata().unwrap().ino()
        };
        let numbers: Vec<u64> = paths.iter().map(number).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] == pair[1]), "{numbers:?}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A failure here must not hide the test's own.
        let _ = Command::new("umount").arg(&self.at).status();
    }
}

/// What `lstat` and a read say of a file.
fn read_file(path: &Path) -> File {
    let metadata = path.symlink_metadata().unwrap();
    let attributes = Attributes::new();
    let mut file = File {
        mode: metadata.mode(),
        owner: (metadata.uid(), metadata.gid()),
        nlink: metadata.nlink(),
        rdev: metadata.rdev(),
        mtime: (metadata.mtime(), metadata.mtime_nsec()),
        data: Vec::new(),
        size: 0,
        attributes,
    };
    if metadata.is_symlink() {
        file.data = fs::read_link(path).unwrap().as_os_str().as_bytes().to_vec();
        assert_eq!(file.data.len() as u64, metadata.size(), "{}", path.display());
    } else if metadata.is_file() && metadata.size() <= 5000 {
        file.data = fs::read(path).unwrap();
    } else if metadata.is_file() {
        file.size = metadata.size();
    }
    file
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |index: usize| u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap();
    (0..text.len() / 2).map(digits).collect()
}
