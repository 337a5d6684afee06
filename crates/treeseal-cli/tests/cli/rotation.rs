//! Trust roots that follow each other, and seals that are signed again.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Machine, Run, STREAM};

/// Makes the next version of the machine's trust root, signed, and gives its file.
#[track_caller]
fn next_root(machine: &Machine, version: u64) -> PathBuf {
    let draft = machine.path(&format!("{version}.root.json"));
    let file = draft.to_str().unwrap();
    machine.run(["root", "expire", file, &format!("{version}00d")]).ok();
    machine.run(["root", "sign", file]).ok();
    draft
}

#[track_caller]
fn submit(machine: &Machine, file: &Path) -> Run {
    machine.run(["submit".as_ref(), file.as_os_str()])
}

fn stored_root(machine: &Machine, version: u64) -> PathBuf {
    machine.store().join(format!("roots/{version}.root.json"))
}

#[test]
fn a_store_with_a_gap_in_its_roots_is_not_read() {
    let machine = Machine::new();
    machine.sealed_sample();
    for version in [2, 3, 4] {
        submit(&machine, &next_root(&machine, version)).ok();
    }
    fs::rename(stored_root(&machine, 3), machine.path("kept")).unwrap();
    // A new machine remembers no version that could tell it of the loss.
    fs::remove_dir_all(machine.path("state")).unwrap();
    for arguments in [&["verify", STREAM][..], &["root", "history"], &["log", STREAM]] {
        let run =
            machine.run(arguments).expect_code(1).says("version 3 of the trust root is missing");
        run.says("which has version 4").says("hint: no version is skipped: get 3.root.json");
    }
    assert!(!machine.path("state").exists());
    fs::rename(machine.path("kept"), stored_root(&machine, 3)).unwrap();
    assert!(machine.run(["verify", STREAM]).ok().text().contains("root       version 4"));
}

#[test]
fn the_next_root_can_be_pinned_without_a_store_that_has_it() {
    let machine = Machine::new();
    machine.sealed_sample();
    let next = next_root(&machine, 2);
    machine.run(["root".as_ref(), "pin".as_ref(), next.as_os_str()]).ok();
    assert_eq!(fs::read(&next).unwrap(), fs::read(machine.path("config/root.json")).unwrap());

    // The one after the next has no link to what is pinned.
    let third = next_root(&machine, 3);
    submit(&machine, &third).ok();
    let fourth = next_root(&machine, 4);
    fs::remove_file(stored_root(&machine, 3)).unwrap();
    machine
        .run(["root".as_ref(), "pin".as_ref(), fourth.as_os_str()])
        .expect_code(1)
        .says("is no root of the chain that is pinned");
    assert_eq!(fs::read(&next).unwrap(), fs::read(machine.path("config/root.json")).unwrap());
}

#[test]
fn a_seal_that_was_signed_again_takes_the_place_of_itself() {
    let machine = Machine::new();
    machine.sealed_sample();
    let stored = machine.store().join("seals").join(STREAM).join("@1.seal.json");
    let other = machine.path("other.pem");
    let passphrase = machine.path("treeseal.passphrase");
    fs::write(&passphrase, "a passphrase\n").unwrap();
    let with_passphrase = |arguments: &[&str]| {
        let mut command = machine.command();
        let command = command.env("CREDENTIALS_DIRECTORY", machine.home.path()).args(arguments);
        assert!(command.output().unwrap().status.success(), "{arguments:?}");
    };
    with_passphrase(&["key", "new", other.to_str().unwrap()]);
    fs::remove_file(&passphrase).unwrap();
    fs::write(machine.path("other.password"), "a passphrase\n").unwrap();

    let draft = machine.path("2.root.json");
    let public = machine.path("other.pub");
    let (draft, public) = (draft.to_str().unwrap(), public.to_str().unwrap());
    machine.run(["root", "add-key", draft, "targets", public]).ok();
    machine.run(["root", "sign", draft]).ok();
    machine.run(["submit", draft]).ok();

    let seal = machine.path("current.seal.json");
    fs::copy(&stored, &seal).unwrap();
    let (file, key) = (seal.to_str().unwrap(), other.to_str().unwrap());
    let standing = machine.run(["sign", file, "--key", key]).ok().text();
    assert!(standing.contains("    other ("), "the key is called by its name: {standing}");
    submit(&machine, &seal).ok();
    assert_eq!(fs::read(&seal).unwrap(), fs::read(&stored).unwrap());
    assert!(machine.run(["verify", STREAM]).ok().text().contains("2 of the 2 keys"));
}

#[test]
fn another_tree_does_not_take_the_place_of_a_seal() {
    let (first, second) = (Machine::new(), Machine::new());
    let tree = first.sealed_sample();
    fs::create_dir(second.path("config")).unwrap();
    fs::copy(first.path("config/root.json"), second.path("config/root.json")).unwrap();
    fs::write(tree.join("etc/motd"), "Changed.\n").unwrap();
    let pending = second.path("1.seal.json");
    let file = pending.to_str().unwrap();
    second.run(["seal", tree.to_str().unwrap(), "--stream", STREAM, "--unsigned", file]).ok();
    let stored = first.store().join("seals").join(STREAM).join("@1.seal.json");
    let before = fs::read(&stored).unwrap();
    first.run(["sign", file]).ok();
    submit(&first, &pending).expect_code(1).says("sequence");
    assert_eq!(fs::read(&stored).unwrap(), before);
}

#[test]
fn a_cause_that_an_error_quotes_is_said_once() {
    let machine = Machine::new();
    machine.sealed_sample();
    fs::remove_dir_all(machine.path("config")).unwrap();
    fs::remove_dir_all(machine.path("state")).unwrap();
    // The root of another machine.
    let other = Machine::new();
    other.sealed_sample();
    fs::create_dir(machine.path("config")).unwrap();
    fs::copy(other.path("config/root.json"), machine.path("config/root.json")).unwrap();
    let run = machine.run(["verify", STREAM]).expect_code(1);
    assert_eq!(run.stderr.matches("0 of the role `targets`'s 1 keys signed this").count(), 1);
}
