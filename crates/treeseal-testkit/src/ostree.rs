use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{peer, run};

/// A system that OSTree deploys to, of the stateroot `acme` and the ref `acme/os`. It goes when it is
/// dropped.
pub struct OstreeSystem {
    directory: TempDir,
    /// The commits, each of which was deployed. The last one is booted.
    pub commits: Vec<String>,
}

impl OstreeSystem {
    /// Makes one with `composefs.enabled` as given, and deploys commits of a small tree whose `usr/number`
    /// differs.
    pub fn new(enabled: &str, commits: usize) -> Self {
        let directory = TempDir::new().expect("there is room for a system");
        let mut system = Self { directory, commits: Vec::new() };
        fs::create_dir(system.path()).expect("it is a new directory");
        system.ostree(&["admin", "init-fs", "system"]);
        system.ostree(&["admin", "os-init", "--sysroot=system", "acme"]);
        let tree = system.directory.path().join("tree");
        make_tree(&tree, enabled);
        for number in 0..commits {
            fs::write(tree.join("usr/number"), number.to_string())
                .expect("the tree can be written");
            system.deploy_next();
        }
        system
    }

    /// Its root.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("system")
    }

    /// The directory of a deployed commit, below the root.
    pub fn deployment(&self, commit: usize) -> PathBuf {
        format!("ostree/deploy/acme/deploy/{}.0", self.commits[commit]).into()
    }

    /// Runs `ostree` in the directory that has `system`, and gives what it prints.
    pub fn ostree(&self, arguments: &[&str]) -> String {
        let mut ostree = Command::new(peer("ostree"));
        // Immutable directories could not be removed with the rest.
        ostree.env("OSTREE_SYSROOT_DEBUG", "mutable-deployments");
        let output = run(ostree.args(arguments).current_dir(self.directory.path()));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn deploy_next(&mut self) {
        let commit = self.ostree(&[
            "commit",
            "--repo=system/ostree/repo",
            "--branch=acme/os",
            "--generate-composefs-metadata",
            "--no-xattrs",
            "--owner-uid=0",
            "tree",
        ]);
        self.commits.push(commit.trim().to_owned());
        self.ostree(&["admin", "deploy", "--sysroot=system", "--os=acme", "acme/os"]);
    }
}

fn make_tree(tree: &Path, enabled: &str) {
    for directory in ["usr/etc", "usr/lib/ostree", "usr/lib/modules/1", "sysroot"] {
        fs::create_dir_all(tree.join(directory)).expect("it is a new tree");
    }
    let files = [
        ("usr/lib/modules/1/vmlinuz", "kernel"),
        ("usr/lib/modules/1/initramfs.img", "initramfs"),
        ("usr/lib/os-release", "ID=acme\nPRETTY_NAME=\"Acme\"\n"),
        ("usr/lib/ostree/prepare-root.conf", &format!("[composefs]\nenabled={enabled}\n")),
    ];
    for (name, content) in files {
        fs::write(tree.join(name), content).expect("it is a new tree");
    }
    symlink("../usr/lib/os-release", tree.join("usr/etc/os-release")).expect("it is a new tree");
}
