//! Sealed commits: `seal --from ostree`, `ostree embed`, and `ostree verify --stream`.

use std::fs;

use treeseal::source::ostree::DetachedMetadata;

use crate::ostree::{FIRST, REF, SECOND, machine, metadata};
use crate::support::{Machine, Run};

const STREAM: &str = "acme/os/x86_64/stable";

/// The rule by which alice seals all streams of acme.
const ONE_SEALER: &str = "--root-key alice.pub --seal-key alice.pub --stream acme/*";

/// A machine with the repository of the vectors, and a pinned root with these sealers.
fn sealer(options: &str) -> Machine {
    let machine = machine();
    machine.keys(&["alice", "bob"]);
    machine.pinned_root(options, &["alice"]);
    machine
}

/// Runs `treeseal` with the store of the repository.
fn does(machine: &Machine, words: &str) -> Run {
    let mut command = machine.command_of(words);
    Run::of(command.env_remove("TREESEAL_STORE"))
}

#[track_caller]
fn seal(machine: &Machine, name: &str, rest: &str) -> Run {
    let words = format!("seal --from ostree archive {name} --stream {STREAM} --key alice.pem");
    does(machine, &format!("{words} {rest}")).ok()
}

fn verify(machine: &Machine, name: &str) -> Run {
    does(machine, &format!("ostree verify archive {name} --stream {STREAM}"))
}

/// Verifies with a memory of its own, as a machine does that sees the repository for the first time.
fn verify_afresh(machine: &Machine, name: &str) -> Run {
    let state = machine.path("other-state");
    let _ = fs::remove_dir_all(&state);
    does(machine, &format!("ostree verify archive {name} --stream {STREAM} --state other-state"))
}

/// Takes the seal from beside a commit that lies in the repository's store as well.
fn remove_store(machine: &Machine) {
    fs::remove_dir_all(machine.path("archive/extensions")).unwrap();
}

#[test]
fn a_sealed_commit_is_verified_by_its_seal() {
    let machine = sealer(ONE_SEALER);
    let text = seal(&machine, REF, "").text();
    assert!(text.starts_with(&format!("sealed {STREAM} sequence 1: ")), "{text}");
    let text =
        verify_afresh(&machine, REF).ok().says("nothing was remembered of earlier seals in").text();
    assert!(text.starts_with(&format!("verified commit {SECOND}\n")), "{text}");
    let sealed =
        format!("  sealed     {STREAM} sequence 1, sequence 1 in the repository's store\n");
    assert!(text.contains(&sealed), "{text}");
    // OSTree's signatures were not asked for, and are shown by nobody.
    assert!(!text.contains("signed by"), "{text}");
    let json = machine.json(&format!("ostree verify archive {REF} --stream {STREAM}"));
    assert_eq!(json["seal"]["sequence"], 1);
    assert_eq!(json["seal"]["place"], "store");
}

#[test]
fn keys_that_are_named_must_have_signed_as_well() {
    let machine = sealer(ONE_SEALER);
    let wanted = |keys: &str| {
        does(&machine, &format!("ostree verify archive {REF} --stream {STREAM} {keys}"))
    };
    wanted("--key good.pub").expect_code(1).says("has no seal of the stream");
    seal(&machine, REF, "");
    wanted("--key good.pub").ok();
    wanted("--key wrong.pub").expect_code(1).says(&format!("commit {SECOND} is not accepted\n"));
}

#[test]
fn the_image_that_is_sealed_is_the_one_that_the_commit_states() {
    let machine = sealer(ONE_SEALER);
    let json = does(
        &machine,
        &format!("seal --from ostree archive {FIRST} --stream {STREAM} --key alice.pem --json"),
    );
    let json: serde_json::Value = serde_json::from_slice(&json.ok().stdout).unwrap();
    let stated = fs::read(machine.path("stable-1.0.cfs")).unwrap();
    let stated =
        treeseal::verity::Digester::digest_of(&treeseal::verity::Params::default(), &stated);
    assert_eq!(json["images"][0]["fsverity"], serde_json::json!([stated.to_string()]));
    assert_eq!(json["images"].as_array().unwrap().len(), 1);
    let store = machine.path("archive/extensions/treeseal");
    let image = store.join("images").join(stated.object_path());
    assert_eq!(fs::read(image).unwrap(), fs::read(machine.path("stable-1.0.cfs")).unwrap());
}

#[test]
fn an_embedded_seal_needs_no_store_and_leaves_signatures_as_they_are() {
    let machine = sealer(ONE_SEALER);
    let before = metadata(&machine, SECOND);
    seal(&machine, REF, "--embed");
    remove_store(&machine);
    let text = verify_afresh(&machine, REF).ok().text();
    assert!(text.contains(&format!("{STREAM} sequence 1, beside the commit\n")), "{text}");
    let after = metadata(&machine, SECOND);
    let signatures = "ostree.sign.ed25519";
    assert_eq!(before.list(signatures), after.list(signatures));
    does(&machine, &format!("ostree verify archive {REF} --key good.pub")).ok();
}

#[test]
fn a_seal_that_was_signed_elsewhere_is_put_beside_its_commit() {
    let machine = sealer(
        "--root-key alice.pub --seal-key alice.pub --seal-key bob.pub --seal-threshold 2 --stream acme/*",
    );
    let store = "--store archive/extensions/treeseal";
    let prepared =
        format!("seal --from ostree archive {REF} --stream {STREAM} --unsigned seal.json");
    does(&machine, &prepared).ok();
    let embed = format!("ostree embed archive {REF} --stream {STREAM}");
    does(&machine, &embed).expect_code(1).says("none is beside it or in the repository's store");
    machine.does("sign seal.json --key alice.pem").ok();
    machine.does(&format!("submit seal.json {store}")).expect_code(1);
    machine.does("sign seal.json --key bob.pem").ok();
    machine.does(&format!("submit seal.json {store}")).ok();
    let text = does(&machine, &embed).ok().text();
    assert_eq!(text, format!("{STREAM} sequence 1 is beside commit {SECOND}\n"));
    remove_store(&machine);
    verify_afresh(&machine, REF).ok();
}

#[test]
fn rotation_travels_beside_the_commit() {
    let machine = sealer("--root-key alice.pub --seal-key bob.pub --stream acme/*");
    machine.keys(&["carol"]);
    machine.does("root add-key next.json targets carol.pub").ok();
    machine.does("root remove-key next.json bob").ok();
    machine.does("root sign next.json --key alice.pem").ok();
    machine.does("submit next.json --store archive/extensions/treeseal").ok();
    let words = format!("seal --from ostree archive {REF} --stream {STREAM} --embed");
    does(&machine, &format!("{words} --key bob.pem")).expect_code(2).says("has no say in");
    does(&machine, &format!("{words} --key carol.pem")).ok();
    remove_store(&machine);
    let text = verify_afresh(&machine, REF).ok().text();
    assert!(text.contains("  root       version 2, expires "), "{text}");
}
