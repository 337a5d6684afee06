//! What a machine remembers: lost, damaged, killed while it is written, written by two at once.

use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Machine, STREAM, filled};

fn state_file(machine: &Machine) -> std::path::PathBuf {
    machine.path("state/state.json")
}

fn state(machine: &Machine) -> Value {
    serde_json::from_slice(&fs::read(state_file(machine)).unwrap()).unwrap()
}

fn pointer(machine: &Machine) -> std::path::PathBuf {
    machine.store().join("seals").join(STREAM).join("@current")
}

#[test]
fn what_was_accepted_is_remembered() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    let first = machine.json(&format!("verify {STREAM}"));
    assert_eq!(first["firstContact"], false, "sealing has remembered it");
    let remembered = state(&machine);
    assert_eq!(remembered["_type"], "treeseal:rollback-state/v1");
    assert_eq!(remembered["rootVersion"], 1);
    assert_eq!(remembered["newestTime"], first["created"]);
    assert_eq!(remembered["streams"][STREAM]["sequence"], 1);
    assert_eq!(remembered["streams"][STREAM]["payload"], first["payload"]);
    // Reading again writes nothing.
    let before = fs::metadata(state_file(&machine)).unwrap().modified().unwrap();
    machine.does(&format!("verify {STREAM}")).ok();
    assert_eq!(fs::metadata(state_file(&machine)).unwrap().modified().unwrap(), before);
    machine.seal(&tree, STREAM);
    assert_eq!(state(&machine)["streams"][STREAM]["sequence"], 2);
}

#[test]
fn a_lost_memory_is_told_and_leaves_the_floors_of_the_root() {
    let machine = Machine::new();
    machine.keys(&["alice"]);
    machine.pinned_root("--root-key alice.pub --seal-key alice.pub", &["alice"]);
    machine.sample_tree();
    let seal = format!("seal tree --stream {STREAM} --key alice.pem");
    machine.does(&seal).ok();
    machine.does(&seal).ok();
    fs::write(pointer(&machine), "1\n").unwrap();
    let verify = format!("verify {STREAM}");
    machine.refuses(1, &verify).says("the seal has sequence 1, but 2 was accepted before");

    fs::remove_dir_all(machine.path("state")).unwrap();
    let run = machine.does(&format!("{verify} --json")).ok();
    let told = format!(
        "nothing was remembered of earlier seals in `{}`: only the floors of the trust root kept \
         older ones out",
        machine.path("state").display()
    );
    let run = run.says(&told);
    assert_eq!(serde_json::from_str::<Value>(&run.text()).unwrap()["firstContact"], true);
    assert_eq!(machine.does(&verify).ok().stderr, "");

    fs::write(pointer(&machine), "2\n").unwrap();
    machine.next_root(&format!("floor {STREAM} 2"), &["alice"]);
    fs::remove_dir_all(machine.path("state")).unwrap();
    fs::write(pointer(&machine), "1\n").unwrap();
    machine.refuses(1, &verify).says("the seal has sequence 1; the trust root accepts 2 and later");
    // A root that is older than one that was used is no way around it.
    fs::write(pointer(&machine), "2\n").unwrap();
    machine.does(&verify).ok();
    fs::remove_file(machine.store().join("roots/2.root.json")).unwrap();
    machine.refuses(1, &verify).says("the trust root has version 1, but version 2 was used before");
}

#[test]
fn a_damaged_memory_accepts_nothing() {
    let machine = Machine::new();
    machine.keys(&["online"]);
    let tree = machine.sealed_sample();
    machine.does(&format!("seal tree --stream {STREAM} --unsigned pending")).ok();
    machine.does("sign pending").ok();
    let whole = fs::read_to_string(state_file(&machine)).unwrap();
    let damaged = [
        String::new(),
        "{}".to_owned(),
        whole[..whole.len() / 2].to_owned(),
        format!("{whole}x"),
        whole.replace("\"sequence\":1", "\"sequence\":-1"),
        whole.replace("\"sequence\":1", "\"sequence\":1,\"sequence\":0"),
        whole.replace("rollback-state/v1", "rollback-state/v2"),
        whole.replace("\"rootVersion\"", "\"rootversion\""),
        "\0".repeat(whole.len()),
        " ".repeat(2 << 20),
    ];
    for text in damaged {
        fs::write(state_file(&machine), &text).unwrap();
        let what = format!("{:?}", &text[..text.len().min(60)]);
        for command in [
            &format!("verify {STREAM}"),
            &format!("ls {STREAM}"),
            &format!("cat {STREAM} /etc/motd"),
            &format!("extract {STREAM} copy --unprivileged"),
            &format!("seal tree --stream {STREAM}"),
            &format!("seal tree --stream {STREAM} --unsigned new"),
            "submit pending",
            &format!("freshen {STREAM}"),
        ] {
            let run = machine.refuses(2, command);
            assert!(run.stderr.contains("state.json"), "{what}: {command}: {}", run.stderr);
        }
    }
    machine.refuses(2, &format!("verify {STREAM}")).says("has more than 1048576 bytes");
    fs::write(state_file(&machine), "{}").unwrap();
    machine
        .refuses(2, &format!("verify {STREAM}"))
        .says("cannot be understood")
        .says("hint: it holds the rollback floors; if")
        .says("starts again from the floors of the trust root");
    fs::remove_file(state_file(&machine)).unwrap();
    machine.does("submit pending").ok();
    machine.seal(&tree, STREAM);
}

#[test]
fn what_cannot_be_remembered_is_not_accepted() {
    let machine = Machine::new();
    machine.sealed_sample();
    fs::remove_dir_all(machine.path("state")).unwrap();
    fs::write(machine.path("state"), "in the way").unwrap();
    for command in ["verify", "ls"] {
        machine
            .refuses(2, &format!("{command} {STREAM}"))
            .says(machine.path("state").to_str().unwrap());
    }
    machine.refuses(2, &format!("extract {STREAM} copy --unprivileged"));
}

/// A machine with a key that opens at once.
fn quick_sealer() -> Machine {
    let machine = Machine::new();
    machine.keys(&["alice"]);
    machine.pinned_root("--root-key alice.pub --seal-key alice.pub", &["alice"]);
    machine.sample_tree();
    machine
}

#[track_caller]
fn seal_quickly(machine: &Machine, stream: &str) {
    machine.does(&format!("seal tree --stream {stream} --key alice.pem")).ok();
}

/// A reader of the store with a memory of its own.
fn spawn_verify(machine: &Machine, stream: &str) -> Child {
    machine
        .command_of(&format!("verify {stream} --json --state reader"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_reader_that_is_killed_never_forgets_what_it_reported() {
    let machine = quick_sealer();
    let mut reported = 0;
    let (mut killed, mut finished) = (0, 0);
    for round in 1..=60_u64 {
        fs::write(machine.path("tree/etc/motd"), filled(usize::try_from(round).unwrap())).unwrap();
        seal_quickly(&machine, STREAM);
        let mut verify = spawn_verify(&machine, STREAM);
        // Now and then one comes to its end.
        if !round.is_multiple_of(6) {
            thread::sleep(Duration::from_micros(round % 30 * 500));
            verify.kill().unwrap();
        }
        let output = verify.wait_with_output().unwrap();
        match serde_json::from_slice::<Value>(&output.stdout) {
            Ok(said) => {
                finished += 1;
                reported = said["sequence"].as_u64().unwrap();
            }
            Err(_) => killed += 1,
        }
        // Either nothing was ever written, or what is there is whole.
        let Ok(bytes) = fs::read(machine.path("reader/state.json")) else {
            assert_eq!(reported, 0, "what was reported is not remembered");
            continue;
        };
        let state: Value = serde_json::from_slice(&bytes).unwrap();
        let remembered = state["streams"][STREAM]["sequence"].as_u64().unwrap();
        assert!((reported..=round).contains(&remembered), "{reported} {remembered} {round}");
        reported = reported.max(remembered);
    }
    assert!(killed > 0 && finished > 0, "{killed} were killed, {finished} finished");
    assert!(spawn_verify(&machine, STREAM).wait().unwrap().success());
    let mut left: Vec<_> = fs::read_dir(machine.path("reader"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["lock", "state.json"], "what was killed left something");
}

#[test]
fn readers_that_raise_at_once_lose_nothing() {
    let machine = quick_sealer();
    let streams: Vec<String> = (0..8).map(|number| format!("test/sample/any/{number}")).collect();
    for round in 1..=3_u64 {
        for stream in &streams {
            seal_quickly(&machine, stream);
        }
        let readers: Vec<Child> =
            streams.iter().map(|stream| spawn_verify(&machine, stream)).collect();
        for mut reader in readers {
            assert!(reader.wait().unwrap().success());
        }
        let state: Value =
            serde_json::from_slice(&fs::read(machine.path("reader/state.json")).unwrap()).unwrap();
        for stream in &streams {
            assert_eq!(state["streams"][stream]["sequence"], round, "{stream}");
        }
    }
}
