//! `ostree import`: commits as trees in a store, and back into a repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use treeseal::source::ostree::{Commit, Repository};
use treeseal_testkit::{counter_words, program};

use crate::ostree::{REF, machine, objects};
use crate::support::{Machine, Run, require_root, rsync_differences};

const STREAM: &str = "test/imported/any/stable";

fn ostree(repository: &Path, arguments: &[&str]) {
    let mut ostree = Command::new(program("ostree", "ostree"));
    Run::of(ostree.arg(format!("--repo={}", repository.display())).args(arguments)).ok();
}

fn commit(repository: &Path, name: &str) -> Commit {
    let repository = Repository::open(repository).unwrap();
    repository.commit(&repository.resolve(name).unwrap()).unwrap().0
}

/// The repository of the vectors in another mode.
fn in_mode(machine: &Machine, mode: &str) -> PathBuf {
    let path = machine.path(mode);
    if mode != "archive" {
        fs::create_dir(&path).unwrap();
        ostree(&path, &["init", &format!("--mode={mode}")]);
        let from = machine.path("archive").display().to_string();
        ostree(&path, &["pull-local", &from, REF]);
    }
    path
}

#[test]
fn a_commit_that_was_imported_and_exported_has_the_same_root() {
    require_root("owners of files in a repository");
    let machine = machine();
    let expected = commit(&machine.path("archive"), REF);
    let mut images = Vec::new();
    for mode in ["archive", "bare", "bare-user"] {
        in_mode(&machine, mode);
        let words = format!("ostree import {mode} {REF} --stream {STREAM}");
        images.push(machine.json(&words)["images"].clone());
        let words = format!("ostree export {STREAM} {mode}-again --branch again --mode {mode}");
        machine.does(&words).ok();
        let again = machine.path(&format!("{mode}-again"));
        ostree(&again, &["fsck", "--quiet"]);
        let found = commit(&again, "again");
        assert_eq!((found.root_tree, found.root_meta), (expected.root_tree, expected.root_meta));
        assert_eq!(found.composefs_digest, expected.composefs_digest);
    }
    assert!(images.windows(2).all(|pair| pair[0] == pair[1]), "{images:?}");
}

#[test]
fn an_imported_commit_is_a_tree_like_any_other_and_is_imported_once() {
    require_root("owners of files in a repository");
    let machine = machine();
    let words = format!("ostree import archive {REF} --stream {STREAM}");
    let first = machine.json(&words);
    assert!(first["new"]["objects"].as_u64().unwrap() > 0, "{first}");
    assert_eq!(first["new"]["objects"], first["objects"]["count"]);
    machine.does(&format!("verify {STREAM} --deep")).ok();
    machine.does(&format!("extract {STREAM} out")).ok();
    ostree(
        &machine.path("archive"),
        &["checkout", REF, &machine.path("checkout").display().to_string()],
    );
    assert_eq!(rsync_differences("-rlpgoDX", &machine.path("checkout"), &machine.path("out")), "");

    let again = machine.json(&words);
    assert_eq!(again["new"]["objects"], 0);
    assert_eq!(again["known"]["objects"], again["objects"]["count"]);
    assert_eq!(again["images"], first["images"]);
}

#[test]
fn a_commit_with_a_damaged_object_is_not_imported() {
    let machine = machine();
    for extension in ["dirtree", "filez"] {
        for object in objects(&machine, extension) {
            let mut bytes = fs::read(&object).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(&object, bytes).unwrap();
        }
        machine
            .does(&format!("ostree import archive {REF} --stream {STREAM}"))
            .expect_code(1)
            .says("archive/objects/");
        assert!(!machine.path(&format!("store/seals/{STREAM}")).exists());
    }
    machine.does(&format!("ostree import archive none --stream {STREAM}")).expect_code(2);
}

/// Whether files here can share blocks, as another program finds it.
fn shares_blocks(file: &Path) -> bool {
    let mut cp = Command::new(program("cp", "coreutils"));
    Run::of(cp.arg("--reflink=always").arg(file).arg(file.with_extension("copy"))).code == 0
}

#[test]
fn long_files_share_their_blocks_where_the_filesystem_can_and_are_copied_elsewhere() {
    let machine = Machine::new();
    fs::create_dir(machine.path("tree")).unwrap();
    let long = machine.path("tree/long");
    fs::write(&long, counter_words(3 << 20)).unwrap();
    fs::write(machine.path("tree/short"), counter_words(5000)).unwrap();
    let repository = machine.path("repo");
    fs::create_dir(&repository).unwrap();
    ostree(&repository, &["init", "--mode=bare-user-only"]);
    let tree = machine.path("tree").display().to_string();
    ostree(
        &repository,
        &["commit", "--branch=main", "--subject=one", "--canonical-permissions", &tree],
    );
    let imported = machine.json(&format!("ostree import repo main --stream {STREAM}"));
    assert_eq!(imported["new"]["objects"], 2);
    let cloned = u64::from(shares_blocks(&long));
    assert_eq!(imported["cloned"]["objects"], cloned, "{imported}");
    assert_eq!(imported["cloned"]["bytes"], cloned * (3 << 20), "{imported}");
    machine.does(&format!("verify {STREAM} --deep")).ok();
}
