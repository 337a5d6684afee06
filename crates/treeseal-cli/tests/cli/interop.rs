//! Seals and roots beside implementations that are not ours.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use treeseal::trust::PREDICATE_TYPE;
use treeseal_testkit::repository;

use crate::support::{Machine, Run, STREAM, peer, program, venv_python};

#[test]
fn a_seal_is_accepted_by_in_toto_securesystemslib_and_tuf() {
    let machine = Machine::new();
    machine.sealed_sample();
    let (seal, image) = (seal(&machine), image(&machine));
    let check = |image: &Path| {
        let script = repository().join("reference/seal_interop.py");
        let root = machine.path("config/root.json");
        let arguments = [script.as_path(), &root, &seal, image];
        program(venv_python(), "python3-venv", arguments)
    };
    assert!(check(&image).ok().text().starts_with("test/sample/any/stable 1 "));
    let other = machine.path("other");
    fs::write(&other, "another image").unwrap();
    assert_ne!(check(&other).code, 0);
}

#[test]
fn a_seal_is_an_attestation_of_its_image_to_cosign() {
    let machine = Machine::new();
    machine.sealed_sample();
    expect_an_attestation(&machine, &own_public_key(&machine));
}

#[test]
fn a_seal_by_a_p_256_key_is_an_attestation_to_cosign_too() {
    let machine = Machine::new();
    let key = machine.path("release.pem");
    let credentials = machine.path("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("treeseal.passphrase"), "for tests only").unwrap();
    let run = |arguments: &[&OsStr]| {
        let mut command = machine.command();
        Run::of(command.env("CREDENTIALS_DIRECTORY", &credentials).args(arguments)).ok()
    };
    let (public, draft) = (machine.path("release.pub"), machine.path("root.json"));
    let word = OsStr::new;
    run(&[word("key"), word("new"), key.as_os_str(), word("--type"), word("p256")]);
    let keys = [word("--root-key"), public.as_os_str(), word("--seal-key"), public.as_os_str()];
    run(&[&[word("root"), word("init"), draft.as_os_str()], &keys[..]].concat());
    run(&[word("sign"), draft.as_os_str(), word("--key"), key.as_os_str()]);
    run(&[word("root"), word("pin"), draft.as_os_str()]);
    let tree = machine.sample_tree();
    let stream = [word("--stream"), word(STREAM)];
    run(&[&[word("seal"), tree.as_os_str(), word("--key"), key.as_os_str()], &stream[..]].concat());
    expect_an_attestation(&machine, &public);
}

/// Fails unless cosign accepts the seal of the sample by this key, for its image, and for nothing
/// else.
#[track_caller]
fn expect_an_attestation(machine: &Machine, key: &Path) {
    let image = image(machine);
    let seal = seal(machine);
    cosign(machine, key, PREDICATE_TYPE, &seal, &image).ok().says("Verified OK");

    let other_image = machine.path("other image");
    fs::write(&other_image, "another image").unwrap();
    let refused = cosign(machine, key, PREDICATE_TYPE, &seal, &other_image).expect_code(1);
    refused.says("no matching subject digest found");

    let other = Machine::new();
    other.sealed_sample();
    let other_key = own_public_key(&other);
    let refused = cosign(machine, &other_key, PREDICATE_TYPE, &seal, &image).expect_code(1);
    refused.says("accepted signatures do not match threshold");

    let refused = cosign(machine, key, "https://example.com/other", &seal, &image).expect_code(1);
    refused.says("invalid predicate type");
}

/// Runs cosign where it finds no settings and no network, and can leave nothing behind.
#[track_caller]
fn cosign(machine: &Machine, key: &Path, kind: &str, seal: &Path, image: &Path) -> Run {
    let home = machine.path("cosign");
    fs::create_dir_all(&home).unwrap();
    // Whatever goes out is sent to a port where nobody listens.
    let nowhere = "http://127.0.0.1:9";
    let mut command = Command::new(peer("cosign"));
    command.env_clear().env("HOME", &home).env("TUF_ROOT", home.join("tuf"));
    command.env("HTTP_PROXY", nowhere).env("HTTPS_PROXY", nowhere);
    // A transparency log is what a machine without network cannot ask; the seal is in none.
    command.args(["verify-blob-attestation", "--offline", "--insecure-ignore-tlog"]);
    command.args(["--check-claims", "--type", kind, "--key"]).arg(key);
    let done = Run::of(command.arg("--signature").arg(seal).arg(image));
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0, "cosign left something in its home");
    done
}

/// The public half of the key that the first use made, as OpenSSL writes it.
#[track_caller]
fn own_public_key(machine: &Machine) -> PathBuf {
    let path = machine.path("own.pub.pem");
    let password = format!("file:{}", machine.path("config/keys/own.password").display());
    let key = machine.path("config/keys/own.pem");
    let arguments = ["pkey".as_ref(), "-in".as_ref(), key.as_os_str(), "-passin".as_ref()];
    let output = [password.as_ref(), "-pubout".as_ref(), "-out".as_ref(), path.as_os_str()];
    program("openssl", "openssl", arguments.into_iter().chain(output)).ok();
    path
}

/// The seal of the sample.
fn seal(machine: &Machine) -> PathBuf {
    machine.store().join("seals").join(STREAM).join("@1.seal.json")
}

/// The only image in the store.
fn image(machine: &Machine) -> PathBuf {
    let mut images = fs::read_dir(machine.store().join("images"))
        .unwrap()
        .flat_map(|fanout| fs::read_dir(fanout.unwrap().path()).unwrap());
    images.next().unwrap().unwrap().path()
}

#[test]
fn envelopes_and_roots_are_traded_with_in_toto_securesystemslib_tuf_and_tough() {
    let script = repository().join("reference/trust_interop.py");
    let (interop, tough) = (example("interop"), peer("tough-walk"));
    let arguments = [script.as_os_str(), "run".as_ref(), interop.as_os_str(), tough.as_os_str()];
    program(venv_python(), "python3-venv", arguments).ok();
}

#[test]
fn verdicts_differ_from_those_of_tuf_and_securesystemslib_for_named_reasons_only() {
    let script = repository().join("reference/trust_differential.py");
    let arguments = [script, example("interop")];
    program(venv_python(), "python3-venv", arguments).ok();
}

/// An example of `treeseal-trust`: `cargo test` builds them beside the programs.
#[track_caller]
fn example(name: &str) -> PathBuf {
    let program_directory = Path::new(env!("CARGO_BIN_EXE_treeseal")).parent().unwrap();
    let path = program_directory.join("examples").join(name);
    assert!(path.exists(), "run `cargo build -p treeseal-trust --example {name}`");
    path
}
