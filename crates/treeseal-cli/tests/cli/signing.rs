//! Signing apart from building: seals that wait for signatures, and how they come into the store.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Machine, PASSPHRASE, STREAM, id_of, program, snapshot};

/// A machine where `threshold` of two keys must seal, with a seal in `pending` that nobody signed.
fn machine(threshold: u32) -> Machine {
    let machine = Machine::new();
    machine.keys(&["alice", "release", "build-p256", "stranger"]);
    let options = format!(
        "--root-key alice.pub --seal-key release.pub --seal-key build-p256.pub \
         --seal-threshold {threshold}"
    );
    machine.pinned_root(&options, &["alice"]);
    machine.sample_tree();
    prepare(&machine, "pending");
    machine
}

#[track_caller]
fn prepare(machine: &Machine, file: &str) -> Value {
    machine.json(&format!("seal tree --stream {STREAM} --unsigned {file}"))
}

#[track_caller]
fn change(machine: &Machine, text: &str) {
    fs::write(machine.path("tree/etc/motd"), text).unwrap();
}

fn seals(machine: &Machine) -> PathBuf {
    machine.store().join("seals").join(STREAM)
}

fn verified_sequence(machine: &Machine) -> Value {
    machine.json(&format!("verify {STREAM}"))["sequence"].clone()
}

#[test]
fn a_seal_that_waits_is_none_yet() {
    let machine = machine(1);
    assert!(!seals(&machine).exists());
    machine.refuses(1, &format!("verify {STREAM}")).says("the store has no seal for the stream");
    let again = prepare(&machine, "again");
    assert_eq!(again["sequence"], 1);
    assert_eq!(again["stream"], STREAM);
    assert_eq!(again["unsigned"], "again");
    assert_eq!(again["objects"], json!({ "count": 2, "bytes": 604_096 }));
    assert_eq!(again["new"], json!({ "objects": 0, "bytes": 0 }));
    assert_eq!(again["images"][0]["format"], "composefs/0");
    machine
        .refuses(2, &format!("seal tree --stream {STREAM} --unsigned pending"))
        .says("`pending` exists, and would be overwritten");
    machine
        .refuses(2, &format!("seal tree --stream {STREAM} --unsigned new --key release.pem"))
        .says("cannot be used with");
    assert!(machine.signing_log().iter().all(|line| line["kind"] == "root"));
}

#[test]
fn both_of_two_must_sign() {
    let machine = machine(2);
    machine
        .refuses(1, "submit pending")
        .says("0 of the role `targets`'s 2 keys signed this, 2 must")
        .says("hint: ");
    let standing = machine.json("sign pending --key build-p256.pem");
    let expected = json!({
        "kind": "seal", "stream": STREAM, "sequence": 1, "complete": false,
        "roles": [{
            "role": "targets", "rootVersion": null, "threshold": 2,
            "signed": [id_of("build-p256").to_string()],
        }],
    });
    assert_eq!(standing, expected);
    machine
        .refuses(1, "submit pending")
        .says("1 of the role `targets`'s 2 keys signed this, 2 must");
    machine.does("sign pending --key build-p256.pem").ok().says("it is not complete");
    machine
        .refuses(1, "submit pending")
        .says("1 of the role `targets`'s 2 keys signed this, 2 must");
    machine
        .does("sign pending --key release.pem")
        .ok()
        .says("it is complete: `treeseal submit pending` puts it into the store");
    let submitted = machine.json("submit pending");
    assert_eq!(submitted, json!({ "kind": "seal", "stream": STREAM, "sequence": 1 }));
    let verified = machine.json(&format!("verify {STREAM} --deep"));
    assert_eq!(verified["roles"][0]["signers"].as_array().unwrap().len(), 2);
    assert_eq!(verified["enforcement"], "scan");
}

#[test]
fn submitting_again_changes_nothing_but_adds_signatures() {
    let machine = machine(1);
    machine.does("sign pending --key release.pem").ok();
    machine.does("submit pending").ok();
    let before = snapshot(&machine.store());
    machine.does("submit pending").ok();
    assert!(snapshot(&machine.store()) == before);
    // A copy that the other one signed on its own.
    prepare_copy_without_signatures(&machine, "pending", "copy");
    machine.does("sign copy --key build-p256.pem").ok();
    machine.does("submit copy").ok();
    let verified = machine.json(&format!("verify {STREAM}"));
    assert_eq!(verified["roles"][0]["signers"].as_array().unwrap().len(), 2, "none got lost");
    machine.does("submit pending").ok();
    let verified = machine.json(&format!("verify {STREAM}"));
    assert_eq!(verified["roles"][0]["signers"].as_array().unwrap().len(), 2);
}

fn prepare_copy_without_signatures(machine: &Machine, from: &str, to: &str) {
    let mut envelope: Value =
        serde_json::from_slice(&fs::read(machine.path(from)).unwrap()).unwrap();
    envelope["signatures"] = json!([]);
    fs::write(machine.path(to), envelope.to_string()).unwrap();
}

#[test]
fn copies_of_a_seal_are_put_together() {
    let machine = machine(2);
    fs::copy(machine.path("pending"), machine.path("copy")).unwrap();
    machine.does("sign pending --key release.pem").ok();
    machine.does("sign copy --key build-p256.pem").ok();
    change(&machine, "Other.\n");
    prepare(&machine, "other");
    machine.does("sign other --key build-p256.pem").ok();
    machine.refuses(2, "attach pending other").says("`other` is no copy of `pending`");
    assert_eq!(machine.json("attach pending copy")["complete"], true);
    machine.does("submit pending").ok();
}

#[test]
fn a_foreign_key_signs_nothing() {
    let machine = machine(1);
    for key in ["stranger", "alice"] {
        machine
            .refuses(2, &format!("sign pending --key {key}.pem"))
            .says(&format!("the key {} has no say in the seal 1 of `{STREAM}`", id_of(key)));
        // Nor does sealing begin with one.
        machine
            .refuses(2, &format!("seal tree --stream {STREAM} --key release.pem --key {key}.pem"))
            .says("its signature would count for nothing");
    }
    machine
        .refuses(2, "sign missing --key release.pem")
        .says("hint: `treeseal seal SOURCE --unsigned");
    machine
        .refuses(2, "sign alice.pub --key release.pem")
        .says("`alice.pub` is neither a seal nor the draft of a trust root");
    machine
        .refuses(2, "sign pending --key release.pem --root nowhere/root.json")
        .says("no trust root says who must sign this seal")
        .says("hint: give the root.json");
}

#[test]
fn signatures_are_made_elsewhere() {
    let machine = machine(2);
    machine.does("root expire draft 2041-01-01").ok();
    sign_with_openssl(&machine, "pending", "release");
    sign_with_openssl(&machine, "pending", "build-p256");
    machine.does("submit pending").ok();
    machine.does(&format!("verify {STREAM}")).ok();
    sign_with_openssl(&machine, "draft", "alice");
    machine.does("submit draft").ok();
    // No signature was made here.
    assert!(!machine.signing_log().iter().any(|line| line["kind"] == "seal"));
}

/// Requests, signs with openssl, attaches.
#[track_caller]
fn sign_with_openssl(machine: &Machine, file: &str, name: &str) {
    let request = machine.does(&format!("sign-request {file} --key {name}.pub")).ok().stdout;
    fs::write(machine.path("request"), request).unwrap();
    let [key, request, signature] =
        [&format!("{name}.pem"), "request", "signature"].map(|name| machine.path(name));
    let mut arguments: Vec<String> =
        ["pkeyutl", "-sign", "-rawin", "-passin"].map(str::to_owned).to_vec();
    arguments.push(format!("pass:{PASSPHRASE}"));
    if name.ends_with("-p256") {
        arguments.extend(["-digest", "sha256"].map(str::to_owned));
    }
    for (option, path) in [("-inkey", &key), ("-in", &request), ("-out", &signature)] {
        arguments.extend([option.to_owned(), path.to_str().unwrap().to_owned()]);
    }
    program("openssl", "openssl", arguments).ok();
    machine.does(&format!("attach {file} signature --key {name}.pub")).ok();
}

#[test]
fn a_request_for_a_post_quantum_key_is_a_digest() {
    let machine = machine(1);
    machine.keys(&["quantum-mldsa"]);
    let request = machine.does("sign-request pending --key quantum-mldsa.pub").ok().stdout;
    assert_eq!(request.len(), 68);
    assert_eq!(&request[..4], b"tuf\x01");
    let plain = machine.does("sign-request pending --key release.pub").ok().stdout;
    assert!(plain.starts_with(b"DSSEv1 28 application/vnd.in-toto+json "));
    machine
        .refuses(2, "sign-request pending --key release.pem")
        .says("`release.pem` is no public key")
        .says("hint: `treeseal key show FILE --public`");
    machine.refuses(2, "sign-request missing --key release.pub").says("there is no file `missing`");
}

#[test]
fn wrong_signatures_are_not_attached() {
    let machine = machine(1);
    machine.does("sign pending --key release.pem").ok();
    let envelope: Value =
        serde_json::from_slice(&fs::read(machine.path("pending")).unwrap()).unwrap();
    let signature = decode_base64(&machine, envelope["signatures"][0]["sig"].as_str().unwrap());
    assert_eq!(signature.len(), 64);
    prepare(&machine, "other");
    change(&machine, "Other.\n");
    prepare(&machine, "another");
    prepare_copy_without_signatures(&machine, "pending", "bare");
    machine.does("root expire draft 2041-01-01").ok();
    fs::write(machine.path("right"), &signature).unwrap();
    fs::write(machine.path("long"), [&signature[..], b"\n"].concat()).unwrap();
    fs::write(machine.path("empty"), "").unwrap();
    let mut flipped = signature.clone();
    flipped[20] ^= 1;
    fs::write(machine.path("flipped"), flipped).unwrap();

    let not_by_it = "the signature to attach is not by this key";
    for (arguments, reason) in [
        ("bare flipped --key release.pub", not_by_it),
        ("bare empty --key release.pub", not_by_it),
        ("bare long --key release.pub", not_by_it),
        ("bare right --key build-p256.pub", not_by_it),
        ("another right --key release.pub", not_by_it),
        ("draft right --key alice.pub", not_by_it),
        ("bare right --key stranger.pub", "has no say in the seal 1"),
        ("draft right --key release.pub", "has no say in version 2 of the trust root"),
        ("bare right --key release.pem", "`release.pem` is no public key"),
        ("bare missing --key release.pub", "missing"),
        ("bare right", "`right` is neither a seal nor the draft"),
    ] {
        machine.refuses(2, &format!("attach {arguments}")).says(reason);
    }
    machine.does("attach bare right --key release.pub").ok().says("it is complete");
    machine.does("attach bare right --key release.pub").ok();
    assert_eq!(fs::read(machine.path("bare")).unwrap(), fs::read(machine.path("pending")).unwrap());
}

fn decode_base64(machine: &Machine, text: &str) -> Vec<u8> {
    fs::write(machine.path("base64"), text).unwrap();
    program("base64", "coreutils", ["-d".as_ref(), machine.path("base64").as_os_str()]).ok().stdout
}

#[test]
fn a_seal_that_was_changed_after_signing_is_not_submitted() {
    let machine = machine(1);
    machine.does("sign pending --key release.pem").ok();
    change(&machine, "Owned.\n");
    prepare(&machine, "owned");
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(machine.path(name)).unwrap()).unwrap()
    };
    let mut changed = read("pending");
    changed["payload"] = read("owned")["payload"].clone();
    fs::write(machine.path("changed"), changed.to_string()).unwrap();
    machine
        .refuses(1, "submit changed")
        .says("so it was not stored")
        .says("0 of the role `targets`'s 2 keys signed this, 1 must");
    assert!(!seals(&machine).exists());
    machine.does("submit pending").ok();
}

#[test]
fn a_sequence_that_another_seal_took_is_lost() {
    let machine = machine(1);
    machine.does("sign pending --key release.pem").ok();
    change(&machine, "Faster.\n");
    machine.does(&format!("seal tree --stream {STREAM} --key release.pem")).ok();
    machine
        .refuses(1, "submit pending")
        .says("another statement with sequence 1 was accepted before")
        .says("hint: the sequence is used up: make the seal again");
    // Without a memory the store says so.
    fs::remove_dir_all(machine.path("state")).unwrap();
    let before = snapshot(&machine.store());
    machine.does("submit pending").expect_code(2).says("@1.seal.json").says("make yours again");
    assert!(snapshot(&machine.store()) == before);
    machine.does(&format!("seal tree --stream {STREAM} --key release.pem")).ok();
    machine.refuses(1, "submit pending").says("the seal has sequence 1, but 2 was accepted before");
    assert_eq!(verified_sequence(&machine), 2);
}

#[test]
fn an_older_seal_is_not_stored_behind_the_pointer() {
    let machine = machine(1);
    machine.does("sign pending --key release.pem").ok();
    machine.does(&format!("seal tree --stream {STREAM} --key release.pem --sequence 5")).ok();
    fs::remove_dir_all(machine.path("state")).unwrap();
    machine.refuses(2, "submit pending").says("sequence 1: expected one from 6");
    assert_eq!(fs::read_dir(seals(&machine)).unwrap().count(), 2);
}

#[test]
fn a_seal_without_its_image_is_not_submitted() {
    let machine = machine(1);
    machine.does("sign pending --key release.pem").ok();
    // Nothing refers to what waits outside the store.
    let collected = machine.does("store gc").ok().text();
    assert!(collected.contains("removed 1 images"), "{collected}");
    machine
        .refuses(1, "submit pending")
        .says("images/")
        .says("hint: import the tree again, with `treeseal seal SOURCE --unsigned NEWFILE`");
    // The tree is imported again, and the seal that was signed is good.
    prepare(&machine, "again");
    machine.does("submit pending").ok();
    machine.does(&format!("verify {STREAM} --deep")).ok();
}

#[test]
fn a_seal_without_an_object_is_not_submitted() {
    let machine = machine(1);
    machine.does("sign pending --key release.pem").ok();
    let object = machine.object(&crate::support::filled(4096));
    fs::remove_file(&object).unwrap();
    machine.refuses(1, "submit pending").says(object.to_str().unwrap());
}

#[test]
fn any_image_of_a_statement_will_do() {
    let machine = machine(1);
    machine
        .does(&format!(
            "seal tree --stream {STREAM} --key release.pem --format-version 0 --format-version 1 \
             --format-version auto --sha512"
        ))
        .ok();
    let verified = machine.json(&format!("verify {STREAM}"));
    let images = verified["images"].as_array().unwrap();
    assert_eq!(images.len(), 2);
    assert_eq!(images[0]["format"], "composefs/0");
    assert_eq!(images[1]["format"], "composefs/1");
    let files: Vec<PathBuf> = images
        .iter()
        .map(|image| {
            let digests = image["fsverity"].as_array().unwrap();
            assert_eq!(digests.len(), 2);
            assert_eq!(digests[1].as_str().unwrap().len(), 128);
            let hex = digests[0].as_str().unwrap();
            machine.store().join("images").join(&hex[..2]).join(&hex[2..])
        })
        .collect();
    for file in &files {
        let aside = machine.path("aside");
        fs::rename(file, &aside).unwrap();
        machine.does(&format!("verify {STREAM} --deep")).ok();
        let copy = machine.path("copy");
        machine.does(&format!("extract {STREAM} copy --unprivileged")).ok();
        assert_eq!(fs::read(copy.join("etc/motd")).unwrap(), b"Welcome.\n");
        fs::remove_dir_all(copy).unwrap();
        // One that is there and wrong is damage, though the other is good.
        fs::copy(if file == &files[0] { &files[1] } else { &files[0] }, file).unwrap();
        let first = file == &files[0];
        machine.does(&format!("verify {STREAM}")).expect_code(i32::from(first));
        fs::remove_file(file).unwrap();
        fs::rename(&aside, file).unwrap();
    }
    for file in &files {
        fs::remove_file(file).unwrap();
    }
    machine.refuses(1, &format!("verify {STREAM}")).says("images/");
    machine.refuses(1, &format!("extract {STREAM} copy --unprivileged"));
}

#[test]
fn of_several_images_the_root_may_allow_one() {
    let machine = machine(1);
    let seal = format!("seal tree --stream {STREAM} --key release.pem");
    machine.does(&format!("{seal} --format-version 0 --format-version 1")).ok();
    machine.next_root("policy --format composefs/1", &["alice"]);
    let verified = machine.json(&format!("verify {STREAM}"));
    assert_eq!(verified["images"].as_array().unwrap().len(), 1);
    assert_eq!(verified["images"][0]["format"], "composefs/1");
    // Revoking any image revokes the tree, also one that is not allowed anyway.
    machine.does("image build tree v0.image --format-version 0").ok();
    machine.next_root("revoke --image v0.image", &["alice"]);
    machine.refuses(1, &format!("verify {STREAM}")).says("the trust root revokes the image");
}

#[test]
fn a_sequence_that_a_stopped_seal_took_is_not_used_again() {
    let machine = machine(1);
    let seal = format!("seal tree --stream {STREAM} --key release.pem");
    machine.does(&seal).ok();
    machine.does("sign pending --key release.pem").ok();
    // As if it had been stopped when the seal was there, and the pointer and the memory not yet.
    let state = fs::read(machine.path("state/state.json")).unwrap();
    change(&machine, "Second.\n");
    machine.does(&seal).ok();
    fs::write(machine.path("state/state.json"), state).unwrap();
    fs::write(seals(&machine).join("@current"), "1\n").unwrap();
    change(&machine, "Third.\n");
    machine.does(&seal).ok();
    assert_eq!(verified_sequence(&machine), 3);
    assert_eq!(prepare(&machine, "next")["sequence"], 4);
}

#[test]
fn a_seal_ends_when_it_was_told_to() {
    let machine = machine(1);
    let base = format!("seal tree --stream {STREAM}");
    machine.does(&format!("{base} --key release.pem --not-after 2031-01-01T12:00:00Z")).ok();
    let verify = format!("verify {STREAM}");
    assert_eq!(machine.json(&verify)["notAfter"], "2031-01-01T12:00:00Z");
    machine.next_root("expire 2040-01-01", &["alice"]);
    // Its last second is the one that it names.
    machine.does_at("2031-01-01T12:00:00Z", &verify).ok();
    machine
        .does_at("2031-01-01T12:00:01Z", &verify)
        .expect_code(1)
        .says("the seal expired at 2031-01-01T12:00:00Z, and it is 2031-01-01T12:00:01Z");
    for wrong in ["2001-01-01", "yesterday", "7"] {
        let run = machine.does(&format!("{base} --unsigned new --not-after {wrong}"));
        run.expect_code(2);
        assert!(!machine.path("new").exists());
    }
    let late = format!("{base} --unsigned late --not-after 2031-02-01");
    machine.does(&late).ok();
    machine.does("sign late --key release.pem").ok();
    machine
        .does_at("2031-02-02T00:00:00Z", "submit late")
        .expect_code(1)
        .says("so it was not stored")
        .says("the seal expired at 2031-02-01T00:00:00Z");
    assert!(!Path::new(&seals(&machine).join("@2.seal.json")).exists());
}
