//! Who says which seal is the newest, until when, and what that refuses. Clocks stand where a test
//! puts them.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Machine, Run, STREAM, assert_unchanged, snapshot};

/// When the first seal is made.
const NOON: &str = "2031-01-01T12:00:00Z";

/// A machine whose seals must be said to be the newest by `online`, with an hour of tolerance, and
/// with one seal that was made at noon.
fn machine() -> Machine {
    let machine = machine_without_rule();
    machine.next_root("allow * --freshness timestamp --tolerance 1h", &["alice"]);
    seal_at(&machine, NOON);
    machine
}

fn machine_without_rule() -> Machine {
    let machine = Machine::new();
    machine.keys(&["alice", "release", "online", "standby", "stranger"]);
    machine.pinned_root(
        "--root-key alice.pub --seal-key release.pub --online-key online.pub --expires 2045-01-01",
        &["alice"],
    );
    machine.sample_tree();
    machine
}

#[track_caller]
fn seal_at(machine: &Machine, time: &str) {
    machine.does_at(time, &format!("seal tree --stream {STREAM} --key release.pem")).ok();
}

#[track_caller]
fn freshen_at(machine: &Machine, time: &str, duration: &str) {
    machine.does_at(time, &format!("freshen {STREAM} --for {duration} --key online.pem")).ok();
}

/// `verify` by a clock that stands at `time`.
fn verify_at(machine: &Machine, time: &str) -> Run {
    machine.does_at(time, &format!("verify {STREAM}"))
}

/// What `verify` says of freshness when it accepts.
#[track_caller]
fn freshness_at(machine: &Machine, time: &str) -> Value {
    let text = machine.does_at(time, &format!("verify {STREAM} --json")).ok().text();
    serde_json::from_str::<Value>(&text).unwrap()["freshness"].clone()
}

/// Runs a command that must fail with this code and change nothing.
#[track_caller]
fn refuses_at(machine: &Machine, time: &str, code: i32, words: &str) -> Run {
    let before = snapshot(machine.home.path());
    let run = machine.does_at(time, words).expect_code(code);
    assert_eq!(run.text(), "");
    assert_unchanged(&before, &snapshot(machine.home.path()));
    run
}

fn in_stream(machine: &Machine, name: &str) -> PathBuf {
    machine.store().join("seals").join(STREAM).join(name)
}

/// Forgets all that was seen, as a machine that was set up again has.
fn forget(machine: &Machine) {
    fs::remove_dir_all(machine.path("state")).unwrap();
}

#[test]
fn a_seal_is_the_newest_until_the_second_that_was_said() {
    let machine = machine();
    refuses_at(&machine, NOON, 1, &format!("verify {STREAM}"))
        .says("nothing says that the seal is the newest, and the trust root demands it")
        .says("the role `timestamp` must say so (`treeseal freshen`)");
    refuses_at(&machine, NOON, 1, &format!("extract {STREAM} copy --unprivileged"));
    let said = machine
        .does_at(NOON, &format!("freshen {STREAM} --for 24h --key online.pem --json"))
        .ok()
        .text();
    let expected = json!({ "stream": STREAM, "sequence": 1, "until": "2031-01-02T12:00:00Z" });
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), expected);

    let current =
        json!({ "standing": "current", "until": "2031-01-02T12:00:00Z", "ignored": null });
    assert_eq!(freshness_at(&machine, NOON), current);
    assert_eq!(freshness_at(&machine, "2031-01-02T12:00:00Z"), current);
    assert_eq!(freshness_at(&machine, "2031-01-02T12:00:01Z")["standing"], "tolerated");
    assert_eq!(freshness_at(&machine, "2031-01-02T13:00:00Z")["standing"], "tolerated");
    let text = verify_at(&machine, "2031-01-02T13:00:00Z").ok().text();
    assert!(text.contains("the newest until 2031-01-02T12:00:00Z; nobody said so since"), "{text}");
    refuses_at(&machine, "2031-01-02T13:00:01Z", 1, &format!("verify {STREAM}"))
        .says("the proof that the seal is the newest expired at 2031-01-02T13:00:00Z")
        .says("get a newer one");
    freshen_at(&machine, "2031-01-02T13:00:01Z", "1h");
    assert_eq!(freshness_at(&machine, "2031-01-02T13:00:01Z")["until"], "2031-01-02T14:00:01Z");
}

#[test]
fn only_the_online_role_says_so() {
    let machine = machine();
    for key in ["release", "alice", "stranger"] {
        refuses_at(&machine, NOON, 2, &format!("freshen {STREAM} --key {key}.pem"))
            .says("has no say in whether the seal 1 of `test/sample/any/stable` is the newest");
    }
    refuses_at(&machine, NOON, 2, &format!("freshen {STREAM} --key online.pem --key release.pem"));
    refuses_at(&machine, NOON, 2, &format!("freshen {STREAM}")).says("there is no key file");
    assert!(!in_stream(&machine, "@fresh.json").exists());
    assert!(machine.signing_log().iter().all(|line| line["kind"] != "freshness"));
}

#[test]
fn two_of_an_online_role_must_say_it_together() {
    let machine = machine_without_rule();
    machine.next_root(
        "add-key watch online.pub; add-key watch standby.pub --threshold 2; \
         allow * --freshness watch --tolerance 0s",
        &["alice"],
    );
    seal_at(&machine, NOON);
    let before = snapshot(&machine.store());
    machine
        .does_at(NOON, &format!("freshen {STREAM} --key online.pem"))
        .expect_code(1)
        .says("1 of the role `watch`'s 2 keys signed this, 2 must");
    assert_unchanged(&before, &snapshot(&machine.store()));
    machine
        .does_at(NOON, &format!("freshen {STREAM} --for 1h --key online.pem --key standby.pem"))
        .ok();
    assert_eq!(freshness_at(&machine, NOON)["standing"], "current");
    // Without tolerance it ends with its last second.
    verify_at(&machine, "2031-01-01T13:00:00Z").ok();
    verify_at(&machine, "2031-01-01T13:00:01Z").expect_code(1);
}

#[test]
fn a_newer_seal_that_is_kept_back_is_noticed() {
    let machine = machine();
    freshen_at(&machine, NOON, "24h");
    fs::write(machine.path("tree/etc/motd"), "Fixed.\n").unwrap();
    seal_at(&machine, "2031-01-01T13:00:00Z");
    freshen_at(&machine, "2031-01-01T13:00:00Z", "24h");
    // A reader who never saw the second seal, and to whom the first is shown.
    forget(&machine);
    fs::write(in_stream(&machine, "@current"), "1\n").unwrap();
    let time = "2031-01-01T14:00:00Z";
    refuses_at(&machine, time, 1, &format!("verify {STREAM}"))
        .says("the seal has sequence 1, but `timestamp` says that 2 (")
        .says("is current: a newer seal is kept back");
    // Nor does the online role say the opposite of what it said.
    refuses_at(&machine, time, 1, &format!("freshen {STREAM} --key online.pem"))
        .says("a newer seal is kept back");
    fs::write(in_stream(&machine, "@current"), "2\n").unwrap();
    verify_at(&machine, time).ok();
}

#[test]
fn what_was_said_of_an_older_seal_ends_with_its_time() {
    let machine = machine();
    freshen_at(&machine, NOON, "24h");
    let older = fs::read(in_stream(&machine, "@fresh.json")).unwrap();
    fs::write(machine.path("tree/etc/motd"), "Fixed.\n").unwrap();
    seal_at(&machine, "2031-01-01T13:00:00Z");
    // The new one is newer than what was current.
    assert_eq!(freshness_at(&machine, "2031-01-01T13:00:00Z")["standing"], "current");
    freshen_at(&machine, "2031-01-02T12:00:00Z", "24h");
    // Seal and statement held back together: no longer than the statement speaks.
    forget(&machine);
    fs::write(in_stream(&machine, "@current"), "1\n").unwrap();
    fs::write(in_stream(&machine, "@fresh.json"), older).unwrap();
    verify_at(&machine, "2031-01-02T13:00:00Z").ok();
    refuses_at(&machine, "2031-01-02T13:00:01Z", 1, &format!("verify {STREAM}"))
        .says("the proof that the seal is the newest expired");
}

#[test]
fn what_was_said_once_is_remembered() {
    let machine = machine();
    freshen_at(&machine, NOON, "24h");
    let fresh = in_stream(&machine, "@fresh.json");
    fs::remove_file(&fresh).unwrap();
    assert_eq!(freshness_at(&machine, "2031-01-02T12:00:00Z")["standing"], "current");
    verify_at(&machine, "2031-01-02T13:00:01Z").expect_code(1);
    // One that cannot be used is not taken for none.
    fs::write(&fresh, "{}").unwrap();
    refuses_at(&machine, NOON, 1, &format!("verify {STREAM}"))
        .says("the freshness statement is not accepted");
    fs::copy(in_stream(&machine, "@1.seal.json"), &fresh).unwrap();
    refuses_at(&machine, NOON, 1, &format!("verify {STREAM}"))
        .says("0 of the role `timestamp`'s 1 keys signed this, 1 must");
}

#[test]
fn a_statement_for_another_stream_says_nothing_of_this_one() {
    let machine = machine();
    let other = "test/other/any/stable";
    machine.does_at(NOON, &format!("seal tree --stream {other} --key release.pem")).ok();
    machine.does_at(NOON, &format!("freshen {other} --key online.pem")).ok();
    let fresh = machine.store().join("seals").join(other).join("@fresh.json");
    fs::copy(fresh, in_stream(&machine, "@fresh.json")).unwrap();
    refuses_at(&machine, NOON, 1, &format!("verify {STREAM}"))
        .says("it is for the stream `test/other/any/stable`, expected `test/sample/any/stable`");
}

#[test]
fn durations_have_their_limits() {
    let machine = machine();
    let freshen = |duration: &str| format!("freshen {STREAM} --key online.pem --for {duration}");
    for wrong in ["week", "24", "7dd", "-1h", "h"] {
        refuses_at(&machine, NOON, 2, &freshen(wrong));
    }
    refuses_at(&machine, NOON, 2, &freshen("1w"))
        .says("`1w` is no duration")
        .says("like 24h or 7d");
    refuses_at(&machine, NOON, 2, &freshen("2678401s")).says("31 days");
    machine.does_at(NOON, &freshen("31d")).ok();
    assert_eq!(freshness_at(&machine, NOON)["until"], "2031-02-01T12:00:00Z");
}

#[test]
fn what_no_reader_would_take_is_not_called_the_newest() {
    let machine = machine();
    refuses_at(&machine, NOON, 1, "freshen no/such/stream --key online.pem")
        .says("the store has no seal for the stream `no/such/stream`");
    let nowhere = Machine::new();
    nowhere.keys(&["online"]);
    nowhere.refuses(2, &format!("freshen {STREAM} --key online.pem"));
    // The seal's own end comes first.
    let seal = format!("seal tree --stream {STREAM} --key release.pem --not-after 2031-01-05");
    machine.does_at(NOON, &seal).ok();
    refuses_at(&machine, "2031-01-06T00:00:00Z", 1, &format!("freshen {STREAM} --key online.pem"))
        .says("the seal expired at 2031-01-05T00:00:00Z");
}

#[test]
fn a_clock_that_is_behind_is_named() {
    let machine = machine();
    freshen_at(&machine, NOON, "24h");
    // Two days later another stream is sealed, and seen.
    let seal = "seal tree --stream test/other/any/stable --key release.pem";
    machine.does_at("2031-01-03T12:00:00Z", seal).ok();
    refuses_at(&machine, NOON, 1, &format!("verify {STREAM}"))
        .says("the clock shows 2031-01-01T12:00:00Z")
        .says("something that was signed at 2031-01-03T12:00:00Z has been seen: set the clock");
    freshen_at(&machine, "2031-01-03T12:00:00Z", "24h");
    // Nothing has ended by what was seen: it is accepted, and said that it is not certain.
    let run = machine.does_at(NOON, &format!("verify {STREAM} --json")).ok();
    let verified: Value = serde_json::from_str(&run.text()).unwrap();
    assert_eq!(verified["expiry"], "unknown");
    assert_eq!(verified["freshness"]["standing"], "tolerated");
    let text = verify_at(&machine, NOON).ok().text();
    assert!(text.contains("this machine's clock is behind what was seen signed"), "{text}");
    let text = verify_at(&machine, "2030-12-31T12:00:00Z").ok().text();
    assert!(text.contains("which is later than this machine's clock"), "{text}");
    // The online role has to know the time.
    refuses_at(&machine, NOON, 1, &format!("freshen {STREAM} --key online.pem"))
        .says("set the clock, which is wrong");
}

#[test]
fn a_clock_that_is_behind_is_named_for_seal_and_root_as_well() {
    let machine = machine_without_rule();
    let seal = format!("seal tree --stream {STREAM} --key release.pem --not-after 2031-01-02");
    machine.does_at(NOON, &seal).ok();
    machine
        .does_at(
            "2031-01-03T12:00:00Z",
            "seal tree --stream test/other/any/stable --key release.pem",
        )
        .ok();
    refuses_at(&machine, NOON, 1, &format!("verify {STREAM}"))
        .says("set the clock, which is wrong; whether the seal has expired cannot be told by it");
}

#[test]
fn a_statement_from_the_future_is_not_believed() {
    let machine = machine();
    freshen_at(&machine, "2031-01-01T13:00:00Z", "24h");
    // Another machine, whose clock differs by more than five minutes.
    forget(&machine);
    refuses_at(&machine, "2031-01-01T12:54:59Z", 1, &format!("verify {STREAM}")).says(
        "it was made at 2031-01-01T13:00:00Z, and it is 2031-01-01T12:54:59Z: one of the two",
    );
    verify_at(&machine, "2031-01-01T12:55:00Z").ok();
}

#[test]
fn where_nobody_asks_for_it_freshness_is_told_all_the_same() {
    let machine = machine_without_rule();
    seal_at(&machine, NOON);
    let none = json!({ "standing": "not_required", "until": null, "ignored": null });
    assert_eq!(freshness_at(&machine, NOON), none);
    let text = verify_at(&machine, NOON).ok().text();
    assert!(text.contains("nobody says which seal is the newest"), "{text}");
    // One that cannot be used is left out, and that is said.
    let fresh = in_stream(&machine, "@fresh.json");
    fs::write(&fresh, "{}").unwrap();
    verify_at(&machine, NOON)
        .ok()
        .says("the freshness statement was not used: the seal is malformed");
    assert!(freshness_at(&machine, NOON)["ignored"].is_string());
    refuses_at(&machine, NOON, 2, &format!("freshen {STREAM} --key release.pem"))
        .says("has no say");
    assert_eq!(fs::read(&fresh).unwrap(), b"{}");
    freshen_at(&machine, NOON, "24h");
    assert_eq!(freshness_at(&machine, NOON)["standing"], "current");
    // Past its end nothing is refused.
    assert_eq!(freshness_at(&machine, "2031-02-01T12:00:00Z")["standing"], "stale");
}
