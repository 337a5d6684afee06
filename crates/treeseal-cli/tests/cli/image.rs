//! `treeseal image` beside the composefs tools.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Machine, Run, filled, peer, program, require_root, run, treeseal};

/// A tree with everything that a directory can hold, devices included.
fn tree_of_all_kinds(root: &Path) {
    fs::create_dir_all(root.join("d/e/f")).unwrap();
    for size in [0, 1, 63, 64, 65, 4095, 4096, 4097, 1 << 20] {
        fs::write(root.join(format!("d/file-{size}")), filled(size)).unwrap();
    }
    fs::hard_link(root.join("d/file-4097"), root.join("again")).unwrap();
    fs::hard_link(root.join("d/file-64"), root.join("d/small-again")).unwrap();
    symlink("../target", root.join("d/link")).unwrap();
    symlink("x".repeat(4000), root.join("long-link")).unwrap();
    fs::set_permissions(root.join("d/e"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(root.join("d/file-65"), fs::Permissions::from_mode(0o4711)).unwrap();
    fs::write(root.join("name with space and \u{e9}"), "x").unwrap();
    for index in 0..600 {
        fs::write(root.join(format!("d/e/f/a-rather-long-name-{index:05}")), [1; 3]).unwrap();
    }
    let make = |arguments: &[&str]| {
        let path = root.join(arguments[0]);
        let mut all = vec![path.to_str().unwrap()];
        all.extend(&arguments[1..]);
        program("mknod", "coreutils", all).ok();
    };
    make(&["fifo", "p"]);
    make(&["null", "c", "1", "3"]);
    make(&["block", "b", "259", "1048575"]);
    make(&["d/whiteout", "c", "0", "0"]);
    let file = root.join("d/file-1");
    for (name, value) in
        [("user.note", "hello"), ("trusted.overlay.redirect", "/x"), ("security.test", "label")]
    {
        let arguments = ["-n", name, "-v", value, file.to_str().unwrap()];
        program("setfattr", "attr", arguments).ok();
    }
    program("setfacl", "acl", ["-m", "u:12345:r", root.join("again").to_str().unwrap()]).ok();
    program("chown", "coreutils", ["70000:99999", root.join("d/e").to_str().unwrap()]).ok();
    let touch = ["-h", "-d", "1969-12-31 23:59:58.25 UTC", root.join("d/link").to_str().unwrap()]
        .map(str::to_owned);
    program("touch", "coreutils", touch).ok();
}

/// A tree on the filesystem of the build, because not every temporary filesystem has `user.*`.
fn machine_on_disk() -> Machine {
    Machine { home: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() }
}

#[test]
fn a_directory_gives_the_image_that_mkcomposefs_gives() {
    require_root("devices, owners and mounts");
    let machine = machine_on_disk();
    let tree = machine.path("tree");
    tree_of_all_kinds(&tree);
    let (theirs, ours) = (machine.path("theirs"), machine.path("ours"));
    for (their_options, our_options) in [
        (&[][..], &[][..]),
        (&["--use-epoch"], &["--epoch", "0"]),
        (&["--skip-devices"], &["--skip-devices"]),
        (&["--skip-xattrs"], &["--xattrs", "none"]),
        (&["--user-xattrs"], &["--xattrs", "user"]),
        (&["--min-version=1", "--max-version=1"], &["--format-version", "1"]),
        (&["--max-version=0"], &["--format-version", "0"]),
    ] {
        let paths = [&tree, &theirs].map(|path| path.to_str().unwrap());
        let their_digest = program(
            peer("mkcomposefs"),
            "composefs",
            their_options.iter().copied().chain(["--print-digest"]).chain(paths),
        )
        .ok()
        .text();
        let paths = [&tree, &ours].map(|path| path.to_str().unwrap());
        let fixed = ["image", "build", "--compat", "mkcomposefs"];
        let our_digest = run(fixed.iter().chain(our_options).copied().chain(paths)).ok().text();
        assert_eq!(our_digest, their_digest, "{our_options:?}");
        assert!(fs::read(&theirs).unwrap() == fs::read(&ours).unwrap(), "{our_options:?}");
    }
}

#[test]
fn an_object_directory_is_the_one_that_mkcomposefs_makes() {
    require_root("devices, owners and mounts");
    let machine = machine_on_disk();
    let tree = machine.path("tree");
    tree_of_all_kinds(&tree);
    let (theirs, ours) = (machine.path("their-store"), machine.path("our-store"));
    fs::create_dir(&theirs).unwrap();
    let store = format!("--digest-store={}", theirs.display());
    let image = machine.path("image");
    let paths = [tree.to_str().unwrap(), image.to_str().unwrap()];
    program(peer("mkcomposefs"), "composefs", [&store[..]].into_iter().chain(paths)).ok();
    run(["image", "build", "--digest-store", ours.to_str().unwrap()].into_iter().chain(paths)).ok();
    let compared = ["-r", theirs.to_str().unwrap(), ours.to_str().unwrap()];
    assert_eq!(program("diff", "diffutils", compared).ok().text(), "");
    assert!(fs::read_dir(&theirs).unwrap().count() >= 3);
}

#[test]
fn listings_are_those_of_composefs_info() {
    require_root("devices, owners and mounts");
    let machine = machine_on_disk();
    let tree = machine.path("tree");
    tree_of_all_kinds(&tree);
    let image = machine.path("image");
    let image = image.to_str().unwrap();
    run(["image", "build", tree.to_str().unwrap(), image]).ok();
    for listing in ["ls", "dump", "objects"] {
        let theirs = program(peer("composefs-info"), "composefs", [listing, image]).ok();
        assert_eq!(run(["image", listing, image]).ok().text(), theirs.text(), "{listing}");
        let theirs =
            program(peer("composefs-info"), "composefs", ["--filter=d", listing, image]).ok();
        let ours = run(["image", listing, "--filter", "d", image]).ok();
        assert_eq!(ours.text(), theirs.text(), "{listing} --filter=d");
    }
}

#[test]
fn a_link_that_is_met_before_the_name_it_was_written_under_is_dumped_exactly() {
    let machine = Machine::new();
    let tree = machine.path("tree");
    fs::create_dir_all(tree.join("a/deep")).unwrap();
    fs::write(tree.join("z"), filled(100)).unwrap();
    fs::hard_link(tree.join("z"), tree.join("a/deep/link")).unwrap();
    let (image, dump, again) = (machine.path("image"), machine.path("dump"), machine.path("again"));
    run(["image", "build", tree.to_str().unwrap(), image.to_str().unwrap()]).ok();
    let text = run(["image", "dump", image.to_str().unwrap()]).ok().text();
    assert!(text.contains("/a/deep/link 100 @100644"), "{text}");
    fs::write(&dump, text).unwrap();
    let built =
        run(["image", "build", "--from", "dump", dump.to_str().unwrap(), again.to_str().unwrap()]);
    built.ok();
    assert!(fs::read(&image).unwrap() == fs::read(&again).unwrap());
    // mkcomposefs reads such a dump as well, and makes the same image of it.
    let theirs = ["--from-file", dump.to_str().unwrap(), again.to_str().unwrap()];
    program(peer("mkcomposefs"), "composefs", theirs).ok();
    assert!(fs::read(&image).unwrap() == fs::read(&again).unwrap());
}

#[test]
fn a_dump_goes_through_pipes_and_comes_back_the_same() {
    let machine = Machine::new();
    let tree = machine.sample_tree();
    let image = machine.path("image");
    run(["image", "build", tree.to_str().unwrap(), image.to_str().unwrap()]).ok();
    let dump = run(["image", "dump", image.to_str().unwrap()]).ok().stdout;
    let path = machine.path("dump");
    fs::write(&path, &dump).unwrap();
    let built = treeseal()
        .args(["image", "build", "--from", "dump", "-", "-"])
        .stdin(fs::File::open(&path).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(built.stdout == fs::read(&image).unwrap());
    let listed = Command::new(env!("CARGO_BIN_EXE_treeseal"))
        .args(["image", "ls", "-"])
        .stdin(fs::File::open(&image).unwrap())
        .output()
        .unwrap();
    assert!(String::from_utf8(listed.stdout).unwrap().contains("/etc/motd"));
}

#[test]
fn listings_do_not_hold_the_image_in_memory() {
    let machine = machine_on_disk();
    let (dump, image) = (machine.path("dump"), machine.path("image"));
    let content = "x".repeat(5000);
    let files =
        (0..12_000).map(|number| format!("/{number:05} 5000 100644 1 0 0 0 0.0 - {content} -\n"));
    fs::write(&dump, "/ 0 40755 2 0 0 0 0.0 - - -\n".to_owned() + &files.collect::<String>())
        .unwrap();
    let paths = [dump.to_str().unwrap(), image.to_str().unwrap()];
    run(["image", "build", "--from", "dump"].into_iter().chain(paths)).ok();
    assert!(fs::metadata(&image).unwrap().len() > 60_000_000);
    for listing in ["ls", "dump", "objects"] {
        with_40_mib([listing, image.to_str().unwrap()], Stdio::null()).ok();
        // What comes from a pipe is held, so the limit is one.
        let piped = fs::File::open(&image).unwrap();
        with_40_mib([listing, "-"], piped.into()).expect_code(2).says("out of memory");
    }
}

/// Runs `treeseal image` with 40 MiB of addresses.
fn with_40_mib(arguments: [&str; 2], input: Stdio) -> Run {
    let mut command = Command::new(treeseal_testkit::program("prlimit", "util-linux"));
    command.arg("--as=41943040").arg(treeseal().get_program()).arg("image").args(arguments);
    Run::new(command.stdin(input).output().unwrap())
}

#[test]
fn a_listing_in_json_has_an_object_for_each_line() {
    let machine = machine_on_disk();
    let (dump, image) = (machine.path("dump"), machine.path("image"));
    fs::write(&dump, "/ 0 40755 2 0 0 0 0.0 - - -\n/a\\nb 0 100644 1 0 0 0 0.0 - - -\n").unwrap();
    let image = image.to_str().unwrap();
    run(["image", "build", "--from", "dump", dump.to_str().unwrap(), image]).ok();
    assert_eq!(
        run(["--json", "image", "ls", image]).ok().text(),
        r#"{"line":"/a\\\\nb"}"#.to_owned() + "\n"
    );
    let dump = run(["--json", "image", "dump", image]).ok().text();
    assert_eq!(dump.lines().count(), 2);
}

#[test]
fn a_refused_dump_leaves_no_image() {
    let machine = Machine::new();
    let dump = machine.path("dump");
    fs::write(&dump, "/ 4096 40755 2 0 0 0 0.0 - - -\n/.. 4096 40755 2 0 0 0 0.0 - - -\n").unwrap();
    let arguments = ["image", "build", "--from", "dump", dump.to_str().unwrap()];
    let image = machine.path("image");
    run(arguments.into_iter().chain([image.to_str().unwrap()]))
        .expect_code(2)
        .says("line 2 (`/..`): `..` is not a file name");
    assert_eq!(fs::read_dir(machine.home.path()).unwrap().count(), 1, "only the dump is there");
}

#[test]
fn a_refused_dump_leaves_an_older_image_alone() {
    let machine = Machine::new();
    let (dump, image) = (machine.path("dump"), machine.path("image"));
    fs::write(&dump, "no dump\n").unwrap();
    fs::write(&image, "older").unwrap();
    run(["image", "build", "--from", "dump", dump.to_str().unwrap(), image.to_str().unwrap()])
        .expect_code(2);
    assert_eq!(fs::read(&image).unwrap(), b"older");
}

#[test]
fn check_tells_a_changed_image_from_a_good_one() {
    let machine = Machine::new();
    let tree = machine.sample_tree();
    let image = machine.path("image");
    let path = image.to_str().unwrap();
    run(["image", "build", tree.to_str().unwrap(), path]).ok();
    run(["image", "check", path]).ok();
    let info = run(["image", "info", path]).ok().text();
    assert!(info.contains("hard links       1\n"), "{info}");

    let mut bytes = fs::read(&image).unwrap();
    bytes[1024] ^= 1;
    fs::write(&image, &bytes).unwrap();
    run(["image", "check", path]).expect_code(2).says("is malformed");
}

/// The composefs project's own dumps, where they are at hand.
#[test]
fn fixtures_of_composefs_give_their_images_and_refusals() {
    let Some(fixtures) = treeseal_testkit::fixtures("composefs") else {
        println!("TREESEAL_FIXTURES is not set: only the project's own vectors are tested");
        return;
    };
    let machine = Machine::new();
    let (mut built, mut refused) = (0, 0);
    for entry in fs::read_dir(fixtures).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".dump") && !name.ends_with(".dump.gz") {
            continue;
        }
        let plain = machine.path("plain.dump");
        let text = if name.ends_with(".gz") {
            program("gzip", "gzip", ["-dc".as_ref(), path.as_os_str()]).ok().stdout
        } else {
            fs::read(&path).unwrap()
        };
        fs::write(&plain, text).unwrap();
        let image = machine.path("image");
        let lenient = ["no-newline.dump", "longlink.dump", "honggfuzz-longlink-unterminated.dump"];
        let mut arguments = vec!["image", "build", "--from", "dump"];
        if !lenient.contains(&&name[..]) {
            arguments.push("--strict");
        }
        let version = fs::read_to_string(format!("{}.version", path.display()));
        if let Ok(version) = &version {
            arguments.extend(["--format-version", version.trim()]);
        }
        arguments.extend([plain.to_str().unwrap(), image.to_str().unwrap()]);
        if name.starts_with("should-fail") {
            run(arguments).expect_code(2);
            assert!(!image.exists(), "{name}");
            refused += 1;
            continue;
        }
        run(arguments).ok();
        let expected = fs::read_to_string(format!("{}.sha256", path.display())).unwrap();
        let found = program("sha256sum", "coreutils", [&image]).ok().text();
        assert_eq!(found[..64], expected[..64], "{name}");
        rebuild_from_dump(&machine, &image, &name);
        fs::remove_file(&image).unwrap();
        built += 1;
    }
    assert!(built >= 9 && refused >= 9, "{built} built, {refused} refused");
}

fn rebuild_from_dump(machine: &Machine, image: &Path, name: &str) {
    let (dump, again) = (machine.path("again.dump"), machine.path("again"));
    fs::write(&dump, run(["image", "dump", image.to_str().unwrap()]).ok().stdout).unwrap();
    let bytes = fs::read(image).unwrap();
    let version = bytes[12].to_string();
    let options = ["image", "build", "--from", "dump", "--format-version", &version];
    run(options.into_iter().chain([dump.to_str().unwrap(), again.to_str().unwrap()])).ok();
    assert!(fs::read(&again).unwrap() == bytes, "{name}: dump and build again");
    fs::remove_file(&again).unwrap();
}
