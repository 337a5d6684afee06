//! Bad input: a clear error with the path and the cause, exit code 2, nothing left behind.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::support::{Machine, STREAM, filled, program, require_root};

/// Seals a tree and fails unless that is refused with `reason` and no seal is there afterwards.
#[track_caller]
fn expect_no_seal(machine: &Machine, tree: &Path, reason: &str) {
    let seal = [OsStr::new("seal"), tree.as_os_str(), "--stream".as_ref(), STREAM.as_ref()];
    machine.run(seal).expect_code(2).says(reason);
    let temporary = machine.store().join("tmp");
    if temporary.exists() {
        assert_eq!(fs::read_dir(temporary).unwrap().count(), 0, "temporary files are left");
    }
    assert!(!machine.store().join("seals/test").exists(), "a seal is there");
}

#[test]
fn a_missing_directory_is_named() {
    let machine = Machine::new();
    expect_no_seal(&machine, &machine.path("nowhere"), "nowhere`\ncaused by: No such file");
    assert!(!machine.store().exists());
    assert!(!machine.path("config").exists(), "no key is made for nothing");
}

#[test]
fn an_unreadable_file_is_named() {
    require_root("devices, owners and mounts");
    let machine = Machine::new();
    let tree = machine.sample_tree();
    // Root reads everything on an ordinary filesystem, so the seal is made by another user.
    fs::write(tree.join("etc/secret"), "secret").unwrap();
    program("chmod", "coreutils", ["0000".as_ref(), tree.join("etc/secret").as_os_str()]).ok();
    program(
        "chmod",
        "coreutils",
        ["-R".as_ref(), "a+rX".as_ref(), machine.home.path().as_os_str()],
    )
    .ok();
    program("chmod", "coreutils", ["0000".as_ref(), tree.join("etc/secret").as_os_str()]).ok();
    let home = machine.path("home");
    fs::create_dir(&home).unwrap();
    program("chown", "coreutils", ["65534:65534".as_ref(), home.as_os_str()]).ok();
    let binary = machine.path("treeseal");
    fs::copy(env!("CARGO_BIN_EXE_treeseal"), &binary).unwrap();
    let run = program(
        "setpriv",
        "util-linux",
        [
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "env",
            "-i",
            &format!("HOME={}", home.display()),
            binary.to_str().unwrap(),
            "seal",
            tree.to_str().unwrap(),
            "--stream",
            STREAM,
        ],
    );
    run.expect_code(2).says("etc/secret`\ncaused by: Permission denied");
    assert!(!home.join(".local/share/treeseal/store/seals/test").exists());
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing() {
    require_root("devices, owners and mounts");
    let machine = Machine::new();
    let tree = machine.sample_tree();
    fs::write(tree.join("huge"), filled(8 << 20)).unwrap();
    let disk = Mounted::tmpfs(&machine.path("disk"), "size=2m");
    let store = disk.0.join("store");
    let mut seal = machine.command();
    let output = seal
        .env("TREESEAL_STORE", &store)
        .args([OsStr::new("seal"), tree.as_os_str(), "--stream".as_ref(), STREAM.as_ref()])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(store.to_str().unwrap()), "{stderr}");
    assert!(stderr.contains("No space left on device"), "{stderr}");
    assert_eq!(fs::read_dir(store.join("tmp")).unwrap().count(), 0);
    assert!(!store.join("seals/test").exists());
}

#[test]
fn a_read_only_store_is_read_and_not_written() {
    require_root("devices, owners and mounts");
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    let disk = Mounted::tmpfs(&machine.path("disk"), "size=16m");
    let store = disk.0.join("store");
    let paths = [machine.store(), store.clone()].map(|path| path.to_str().unwrap().to_owned());
    program("cp", "coreutils", [["-a".to_owned()].as_slice(), &paths].concat()).ok();
    program("mount", "mount", ["-o", "remount,ro", disk.0.to_str().unwrap()]).ok();
    let run = |arguments: &[&OsStr]| {
        let store = ["--store".as_ref(), store.as_os_str()];
        machine.run(arguments.iter().chain(&store))
    };
    run(&["verify".as_ref(), STREAM.as_ref(), "--deep".as_ref()]).ok();
    run(&["store".as_ref(), "fsck".as_ref()]).ok();
    run(&["seal".as_ref(), tree.as_os_str(), "--stream".as_ref(), STREAM.as_ref()])
        .expect_code(2)
        .says("read-only");
}

#[test]
fn a_store_of_a_newer_format_is_refused_with_the_way_out() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    let format = machine.store().join("treeseal-store.json");
    let text = fs::read_to_string(&format).unwrap();
    fs::remove_file(&format).unwrap();
    fs::write(
        &format,
        text.replace("\"format\":1", "\"format\":2").replace("\"format\": 1", "\"format\": 2"),
    )
    .unwrap();
    for arguments in [
        vec!["verify".as_ref(), STREAM.as_ref()],
        vec!["seal".as_ref(), tree.as_os_str(), "--stream".as_ref(), STREAM.as_ref()],
        vec!["store".as_ref(), "gc".as_ref()],
    ] as [Vec<&OsStr>; 3]
    {
        machine
            .run(arguments)
            .expect_code(2)
            .says("has store format 2, this version knows formats up to 1");
    }
}

#[test]
fn a_directory_of_200_000_entries_is_no_problem() {
    let machine = Machine::new();
    let tree = machine.path("tree");
    fs::create_dir(&tree).unwrap();
    for index in 0..200_000 {
        fs::File::create(tree.join(format!("file-{index:06}"))).unwrap();
    }
    machine.seal(&tree, STREAM);
    let listed = machine.run(["ls", STREAM]).ok().text();
    assert_eq!(listed.lines().count(), 200_001);
}

#[test]
fn what_is_not_a_stream_is_refused() {
    let machine = Machine::new();
    let tree = machine.sample_tree();
    for stream in ["", "../up", "a//b", "a/.hidden", "a/b c"] {
        let seal = [OsStr::new("seal"), tree.as_os_str(), "--stream".as_ref(), stream.as_ref()];
        machine.run(seal).expect_code(2).says("hint: a stream is like vendor/product/arch/channel");
    }
    assert!(!machine.store().exists());
}

#[test]
fn a_target_in_use_is_left_alone() {
    let machine = Machine::new();
    machine.sealed_sample();
    let target = machine.path("target");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("mine"), "mine").unwrap();
    for directory in [&target, &target.join("mine"), Path::new("/")] {
        machine
            .run([OsStr::new("extract"), STREAM.as_ref(), directory.as_os_str()])
            .expect_code(2)
            .says("exists and is not an empty directory");
    }
    assert_eq!(fs::read(target.join("mine")).unwrap(), b"mine");
}

#[test]
fn a_path_that_is_not_in_the_tree_is_named() {
    let machine = Machine::new();
    machine.sealed_sample();
    machine
        .run(["cat", STREAM, "/etc/passwd"])
        .expect_code(2)
        .says("the tree has no `/etc/passwd`");
    machine
        .run(["cat", STREAM, "/etc"])
        .expect_code(2)
        .says("`/etc` is a directory, expected a regular file");
    machine.run(["ls", STREAM, "/../etc"]).expect_code(2).says("the tree has no");
    machine
        .run(["verify", "no/such/stream"])
        .expect_code(1)
        .says("no seal for the stream `no/such/stream`");
}

#[test]
fn the_store_inside_the_tree_is_refused() {
    let machine = Machine::new();
    machine.sample_tree();
    let home = machine.home.path().to_owned();
    let seal = [OsStr::new("seal"), home.as_os_str(), "--stream".as_ref(), STREAM.as_ref()];
    machine.run(seal).expect_code(2).says("cannot be part of the tree");
}

#[test]
fn a_sequence_that_was_used_is_refused() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    let seal = |sequence: &str| {
        machine.run([
            OsStr::new("seal"),
            tree.as_os_str(),
            "--stream".as_ref(),
            STREAM.as_ref(),
            "--sequence".as_ref(),
            sequence.as_ref(),
        ])
    };
    seal("7").ok();
    seal("7").expect_code(2).says("sequence 7: expected one from 8");
    machine.run(["verify", STREAM]).ok();
}

#[test]
fn a_closed_pipe_is_no_error_worth_a_word() {
    let machine = Machine::new();
    machine.sealed_sample();
    let command = format!(
        "{} cat {STREAM} /etc/conf.d/large | head -c 10 | wc -c",
        env!("CARGO_BIN_EXE_treeseal")
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &command])
        .env("TREESEAL_STORE", machine.store())
        .env("TREESEAL_ROOT", machine.path("config/root.json"))
        .env("TREESEAL_STATE", machine.path("state"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "10");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// A filesystem in memory, unmounted when dropped.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn tmpfs(path: &Path, options: &str) -> Self {
        fs::create_dir(path).unwrap();
        let arguments = ["-t", "tmpfs", "-o", options, "tmpfs", path.to_str().unwrap()];
        program("mount", "mount", arguments).ok();
        Self(path.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}
