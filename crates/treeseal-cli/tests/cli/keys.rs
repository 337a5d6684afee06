//! Keys in files and on tokens, and where their passphrases come from.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{
    Machine, PASSPHRASE, Run, STREAM, assert_unchanged, id_of, run_by, snapshot, terminal,
};

/// Runs a command with a text to be read from descriptor 3.
fn with_descriptor(machine: &Machine, words: &str, text: &str) -> Run {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), text).unwrap();
    let plain = machine.command_of(&format!("{words} --passphrase-fd 3"));
    let mut shell = Command::new(treeseal_testkit::program("bash", "bash"));
    shell.args(["-c", "exec 3<\"$0\"; exec \"$@\""]).arg(secret.path());
    Run::of(&mut run_by(shell, &plain))
}

/// Runs a command with a passphrase as the credential of a service.
fn with_credential(machine: &Machine, words: &str, text: &str) -> Run {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("treeseal.passphrase"), text).unwrap();
    let mut command = machine.command_of(words);
    Run::new(command.env("CREDENTIALS_DIRECTORY", directory.path()).output().unwrap())
}

/// Runs a command on a terminal, where these lines are typed, each when something is asked.
fn on_terminal(machine: &Machine, words: &str, typed: &[&str]) -> Run {
    let plain = machine.command_of(words);
    Run::of(&mut terminal(&plain, 80, typed))
}

/// Runs something that must fail and leave everything as it was.
#[track_caller]
fn refused(machine: &Machine, code: i32, run: impl FnOnce() -> Run) -> Run {
    let before = snapshot(machine.home.path());
    let run = run().expect_code(code);
    assert_unchanged(&before, &snapshot(machine.home.path()));
    run
}

fn openssl<'a>(machine: &Machine, arguments: impl IntoIterator<Item = &'a str>) -> Run {
    let mut command = Command::new(treeseal_testkit::program("openssl", "openssl"));
    Run::new(command.args(arguments).current_dir(machine.home.path()).output().unwrap())
}

#[test]
fn keys_of_all_three_types_are_made() {
    let machine = Machine::new();
    for key_type in ["ed25519", "p256", "ml-dsa65"] {
        let words = format!("key new {key_type}.pem --type {key_type} --json");
        let text = with_credential(&machine, &words, "secret\n").ok().text();
        let made: Value = serde_json::from_str(&text).unwrap();
        let [private, public] = ["pem", "pub"].map(|ending| format!("{key_type}.{ending}"));
        assert_eq!(made["private"], private);
        assert_eq!(made["public"], public);
        assert_eq!(fs::metadata(machine.path(&private)).unwrap().mode() & 0o7777, 0o600);
        let pem = fs::read_to_string(machine.path(&private)).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));

        // The public half is the same wherever it comes from.
        let shown = machine.json(&format!("key show {public}"));
        assert_eq!(shown["key"], made["key"]);
        let pem = fs::read_to_string(machine.path(&public)).unwrap();
        assert_eq!(shown["public"], pem);
        assert_eq!(machine.does(&format!("key show {public} --public")).ok().text(), pem);
        let words = format!("key show {private} --public");
        assert_eq!(with_credential(&machine, &words, "secret").ok().text(), pem);
        let text = machine.does(&format!("key show {public}")).ok().text();
        assert!(text.starts_with(made["key"].as_str().unwrap()), "{text}");
    }
    let scheme = |file: &str| machine.json(&format!("key show {file}"))["scheme"].clone();
    assert_eq!(scheme("ed25519.pub"), "ed25519");
    assert_eq!(scheme("p256.pub"), "ecdsa-sha2-nistp256");
    assert_eq!(scheme("ml-dsa65.pub"), "ml-dsa-65/1");
}

#[test]
fn openssl_reads_the_keys_and_agrees_on_the_public_half() {
    let machine = Machine::new();
    for key_type in ["ed25519", "p256"] {
        with_credential(&machine, &format!("key new {key_type}.pem --type {key_type}"), "secret")
            .ok();
        let [private, public] = ["pem", "pub"].map(|ending| format!("{key_type}.{ending}"));
        let read =
            openssl(&machine, ["pkey", "-in", &private, "-passin", "pass:secret", "-pubout"]);
        assert_eq!(read.ok().text(), fs::read_to_string(machine.path(&public)).unwrap());
        assert_ne!(
            openssl(&machine, ["pkey", "-in", &private, "-passin", "pass:wrong", "-pubout"]).code,
            0
        );
    }
}

#[test]
fn no_key_is_written_over() {
    let machine = Machine::new();
    let new = |file: &str| {
        refused(&machine, 2, || with_credential(&machine, &format!("key new {file}"), "secret"))
    };
    with_credential(&machine, "key new a.pem", "secret").ok();
    new("a.pem").says("`a.pem` exists, and would be overwritten").says("hint: choose another name");
    // The public half of another private key.
    new("a.key").says("`a.pub` exists, and would be overwritten");
    new("b.pub").says("`b.pub` is the name for the public half").says("hint: name the file");
    fs::write(machine.path("c.pub"), "mine").unwrap();
    new("c.pem").says("`c.pub` exists");
    std::os::unix::fs::symlink("nowhere", machine.path("d.pem")).unwrap();
    new("d.pem").says("`d.pem` exists");
}

#[test]
fn passphrases_come_from_a_descriptor_a_line_for_each_key() {
    let machine = Machine::new();
    with_descriptor(&machine, "key new a.pem", "first pass\n").ok();
    with_descriptor(&machine, "key new b.pem --type p256", "second\nnot read\n").ok();
    let pass =
        |file: &str, text: &str| with_descriptor(&machine, &format!("key show {file}"), text);
    pass("a.pem", "first pass").ok();
    pass("a.pem", "first pass\n").ok();
    refused(&machine, 2, || pass("a.pem", "First pass\n"))
        .says("cannot use the key file `a.pem`\ncaused by: the private key cannot be decrypted")
        .says("hint: nothing was signed or changed: run it again with the right passphrase");
    for wrong in ["first pass\r\n", " first pass\n", "\nfirst pass\n"] {
        refused(&machine, 2, || pass("a.pem", wrong));
    }
    refused(&machine, 2, || pass("a.pem", ""))
        .says("there is nothing to get the passphrase of the key file a.pem from")
        .says("hint: run it on a terminal, or give --passphrase-fd");

    let root = "root init d --root-key a.pub --root-key b.pub --seal-key a.pub";
    machine.does(root).ok();
    let sign = "sign d --key a.pem --key b.pem";
    refused(&machine, 2, || with_descriptor(&machine, sign, "first pass\n"))
        .says("there is nothing to get the passphrase of the key file b.pem from");
    refused(&machine, 2, || with_descriptor(&machine, sign, "second\nfirst pass\n")).says("a.pem");
    refused(&machine, 2, || with_descriptor(&machine, sign, "first pass\nfirst pass\n"))
        .says("b.pem");
    with_descriptor(&machine, sign, "first pass\nsecond\n").ok();
    machine
        .refuses(2, "key show a.pem --passphrase-fd 97")
        .says("cannot read a passphrase from `/proc/self/fd/97`");
}

#[test]
fn passphrases_come_from_a_credential_or_from_beside_the_key() {
    let machine = Machine::new();
    refused(&machine, 2, || with_credential(&machine, "key new a.pem", ""))
        .says("the passphrase is empty, and would protect nothing")
        .says("hint: nothing was written");
    refused(&machine, 2, || with_descriptor(&machine, "key new a.pem", "\n")).says("is empty");
    // A new passphrase never comes from a file beside the key.
    fs::write(machine.path("a.password"), "beside").unwrap();
    machine
        .refuses(2, "key new a.pem")
        .says("there is nothing to get the passphrase of the key file a.pem from")
        .says("the systemd credential `treeseal.passphrase`");
    with_credential(&machine, "key new a.pem", "beside\n").ok();
    machine.does("key show a.pem").ok();
    refused(&machine, 2, || with_credential(&machine, "key show a.pem", "wrong")).says("decrypted");
    fs::write(machine.path("a.password"), "wrong").unwrap();
    machine.refuses(2, "key show a.pem").says("decrypted");
    with_credential(&machine, "key show a.pem", "beside").ok();
    fs::remove_file(machine.path("a.password")).unwrap();
    machine.refuses(2, "key show a.pem").says("hint: run it on a terminal");
    // A directory without the credential is none.
    let mut command = machine.command_of("key show a.pem");
    let output = command.env("CREDENTIALS_DIRECTORY", machine.home.path()).output().unwrap();
    Run::new(output).expect_code(2).says("there is nothing to get the passphrase");
}

#[test]
fn a_terminal_asks_and_shows_nothing_of_what_is_typed() {
    let machine = Machine::new();
    let made =
        on_terminal(&machine, "key new a.pem", &["typed secret", "typed secret"]).ok().text();
    assert!(made.contains("passphrase of the key file a.pem: "), "{made}");
    assert!(made.contains("passphrase of the key file a.pem, again: "), "{made}");
    assert!(!made.contains("typed"), "{made}");
    let shown = on_terminal(&machine, "key show a.pem", &["typed secret"]).ok().text();
    assert!(shown.contains("ed25519"), "{shown}");
    let wrong = refused(&machine, 2, || on_terminal(&machine, "key show a.pem", &["other"])).text();
    assert!(wrong.contains("the private key cannot be decrypted"), "{wrong}");

    let differ = ["one secret", "another secret"];
    let text = refused(&machine, 2, || on_terminal(&machine, "key new b.pem", &differ)).text();
    assert!(text.contains("error: the two passphrases differ"), "{text}");
    assert!(text.contains("hint: nothing was written: try again"), "{text}");
    let text = refused(&machine, 2, || on_terminal(&machine, "key new b.pem", &["", ""])).text();
    assert!(text.contains("the passphrase is empty"), "{text}");
}

#[test]
fn what_is_no_key_is_named_before_anyone_is_asked() {
    let machine = Machine::new();
    machine.keys(&["a"]);
    fs::write(machine.path("text"), "no key").unwrap();
    let plain = openssl(&machine, ["genpkey", "-algorithm", "ed25519"]).ok().text();
    fs::write(machine.path("plain"), plain).unwrap();
    machine.refuses(2, "key show text").says(
        "cannot use the key file `text`\ncaused by: the text is not an encrypted private key",
    );
    machine.refuses(2, "key show plain").says("the private key is not encrypted: convert it with");
    machine
        .refuses(2, "key show missing")
        .says("there is no key file `missing`")
        .says("`treeseal key new FILE` makes a key pair");
    machine.does("root init d --root-key a.pub --seal-key a.pub").ok();
    machine.refuses(2, "sign d --key a.pub").says("`a.pub`").says("not an encrypted private key");
    machine.refuses(2, "sign d --key text").says("cannot use the key file `text`");
    machine
        .refuses(2, "attach d text --key a.pem")
        .says("`a.pem` is no public key")
        .says("hint: `treeseal key show FILE --public` prints the public half of a private key");
}

/// Tokens of SoftHSM in a machine's directory, with one user PIN.
struct Tokens<'m> {
    machine: &'m Machine,
}

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "4711";

impl<'m> Tokens<'m> {
    fn new(machine: &'m Machine) -> Self {
        assert!(
            Path::new(MODULE).exists(),
            "{MODULE} is missing: install the Debian package softhsm2"
        );
        let tokens = machine.path("tokens");
        fs::create_dir(&tokens).unwrap();
        let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
        fs::write(machine.path("softhsm2.conf"), text).unwrap();
        let made = Self { machine };
        let init = ["--init-token", "--free", "--label", "Box", "--pin", PIN, "--so-pin", "0815"];
        made.tool("softhsm2-util", "softhsm2", &init);
        made
    }

    fn conf(&self) -> PathBuf {
        self.machine.path("softhsm2.conf")
    }

    fn tool(&self, name: &str, package: &str, arguments: &[&str]) {
        let mut command = Command::new(treeseal_testkit::program(name, package));
        treeseal_testkit::run(command.args(arguments).env("SOFTHSM2_CONF", self.conf()));
    }

    fn key(&self, label: &str, key_type: &str, id: &str) {
        let login = ["--module", MODULE, "--token-label", "Box", "--login", "--pin", PIN];
        let pair = ["--keypairgen", "--key-type", key_type, "--label", label, "--id", id];
        self.tool("pkcs11-tool", "opensc", &[&login[..], &pair].concat());
    }

    /// Runs `treeseal` with a PIN as the credential.
    fn run(&self, words: &str, pin: &str) -> Run {
        self.run_through(Path::new(MODULE), words, pin)
    }

    fn run_through(&self, module: &Path, words: &str, pin: &str) -> Run {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("treeseal.passphrase"), pin).unwrap();
        let mut command = self.machine.command_of(words);
        command
            .env("SOFTHSM2_CONF", self.conf())
            .env("TREESEAL_PKCS11_MODULE", module)
            .env("CREDENTIALS_DIRECTORY", directory.path());
        Run::new(command.output().unwrap())
    }
}

#[test]
fn keys_on_tokens_sign_roots_and_seals() {
    let machine = Machine::new();
    let tokens = Tokens::new(&machine);
    for (label, key_type, id) in
        [("root", "EC:edwards25519", "01"), ("release", "EC:prime256v1", "02")]
    {
        tokens.key(label, key_type, id);
        let show = format!("key show pkcs11:token=Box;object={label} --public");
        let public = tokens.run(&show, PIN).ok().stdout;
        fs::write(machine.path(&format!("{label}.pub")), public).unwrap();
    }
    machine.does("root init d --root-key root.pub --seal-key release.pub").ok();
    let sign = "root sign d --key pkcs11:token=Box;object=root";
    // A wrong PIN is tried once, and nothing is signed; softhsm counts it in its own files.
    let draft = fs::read(machine.path("d")).unwrap();
    tokens
        .run(sign, "0000")
        .expect_code(2)
        .says("cannot use the key `pkcs11:token=Box;object=root`")
        .says("is wrong, and is not tried again");
    assert_eq!(fs::read(machine.path("d")).unwrap(), draft);
    assert!(!machine.path("state").exists());
    tokens.run(sign, PIN).ok();
    machine.does("root pin d").ok();
    machine.sample_tree();
    let seal = format!("seal tree --stream {STREAM} --key pkcs11:token=Box;object=release");
    tokens.run(&seal, PIN).ok();
    machine.does(&format!("verify {STREAM}")).ok();
    let log = machine.signing_log();
    assert_eq!(log[1]["place"], "pkcs11:token=Box;object=release");
    assert_eq!(log[1]["kind"], "seal");
    let whole = fs::read_to_string(machine.path("state/signing.log")).unwrap();
    assert!(!whole.contains(PIN), "{whole}");

    // A key without a say, and a token that is gone.
    let other = format!("seal tree --stream {STREAM} --key pkcs11:token=Box;object=root");
    tokens.run(&other, PIN).expect_code(2).says("has no say in the seal 2");
    fs::rename(machine.path("tokens"), machine.path("drawer")).unwrap();
    fs::create_dir(machine.path("tokens")).unwrap();
    refused(&machine, 2, || tokens.run(&seal, PIN)).says("no token matches").says("plugged in?");
    assert_eq!(machine.json(&format!("verify {STREAM}"))["sequence"], 1);
}

#[test]
fn a_signature_that_fails_has_its_line_in_the_log() {
    let machine = Machine::new();
    let tokens = Tokens::new(&machine);
    tokens.key("root", "EC:edwards25519", "01");
    let public = tokens.run("key show pkcs11:token=Box --public", PIN).ok().stdout;
    fs::write(machine.path("root.pub"), public).unwrap();
    machine.does("root init d --root-key root.pub --seal-key root.pub").ok();
    let draft = fs::read(machine.path("d")).unwrap();
    // CKR_DEVICE_REMOVED, after the login.
    let source =
        treeseal_testkit::repository().join("crates/treeseal-token/tests/softhsm/faulty.c");
    let module = machine.path("module.so");
    let mut compile = Command::new(treeseal_testkit::program("cc", "gcc"));
    compile
        .args(["-shared", "-fPIC", "-DSIGN_ANSWER=0x32UL"])
        .arg(format!("-DSOFTHSM=\"{MODULE}\""));
    treeseal_testkit::run(compile.arg("-o").arg(&module).arg(source));
    tokens
        .run_through(&module, "sign d --key pkcs11:token=Box", PIN)
        .expect_code(2)
        .says("was removed or reset while it was in use: plug it in and start again");
    assert_eq!(fs::read(machine.path("d")).unwrap(), draft);
    let log = machine.signing_log();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0]["kind"], "root");
    assert_eq!(log[0]["version"], 1);
}

#[test]
fn a_pin_in_the_uri_is_refused_and_not_repeated() {
    let machine = Machine::new();
    machine.keys(&["a"]);
    machine.does("root init d --root-key a.pub --seal-key a.pub").ok();
    for uri in ["pkcs11:token=Box?pin-value=987654", "pkcs11:token=Box;pin-value=987654"] {
        for command in ["sign d --key", "key show"] {
            let run = machine.refuses(2, &format!("{command} {uri}"));
            let run = run.says("`pin-value` is refused").says("the PIN is asked for");
            assert!(!run.stderr.contains("987654"), "{}", run.stderr);
        }
    }
    machine.refuses(2, "sign d --key pkcs11:token=a/b").says("hint: a key on a token is like");
    machine
        .refuses(2, "sign d --key pkcs11:token=Box")
        .says("nothing says which PKCS#11 module knows the token");
}

/// A machine with a pinned root of Alice, who also seals and is the online role.
fn machine_of_alice() -> Machine {
    let machine = Machine::new();
    machine.keys(&["alice"]);
    machine.pinned_root("--root-key alice.pub --seal-key alice.pub", &["alice"]);
    machine.sample_tree();
    machine
}

#[test]
fn the_signing_log_has_a_line_for_every_signature() {
    let machine = machine_of_alice();
    machine.does(&format!("seal tree --stream {STREAM} --key alice.pem")).ok();
    machine.does(&format!("seal tree --stream {STREAM} --unsigned pending")).ok();
    machine.does("sign pending --key alice.pem").ok();
    machine.does("submit pending").ok();
    machine.does(&format!("freshen {STREAM} --key alice.pem")).ok();
    machine.next_root("expire 2041-01-01", &["alice"]);
    let found: Vec<Value> = machine
        .signing_log()
        .into_iter()
        .map(|mut line| {
            let fields = line.as_object_mut().unwrap();
            let time = fields.remove("time").unwrap();
            assert!(time.as_str().unwrap().ends_with('Z'));
            assert_eq!(fields.remove("sha256").unwrap().as_str().unwrap().len(), 64);
            assert_eq!(fields.remove("key").unwrap(), id_of("alice").to_string());
            assert_eq!(fields.remove("place").unwrap(), "alice.pem");
            line
        })
        .collect();
    let expected = [
        json!({ "kind": "root", "version": 1 }),
        json!({ "kind": "seal", "stream": STREAM, "sequence": 1 }),
        json!({ "kind": "seal", "stream": STREAM, "sequence": 2 }),
        json!({ "kind": "freshness", "stream": STREAM, "sequence": 2 }),
        json!({ "kind": "root", "version": 2 }),
    ];
    assert_eq!(found, expected);
    let log = machine.path("state/signing.log");
    assert_eq!(fs::metadata(&log).unwrap().mode() & 0o7777, 0o600);
    let whole = fs::read_to_string(log).unwrap();
    assert!(!whole.contains(PASSPHRASE) && !whole.contains("PRIVATE"), "{whole}");
}

#[test]
fn the_machines_own_first_root_is_in_the_log() {
    let machine = Machine::new();
    machine.sealed_sample();
    let kinds: Vec<Value> = machine.signing_log().iter().map(|line| line["kind"].clone()).collect();
    assert_eq!(kinds, ["root", "seal"]);
}

#[test]
fn the_signing_log_is_only_added_to_and_without_it_nothing_is_signed() {
    let machine = machine_of_alice();
    let log = machine.path("state/signing.log");
    let earlier = "an earlier line that nobody reads\n";
    fs::write(&log, earlier).unwrap();
    machine.does(&format!("seal tree --stream {STREAM} --key alice.pem")).ok();
    let whole = fs::read_to_string(&log).unwrap();
    assert!(whole.starts_with(earlier) && whole.lines().count() == 2, "{whole}");

    machine.does(&format!("seal tree --stream {STREAM} --unsigned pending")).ok();
    machine.does("root expire d 2041-01-01").ok();
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    for command in [
        "sign pending --key alice.pem",
        "sign d --key alice.pem",
        &format!("seal tree --stream {STREAM} --key alice.pem"),
        &format!("freshen {STREAM} --key alice.pem"),
    ] {
        machine.refuses(2, command).says("cannot write").says("signing.log");
    }
}
