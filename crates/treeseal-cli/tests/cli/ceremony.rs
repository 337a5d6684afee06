//! Trust roots: drafts, who signs them, and what they then do to seals.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Machine, STREAM, id_of};

const OTHER: &str = "test/other/any/stable";

/// A machine with a root of two root keys, of which `threshold` must sign, and one that seals.
fn machine(threshold: u32) -> Machine {
    let machine = Machine::new();
    machine.keys(&["alice", "bob", "carol", "release", "backup", "online", "stranger"]);
    let options = format!(
        "--root-key alice.pub --root-key bob.pub --root-threshold {threshold} --seal-key release.pub"
    );
    machine.pinned_root(&options, &["alice", "bob"]);
    machine.sample_tree();
    machine
}

/// Seals the sample tree with a key, as the next sequence of the stream.
#[track_caller]
fn seal_with(machine: &Machine, key: &str) {
    machine.does(&format!("seal tree --stream {STREAM} --key {key}.pem")).ok();
}

fn key_names(role: &Value) -> Vec<&str> {
    role["keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect()
}

#[test]
fn a_first_root_says_what_it_was_asked_to_say() {
    let machine = Machine::new();
    machine.keys(&["alice", "bob-p256", "release", "backup-mldsa", "online"]);
    let made = machine.json(
        "root init draft.json --root-key alice.pub --root-key bob-p256.pub --root-threshold 2 \
         --seal-key release.pub --seal-key backup-mldsa.pub --seal-threshold 2 \
         --online-key online.pub --stream acme/* --stream local/a --expires 2040-01-31",
    );
    assert_eq!(made, json!({ "version": 1, "droppedSignatures": 0 }));
    let shown = machine.json("root show draft.json");
    assert_eq!(shown["version"], 1);
    assert_eq!(shown["expires"], "2040-01-31T00:00:00Z");
    assert_eq!(shown["roles"]["root"]["threshold"], 2);
    assert_eq!(key_names(&shown["roles"]["root"]), ["alice", "bob-p256"]);
    assert_eq!(shown["roles"]["root"]["keys"][1]["type"], "p256");
    assert_eq!(shown["roles"]["root"]["keys"][0]["key"], id_of("alice").to_string());
    assert_eq!(shown["roles"]["targets"]["threshold"], 2);
    assert_eq!(key_names(&shown["roles"]["targets"]), ["release", "backup-mldsa"]);
    assert_eq!(key_names(&shown["roles"]["timestamp"]), ["online"]);
    assert_eq!(key_names(&shown["roles"]["snapshot"]), ["alice", "bob-p256"]);
    let rule = json!({ "roles": ["targets"], "minSequence": 1, "freshness": null });
    assert_eq!(shown["streams"], json!({ "acme/*": rule, "local/a": rule }));
    assert_eq!(shown["formats"], Value::Null);
    assert_eq!(shown["algorithms"], Value::Null);
    assert_eq!(shown["atBoot"], "warn");
    assert_eq!(shown["revokedDigests"], json!([]));
    assert_eq!(shown["revokedSequences"], json!({}));
    assert_eq!(shown["complete"], false);
    let standing = json!([{ "role": "root", "rootVersion": 1, "threshold": 2, "signed": [] }]);
    assert_eq!(shown["standing"], standing);

    machine.does("root sign draft.json --key alice.pem --key bob-p256.pem").ok();
    assert_eq!(machine.json("root show draft.json")["complete"], true);
    let text = machine.does("root show draft.json").ok().text();
    assert!(text.contains("role root: 2 of 2 keys must sign"), "{text}");
    assert!(text.contains("streams acme/*: sealed by targets, from sequence 1"), "{text}");
    // All that a person needs was shown without a trust root on this machine.
    assert!(!machine.path("config").exists());
}

#[test]
fn a_first_root_is_pinned_only_when_enough_have_signed() {
    let machine = Machine::new();
    machine.keys(&["alice", "bob", "release"]);
    machine
        .does("root init d --root-key alice.pub --root-key bob.pub --root-threshold 2 --seal-key release.pub")
        .ok();
    machine.refuses(1, "root pin d").says("0 of the role `root`'s 2 keys signed this, 2 must");
    machine.does("sign d --key alice.pem").ok().says("it is not complete");
    machine.refuses(1, "root pin d").says("1 of the role `root`'s 2 keys signed this, 2 must");
    // Nobody needs a store to sign the first root, and it does not go into one.
    machine.refuses(2, "submit d").says("there is no trust root at");
    machine.does("sign d --key bob.pem").ok().says("it is complete: `treeseal root pin d`");
    let pinned = machine.json("root pin d");
    assert_eq!(pinned, json!({ "version": 1, "root": machine.path("config/root.json") }));
    assert_eq!(machine.json("root show")["version"], 1);
    machine.does("root pin d").ok();
    let history = machine.json("root history");
    assert_eq!(history["signers"].as_array().unwrap().len(), 2);
}

#[test]
fn what_would_make_no_root_is_not_written() {
    let machine = Machine::new();
    machine.keys(&["alice", "release"]);
    let init =
        |more: &str| format!("root init d --root-key alice.pub --seal-key release.pub {more}");
    machine
        .refuses(2, &init("--root-threshold 2"))
        .says("the role `root` needs 2 signers but has 1 keys: nobody can meet it");
    machine
        .refuses(2, &init("--seal-threshold 3"))
        .says("the role `targets` needs 3 signers but has 1 keys: nobody can meet it");
    machine.refuses(2, &init("--root-threshold 0"));
    machine.refuses(2, &init("--expires 2001-01-01")).says("would expire at 2001-01-01T00:00:00Z");
    machine
        .refuses(2, &init("--expires soon"))
        .says("`soon` is no time")
        .says("hint: write it like");
    machine.refuses(2, &init("--expires 7dd")).says("`7dd` is no time");
    machine.refuses(2, &init("--stream ../up")).says("hint: a pattern is a stream");
    machine.refuses(2, &init("--root-key alice.pub")).says("repeats an earlier entry");
    machine.refuses(2, &init("--root-key missing.pub")).says("there is no key file `missing.pub`");
    machine
        .refuses(2, &init("--root-key alice.pem"))
        .says("`alice.pem` is no public key")
        .says("hint: `treeseal key show FILE --public`");
    machine.does(&init("")).ok();
    machine
        .refuses(2, &init("--expires 10d"))
        .says("`d` exists, and would be overwritten")
        .says("hint: choose another name");
}

#[test]
fn keys_come_and_go() {
    let machine = machine(1);
    seal_with(&machine, "release");
    machine.next_root("add-key targets backup.pub --name spare; threshold targets 1", &["alice"]);
    let shown = machine.json("root show");
    assert_eq!(shown["version"], 2);
    assert_eq!(key_names(&shown["roles"]["targets"]), ["release", "spare"]);
    seal_with(&machine, "backup");
    let roles = machine.json(&format!("verify {STREAM}"))["roles"].clone();
    let signer = json!([{ "key": id_of("backup").to_string(), "name": "spare" }]);
    assert_eq!(roles[0]["signers"], signer);

    // By name, by the start of the id, by file; and its name goes with it.
    let id = id_of("backup").to_string();
    for named in ["spare", &id, &id[..8], "backup.pub"] {
        machine.does(&format!("root remove-key draft.json {named}")).ok();
        let shown = machine.json("root show draft.json");
        assert_eq!(key_names(&shown["roles"]["targets"]), ["release"]);
        fs::remove_file(machine.path("draft.json")).unwrap();
    }
    machine.next_root("remove-key spare", &["alice"]);
    // What a key signed that is no more one of the role's counts for nothing.
    machine.refuses(1, &format!("verify {STREAM}")).says("0 of the role `targets`'s 1 keys signed");
    seal_with(&machine, "release");
    machine.does(&format!("verify {STREAM}")).ok();
}

#[test]
fn nobody_is_locked_out() {
    let machine = machine(1);
    let cases = [
        ("threshold d root 3", "would need 3 signers and have 2 keys"),
        ("threshold d targets 2", "lower its threshold, or add a key first"),
        ("threshold d nobody 1", "the trust root has no role `nobody`"),
        ("remove-key d release", "is the last one of the role `targets`"),
        ("remove-key d release", "add another key first"),
        ("remove-key d stranger", "the trust root has no key `stranger`"),
        ("remove-key d stranger.pub", "the trust root has no key `stranger.pub`"),
        ("remove-key d alice --role targets", "the role `targets` does not have the key"),
        ("remove-key d alice.pem", "`alice.pem` is no public key"),
        ("add-key d targets release.pub", "the role `targets` has the key"),
        ("add-key d targets alice.pem", "`alice.pem` is no public key"),
        ("add-key d targets backup.pub --threshold 3", "would need 3 signers and have 2 keys"),
        ("add-key d Not/A/Role backup.pub", "hint: a role is root, targets, timestamp"),
        ("allow d acme/* --role nobody", "are given to the role `nobody`"),
        ("allow d acme/* --role timestamp", "are given to the role `timestamp`"),
        ("allow d acme/* --freshness targets", "that seals no stream"),
        ("allow d acme/* --min-sequence 0", "0 is no sequence"),
        ("disallow d acme/*", "the trust root has no rule for `acme/*`"),
        ("floor d a/b 0", "0 is no sequence"),
        ("revoke d --sequence a/b", "`a/b` names no seal"),
        ("revoke d --sequence a/b=x", "hint: write the stream, = and the sequence"),
        ("revoke d --digest 00", "hint: give a SHA-256 or fs-verity digest"),
        ("revoke d --image missing", "missing"),
        ("expire d 2001-01-01", "would expire at 2001-01-01T00:00:00Z, and it is"),
        ("policy d", "nothing says what the policy is to be"),
        ("policy d --format composefs/2", "hint: give composefs/0 or composefs/1"),
        ("policy d --algorithm md5", "`md5` is no hash algorithm"),
    ];
    for (change, reason) in cases {
        machine.refuses(2, &format!("root {change}")).says(reason);
    }
    // Also one after the other, with what was written before kept.
    machine.does("root threshold d root 2").ok();
    machine.refuses(2, "root remove-key d bob").says("would need 2 signers and have 1 keys");
    machine.refuses(2, "root remove-key d alice --role root");
    machine.does("root remove-key d bob --role root --threshold 1").ok();
    let shown = machine.json("root show d");
    assert_eq!(key_names(&shown["roles"]["root"]), ["alice"]);
    assert_eq!(key_names(&shown["roles"]["timestamp"]), ["alice"], "it follows the root role");
    machine.refuses(2, "root remove-key d alice").says("is the last one of the role `root`");
}

#[test]
fn a_draft_is_shown_by_what_it_changes() {
    let machine = machine(1);
    let run = machine.does("root allow d acme/* --min-sequence 4 --freshness timestamp").ok();
    let expected = "draft of version 2:\n  + streams acme/*: sealed by targets, from sequence 4, fresh \
                    by timestamp with 86400 s of tolerance\n";
    assert_eq!(run.text(), expected);
    let run = run.says("`treeseal root sign d` signs it");
    drop(run);
    let text = machine.does("root disallow d *").ok().text();
    assert!(text.contains("- streams *: sealed by targets, from sequence 1\n"), "{text}");
}

#[test]
fn a_change_to_a_signed_draft_drops_the_signatures_and_says_so() {
    let machine = machine(2);
    machine.does("root expire d 2041-01-01").ok();
    machine.does("sign d --key alice.pem --key bob.pem").ok();
    assert_eq!(machine.json("root show d")["complete"], true);
    // A change that changes nothing leaves them.
    let signed = fs::read(machine.path("d")).unwrap();
    machine.does("root expire d 2041-01-01").ok();
    assert!(fs::read(machine.path("d")).unwrap() == signed);
    machine.refuses(2, "root threshold d root 9");
    machine
        .does("root expire d 2042-01-01")
        .ok()
        .says("2 signatures were made void by the change, and dropped");
    let shown = machine.json("root show d");
    assert_eq!(shown["complete"], false);
    assert_eq!(shown["standing"][0]["signed"], json!([]));
    machine.refuses(1, "submit d").says("the present trust root does not accept version 2");
    machine.does("sign d --key bob.pem").ok();
    let edited = machine.json("root expire d 2043-01-01");
    assert_eq!(edited, json!({ "version": 2, "droppedSignatures": 1 }));
}

#[test]
fn a_draft_of_another_version_is_not_changed() {
    let machine = machine(1);
    machine.does("root expire old.json 2041-01-01").ok();
    machine.next_root("expire 2042-01-01", &["alice"]);
    machine
        .refuses(2, "root expire old.json 2043-01-01")
        .says("the draft `old.json` is version 2, but the next version of the trust root is 3")
        .says("hint: remove the draft and make the change again");
    machine.does("sign old.json --key alice.pem").ok();
    machine.refuses(1, "submit old.json").says("version 3 of the trust root must come next");
    machine.does("root init first.json --root-key alice.pub --seal-key release.pub").ok();
    machine
        .refuses(2, "root expire first.json 2043-01-01")
        .says("hint: to change the draft of a first root, name with --root a place");
    machine.does("root expire first.json 2043-01-01 --root elsewhere.json").ok();
}

#[test]
fn only_keys_with_a_say_sign() {
    let machine = machine(2);
    machine.does("root expire d 2041-01-01").ok();
    for key in ["release", "stranger"] {
        machine
            .refuses(2, &format!("sign d --key {key}.pem"))
            .says(
                "has no say in version 2 of the trust root: its signature would count for nothing",
            )
            .says("hint: `treeseal root show` lists who has which role");
    }
    // Not even beside one that has.
    machine.refuses(2, "sign d --key alice.pem --key release.pem").says("has no say");
    let once = machine.json("sign d --key alice.pem");
    let signed = fs::read(machine.path("d")).unwrap();
    let twice = machine.json("sign d --key alice.pem --key alice.pem");
    assert_eq!(once, twice);
    assert_eq!(once["complete"], false);
    assert_eq!(once["roles"][0]["signed"], json!([id_of("alice").to_string()]));
    assert!(fs::read(machine.path("d")).unwrap() == signed);
    machine.refuses(1, "submit d").says("1 of the role `root`'s 2 keys signed this, 2 must");
}

#[test]
fn old_and_new_root_keys_must_both_sign() {
    let machine = machine(2);
    machine.does("root add-key d root carol.pub --threshold 3").ok();
    machine.does("sign d --key alice.pem --key bob.pem").ok();
    let shown = machine.json("root show d");
    assert_eq!(shown["standing"][0]["rootVersion"], 1);
    assert_eq!(shown["standing"][1]["rootVersion"], 2);
    assert_eq!(shown["standing"][1]["threshold"], 3);
    machine
        .refuses(1, "submit d")
        .says("version 2 of the trust root does not meet its own threshold: 2 of the role `root`'s 3 keys");
    machine.does("sign d --key carol.pem").ok().says("it is complete: `treeseal submit d`");
    let submitted = machine.json("submit d");
    assert_eq!(submitted, json!({ "kind": "root", "version": 2 }));
}

#[test]
fn copies_that_were_signed_apart_are_put_together() {
    let machine = machine(2);
    machine.does("root expire d 2041-01-01").ok();
    fs::copy(machine.path("d"), machine.path("of-bob")).unwrap();
    machine.does("sign d --key alice.pem").ok();
    machine.does("sign of-bob --key bob.pem").ok();
    machine.does("root expire other 2042-01-01").ok();
    machine.does("sign other --key bob.pem").ok();
    machine
        .refuses(2, "attach d other")
        .says("`other` is no copy of `d`: what is to be signed is not the same");
    machine.refuses(2, "attach d alice.pub").says("`alice.pub` is neither a seal nor the draft");
    machine.refuses(2, "attach d missing").says("there is no file `missing`");
    let merged = machine.json("attach d of-bob");
    assert_eq!(merged["complete"], true);
    assert_eq!(merged["roles"][0]["signed"].as_array().unwrap().len(), 2);
    let complete = fs::read(machine.path("d")).unwrap();
    machine.does("attach d of-bob").ok();
    machine.does("attach d d").ok();
    assert!(fs::read(machine.path("d")).unwrap() == complete, "nothing is added twice");
    machine.does("submit d").ok();
}

#[test]
fn a_copy_with_forged_signatures_adds_nothing() {
    let machine = machine(2);
    machine.does("root expire d 2041-01-01").ok();
    machine.does("sign d --key alice.pem").ok();
    let draft = fs::read_to_string(machine.path("d")).unwrap();
    // Alice's signature under the name of bob, and one that is no signature.
    let forged = draft.replacen(&id_of("alice").to_string(), &id_of("bob").to_string(), 1);
    fs::write(machine.path("forged"), forged).unwrap();
    machine.does("attach d forged").ok().says("it is not complete");
    assert_eq!(fs::read_to_string(machine.path("d")).unwrap(), draft);
}

#[test]
fn submitted_roots_follow_each_other() {
    let machine = machine(1);
    machine.does("root expire second 2041-01-01").ok();
    machine.refuses(1, "submit second").says("the present trust root does not accept version 2");
    // Before anything was sealed there is no store yet.
    machine.does("sign second --key alice.pem").ok();
    assert!(!machine.store().exists());
    machine.does("submit second").ok();
    // Again, and with one more signature: it is there already.
    machine.does("submit second").ok();
    machine.does("sign second --key bob.pem").ok();
    machine.does("submit second").ok();
    assert_eq!(machine.json("root show")["version"], 2);

    machine.does("root expire third 2042-01-01").ok();
    machine.does("sign third --key alice.pem").ok();
    let text = fs::read_to_string(machine.path("third")).unwrap();
    fs::write(machine.path("fourth"), text.replace("\"version\":3", "\"version\":4")).unwrap();
    machine.does("sign fourth --key alice.pem").ok();
    machine
        .refuses(1, "submit fourth")
        .says("version 3 of the trust root must come next, found version 4");
    machine.does("submit third").ok();
    machine.refuses(1, "submit second").says("version 4 of the trust root must come next");

    // What came into the store is checked as it comes.
    let roots = ["config/root.json", "store/roots/2.root.json", "store/roots/3.root.json"];
    machine.does(&format!("root verify {}", roots.join(" "))).ok();
    let [first, second, third] = roots;
    machine.refuses(1, &format!("root verify {first} {third}")).says("must come next");
    machine.refuses(1, &format!("root verify {second} {first}")).says("must come next");
    let versions = machine.does("root history").ok().text();
    assert!(versions.contains("+ expires 2041-01-01T00:00:00Z"), "{versions}");
    assert!(versions.contains("\n3 expires 2042-01-01T00:00:00Z, signed by alice"), "{versions}");
}

#[test]
fn an_expired_root_is_not_submitted() {
    let machine = machine(1);
    machine.does_at("2027-01-01T00:00:00Z", "root expire d 2027-02-01").ok();
    machine.does_at("2027-01-01T00:00:00Z", "sign d --key alice.pem").ok();
    let run = machine.does_at("2027-02-01T00:00:00Z", "submit d").expect_code(2);
    run.says("would expire at 2027-02-01T00:00:00Z, and it is 2027-02-01T00:00:00Z");
    assert!(!machine.store().exists());
    machine.does_at("2027-01-31T23:59:59Z", "submit d").ok();
}

#[test]
fn another_root_is_not_pinned_in_its_place() {
    let machine = machine(1);
    let other = self::machine(1);
    let pinned = fs::read(other.path("config/root.json")).unwrap();
    // The same people and the same words, but another time: another root.
    fs::write(machine.path("same.json"), &pinned).unwrap();
    let foreign = Machine::new();
    foreign.keys(&["stranger"]);
    foreign.pinned_root("--root-key stranger.pub --seal-key stranger.pub", &["stranger"]);
    fs::copy(foreign.path("config/root.json"), machine.path("foreign.json")).unwrap();
    machine
        .refuses(1, "root pin foreign.json")
        .says("`foreign.json` is no root of the chain that is pinned in")
        .says("hint: `treeseal submit FILE` adds the next version");
    machine.refuses(2, "root pin missing.json").says("there is no trust root at `missing.json`");
    machine.refuses(1, "root pin alice.pub").says("the trust root `alice.pub` is not accepted");

    // One that the pinned one leads to may take its place, and never the other way round.
    let first = fs::read(machine.path("config/root.json")).unwrap();
    machine.next_root("expire 2041-01-01", &["alice"]);
    machine.does("root pin store/roots/2.root.json").ok();
    fs::write(machine.path("first.json"), first).unwrap();
    machine.refuses(1, "root pin first.json").says("is no root of the chain");
    assert_eq!(machine.json("root history")["version"], 2);
}

#[test]
fn a_root_is_not_pinned_in_the_store() {
    let machine = machine(1);
    seal_with(&machine, "release");
    fs::copy(machine.path("config/root.json"), machine.path("copy.json")).unwrap();
    machine
        .refuses(2, "root pin copy.json --root store/root.json")
        .says("whoever can change the store can change it");
}

#[test]
fn streams_are_allowed_and_disallowed() {
    let machine = machine(1);
    seal_with(&machine, "release");
    machine.next_root("disallow *; allow test/other/* --role targets", &["alice"]);
    assert_eq!(machine.json("root show")["streams"].as_object().unwrap().len(), 1);
    machine.refuses(1, &format!("verify {STREAM}")).says("nobody may seal it");
    machine
        .refuses(1, &format!("seal tree --stream {STREAM} --key release.pem"))
        .says("the trust root has no rule for the stream `test/sample/any/stable`");
    machine
        .refuses(1, &format!("seal tree --stream {STREAM} --unsigned pending"))
        .says("nobody may seal it");
    machine.does(&format!("seal tree --stream {OTHER} --key release.pem")).ok();
    machine.does(&format!("verify {OTHER}")).ok();
}

#[test]
fn two_roles_must_both_seal() {
    let machine = machine(1);
    machine.keys(&["quantum-mldsa"]);
    machine.next_root(
        "add-key post-quantum quantum-mldsa.pub; allow * --role targets --role post-quantum",
        &["alice"],
    );
    let rule = &machine.json("root show")["streams"]["*"];
    assert_eq!(rule["roles"], json!(["targets", "post-quantum"]));
    let seal = format!("seal tree --stream {STREAM} --key release.pem");
    machine
        .does(&seal)
        .expect_code(1)
        .says("0 of the role `post-quantum`'s 1 keys signed this, 1 must")
        .says("hint: name more keys with --key");
    machine.does(&format!("{seal} --key quantum-mldsa.pem")).ok();
    let verified = machine.json(&format!("verify {STREAM}"));
    assert_eq!(verified["roles"].as_array().unwrap().len(), 2);
    assert_eq!(verified["roles"][1]["signers"][0]["name"], "quantum-mldsa");
    // Nobody may have both hats.
    machine
        .refuses(2, "root add-key d post-quantum release.pub")
        .says("share the key")
        .says("give them different keys");
}

#[test]
fn floors_rise_and_refuse_what_is_older() {
    let machine = machine(1);
    seal_with(&machine, "release");
    machine.next_root(&format!("floor {STREAM} 3"), &["alice"]);
    let shown = machine.json("root show");
    assert_eq!(shown["streams"][STREAM]["minSequence"], 3);
    assert_eq!(shown["streams"]["*"]["minSequence"], 1);
    machine
        .refuses(1, &format!("verify {STREAM}"))
        .says("the seal has sequence 1; the trust root accepts 3 and later");
    machine
        .refuses(2, &format!("root floor d {STREAM} 2"))
        .says("a floor is not lowered")
        .says("root allow --min-sequence");
    seal_with(&machine, "release");
    assert_eq!(machine.json(&format!("verify {STREAM}"))["sequence"], 3);
}

#[test]
fn images_and_seals_are_revoked() {
    let machine = machine(1);
    seal_with(&machine, "release");
    let image = machine.json(&format!("verify {STREAM}"))["images"][0].clone();
    let verity = image["fsverity"][0].as_str().unwrap().to_owned();
    machine.does("image build tree bad.image").ok();

    machine.next_root("revoke --image bad.image", &["alice"]);
    assert_eq!(machine.json("root show")["revokedDigests"], json!([image["sha256"]]));
    machine.refuses(1, &format!("verify {STREAM}")).says("the trust root revokes the image");
    machine.refuses(2, "root revoke d --image bad.image").says("is revoked already");
    // The same tree is not sealed again either, under any stream.
    machine
        .does(&format!("seal tree --stream {OTHER} --key release.pem"))
        .expect_code(1)
        .says("the trust root revokes the image");
    fs::write(machine.path("tree/etc/motd"), "Fixed.\n").unwrap();
    seal_with(&machine, "release");
    machine.does(&format!("verify {STREAM}")).ok();

    machine.next_root(&format!("revoke --sequence {STREAM}=2"), &["alice"]);
    assert_eq!(machine.json("root show")["revokedSequences"], json!({ STREAM: [2] }));
    machine
        .refuses(1, &format!("verify {STREAM}"))
        .says("the trust root revokes the seal with sequence 2: use a newer one");
    machine.refuses(2, &format!("root revoke d --sequence {STREAM}=2")).says("is revoked already");
    seal_with(&machine, "release");
    machine.does(&format!("verify {STREAM}")).ok();

    machine.next_root(&format!("revoke --digest {verity}"), &["alice"]);
    machine.does(&format!("verify {STREAM}")).ok();
    let current = machine.json(&format!("verify {STREAM}"))["images"][0]["fsverity"][0].clone();
    machine.next_root(&format!("revoke --digest {}", current.as_str().unwrap()), &["alice"]);
    machine.refuses(1, &format!("verify {STREAM}")).says("the trust root revokes the image");
}

#[test]
fn policy_says_what_images_may_be() {
    let machine = machine(1);
    seal_with(&machine, "release");
    machine.next_root("policy --format composefs/1 --at-boot refuse", &["alice"]);
    let shown = machine.json("root show");
    assert_eq!(shown["formats"], json!(["composefs/1"]));
    assert_eq!(shown["atBoot"], "refuse");
    machine
        .refuses(1, &format!("verify {STREAM}"))
        .says("the trust root allows none of the seal's images");
    machine.does(&format!("seal tree --stream {STREAM} --key release.pem --format-version 1")).ok();
    assert_eq!(machine.json(&format!("verify {STREAM}"))["images"][0]["format"], "composefs/1");

    machine.next_root("policy --algorithm sha512", &["alice"]);
    let shown = machine.json("root show");
    assert_eq!(shown["algorithms"].as_array().unwrap().len(), 1);
    assert_eq!(shown["formats"], json!(["composefs/1"]), "what is not named stays");
    machine
        .refuses(1, &format!("verify {STREAM}"))
        .says("the trust root allows none of the seal's images");
}

#[test]
fn an_expired_root_seals_and_verifies_nothing() {
    let machine = machine(1);
    machine.next_root("expire 2031-01-01T00:00:00Z", &["alice"]);
    seal_with(&machine, "release");
    let verify = format!("verify {STREAM}");
    machine.does_at("2030-12-31T23:59:59Z", &verify).ok();
    machine
        .does_at("2031-01-01T00:00:00Z", &verify)
        .expect_code(1)
        .says("the trust root expired at 2031-01-01T00:00:00Z, and it is 2031-01-01T00:00:00Z");
    let seal = format!("seal tree --stream {STREAM} --key release.pem");
    machine
        .does_at("2031-01-01T00:00:00Z", &seal)
        .expect_code(1)
        .says("nothing is sealed under it any more")
        .says("hint: make a newer root");
    // The way out works although the root has expired.
    for command in ["root expire d 2035-01-01", "sign d --key alice.pem", "submit d", &verify] {
        machine.does_at("2031-01-01T00:00:00Z", command).ok();
    }
}
