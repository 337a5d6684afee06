//! What was sealed under a stream, and which roots there were.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Machine, Run, STREAM, id_of};

fn machine() -> Machine {
    let machine = Machine::new();
    machine.keys(&["alice", "release", "backup"]);
    machine.pinned_root(
        "--root-key alice.pub --seal-key release.pub --seal-key backup.pub --expires 2045-01-01",
        &["alice"],
    );
    machine.sample_tree();
    machine
}

#[track_caller]
fn seal(machine: &Machine, content: &str, more: &str) -> Run {
    let motd = machine.path("tree/etc/motd");
    // What is the same keeps its time, and so the tree is the same.
    if fs::read_to_string(&motd).unwrap() != content {
        fs::write(motd, content).unwrap();
    }
    machine.does(&format!("seal tree --stream {STREAM} --key release.pem {more}")).ok()
}

fn seal_file(machine: &Machine, sequence: u64) -> PathBuf {
    machine.store().join("seals").join(STREAM).join(format!("@{sequence}.seal.json"))
}

#[track_caller]
fn log(machine: &Machine) -> Vec<Value> {
    let text = machine.does(&format!("log {STREAM} --json")).ok().text();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Sequence, marks, and the class of refusal of each entry.
fn told(entries: &[Value]) -> Value {
    let entry = |entry: &Value| json!([entry["sequence"], entry["marks"], entry["refused"]]);
    entries.iter().map(entry).collect()
}

#[test]
fn an_ordinary_history_has_no_marks() {
    let machine = machine();
    seal(&machine, "One.\n", "");
    seal(&machine, "Two.\n", "--key backup.pem");
    let entries = log(&machine);
    assert_eq!(told(&entries), json!([[1, [], null], [2, [], null]]));
    assert_eq!(entries[0]["current"], false);
    assert_eq!(entries[1]["current"], true);
    assert_eq!(entries[0]["signers"], json!([id_of("release").to_string()]));
    assert_eq!(entries[1]["signers"].as_array().unwrap().len(), 2);
    let verified = machine.json(&format!("verify {STREAM}"));
    assert_eq!(entries[1]["payload"], verified["payload"]);
    assert_eq!(entries[1]["created"], verified["created"]);
    assert_eq!(entries[1]["imageSha256"], verified["images"][0]["sha256"]);
    let text = machine.does(&format!("log {STREAM}")).ok().text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("1 ") && !lines[0].contains('['), "{text}");
    assert!(lines[1].ends_with(" [current]"), "{text}");
    assert!(lines[0].contains(&id_of("release").to_string()[..16]), "{text}");
}

#[test]
fn gaps_and_trees_that_were_sealed_again_are_marked() {
    let machine = machine();
    seal(&machine, "One.\n", "--sequence 3");
    seal(&machine, "One.\n", "");
    seal(&machine, "Two.\n", "--sequence 9");
    fs::remove_file(seal_file(&machine, 4)).unwrap();
    seal(&machine, "Two.\n", "");
    let entries = log(&machine);
    let expected = json!([[3, ["gap"], null], [9, ["gap"], null], [10, ["same_tree"], null]]);
    assert_eq!(told(&entries), expected);
    let text = machine.does(&format!("log {STREAM}")).ok().text();
    for mark in
        ["[earlier ones are not here]", "[gap after 3]", "[current] [the same tree, sealed again]"]
    {
        assert!(text.contains(mark), "{mark}: {text}");
    }
}

#[test]
fn what_does_not_fit_is_marked() {
    let machine = machine();
    // Two machines that share a key seal without knowing of each other, one by a clock that is wrong.
    let twin = self::machine();
    fs::copy(machine.path("config/root.json"), twin.path("config/root.json")).unwrap();
    seal(&machine, "One.\n", "");
    fs::write(twin.path("tree/etc/motd"), "Other.\n").unwrap();
    let seal_of_twin = format!("seal tree --stream {STREAM} --key release.pem --sequence 2");
    twin.does_at("2020-01-01T00:00:00Z", &seal_of_twin).ok();
    fs::copy(seal_file(&twin, 2), seal_file(&machine, 2)).unwrap();
    assert_eq!(
        told(&log(&machine)),
        json!([[1, [], null], [2, ["other_previous", "back_in_time"], null]])
    );
    // One that lies under another number than its own.
    fs::copy(seal_file(&machine, 1), seal_file(&machine, 5)).unwrap();
    let entries = log(&machine);
    let marks = entries[2]["marks"].as_array().unwrap();
    assert_eq!(entries[2]["sequence"], 1);
    assert!(marks.contains(&json!("moved")) && marks.contains(&json!("gap")), "{marks:?}");
    let text = machine.does(&format!("log {STREAM}")).ok().text();
    assert!(text.contains("[lies under 5, which is not its sequence]"), "{text}");
    assert!(text.contains("[made before the one before it]"), "{text}");
}

#[test]
fn what_the_root_of_today_refuses_is_told() {
    let machine = machine();
    seal(&machine, "One.\n", "");
    seal(&machine, "Two.\n", "--key backup.pem");
    seal(&machine, "Three.\n", "--key backup.pem");
    seal(&machine, "Four.\n", "--key backup.pem");
    machine.next_root(
        &format!("remove-key release; floor {STREAM} 3; revoke --sequence {STREAM}=3"),
        &["alice"],
    );
    let mut stripped: Value =
        serde_json::from_slice(&fs::read(seal_file(&machine, 4)).unwrap()).unwrap();
    stripped["signatures"] = json!([]);
    fs::write(seal_file(&machine, 4), stripped.to_string()).unwrap();
    let entries = log(&machine);
    let expected = json!([
        [1, [], "threshold"],
        [2, [], "below_minimum"],
        [3, [], "sequence_revoked"],
        [4, [], "threshold"],
    ]);
    assert_eq!(told(&entries), expected);
    assert_eq!(entries[1]["signers"], json!([id_of("backup").to_string()]));
    let text = machine.does(&format!("log {STREAM}")).ok().text();
    assert!(text.contains("[refused: the trust root revokes the seal with sequence 3"), "{text}");
}

#[test]
fn there_must_be_something_to_tell() {
    let machine = machine();
    machine.refuses(2, &format!("log {STREAM}"));
    seal(&machine, "One.\n", "");
    machine
        .refuses(1, "log no/such/stream")
        .says("the store has no seal for the stream `no/such/stream`")
        .says("hint: `treeseal store stat` lists the streams");
    machine.refuses(2, "log ../up").says("a stream is like");
    fs::write(seal_file(&machine, 1), "{}").unwrap();
    machine.refuses(1, &format!("log {STREAM}")).says("the seal 1 of the stream");
}

#[test]
fn the_versions_of_the_root_are_told_with_what_they_changed() {
    let machine = machine();
    machine.next_root("expire 2041-01-01", &["alice"]);
    machine.next_root("remove-key backup", &["alice"]);
    let text = machine.does("root history").ok().text();
    let alice = format!("signed by alice ({})", id_of("alice"));
    let backup = id_of("backup");
    let expected = format!(
        "1 expires 2045-01-01T00:00:00Z, {alice}\n\
         2 expires 2041-01-01T00:00:00Z, {alice}\n  \
         - expires 2045-01-01T00:00:00Z\n  + expires 2041-01-01T00:00:00Z\n\
         3 expires 2041-01-01T00:00:00Z, {alice}\n  \
         - role targets: 1 of 2 keys must sign\n  - targets: {backup} ed25519 backup\n  \
         + role targets: 1 of 1 keys must sign\n"
    );
    assert_eq!(text, expected);
    let json = machine.does("root history --json").ok().text();
    let versions: Vec<Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let third = json!({
        "version": 3, "expires": "2041-01-01T00:00:00Z", "signers": [id_of("alice").to_string()],
    });
    assert_eq!(versions.len(), 3);
    assert_eq!(versions[2], third);

    // A copy in the store that does not follow is named.
    let copy = machine.path("store/roots/3.root.json");
    let changed = fs::read_to_string(&copy).unwrap().replace("2041", "2042");
    fs::remove_file(&copy).unwrap();
    fs::write(&copy, changed).unwrap();
    machine.refuses(1, "root history").says("3.root.json` is not accepted");
}
