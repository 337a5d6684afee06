//! What a reader finds in a tree: every name, every attribute, every byte.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// All files of a tree by their paths, the top as an empty one.
#[derive(Default)]
pub(super) struct Manifest(BTreeMap<PathBuf, Node>);

struct Node {
    file: FileId,
    attributes: Attributes,
    xattrs: BTreeMap<OsString, Vec<u8>>,
    content: Content,
}

/// Which file a name is of.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Attributes {
    mode: u32,
    owner: (u32, u32),
    time: (i64, i64),
    /// Of what has content or a target.
    size: Option<u64>,
    /// Of what is no directory.
    links: Option<u64>,
}

enum Content {
    Names(Vec<OsString>),
    Bytes(Vec<u8>),
    Target(PathBuf),
    None,
}

/// A reader's attempt that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// What was attempted.
    pub(super) when: &'static str,
    pub(super) error: io::Error,
}

impl Failure {
    fn at(when: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self { when, error }
    }
}

impl Manifest {
    /// What is in a tree that can be read.
    pub(super) fn of(tree: &Path) -> Result<Self> {
        let mut nodes = BTreeMap::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(path) = pending.pop() {
            let node = Node::of(&tree.join(&path))
                .map_err(|failure| failure.error)
                .with_context(|| format!("reading {}", path.display()))?;
            if let Content::Names(names) = &node.content {
                pending.extend(names.iter().map(|name| path.join(name)));
            }
            nodes.insert(path, node);
        }
        Ok(Self(nodes))
    }

    /// Reads all that should be in `tree` and gives what failed. A difference is an error: then a
    /// reader was given something wrong.
    pub(super) fn compare(&self, tree: &Path) -> Result<Vec<Failure>> {
        let mut failures = Vec::new();
        for (path, expected) in &self.0 {
            let compared = expected.compare(&tree.join(path), &mut failures);
            compared.with_context(|| format!("`/{}` is wrong", path.display()))?;
        }
        self.compare_links(tree)?;
        Ok(failures)
    }

    /// Names are of one file exactly where they should be.
    fn compare_links(&self, tree: &Path) -> Result<()> {
        // What cannot be found was counted as a failure before.
        let file = |path: &PathBuf| Some(FileId::of(&fs::symlink_metadata(tree.join(path)).ok()?));
        let found: Vec<_> =
            self.0.iter().filter_map(|(path, node)| Some((path, node.file, file(path)?))).collect();
        for (one, expected, file) in &found {
            for (other, expected_other, other_file) in &found {
                let is_right = (expected == expected_other) == (file == other_file);
                ensure!(
                    is_right,
                    "`/{}` and `/{}` are linked otherwise",
                    one.display(),
                    other.display()
                );
            }
        }
        Ok(())
    }
}

impl Node {
    fn of(path: &Path) -> Result<Self, Failure> {
        let meta = fs::symlink_metadata(path).map_err(Failure::at("stat"))?;
        let content = if meta.is_dir() {
            Content::Names(names(path)?)
        } else if meta.is_file() {
            Content::Bytes(fs::read(path).map_err(Failure::at("read"))?)
        } else if meta.is_symlink() {
            Content::Target(fs::read_link(path).map_err(Failure::at("read"))?)
        } else {
            Content::None
        };
        let (file, attributes) = (FileId::of(&meta), Attributes::of(&meta));
        Ok(Self { file, attributes, xattrs: xattrs(path)?, content })
    }

    fn compare(&self, path: &Path, failures: &mut Vec<Failure>) -> Result<()> {
        let meta = fs::symlink_metadata(path).map_err(Failure::at("stat"));
        same("attributes", &self.attributes, meta.map(|meta| Attributes::of(&meta)), failures)?;
        same("extended attributes", &self.xattrs, xattrs(path), failures)?;
        match &self.content {
            Content::Names(expected) => same("names", expected, names(path), failures),
            Content::Target(expected) => {
                let target = fs::read_link(path).map_err(Failure::at("read"));
                same("target", expected, target, failures)
            }
            Content::Bytes(expected) => compare_bytes(path, expected, failures),
            Content::None => Ok(()),
        }
    }
}

impl FileId {
    fn of(meta: &Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino() }
    }
}

impl Attributes {
    fn of(meta: &Metadata) -> Self {
        let is_directory = meta.is_dir();
        Self {
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            time: (meta.mtime(), meta.mtime_nsec()),
            size: (!is_directory).then(|| meta.size()),
            links: (!is_directory).then(|| meta.nlink()),
        }
    }
}

fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: &T,
    found: Result<T, Failure>,
    failures: &mut Vec<Failure>,
) -> Result<()> {
    match found {
        Ok(found) => ensure!(found == *expected, "{what}: expected {expected:?}, found {found:?}"),
        Err(failure) => failures.push(failure),
    }
    Ok(())
}

/// What comes before a failure must be right as well.
fn compare_bytes(path: &Path, expected: &[u8], failures: &mut Vec<Failure>) -> Result<()> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) => {
            failures.push(Failure { when: "open", error });
            return Ok(());
        }
    };
    let mut found = Vec::new();
    if let Err(error) = file.read_to_end(&mut found) {
        failures.push(Failure { when: "read", error });
        ensure!(expected.starts_with(&found), "wrong bytes before an error");
        return Ok(());
    }
    ensure!(found == expected, "wrong content of {} bytes", found.len());
    Ok(())
}

fn names(directory: &Path) -> Result<Vec<OsString>, Failure> {
    let failed = Failure::at("list");
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(&failed)? {
        names.push(entry.map_err(&failed)?.file_name());
    }
    names.sort();
    Ok(names)
}

/// More than any name or value in the victim's tree.
const XATTRS: usize = 1024;

fn xattrs(path: &Path) -> Result<BTreeMap<OsString, Vec<u8>>, Failure> {
    let failed =
        |error: rustix::io::Errno| Failure { when: "list attributes", error: error.into() };
    let mut buffer = vec![0; XATTRS];
    let length = rustix::fs::llistxattr(path, &mut buffer[..]).map_err(failed)?;
    let names = buffer.get(..length).unwrap_or_default().split(|byte| *byte == 0);
    let mut found = BTreeMap::new();
    for name in names.filter(|name| !name.is_empty()) {
        let mut value = vec![0; XATTRS];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).map_err(failed)?;
        value.truncate(length);
        found.insert(std::ffi::OsStr::from_bytes(name).to_owned(), value);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::time::{Duration, SystemTime};

    /// Two files of two names each, all alike, and a symlink.
    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for names in [["file", "file-link"], ["twin", "twin-link"]] {
            let [name, link] = names.map(|name| tree.path().join(name));
            write(&name, "content");
            fs::hard_link(name, link).unwrap();
        }
        symlink("file", tree.path().join("symlink")).unwrap();
        tree
    }

    /// Writes a file whose time is always the same.
    fn write(path: &Path, content: &str) {
        fs::write(path, content).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
    }

    /// What a comparison says after a change, and how many reads fail.
    fn compare_after(change: impl FnOnce(&Path)) -> Result<usize, String> {
        let tree = tree();
        let manifest = Manifest::of(tree.path()).unwrap();
        assert!(manifest.compare(tree.path()).unwrap().is_empty());
        // What a directory's time says is not what is looked at here.
        let time = fs::metadata(tree.path()).unwrap().modified().unwrap();
        change(tree.path());
        File::open(tree.path()).unwrap().set_modified(time).unwrap();
        let failures = manifest.compare(tree.path());
        failures.map(|failures| failures.len()).map_err(|error| format!("{error:#}"))
    }

    #[track_caller]
    fn notices(expected: &str, change: impl FnOnce(&Path)) {
        let said = compare_after(change).unwrap_err();
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn every_difference_is_noticed() {
        notices("`/twin` is wrong: wrong content of 7 bytes", |tree| {
            write(&tree.join("twin"), "CONTENT");
        });
        notices("`/twin` is wrong: attributes", |tree| {
            fs::set_permissions(tree.join("twin"), Permissions::from_mode(0o4755)).unwrap();
        });
        notices("`/twin` is wrong: attributes", |tree| {
            File::open(tree.join("twin")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        });
        notices("`/` is wrong: names", |tree| write(&tree.join("added"), ""));
        notices("`/` is wrong: names", |tree| fs::remove_file(tree.join("twin")).unwrap());
        notices("`/symlink` is wrong: target", |tree| {
            let time = fs::symlink_metadata(tree.join("symlink")).unwrap();
            fs::remove_file(tree.join("symlink")).unwrap();
            symlink("twin", tree.join("symlink")).unwrap();
            set_time_of_symlink(&tree.join("symlink"), &time);
        });
        notices("`/file` and `/file-link` are linked otherwise", |tree| {
            let [one, other, aside] = ["file-link", "twin-link", "x"].map(|name| tree.join(name));
            fs::rename(&one, &aside).unwrap();
            fs::rename(&other, &one).unwrap();
            fs::rename(&aside, &other).unwrap();
        });
    }

    fn set_time_of_symlink(path: &Path, like: &Metadata) {
        let time = rustix::fs::Timespec { tv_sec: like.mtime(), tv_nsec: like.mtime_nsec() };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_a_failure_and_no_difference() {
        let manifest = Manifest::of(tree().path()).unwrap();
        let nowhere = manifest.compare(Path::new("/nowhere")).unwrap();
        assert_eq!(nowhere.first().unwrap().when, "stat");
    }
}
