//! `ostree verify` and `ostree sign`, with the commits in `vectors/ostree` and such as `ostree` makes here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use treeseal_testkit::{program, repository};

use treeseal::source::ostree::DetachedMetadata;

use crate::support::{Machine, Run};

const ED25519: &str = "ostree.sign.ed25519";
pub(crate) const REF: &str = "fixture/x86_64/stable";
pub(crate) const FIRST: &str = "aab40b14bf2d468066283f133c1f95f68c7469f727b16637cbae217109c56792";
pub(crate) const SECOND: &str = "1ef25641152323996ac56d1a6081bf4392a090774b63be369637a6fca59e8c99";

/// A machine with the repository of the vectors, `archive`, and their keys.
pub(crate) fn machine() -> Machine {
    let machine = Machine::new();
    let vectors = repository().join("vectors/ostree");
    let mut tar = Command::new(program("tar", "tar"));
    tar.arg("--extract").arg("--file").arg(vectors.join("ostree-archive.tar.gz"));
    Run::of(tar.arg("--directory").arg(machine.home.path())).ok();
    for name in ["good.pub", "third.pub", "wrong.pub", "stable-1.0.cfs"] {
        fs::copy(vectors.join(name), machine.path(name)).unwrap();
    }
    machine
}

pub(crate) fn object(machine: &Machine, checksum: &str, extension: &str) -> PathBuf {
    let (prefix, rest) = checksum.split_at(2);
    machine.path(&format!("archive/objects/{prefix}/{rest}.{extension}"))
}

pub(crate) fn set_ref(machine: &Machine, name: &str, checksum: &str) {
    fs::write(machine.path(&format!("archive/refs/heads/{name}")), format!("{checksum}\n"))
        .unwrap();
}

fn verify(machine: &Machine, rest: &str) -> Run {
    machine.does(&format!("ostree verify archive {rest}"))
}

#[test]
fn a_signed_commit_is_verified_and_says_who_has_signed_it() {
    let machine = machine();
    let text = verify(&machine, &format!("{REF} --key good.pub"))
        .ok()
        .says("nothing was remembered of `fixture/x86_64/stable` in")
        .text();
    assert!(text.starts_with(&format!("verified commit {SECOND}\n  version    1.1\n")), "{text}");
    assert!(text.contains(", as the commit states\n  checked    scan: every byte of "), "{text}");
    let json = machine.json(&format!("ostree verify archive {REF} --key third.pub --key good.pub"));
    assert_eq!(json["signers"].as_array().unwrap().len(), 2);
    assert_eq!(json["refs"], serde_json::json!([REF]));
    assert_eq!(json["firstContact"], false);
}

#[test]
fn keys_that_did_not_sign_or_are_revoked_are_refused() {
    let machine = machine();
    verify(&machine, &format!("{REF} --key wrong.pub"))
        .expect_code(1)
        .says(&format!("error: commit {SECOND} is not accepted\n"))
        .says("caused by: none of its 2 signatures is by one of the 1 trusted keys\n");
    verify(&machine, &format!("{FIRST} --key good.pub --revoked good.pub"))
        .expect_code(1)
        .says("caused by: it is signed by a revoked key, and by no other that is trusted\n");
    verify(&machine, "fixture/x86_64/nocfs --key good.pub")
        .expect_code(1)
        .says("caused by: the commit is not signed\n");
    let keys = machine.path("keys");
    fs::create_dir_all(keys.join("revoked.ed25519.d")).unwrap();
    fs::copy(machine.path("good.pub"), keys.join("trusted.ed25519")).unwrap();
    verify(&machine, &format!("{FIRST} --keys-dir keys")).ok();
    fs::copy(machine.path("good.pub"), keys.join("revoked.ed25519.d/stolen")).unwrap();
    // A key that is named on the command line is revoked as well.
    verify(&machine, &format!("{FIRST} --keys-dir keys --key good.pub"))
        .expect_code(1)
        .says("caused by: it is signed by a revoked key");
    verify(&machine, &format!("{FIRST} --keys-dir none"))
        .expect_code(2)
        .says("error: there is no key that a commit could be signed by\nhint: name files");
}

#[test]
fn metadata_of_another_commit_or_with_a_broken_signature_is_refused() {
    let machine = machine();
    let kept = fs::read(object(&machine, FIRST, "commitmeta")).unwrap();
    fs::copy(object(&machine, SECOND, "commitmeta"), object(&machine, FIRST, "commitmeta"))
        .unwrap();
    verify(&machine, &format!("{FIRST} --key good.pub"))
        .expect_code(1)
        .says("caused by: none of its 2 signatures is by one of the 1 trusted keys\n");
    let good = DetachedMetadata::parse(&kept).unwrap().list(ED25519).unwrap().remove(0);
    let mut short_first = DetachedMetadata::default();
    short_first.add_to_list(ED25519, &good[..63]).unwrap();
    short_first.add_to_list(ED25519, &good).unwrap();
    fs::write(object(&machine, FIRST, "commitmeta"), short_first.to_bytes()).unwrap();
    verify(&machine, &format!("{FIRST} --key good.pub"))
        .expect_code(1)
        .says("caused by: signature 1 of `ostree.sign.ed25519` has 63 bytes and is none\n");
    fs::write(object(&machine, FIRST, "commitmeta"), &kept[..kept.len() - 1]).unwrap();
    verify(&machine, &format!("{FIRST} --key good.pub")).expect_code(1).says("is malformed\n");
    fs::remove_file(object(&machine, FIRST, "commitmeta")).unwrap();
    verify(&machine, &format!("{FIRST} --key good.pub"))
        .expect_code(1)
        .says("caused by: the commit is not signed\n");
}

#[test]
fn an_older_commit_under_the_ref_is_refused_once_a_newer_was_accepted() {
    let machine = machine();
    set_ref(&machine, REF, FIRST);
    verify(&machine, &format!("{REF} --key good.pub")).ok();
    set_ref(&machine, REF, SECOND);
    verify(&machine, &format!("{REF} --key good.pub")).ok();
    set_ref(&machine, REF, FIRST);
    verify(&machine, &format!("{REF} --key good.pub"))
        .expect_code(1)
        .says(&format!("error: commit {FIRST} is of "))
        .says("was accepted under `fixture/x86_64/stable` before\n")
        .says("hint: somebody may be offering an old commit");
    // By its name it is what it is, and nothing is forgotten.
    verify(&machine, &format!("{FIRST} --key good.pub"))
        .ok()
        .says("the commit was named by its checksum");
    verify(&machine, &format!("{REF} --key good.pub")).expect_code(1);
}

#[test]
fn a_commit_under_another_ref_than_its_own_is_refused() {
    let machine = machine();
    set_ref(&machine, "fixture/x86_64/testing", SECOND);
    verify(&machine, "fixture/x86_64/testing --key good.pub").expect_code(1).says(&format!(
        "error: commit {SECOND} was made for `{REF}`, and not for `fixture/x86_64/testing`\n"
    ));
}

/// All objects of a kind.
pub(crate) fn objects(machine: &Machine, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for prefix in fs::read_dir(machine.path("archive/objects")).unwrap() {
        for object in fs::read_dir(prefix.unwrap().path()).unwrap() {
            let path = object.unwrap().path();
            if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found
}

pub(crate) fn change_last_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_changed_commit_is_refused_with_the_object_that_was_changed() {
    let machine = machine();
    let commit = object(&machine, SECOND, "commit");
    change_last_byte(&commit);
    verify(&machine, &format!("{REF} --key good.pub"))
        .expect_code(1)
        .says(&format!("objects/1e/{}.commit` is damaged or another object", &SECOND[2..]));
}

#[test]
fn an_image_that_is_not_the_commits_is_refused_with_the_first_difference() {
    let machine = machine();
    verify(&machine, &format!("{FIRST} --key good.pub --image stable-1.0.cfs")).ok();
    verify(&machine, &format!("{SECOND} --key good.pub --image stable-1.0.cfs"))
        .expect_code(1)
        .says("error: `stable-1.0.cfs` is not the image of the commit: `/usr/");
}

#[test]
fn a_changed_object_is_refused_by_its_name() {
    let machine = machine();
    for extension in ["dirtree", "dirmeta", "filez"] {
        let mut refused = 0;
        for object in objects(&machine, extension).into_iter().take(12) {
            let kept = fs::read(&object).unwrap();
            change_last_byte(&object);
            let run = verify(&machine, &format!("{SECOND} --key good.pub"));
            // Some are of other commits.
            if run.code != 0 {
                let name = object.strip_prefix(machine.home.path()).unwrap();
                run.expect_code(1).says(&format!("`{}`", name.display()));
                refused += 1;
            }
            fs::write(&object, kept).unwrap();
        }
        assert!(refused > 0, "{extension}");
    }
    verify(&machine, &format!("{SECOND} --key good.pub")).ok();
}

/// A secret key as OSTree has them, from the seed `seed` times 32; beside it the public key.
fn secret_key(machine: &Machine, name: &str, seed: u8) -> PathBuf {
    // PKCS#8 of an Ed25519 key is these bytes before its seed.
    let pkcs8 =
        [&b"\x30\x2e\x02\x01\0\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"[..], &[seed; 32]];
    fs::write(machine.path("pkcs8"), pkcs8.concat()).unwrap();
    let mut openssl = Command::new(program("openssl", "openssl"));
    openssl.args(["pkey", "-pubout", "-outform", "DER", "-in"]).arg(machine.path("pkcs8"));
    let spki = Run::of(openssl.args(["-inform", "DER"])).ok().stdout;
    let public = &spki[spki.len() - 32..];
    let path = machine.path(name);
    fs::write(&path, base64(&[&[seed; 32][..], public].concat())).unwrap();
    fs::write(path.with_extension("pub"), base64(public)).unwrap();
    path
}

fn base64(bytes: &[u8]) -> String {
    use std::io::Write as _;
    let mut command = Command::new(program("base64", "coreutils"));
    command.arg("--wrap=0").stdin(std::process::Stdio::piped());
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

pub(crate) fn metadata(machine: &Machine, checksum: &str) -> DetachedMetadata {
    DetachedMetadata::parse(&fs::read(object(machine, checksum, "commitmeta")).unwrap()).unwrap()
}

#[test]
fn a_commit_is_signed_and_keeps_the_signatures_that_it_has() {
    let machine = machine();
    secret_key(&machine, "mine", 7);
    let before = metadata(&machine, SECOND).list(ED25519).unwrap();
    let text = machine.does(&format!("ostree sign archive {REF} --key mine")).ok().text();
    assert!(text.starts_with(&format!("signed commit {SECOND}\n  signed by  MCow")), "{text}");
    let after = metadata(&machine, SECOND).list(ED25519).unwrap();
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.len(), before.len() + 1);
    verify(&machine, &format!("{REF} --key mine.pub")).ok();
    verify(&machine, &format!("{REF} --key good.pub")).ok();
    machine.keys(&["alice"]);
    machine.does(&format!("ostree sign archive {REF} --key alice.pem")).ok();
    verify(&machine, &format!("{REF} --key alice.pub")).ok();
    let log = machine.signing_log();
    let line = log.last().unwrap();
    assert_eq!((&line["kind"], &line["commit"]), (&"ostree-commit".into(), &SECOND.into()));
}

#[test]
fn openssl_accepts_the_signature_over_the_bytes_of_the_commit() {
    let machine = machine();
    secret_key(&machine, "mine", 9);
    machine.does(&format!("ostree sign archive {FIRST} --key mine")).ok();
    let signatures = metadata(&machine, FIRST).list(ED25519).unwrap();
    fs::write(machine.path("signature"), signatures.last().unwrap()).unwrap();
    let mut openssl = Command::new(program("openssl", "openssl"));
    openssl.args(["pkeyutl", "-verify", "-rawin", "-keyform", "DER", "-inkey"]);
    openssl.arg(machine.path("pkcs8")).arg("-sigfile").arg(machine.path("signature"));
    Run::of(openssl.arg("-in").arg(object(&machine, FIRST, "commit"))).ok();
}

#[test]
fn a_commit_is_not_signed_twice_by_one_key_or_by_one_that_cannot() {
    let machine = machine();
    secret_key(&machine, "mine", 7);
    let kept = fs::read(object(&machine, SECOND, "commitmeta")).unwrap();
    let refused = |keys: &str, message: &str| {
        machine.does(&format!("ostree sign archive {REF} {keys}")).expect_code(2).says(message);
        assert_eq!(fs::read(object(&machine, SECOND, "commitmeta")).unwrap(), kept);
        assert!(!machine.path("state/signing.log").exists());
    };
    let twice = format!("error: commit {SECOND} would have two signatures of the key ");
    refused("--key mine --key mine", &twice);
    fs::write(machine.path("halves"), base64(&[7; 64])).unwrap();
    refused("--key halves", "caused by: its public half is not that of its secret half\n");
    machine.keys(&["bob-p256"]);
    refused("--key mine --key bob-p256.pem", ", and OSTree's signatures are made with Ed25519\n");
    refused("--key good.pub", "caused by: it is no Ed25519 secret key: expected 64 bytes");
    machine.does(&format!("ostree sign archive {REF} --key mine")).ok();
    let again = machine.does(&format!("ostree sign archive {REF} --key mine"));
    again.expect_code(2).says(&twice);
}

/// Signs a file as a machine does that has nothing but OpenSSL and the key.
fn sign_elsewhere(machine: &Machine, file: &str) {
    let mut openssl = Command::new(program("openssl", "openssl"));
    openssl.args(["pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey"]);
    openssl.arg(machine.path("pkcs8")).arg("-in").arg(machine.path(file));
    Run::of(openssl.arg("-out").arg(machine.path("signature"))).ok();
}

#[test]
fn a_signature_that_was_made_elsewhere_is_added() {
    let machine = machine();
    secret_key(&machine, "mine", 11);
    let words = format!("ostree sign archive {REF} --unsigned commit");
    let text = machine.does(&words).ok().says("openssl pkeyutl -sign -rawin").text();
    assert_eq!(text, format!("commit {SECOND} waits for a signature over commit\n"));
    let commit = fs::read(machine.path("commit")).unwrap();
    assert_eq!(commit, fs::read(object(&machine, SECOND, "commit")).unwrap());
    machine.does(&words).expect_code(2).says("exists, and would be overwritten");
    sign_elsewhere(&machine, "commit");
    let attach = format!("ostree sign archive {REF} --attach signature --by mine.pub");
    let text = machine.does(&attach).ok().text();
    assert!(text.starts_with(&format!("signed commit {SECOND}\n  signed by  MCow")), "{text}");
    verify(&machine, &format!("{REF} --key mine.pub")).ok();
    verify(&machine, &format!("{REF} --key good.pub")).ok();
    machine.does(&attach).expect_code(2).says("would have two signatures of the key ");
    // Nothing was signed here.
    assert!(!machine.path("state/signing.log").exists());
}

#[test]
fn a_signature_over_something_else_or_by_another_key_is_not_added() {
    let machine = machine();
    secret_key(&machine, "mine", 11);
    machine.does(&format!("ostree sign archive {FIRST} --unsigned commit")).ok();
    sign_elsewhere(&machine, "commit");
    let kept = fs::read(object(&machine, SECOND, "commitmeta")).unwrap();
    let refused = |arguments: &str| {
        machine
            .does(&format!("ostree sign archive {arguments}"))
            .expect_code(2)
            .says("error: the signature is not one of Ed25519 over commit ")
            .says("nothing was changed\n");
    };
    refused(&format!("{REF} --attach signature --by mine.pub"));
    refused(&format!("{FIRST} --attach signature --by good.pub"));
    fs::write(machine.path("signature"), [0; 100]).unwrap();
    refused(&format!("{FIRST} --attach signature --by mine.pub"));
    assert_eq!(fs::read(object(&machine, SECOND, "commitmeta")).unwrap(), kept);
    machine
        .does(&format!("ostree sign archive {REF} --attach signature"))
        .expect_code(2)
        .says("--by");
}
