//! Attacks on a store, one test each: exit code 1, the reason named, nothing extracted.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Machine, STREAM, filled, overwrite};

/// Fails unless reading the sealed tree is refused in every way, with `reason`, and leaves nothing.
#[track_caller]
fn expect_refused(machine: &Machine, reason: &str) {
    machine.run(["verify", STREAM, "--deep"]).expect_code(1).says(reason);
    expect_nothing_extracted(machine, reason);
}

#[track_caller]
fn expect_nothing_extracted(machine: &Machine, reason: &str) {
    let before = names(machine.home.path());
    let copy = machine.path("copy");
    let extract =
        [OsStr::new("extract"), STREAM.as_ref(), copy.as_os_str(), "--unprivileged".as_ref()];
    machine.run(extract).expect_code(1).says(reason);
    assert_eq!(names(machine.home.path()), before, "something was left behind");
}

/// Fails unless the tree is not even listed.
#[track_caller]
fn expect_not_listed(machine: &Machine, reason: &str) {
    let listed = machine.run(["ls", STREAM]).expect_code(1).says(reason);
    assert_eq!(listed.text(), "");
    let shown = machine.run(["cat", STREAM, "/etc/motd"]).expect_code(1).says(reason);
    assert_eq!(shown.text(), "");
    expect_refused(machine, reason);
}

fn names(directory: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

fn seal_file(machine: &Machine, stream: &str, sequence: u64) -> PathBuf {
    machine.store().join("seals").join(stream).join(format!("@{sequence}.seal.json"))
}

fn image_file(machine: &Machine) -> PathBuf {
    let images = machine.store().join("images");
    let fanout = names(&images).into_iter().next().unwrap();
    names(&fanout).into_iter().next().unwrap()
}

#[test]
fn a_byte_changed_in_an_object() {
    let machine = Machine::new();
    machine.sealed_sample();
    let object = machine.object(&filled(600_000));
    let mut bytes = fs::read(&object).unwrap();
    bytes[123_456] ^= 0x10;
    overwrite(&object, &bytes);
    expect_refused(&machine, object.to_str().unwrap());
    // What comes before the changed block may be shown, and nothing else.
    let shown = machine.run(["cat", STREAM, "/etc/conf.d/large"]).expect_code(1).stdout;
    assert!(filled(600_000).starts_with(&shown));
}

#[test]
fn two_objects_swapped() {
    let machine = Machine::new();
    let tree = machine.sample_tree();
    let mut other = filled(4096);
    other.reverse();
    fs::write(tree.join("etc/other"), &other).unwrap();
    machine.seal(&tree, STREAM);
    let (first, second) = (machine.object(&filled(4096)), machine.object(&other));
    let aside = machine.path("store/aside");
    fs::rename(&first, &aside).unwrap();
    fs::rename(&second, &first).unwrap();
    fs::rename(&aside, &second).unwrap();
    expect_refused(&machine, "expected");
}

#[test]
fn an_object_truncated() {
    let machine = Machine::new();
    machine.sealed_sample();
    let object = machine.object(&filled(600_000));
    overwrite(&object, &filled(599_999));
    expect_refused(&machine, "has 599999 bytes, expected 600000");
}

#[test]
fn an_object_missing() {
    let machine = Machine::new();
    machine.sealed_sample();
    let object = machine.object(&filled(4096));
    fs::remove_file(&object).unwrap();
    expect_refused(&machine, object.to_str().unwrap());
}

#[test]
fn an_object_replaced_by_a_symlink_to_the_right_content() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    let object = machine.object(&filled(4096));
    fs::remove_file(&object).unwrap();
    std::os::unix::fs::symlink(tree.join("etc/conf.d/block"), &object).unwrap();
    expect_refused(&machine, object.to_str().unwrap());
}

#[test]
fn a_sidecar_changed_does_no_harm_and_is_named() {
    let machine = Machine::new();
    machine.sealed_sample();
    let object = machine.object(&filled(600_000));
    let sidecar = PathBuf::from(object.to_str().unwrap().replace("/objects/", "/trees/"));
    let mut bytes = fs::read(&sidecar).unwrap();
    bytes[7] ^= 1;
    overwrite(&sidecar, &bytes);
    let shown = machine.run(["cat", STREAM, "/etc/conf.d/large"]).ok().stdout;
    assert!(shown == filled(600_000));
    let found = machine.run(["store", "fsck"]).expect_code(1).text();
    assert!(found.contains("wrong Merkle tree: its object is good"), "{found}");
}

#[test]
fn the_image_changed() {
    let machine = Machine::new();
    machine.sealed_sample();
    let image = image_file(&machine);
    let mut bytes = fs::read(&image).unwrap();
    let place = bytes.windows(4).position(|window| window == b"motd").unwrap();
    bytes[place] = b'M';
    overwrite(&image, &bytes);
    expect_not_listed(&machine, image.to_str().unwrap());
}

#[test]
fn the_image_replaced_by_that_of_another_tree() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    fs::write(tree.join("etc/motd"), "Owned!\n").unwrap();
    let other = machine.path("store/other");
    machine.run([OsStr::new("image"), "build".as_ref(), tree.as_os_str(), other.as_os_str()]).ok();
    let image = image_file(&machine);
    fs::rename(&other, &image).unwrap();
    expect_not_listed(&machine, image.to_str().unwrap());
}

#[test]
fn the_image_missing() {
    let machine = Machine::new();
    machine.sealed_sample();
    fs::remove_file(image_file(&machine)).unwrap();
    expect_not_listed(&machine, "images/");
}

#[test]
fn the_seal_edited() {
    let machine = Machine::new();
    machine.sealed_sample();
    let seal = seal_file(&machine, STREAM, 1);
    let mut envelope: Value = serde_json::from_slice(&fs::read(&seal).unwrap()).unwrap();
    let payload = envelope["payload"].as_str().unwrap().to_owned();
    // Another letter in the middle: the payload decodes, and is another one.
    let middle = payload.len() / 2;
    let letter = if &payload[middle..=middle] == "A" { "B" } else { "A" };
    envelope["payload"] =
        format!("{}{letter}{}", &payload[..middle], &payload[middle + 1..]).into();
    overwrite(&seal, envelope.to_string().as_bytes());
    expect_not_listed(&machine, "0 of the role `targets`'s 1 keys signed this, 1 must");
}

#[test]
fn the_seal_stripped_of_its_signatures() {
    let machine = Machine::new();
    machine.sealed_sample();
    let seal = seal_file(&machine, STREAM, 1);
    let mut envelope: Value = serde_json::from_slice(&fs::read(&seal).unwrap()).unwrap();
    envelope["signatures"] = Value::Array(Vec::new());
    overwrite(&seal, envelope.to_string().as_bytes());
    expect_not_listed(&machine, "is not accepted");
}

#[test]
fn the_seal_removed() {
    let machine = Machine::new();
    machine.sealed_sample();
    fs::remove_file(seal_file(&machine, STREAM, 1)).unwrap();
    expect_not_listed(&machine, "@1.seal.json");
}

#[test]
fn the_seal_of_another_stream() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    fs::write(tree.join("etc/motd"), "Beta.\n").unwrap();
    machine.seal(&tree, "test/sample/any/beta");
    let beta = fs::read(seal_file(&machine, "test/sample/any/beta", 1)).unwrap();
    overwrite(&seal_file(&machine, STREAM, 1), &beta);
    expect_not_listed(
        &machine,
        "the seal is for the stream `test/sample/any/beta`, expected `test/sample/any/stable`",
    );
}

#[test]
fn an_older_seal_put_back() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    let older = fs::read(seal_file(&machine, STREAM, 1)).unwrap();
    fs::write(tree.join("etc/motd"), "Fixed.\n").unwrap();
    machine.seal(&tree, STREAM);
    // By the pointer alone, and under the newer number.
    let pointer = machine.store().join("seals").join(STREAM).join("@current");
    overwrite(&pointer, b"1\n");
    let reason = "the seal has sequence 1, but 2 was accepted before";
    expect_not_listed(&machine, reason);
    overwrite(&pointer, b"2\n");
    overwrite(&seal_file(&machine, STREAM, 2), &older);
    expect_not_listed(&machine, reason);
}

#[test]
fn another_seal_of_the_same_sequence() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    // The same signer seals another tree on a machine that does not know of the first seal.
    let twin = Machine::new();
    for part in ["config/root.json", "config/keys/own.pem", "config/keys/own.password"] {
        fs::create_dir_all(twin.path("config/keys")).unwrap();
        fs::copy(machine.path(part), twin.path(part)).unwrap();
    }
    fs::write(tree.join("etc/motd"), "Other.\n").unwrap();
    twin.seal(&tree, STREAM);
    fs::remove_dir_all(machine.store()).unwrap();
    fs::rename(twin.store(), machine.store()).unwrap();
    expect_not_listed(&machine, "another statement with sequence 1 was accepted before");
}

#[test]
fn a_seal_by_a_foreign_key() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    let foreign = Machine::new();
    fs::write(tree.join("etc/motd"), "Owned!\n").unwrap();
    foreign.seal(&tree, STREAM);
    fs::remove_dir_all(machine.store()).unwrap();
    fs::rename(foreign.store(), machine.store()).unwrap();
    expect_not_listed(&machine, "0 of the role `targets`'s 1 keys signed this, 1 must");
}

#[test]
fn a_foreign_key_placed_in_the_store() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    let foreign = Machine::new();
    foreign.seal(&tree, STREAM);
    fs::remove_dir_all(machine.store()).unwrap();
    fs::rename(foreign.store(), machine.store()).unwrap();
    // The foreign root as the next version, and its key: neither is asked.
    let roots = machine.store().join("roots");
    fs::create_dir_all(&roots).unwrap();
    let root = fs::read_to_string(foreign.path("config/root.json")).unwrap();
    fs::copy(foreign.path("config/keys/own.pem"), machine.store().join("own.pem")).unwrap();
    fs::write(roots.join("1.root.json"), &root).unwrap();
    expect_not_listed(&machine, "0 of the role `targets`'s 1 keys signed this, 1 must");
    fs::write(roots.join("2.root.json"), root.replace("\"version\":1", "\"version\":2")).unwrap();
    expect_not_listed(&machine, "2.root.json");
}

#[test]
fn a_root_in_the_store_is_no_pinned_root() {
    let machine = Machine::new();
    machine.sealed_sample();
    let root = machine.store().join("root.json");
    fs::copy(machine.path("config/root.json"), &root).unwrap();
    machine
        .run([OsStr::new("verify"), STREAM.as_ref(), "--root".as_ref(), root.as_os_str()])
        .expect_code(2)
        .says("whoever can change the store can change it");
}

#[test]
fn a_store_in_place_of_a_directory_of_objects_is_no_way_out() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    // The fan-out directory of an object becomes a symlink to a directory outside.
    let object = machine.object(&filled(4096));
    let fanout = object.parent().unwrap();
    let outside = machine.path("tree/outside");
    fs::rename(fanout, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, fanout).unwrap();
    drop(tree);
    let run = machine.run(["verify", STREAM, "--deep"]);
    assert_ne!(run.code, 0, "{}", run.text());
}
