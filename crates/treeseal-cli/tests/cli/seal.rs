//! Sealing and reading back.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;

use crate::support::{
    Machine, STREAM, filled, overwrite, program, require_root, rsync_differences,
};

#[test]
fn the_first_seal_makes_a_key_and_a_root_outside_the_store_and_says_so_in_one_line() {
    let machine = Machine::new();
    let tree = machine.sample_tree();
    let first = machine.seal(&tree, STREAM);
    let made: Vec<&str> =
        first.stderr.lines().filter(|line| line.starts_with("made the key")).collect();
    assert_eq!(made.len(), 1, "{}", first.stderr);
    let root = machine.path("config/root.json");
    assert!(made[0].contains(root.to_str().unwrap()), "{}", made[0]);
    assert!(first.stderr.contains("treeseal verify test/sample/any/stable"));

    let key = machine.path("config/keys/own.pem");
    assert!(fs::read_to_string(&key).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    for secret in ["config/keys/own.pem", "config/keys/own.password"] {
        assert_eq!(fs::metadata(machine.path(secret)).unwrap().mode() & 0o7777, 0o600, "{secret}");
    }
    let second = machine.seal(&tree, STREAM);
    assert!(!second.stderr.contains("made the key"), "{}", second.stderr);
    assert!(second.text().contains("sequence 2"), "{}", second.text());
}

#[test]
fn the_key_is_one_that_openssl_reads() {
    let machine = Machine::new();
    machine.sealed_sample();
    let password = format!("file:{}", machine.path("config/keys/own.password").display());
    let key = machine.path("config/keys/own.pem");
    let arguments = ["pkey", "-in", key.to_str().unwrap(), "-passin", &password, "-noout", "-text"];
    let text = program("openssl", "openssl", arguments).ok().text();
    assert!(text.to_uppercase().contains("ED25519 PRIVATE-KEY"), "{text}");
}

#[test]
fn what_was_sealed_is_listed_shown_and_restored() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    machine.run(["verify", STREAM]).ok();
    let deep = machine.run(["verify", STREAM, "--deep"]).ok().text();
    assert!(deep.contains("every byte of 2 objects checked, 604096 bytes"), "{deep}");

    let listed = machine.run(["ls", STREAM, "/etc"]).ok().text();
    let names: Vec<&str> = listed.lines().map(|line| line.split('\t').next().unwrap()).collect();
    let expected = [
        "/etc/",
        "/etc/again",
        "/etc/conf.d/",
        "/etc/conf.d/block",
        "/etc/conf.d/large",
        "/etc/motd",
    ];
    assert_eq!(names, expected);
    assert_eq!(machine.run(["cat", STREAM, "/etc/motd"]).ok().stdout, b"Welcome.\n");
    let both = machine.run(["cat", STREAM, "etc/conf.d/large", "/nothing", "etc/motd"]).ok().stdout;
    assert!(both == [&filled(600_000)[..], b"Welcome.\n"].concat());

    let copy = machine.path("copy");
    machine
        .run([OsStr::new("extract"), STREAM.as_ref(), copy.as_os_str(), "--unprivileged".as_ref()])
        .ok();
    assert_eq!(rsync_differences("-rlptHX", &tree, &copy), "");
    let ino = |name: &str| fs::metadata(copy.join(name)).unwrap().ino();
    assert_eq!(ino("etc/again"), ino("etc/conf.d/large"));
}

#[test]
fn everything_is_restored_as_root() {
    require_root("devices, owners and mounts");
    let machine = Machine { home: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() };
    let tree = machine.sample_tree();
    program("bash", "bash", ["-c", &format!(
        "set -e; cd {}; mknod etc/null c 1 3; mknod etc/disk b 259 70000; mkfifo etc/fifo; \
         mknod etc/white c 0 0; chown 12345:70000 etc/motd; chmod 6755 etc/motd; \
         setfattr -n user.a -v b etc/motd; setfattr -n trusted.overlay.x -v y etc; \
         setfacl -d -m u:7:rx etc/conf.d; setfacl -m g:8:r etc/conf.d/block; \
         chown -h 5:6 link; chmod 1777 empty; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"etc/socket\")'; \
         touch -h -d '1901-01-01 00:00:00.123456789 UTC' link; touch -d '2033-05-18 03:33:20.999999999 UTC' etc",
        tree.display()
    )]).ok();
    machine.seal(&tree, STREAM);
    let copy = machine.path("copy");
    fs::create_dir(&copy).unwrap();
    machine.run([OsStr::new("extract"), STREAM.as_ref(), copy.as_os_str()]).ok();
    assert_eq!(rsync_differences("-aHAX", &tree, &copy), "");
    machine.run([OsStr::new("diff"), STREAM.as_ref(), copy.as_os_str()]).ok();
}

#[test]
fn an_unchanged_tree_has_the_same_image_whenever_it_is_sealed() {
    let machine = Machine::new();
    let tree = machine.sample_tree();
    let image = |run: crate::support::Run| {
        run.text().lines().find(|line| line.starts_with("image ")).unwrap().to_owned()
    };
    let first = image(machine.seal(&tree, STREAM));
    let second = image(machine.seal(&tree, "test/other/any/stable"));
    assert_eq!(first, second);
    fs::write(tree.join("etc/motd"), "Changed.\n").unwrap();
    assert_ne!(image(machine.seal(&tree, STREAM)), first);
}

#[test]
fn source_date_epoch_and_epoch_fix_every_time() {
    let machine = Machine::new();
    let tree = machine.sample_tree();
    let image = |command: &mut std::process::Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned()
    };
    let seal = || {
        let mut command = machine.command();
        command.arg("seal").arg(&tree).args(["--stream", STREAM]);
        command
    };
    let by_variable = image(seal().env("SOURCE_DATE_EPOCH", "1700000000"));
    program("touch", "coreutils", [tree.join("etc/motd")]).ok();
    let by_flag = image(seal().args(["--epoch", "1700000000"]));
    assert_eq!(by_variable, by_flag);
    let listed = machine.run(["ls", STREAM, "--json"]).ok().text();
    assert!(
        listed.lines().all(|line| line.contains(r#""mtime":"1700000000.000000000""#)),
        "{listed}"
    );
}

#[test]
fn a_name_that_is_not_utf_8_goes_all_the_way() {
    let machine = Machine::new();
    let tree = machine.path("tree");
    fs::create_dir(&tree).unwrap();
    let name = OsStr::from_bytes(b"caf\xe9 \xff\n");
    fs::write(tree.join(name), "content").unwrap();
    let long = "n".repeat(255);
    fs::write(tree.join(&long), filled(70)).unwrap();
    machine.seal(&tree, STREAM);
    let listed = machine.run(["ls", STREAM]).ok().text();
    assert!(listed.contains("/caf\\xe9 \\xff\\n"), "{listed}");
    let shown = machine.run([OsStr::new("cat"), STREAM.as_ref(), name]).ok();
    assert_eq!(shown.stdout, b"content");
    let copy = machine.path("copy");
    machine
        .run([OsStr::new("extract"), STREAM.as_ref(), copy.as_os_str(), "--unprivileged".as_ref()])
        .ok();
    assert_eq!(fs::read(copy.join(name)).unwrap(), b"content");
    assert_eq!(fs::read(copy.join(&long)).unwrap(), filled(70));
}

#[test]
fn differences_are_told_field_by_field() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    fs::write(tree.join("etc/motd"), "Changed!\n").unwrap();
    fs::remove_file(tree.join("nothing")).unwrap();
    fs::write(tree.join("new"), "").unwrap();
    fs::remove_file(tree.join("link")).unwrap();
    std::os::unix::fs::symlink("elsewhere", tree.join("link")).unwrap();
    program("chmod", "coreutils", ["0600".as_ref(), tree.join("etc/conf.d/block").as_os_str()])
        .ok();
    let run = machine.run([OsStr::new("diff"), STREAM.as_ref(), tree.as_os_str()]).expect_code(1);
    let text = run.text();
    for line in [
        "~ /etc/conf.d/block: mode 0644 -> 0600",
        "~ /etc/motd: content sha256:",
        "~ /link: target etc/motd -> elsewhere",
        "- /nothing: regular file only in the first",
        "+ /new: regular file only in the second",
    ] {
        assert!(text.contains(line), "expected `{line}` in:\n{text}");
    }
    let json =
        machine.run([OsStr::new("diff"), STREAM.as_ref(), tree.as_os_str(), "--json".as_ref()]);
    assert!(json.expect_code(1).text().contains(r#""change":"target""#));
}

#[test]
fn a_dump_is_sealed_when_the_store_has_its_objects() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    let (image, dump) = (machine.path("image"), machine.path("dump"));
    machine.run([OsStr::new("image"), "build".as_ref(), tree.as_os_str(), image.as_os_str()]).ok();
    let text = machine.run([OsStr::new("image"), "dump".as_ref(), image.as_os_str()]).ok().stdout;
    fs::write(&dump, text).unwrap();
    let seal = [
        OsStr::new("seal"),
        dump.as_os_str(),
        "--from".as_ref(),
        "dump".as_ref(),
        "--stream".as_ref(),
        "test/dump/any/stable".as_ref(),
    ];
    machine.run(seal).ok();
    machine.run(["diff", STREAM, "test/dump/any/stable"]).ok();

    fs::remove_file(machine.object(&filled(600_000))).unwrap();
    machine.run(seal).expect_code(1);
    let no_digest = "/ 0 40755 2 0 0 0 0.0 - - -\n/f 100 100644 1 0 0 0 0.0 some/where - -\n";
    fs::write(&dump, no_digest).unwrap();
    machine.run(seal).expect_code(2).says("`/f` has no file digest");
}

#[test]
fn upkeep_names_heals_and_removes() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    let sound = machine.run(["store", "fsck"]).ok().text();
    assert!(sound.contains("checked 2 objects and 1 images"), "{sound}");

    let (large, block) = (machine.object(&filled(600_000)), machine.object(&filled(4096)));
    let mut bytes = fs::read(&large).unwrap();
    bytes[200_000] ^= 4;
    overwrite(&large, &bytes);
    fs::remove_file(&block).unwrap();
    let found = machine.run(["store", "fsck"]).expect_code(1).text();
    assert!(found.contains("damaged: its content has digest"), "{found}");
    assert!(found.contains("missing: 4096 bytes"), "{found}");
    let repair = [
        OsStr::new("store"),
        "fsck".as_ref(),
        "--repair".as_ref(),
        "--from".as_ref(),
        tree.as_os_str(),
    ];
    let healed = machine.run(repair).ok().text();
    assert!(healed.contains("healed 2, 0 damaged or missing"), "{healed}");
    machine.run(["store", "fsck"]).ok();
    machine.run(["verify", STREAM, "--deep"]).ok();

    let other = machine.path("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("file"), filled(700_000)).unwrap();
    machine.seal(&other, "test/other/any/stable");
    fs::remove_dir_all(machine.store().join("seals/test/other")).unwrap();
    let orphan = machine.object(&filled(700_000));
    let dry = machine.run(["store", "gc", "--dry-run"]).ok().text();
    assert!(dry.contains("would remove 1 images, 1 objects, 1 sidecars"), "{dry}");
    assert!(orphan.exists());
    machine.run(["store", "gc"]).ok();
    assert!(!orphan.exists());
    machine.run(["verify", STREAM, "--deep"]).ok();
    machine.run(["store", "stat"]).ok();
}

/// A tmpfs never has fs-verity: what is stored there is sealed all the same, and it is said why the
/// kernel checks none of it.
#[test]
fn without_fs_verity_a_tree_is_sealed_and_the_reason_named() {
    let machine = Machine { home: tempfile::tempdir_in("/dev/shm").unwrap() };
    machine.sealed_sample();
    let line = "fs-verity on 0 of 3 objects and images: its filesystem has no fs-verity\n";
    for command in ["store stat", "store fsck", "store fsck --read"] {
        let text = machine.does(command).ok().text();
        assert!(text.contains(line), "{command}: {text}");
    }
    let stat = machine.json("store stat");
    assert_eq!(stat["verityRefusal"], "its filesystem has no fs-verity");
    assert_eq!(
        (&stat["objects"]["withVerity"], &stat["images"]["withVerity"]),
        (&0.into(), &0.into())
    );
    let fsck = machine.json("store fsck");
    assert_eq!((&fsck["enforced"], &fsck["unenforced"]), (&0.into(), &0.into()));
    machine.does("store fsck --repair").ok();
    machine.does(&format!("verify {STREAM} --deep")).ok();
}

#[test]
fn a_seal_that_was_killed_is_completed_by_the_next() {
    let machine = Machine::new();
    let tree = machine.sample_tree();
    for index in 0..300 {
        fs::write(tree.join(format!("file-{index}")), filled(100 + index * 37)).unwrap();
    }
    for delay in 0..15 {
        fs::write(tree.join("changing"), filled(5000 + delay)).unwrap();
        let mut seal = machine.command();
        let seal = seal.arg("seal").arg(&tree).args(["--stream", STREAM]);
        let seal = seal.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut child = seal.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay as u64 * 8));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    machine.seal(&tree, STREAM);
    machine.run(["verify", STREAM, "--deep"]).ok();
    let sound = machine.run(["store", "fsck"]).ok().text();
    assert!(sound.contains("0 damaged or missing, 0 stray"), "{sound}");
    let temporary = fs::read_dir(machine.store().join("tmp")).unwrap().count();
    assert_eq!(temporary, 0, "temporary files are left");
}
