//! `ostree export`: sealed trees as commits that `ostree` itself reads.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use treeseal::erofs::{FormatVersion, ImageWriter, VersionChoice};
use treeseal::source::Progress;
use treeseal::source::ostree::{Checksum, Commit, Repository, read_commit};
use treeseal::tree::Tree;
use treeseal::verity::Params;
use treeseal_testkit::{peer, program};

use crate::ostree_seal::does;
use crate::support::{
    Machine, Run, assert_unchanged, overwrite, require_root, rsync_differences, snapshot,
};

const STREAM: &str = "test/sample/any/stable";
const BRANCH: &str = "test/branch";

/// Runs `ostree` on a repository: the machine's own, and a newer one that knows images.
fn each_ostree(repository: &Path, arguments: &[&str]) {
    for mut ostree in [Command::new(program("ostree", "ostree")), Command::new(peer("ostree"))] {
        Run::of(ostree.arg(format!("--repo={}", repository.display())).args(arguments)).ok();
    }
}

fn read(repository: &Path, name: &str) -> (Commit, Tree) {
    let repository = Repository::open(repository).unwrap();
    let (commit, _) = repository.commit(&repository.resolve(name).unwrap()).unwrap();
    let tree = read_commit(&repository, &commit, &Progress::default()).unwrap();
    (commit, tree)
}

/// Adds to the sample tree what OSTree keeps besides: owners, attributes, set-id bits.
fn add_what_needs_root(tree: &Path) {
    let tool = tree.join("etc/tool");
    fs::write(&tool, "#!/bin/sh\n").unwrap();
    chown(&tool, Some(12), Some(34)).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o4711)).unwrap();
    for (name, value) in [("user.b", "two"), ("user.a", "one")] {
        let mut setfattr = Command::new(program("setfattr", "attr"));
        Run::of(setfattr.args(["-n", name, "-v", value]).arg(&tool)).ok();
    }
}

#[test]
fn a_sealed_tree_is_the_same_commit_in_every_mode_that_keeps_all_of_it() {
    require_root("owners of files in a repository");
    let machine = Machine::new();
    let tree = machine.sample_tree();
    add_what_needs_root(&tree);
    machine.seal(&tree, STREAM);
    let mut first = None;
    for mode in ["archive", "bare", "bare-user"] {
        let words = format!("ostree export {STREAM} {mode} --branch {BRANCH} --mode {mode}");
        let exported = machine.json(&words);
        let repository = machine.path(mode);
        each_ostree(&repository, &["fsck"]);
        let (commit, found) = read(&repository, BRANCH);
        let image = ImageWriter::new(&found, VersionChoice::Fixed(FormatVersion::V0)).unwrap();
        let digest = image.digest(Params::default());
        assert_eq!(commit.composefs_digest.unwrap(), digest.as_bytes(), "{mode}");
        assert_eq!(
            exported["image"],
            Checksum::from_bytes(commit.composefs_digest.unwrap()).to_string()
        );
        assert_eq!(exported["commit"], *first.get_or_insert(exported["commit"].clone()), "{mode}");

        let out = machine.path(&format!("{mode}-out"));
        each_ostree(&repository, &["ls", "-R", BRANCH]);
        let mut checkout = Command::new(program("ostree", "ostree"));
        checkout.arg(format!("--repo={}", repository.display())).args(["checkout", BRANCH]);
        // Copies, or the checkout of a `bare-user` repository is of the user.
        Run::of(checkout.args(["--force-copy"]).arg(&out)).ok();
        // Times and hard links are not kept.
        assert_eq!(rsync_differences("-rlpgoDX", &tree, &out), "", "{mode}");
    }
}

#[test]
fn what_only_an_image_reader_sees_is_libostrees_own_image() {
    let machine = Machine::new();
    machine.sealed_sample();
    let exported = machine.json(&format!("ostree export {STREAM} repo --branch {BRANCH}"));
    // Committed again by libostree, out of its own checkout, it has the same root and the same image.
    let repo = format!("--repo={}", machine.path("repo").display());
    let mut commit = Command::new(peer("ostree"));
    commit.args([&repo, "commit", "--branch=again", "--subject=again"]);
    commit.args(["--generate-composefs-metadata", &format!("--tree=ref={BRANCH}")]);
    Run::of(&mut commit).ok();
    let (ours, _) = read(&machine.path("repo"), BRANCH);
    let (theirs, _) = read(&machine.path("repo"), "again");
    assert_eq!((ours.root_tree, ours.root_meta), (theirs.root_tree, theirs.root_meta));
    assert_eq!(ours.composefs_digest, theirs.composefs_digest);
    assert_eq!(exported["parent"], Value::Null);
}

#[test]
fn a_commit_says_when_and_what_was_sealed_and_follows_the_one_before() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    let words = format!("ostree export {STREAM} repo --branch {BRANCH}");
    let first = machine.json(&words);
    let (commit, _) = read(&machine.path("repo"), BRANCH);
    assert_eq!(commit.subject, format!("{STREAM} sequence 1"));
    assert_eq!(commit.ref_binding.as_deref(), Some(&[BRANCH.to_owned()][..]));

    // Done again, nothing is new and nothing is written again.
    let before = snapshot(&machine.path("repo"));
    let again = machine.json(&words);
    assert_eq!((&again["commit"], &again["new"]), (&first["commit"], &false.into()));
    assert_unchanged(&before, &snapshot(&machine.path("repo")));

    fs::write(tree.join("etc/motd"), "Goodbye.\n").unwrap();
    machine.seal(&tree, STREAM);
    let second = machine.json(&format!("{words} --subject farewell"));
    assert_eq!((&second["parent"], &second["new"]), (&first["commit"], &true.into()));
    assert_eq!(read(&machine.path("repo"), BRANCH).0.subject, "farewell");
    each_ostree(&machine.path("repo"), &["fsck"]);
    let seen = machine.does(&format!("ostree verify repo {BRANCH} --stream {STREAM}"));
    seen.expect_code(1).says("has no seal of the stream");
}

#[test]
fn what_ostree_cannot_hold_is_refused_by_its_path_and_nothing_is_named() {
    let machine = Machine::new();
    let tree = machine.sample_tree();
    let mkfifo = |path: &Path| Run::of(Command::new(program("mkfifo", "coreutils")).arg(path)).ok();
    mkfifo(&tree.join("etc/pipe"));
    machine.seal(&tree, STREAM);
    let export = |mode: &str, message: &str| {
        let words = format!("ostree export {STREAM} {mode} --branch {BRANCH} --mode {mode}");
        machine.does(&words).expect_code(2).says(message);
        assert!(!machine.path(&format!("{mode}/refs/heads/test")).exists());
        let left = snapshot(&machine.path(&format!("{mode}/objects")));
        assert!(left.is_empty(), "{left:?}");
    };
    export(
        "archive",
        "error: `/etc/pipe` cannot be part of a commit: OSTree has no files of the type FIFO\n",
    );
    fs::remove_file(tree.join("etc/pipe")).unwrap();
    fs::set_permissions(tree.join("etc/motd"), fs::Permissions::from_mode(0o666)).unwrap();
    machine.seal(&tree, STREAM);
    export(
        "bare-user-only",
        "error: `/etc/motd` cannot be part of a commit: it has the permissions 666,",
    );
}

#[test]
fn a_damaged_object_ends_the_export_and_the_ref_stays() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    let words = format!("ostree export {STREAM} repo --branch {BRANCH}");
    machine.does(&words).ok();
    let before = read(&machine.path("repo"), BRANCH).0;
    let farewell = "Goodbye.\n".repeat(1000);
    fs::write(tree.join("etc/motd"), &farewell).unwrap();
    machine.seal(&tree, STREAM);
    overwrite(&machine.object(farewell.as_bytes()), farewell.replace('.', "!").as_bytes());
    machine.does(&words).expect_code(1);
    assert_eq!(read(&machine.path("repo"), BRANCH).0, before);
    let left = snapshot(&machine.path("repo/tmp/treeseal"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_ref_or_a_repository_that_cannot_be_is_refused() {
    let machine = Machine::new();
    machine.sealed_sample();
    let export = |rest: &str| machine.does(&format!("ostree export {STREAM} {rest}"));
    let no_ref = "can be neither a ref, a remote and a ref, nor a commit\n";
    for name in ["..", "a//b", "origin:a", &"a".repeat(64)] {
        export(&format!("repo --branch {name}")).expect_code(2).says(no_ref);
    }
    export(&format!("repo --branch {BRANCH}")).ok();
    // A ref is no directory of refs.
    export("repo --branch test").expect_code(2);
    export("repo --branch test/branch/more").expect_code(2);
    export(&format!("repo --branch {BRANCH} --mode bare"))
        .expect_code(2)
        .says("has the mode `archive-z2`, and not `bare`\n");
    export(&format!("tree --branch {BRANCH}")).expect_code(2).says("is no OSTree repository");
}

/// Regular files at least.
const FILES: usize = 20_000;

/// Where they are looked for, from what is quick to what is not.
const PLACES: [&str; 3] = ["/usr/share/man", "/usr/share", "/usr"];

fn count_files(directory: &str) -> usize {
    let mut find = Command::new(program("find", "findutils"));
    let names = Run::of(find.args([directory, "-type", "f", "-print0"])).ok().stdout;
    names.split(|byte| *byte == 0).count()
}

#[test]
fn a_large_part_of_usr_is_a_commit() {
    let machine = Machine::new();
    let place = PLACES.into_iter().find(|place| count_files(place) >= FILES).unwrap();
    let stream = format!("test{place}");
    machine.seal(Path::new(place), &stream);
    let exported = machine.json(&format!("ostree export {stream} repo --branch {BRANCH}"));
    let repository = machine.path("repo");
    each_ostree(&repository, &["fsck", "--quiet"]);
    let (commit, tree) = read(&repository, BRANCH);
    assert!(tree.entry_count() > FILES, "{} names", tree.entry_count());
    assert_eq!(
        exported["image"],
        Checksum::from_bytes(commit.composefs_digest.unwrap()).to_string()
    );

    let seal = format!("seal --from ostree repo {BRANCH} --stream {stream} --embed --json");
    let sealed: Value = serde_json::from_str(&does(&machine, &seal).ok().text()).unwrap();
    assert_eq!(sealed["images"][0]["fsverity"][0], exported["image"]);
    does(&machine, &format!("ostree verify repo {BRANCH} --stream {stream}")).ok();
}
