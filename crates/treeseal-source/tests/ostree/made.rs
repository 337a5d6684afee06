//! Repositories that the real `ostree` makes.

use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

fn ostree() -> Command {
    Command::new(program("ostree", "ostree"))
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
    for size in [1, 64, 65, 4095, 4096, 4097, 128 * 4096 + 1] {
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
        let repo = format!("--repo={}", path.display());
        run(ostree().args([&repo, "init", &format!("--mode={mode}")]));
        let commit = ["commit", "--branch=test/branch", "--subject=one", "--timestamp=@0"];
        let canonical =
            ["--owner-uid=0", "--owner-gid=0", "--no-xattrs", "--canonical-permissions"];
        let tree = format!("--tree=dir={}", source.display());
        let made = run(ostree().arg(&repo).args(commit).args(canonical).arg(tree));
        let repository = Repository::open(&path).unwrap();
        let checksum = repository.resolve("test/branch").unwrap();
        assert_eq!(made.stdout.trim_ascii(), checksum.to_string().as_bytes(), "{mode}");
        trees.push((checksum, digest_of(&read(&repository, "test/branch").unwrap().1)));
    }
    let first = trees.first().unwrap();
    assert!(trees.iter().all(|other| other == first), "{trees:?}");
}
