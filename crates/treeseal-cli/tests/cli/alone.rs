//! `verify --seal`: seals that lie in files, without a store.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{
    Machine, Run, STREAM, assert_unchanged, id_of, program, require_root, snapshot,
};

/// A machine that has only files: `1.seal` to `3.seal`, `1.image` to `3.image`, `1.root` to `3.root`,
/// and `fresh` about the last seal. The root of version 2 takes the first key's say away, the one of
/// version 3 wants freshness.
fn reader() -> Machine {
    let maker = Machine::new();
    maker.keys(&["alice", "release", "backup", "online"]);
    maker.pinned_root(
        "--root-key alice.pub --seal-key release.pub --online-key online.pub",
        &["alice"],
    );
    let reader = Machine::new();
    let tree = maker.sample_tree();
    let publish = |number: u32, key: &str| {
        fs::write(tree.join("etc/motd"), format!("Number {number}.\n")).unwrap();
        maker.does(&format!("seal tree --stream {STREAM} --key {key}.pem")).ok();
        let image = format!("{number}.image");
        maker.does(&format!("image build tree {image}")).ok();
        fs::copy(maker.path(&image), reader.path(&image)).unwrap();
        let seal = maker.store().join("seals").join(STREAM).join(format!("@{number}.seal.json"));
        fs::copy(seal, reader.path(&format!("{number}.seal"))).unwrap();
    };
    publish(1, "release");
    maker.next_root("add-key targets backup.pub; remove-key release", &["alice"]);
    publish(2, "backup");
    maker.next_root("allow * --freshness timestamp", &["alice"]);
    publish(3, "backup");
    maker.does(&format!("freshen {STREAM} --key online.pem")).ok();
    let fresh = maker.store().join("seals").join(STREAM).join("@fresh.json");
    fs::copy(fresh, reader.path("fresh")).unwrap();
    fs::copy(maker.path("config/root.json"), reader.path("1.root")).unwrap();
    for version in [2, 3] {
        let root = maker.path(&format!("store/roots/{version}.root.json"));
        fs::copy(root, reader.path(&format!("{version}.root"))).unwrap();
    }
    reader
}

/// `treeseal` with no word of a store, a root or a memory but what the arguments say.
fn command(machine: &Machine, words: &str) -> Command {
    let mut command = machine.command_of(words);
    for variable in ["TREESEAL_STORE", "TREESEAL_ROOT", "TREESEAL_STATE"] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command that must end with this code, and leave everything as it was.
#[track_caller]
fn run(machine: &Machine, code: i32, words: &str) -> Run {
    let before = snapshot(machine.home.path());
    let run = Run::new(command(machine, words).output().unwrap()).expect_code(code);
    assert!(code == 0 || run.text().is_empty(), "{}", run.text());
    assert_unchanged(&before, &snapshot(machine.home.path()));
    run
}

#[test]
fn a_seal_and_its_image_are_verified_without_a_store() {
    let reader = reader();
    let first = "verify --seal 1.seal --image 1.image --root 1.root";
    let text = run(&reader, 0, first)
        .says("the stream is the one that the seal names; `treeseal verify test/sample/any/stable --seal")
        .says("nothing was remembered or asked of earlier seals: give --state")
        .text();
    assert!(text.starts_with("verified test/sample/any/stable sequence 1\n"), "{text}");
    assert!(text.contains("\n  checked    the image\n"), "{text}");
    assert!(text.contains(&format!("release ({})", id_of("release"))), "{text}");
    let text = run(&reader, 0, "verify --seal 1.seal --root 1.root").text();
    assert!(text.contains("checked    the seal alone: `--image FILE` checks an image"), "{text}");
    let named = run(&reader, 0, &format!("verify {STREAM} --seal 1.seal --root 1.root"));
    assert!(
        !named.stderr.contains("the stream is the one that the seal names"),
        "{}",
        named.stderr
    );
}

#[test]
fn all_that_was_verified_is_in_the_json() {
    let reader = reader();
    let words = "verify --seal 1.seal --image 1.image --root 1.root --json";
    let text = run(&reader, 0, words).text();
    assert_eq!(text.lines().count(), 1);
    let mut found: Value = serde_json::from_str(&text).unwrap();
    let size = fs::metadata(reader.path("1.image")).unwrap().len();
    assert_eq!(found["images"][0]["size"], size);
    for varying in ["created", "payload", "images"] {
        assert!(!found[varying].is_null(), "{varying}");
        found[varying] = Value::Null;
    }
    assert!(found["root"]["expires"].is_string());
    found["root"]["expires"] = Value::Null;
    let expected = json!({
        "stream": STREAM, "sequence": 1, "created": null, "notAfter": null, "expiry": "in_force",
        "freshness": { "standing": "not_required", "until": null, "ignored": null },
        "firstContact": null,
        "roles": [{
            "role": "targets", "threshold": 1, "keys": 1,
            "signers": [{ "key": id_of("release").to_string(), "name": "release" }],
        }],
        "root": { "version": 1, "expires": null },
        "payload": null, "images": null,
        "imageChecked": true, "enforcement": null, "checked": null,
    });
    assert_eq!(found, expected);
}

#[test]
fn another_image_is_refused() {
    let reader = reader();
    let image = fs::read(reader.path("1.image")).unwrap();
    let mut flipped = image.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(reader.path("flipped"), flipped).unwrap();
    fs::write(reader.path("short"), &image[..image.len() - 1]).unwrap();
    fs::write(reader.path("long"), [&image[..], b"\0"].concat()).unwrap();
    fs::write(reader.path("empty"), "").unwrap();
    for (image, reason) in [
        ("2.image", "the image has SHA-256"),
        ("flipped", "the image has SHA-256"),
        ("short", "the image has SHA-256"),
        ("long", "the image has size"),
        ("empty", "the image has SHA-256"),
    ] {
        let words = format!("verify --seal 1.seal --root 1.root --image {image}");
        run(&reader, 1, &words).says(reason).says("its statement says");
    }
    run(&reader, 2, "verify --seal 1.seal --root 1.root --image missing").says("missing");
}

#[test]
fn another_seal_is_refused() {
    let reader = reader();
    let seal = fs::read_to_string(reader.path("1.seal")).unwrap();
    let mut envelope: Value = serde_json::from_str(&seal).unwrap();
    let other: Value = serde_json::from_slice(&fs::read(reader.path("2.seal")).unwrap()).unwrap();
    envelope["payload"] = other["payload"].clone();
    fs::write(reader.path("mixed"), envelope.to_string()).unwrap();
    envelope["signatures"] = json!([]);
    fs::write(reader.path("bare"), envelope.to_string()).unwrap();
    fs::write(reader.path("huge"), vec![b' '; 300_000]).unwrap();
    let verify = |seal: &str| format!("verify --seal {seal} --root 1.root");
    for seal in ["2.seal", "mixed", "bare"] {
        run(&reader, 1, &verify(seal))
            .says(&format!("the seal `{seal}` is not accepted"))
            .says("0 of the role `targets`'s 1 keys signed this, 1 must");
    }
    run(&reader, 1, &verify("1.root")).says("the seal `1.root` is not accepted");
    run(&reader, 1, &verify("fresh")).says("the seal `fresh` is not accepted");
    run(&reader, 2, &verify("huge")).says("`huge` has more than 262144 bytes");
    run(&reader, 2, &verify("missing")).says("cannot read `missing`");
    run(&reader, 1, "verify test/other/any/stable --seal 1.seal --root 1.root").says(
        "the seal is for the stream `test/sample/any/stable`, expected `test/other/any/stable`",
    );
    run(&reader, 2, "verify ../up --seal 1.seal --root 1.root").says("a stream is like");
}

#[test]
fn another_root_is_refused() {
    let reader = reader();
    let stranger = Machine::new();
    stranger.keys(&["stranger"]);
    stranger.pinned_root("--root-key stranger.pub --seal-key stranger.pub", &["stranger"]);
    fs::copy(stranger.path("config/root.json"), reader.path("strange.root")).unwrap();
    stranger.does("root init draft --root-key stranger.pub --seal-key stranger.pub").ok();
    fs::copy(stranger.path("draft"), reader.path("draft")).unwrap();
    let verify = |root: &str| format!("verify --seal 1.seal --root {root}");
    run(&reader, 1, &verify("strange.root")).says("0 of the role `targets`'s 1 keys signed this");
    run(&reader, 1, &verify("draft")).says("the trust root `draft` is not accepted");
    run(&reader, 1, &verify("1.seal")).says("the trust root `1.seal` is not accepted");
    run(&reader, 2, &verify("missing")).says("there is no trust root at `missing`");
    run(&reader, 1, &format!("{} --next-root strange.root", verify("1.root")))
        .says("the trust root `strange.root` is not accepted");
}

#[test]
fn roots_lead_on_one_by_one() {
    let reader = reader();
    let verify = |seal: &str, roots: &str| format!("verify --seal {seal} --root {roots} --json");
    let version = |words: &str| -> Value {
        let text = run(&reader, 0, words).text();
        serde_json::from_str::<Value>(&text).unwrap()["root"]["version"].clone()
    };
    assert_eq!(version(&verify("2.seal", "1.root --next-root 2.root")), 2);
    assert_eq!(version(&verify("2.seal", "2.root")), 2);
    let chain = "1.root --next-root 2.root --next-root 3.root --freshness fresh";
    assert_eq!(version(&verify("3.seal", chain)), 3);
    // What the newer root takes away is gone.
    run(&reader, 1, &verify("1.seal", "1.root --next-root 2.root")).says("0 of the role `targets`");
    run(&reader, 1, &verify("3.seal", "1.root --next-root 3.root"))
        .says("version 2 of the trust root must come next, found version 3");
    run(&reader, 1, &verify("3.seal", "1.root --next-root 3.root --next-root 2.root"));
    run(&reader, 1, &verify("1.seal", "1.root --next-root 1.root"))
        .says("version 2 of the trust root must come next, found version 1");
    run(&reader, 2, &verify("3.seal", "1.root --next-root missing"))
        .says("there is no trust root at `missing`");
}

#[test]
fn freshness_comes_in_a_file() {
    let reader = reader();
    let verify = |more: &str| format!("verify --seal 3.seal --root 3.root {more}");
    run(&reader, 1, &verify("")).says("nothing says that the seal is the newest");
    let text = run(&reader, 0, &verify("--freshness fresh --json")).text();
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["freshness"]["standing"], "current");
    run(&reader, 1, &verify("--freshness 3.seal"))
        .says("0 of the role `timestamp`'s 1 keys signed");
    run(&reader, 1, &verify("--freshness 1.root")).says("the freshness statement is not accepted");
    run(&reader, 2, &verify("--freshness missing")).says("cannot read `missing`");
    // An older seal is not the newest, whatever root is at hand.
    run(&reader, 1, "verify --seal 2.seal --root 2.root --freshness fresh")
        .says("`timestamp` says that 3 (");
}

#[test]
fn a_memory_is_kept_where_it_is_asked_for() {
    let reader = reader();
    let verify = |seal: &str, more: &str| {
        let words = format!("verify --seal {seal} --root 1.root --state memory {more}");
        Run::new(command(&reader, &words).output().unwrap())
    };
    let wrong = verify("2.seal", "--next-root 2.root --image 1.image").expect_code(1);
    assert!(!reader.path("memory").exists(), "{}", wrong.stderr);
    verify("1.seal", "").ok().says("nothing was remembered of earlier seals in `memory`");
    let again = verify("1.seal", "").ok();
    assert_eq!(again.stderr.lines().count(), 1, "{}", again.stderr);
    let json = verify("2.seal", "--next-root 2.root --json").ok().text();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["firstContact"], false);
    let state: Value =
        serde_json::from_slice(&fs::read(reader.path("memory/state.json")).unwrap()).unwrap();
    assert_eq!(state["streams"][STREAM]["sequence"], 2);
    assert_eq!(state["rootVersion"], 2);
    let before = snapshot(reader.home.path());
    verify("1.seal", "")
        .expect_code(1)
        .says("the trust root has version 1, but version 2 was used");
    verify("1.seal", "--next-root 2.root").expect_code(1);
    assert_unchanged(&before, &snapshot(reader.home.path()));
    fs::write(reader.path("memory/state.json"), before_root(&state)).unwrap();
    verify("1.seal", "").expect_code(1).says("the seal has sequence 1, but 2 was accepted before");
    // Without the memory nothing stands in its way.
    let words = "verify --seal 1.seal --root 1.root";
    assert_eq!(Run::new(command(&reader, words).output().unwrap()).code, 0);
}

/// The same memory, as if no root but the first had been seen.
fn before_root(state: &Value) -> String {
    let mut state = state.clone();
    state["rootVersion"] = json!(1);
    state.to_string()
}

#[test]
fn options_that_need_a_seal_say_so() {
    let reader = reader();
    run(&reader, 2, &format!("verify {STREAM} --image 1.image --root 1.root")).says("--seal");
    run(&reader, 2, "verify --root 1.root").says("required");
    run(&reader, 2, "verify --seal 1.seal --deep --root 1.root").says("cannot be used with");
}

#[test]
fn nothing_need_be_known_of_the_user() {
    require_root("another user");
    let reader = reader();
    program("chmod", "coreutils", ["-R".as_ref(), "a+rX".as_ref(), reader.home.path().as_os_str()])
        .ok();
    let binary = reader.path("treeseal");
    fs::copy(env!("CARGO_BIN_EXE_treeseal"), &binary).unwrap();
    let as_nobody = |arguments: &[&str]| {
        let user = ["--reuid=65534", "--regid=65534", "--clear-groups", "env", "-i"];
        let directory = ["-C", reader.home.path().to_str().unwrap(), binary.to_str().unwrap()];
        program("setpriv", "util-linux", user.iter().chain(&directory).chain(arguments))
    };
    as_nobody(&["verify", "--seal", "1.seal", "--root", "1.root"]).ok();
    as_nobody(&["verify", "--seal", "1.seal"])
        .expect_code(2)
        .says("neither XDG_CONFIG_HOME nor HOME is set")
        .says("hint: set HOME, or give --store, --root and --state");
    let places = ["--store", "none", "--root", "1.root", "--state", "/nowhere"];
    let run = as_nobody(&[&["verify", STREAM][..], &places].concat()).expect_code(2);
    run.says("none");
    assert!(!Path::new("/nowhere").exists());
}
