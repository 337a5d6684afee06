//! What the commands for mounts refuse, and how they are asked. Real mounts are made in virtual machines.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::support::{Machine, Run, STREAM, assert_unchanged, snapshot};

/// Runs the program as mount(8) runs a helper.
fn helper(machine: &Machine, name: &str, words: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_treeseal"));
    command.arg0(name).args(words.split(' ')).current_dir(machine.home.path());
    Run::of(&mut command)
}

fn mountable() -> Machine {
    let machine = Machine::new();
    machine.sealed_sample();
    fs::create_dir(machine.path("target")).unwrap();
    machine
}

#[test]
fn nothing_is_changed_where_the_seal_is_refused() {
    let machine = mountable();
    machine.seal(&machine.path("tree"), "test/other/any/stable");
    let seal = |stream: &str| machine.store().join("seals").join(stream).join("@1.seal.json");
    fs::copy(seal("test/other/any/stable"), seal(STREAM)).unwrap();
    let before = snapshot(machine.home.path());
    machine.refuses(1, &format!("mount {STREAM} target --run run")).says("is not accepted");
    assert_unchanged(&before, &snapshot(machine.home.path()));
}

#[test]
fn another_way_to_enforce_is_refused_with_what_to_do_instead() {
    let machine = mountable();
    for other in ["scan", "fuse", "none"] {
        machine
            .refuses(2, &format!("mount {STREAM} target --enforce {other}"))
            .says(&format!("error: a mount is enforced by `kernel` and cannot be by `{other}`"))
            .says(&format!("hint: `treeseal verify {STREAM} --deep` checks every byte once, now"));
    }
}

#[test]
fn a_mount_needs_a_directory_and_a_seal() {
    let machine = mountable();
    machine.refuses(2, &format!("mount {STREAM} nowhere")).says("cannot open `nowhere`");
    machine.refuses(1, "mount test/none target").says("the store has no seal for the stream");
    machine.refuses(2, &format!("mount {STREAM} target --upper up")).says("--work");
    machine.refuses(2, &format!("mount {STREAM} target -o sync")).says("sync");
}

#[test]
fn what_is_not_mounted_is_not_unmounted() {
    let machine = mountable();
    machine
        .refuses(2, "umount target")
        .says("error: cannot unmount `target`")
        .says("caused by: nothing is mounted there");
    machine.refuses(2, "umount /proc").says("what is mounted at `/proc` is no sealed tree, but `");
    assert!(machine.path("target").is_dir());
}

#[test]
fn without_mounts_there_is_no_status() {
    let machine = Machine::new();
    assert_eq!(machine.does("status --run run").ok().text(), "");
    assert!(!machine.path("run").exists());
}

#[test]
fn a_helper_takes_the_options_that_it_knows() {
    let machine = mountable();
    let places = "store=store,root=config/root.json,state=state";
    for name in ["mount.treeseal", "/usr/sbin/mount.treeseal"] {
        helper(
            &machine,
            name,
            &format!("{STREAM} target -f -n -v -t treeseal -o rw,noatime,{places}"),
        )
        .ok();
        helper(&machine, name, &format!("{STREAM} target -f -s -o sync")).ok();
        helper(&machine, name, &format!("{STREAM} target -o {places},sync"))
            .expect_code(2)
            .says("error: the option `sync` is not known");
        helper(&machine, name, &format!("{STREAM} target -o store"))
            .expect_code(2)
            .says("error: the option `store` has no value");
        helper(&machine, name, &format!("/dev/sda1 target -o {places}")).expect_code(2);
        helper(&machine, name, &format!("treeseal:test/none target -o {places}"))
            .expect_code(1)
            .says("the store has no seal for the stream `test/none`");
        helper(&machine, name, &format!("{STREAM} target -o {places},enforce=scan"))
            .expect_code(2)
            .says("cannot be by `scan`");
    }
}

#[test]
fn the_helper_of_composefs_wants_object_directories_and_whole_digests() {
    let machine = mountable();
    for (options, expected) in [
        ("verity", "error: no object directory is named"),
        ("basedir=store/objects,digest=12", "error: digest: "),
        ("basedir=store/objects,tryverity", "error: `tryverity` would check nothing, in silence"),
        ("basedir=store/objects,workdir=w", "error: upperdir and workdir are not both there"),
        ("basedir=store/objects", "error: cannot open `image`"),
    ] {
        let refused = helper(&machine, "mount.composefs", &format!("image target -o {options}"));
        refused.expect_code(2).says(expected);
    }
}
