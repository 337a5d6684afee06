//! Repositories that the real `ostree` makes.

use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use treeseal_testkit::peer;

pub(super) const BRANCH: &str = "test/branch";

/// The machine's own.
fn ostree() -> Command {
    Command::new(program("ostree", "ostree"))
}

/// A newer one, which knows images.
pub(super) fn ostree_with_images() -> Command {
    Command::new(peer("ostree"))
}

pub(super) fn repo(path: &Path) -> String {
    format!("--repo={}", path.display())
}

pub(super) fn init(mut ostree: Command, path: &Path, mode: &str) {
    run(ostree.args([&repo(path), "init", &format!("--mode={mode}")]));
}

/// Commits a tree with what every mode can keep, and gives what was printed.
fn commit(mut ostree: Command, path: &Path, tree: &Path, options: &[&str]) -> Vec<u8> {
    ostree.args([&repo(path), "commit", "--subject=one", "--timestamp=@0", "--branch", BRANCH]);
    ostree.args(["--owner-uid=0", "--owner-gid=0", "--no-xattrs", "--canonical-permissions"]);
    run(ostree.args(options).arg(tree)).stdout
}

/// Commits a tree with the digest of its image.
pub(super) fn commit_with_image(path: &Path, tree: &Path) {
    commit(ostree_with_images(), path, tree, &["--generate-composefs-metadata"]);
}

/// A directory with everything that each mode can keep.
fn make_source(top: &Path) {
    let put = |name: &str, content: &[u8], mode: u32| {
        let path = top.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    put("usr/bin/tool", b"#!/bin/sh\n", 0o755);
    put("usr/share/empty", b"", 0o644);
    for size in [1, 64, 65, 4095, 4096, 4097, 128 * 4096, 128 * 4096 + 1] {
        put(&format!("usr/share/sizes/{size}"), &vec![b'x'; size], 0o644);
    }
    put("usr/share/deep/er/file", b"content", 0o664);
    symlink("../bin/tool", top.join("usr/share/link")).unwrap();
    symlink("x".repeat(1000), top.join("usr/share/long-link")).unwrap();
    fs::hard_link(top.join("usr/bin/tool"), top.join("usr/bin/tool-again")).unwrap();
}

#[test]
fn every_mode_gives_the_tree_that_was_committed() {
    let directory = TempDir::new().unwrap();
    let source = directory.path().join("source");
    make_source(&source);
    let mut trees = Vec::new();
    for mode in ["archive", "bare", "bare-user", "bare-user-only"] {
        let path = directory.path().join(mode);
        init(ostree(), &path, mode);
        let printed = commit(ostree(), &path, &source, &[]);
        let repository = Repository::open(&path).unwrap();
        let checksum = repository.resolve(BRANCH).unwrap();
        assert_eq!(printed.trim_ascii(), checksum.to_string().as_bytes(), "{mode}");
        trees.push((checksum, digest_of(&read(&repository, BRANCH).unwrap().1)));
    }
    let first = trees.first().unwrap();
    assert!(trees.iter().all(|other| other == first), "{trees:?}");
}

#[test]
fn the_image_is_the_one_whose_digest_libostree_states() {
    let directory = TempDir::new().unwrap();
    let source = directory.path().join("source");
    make_source(&source);
    let path = directory.path().join("bare");
    init(ostree_with_images(), &path, "bare");
    commit_with_image(&path, &source);
    let (commit, tree) = read(&Repository::open(&path).unwrap(), BRANCH).unwrap();
    assert_eq!(commit.composefs_digest.unwrap().as_slice(), digest_of(&tree));
}
