//! Key files between this crate, OpenSSL and Python's `cryptography`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use treeseal_trust::{
    KeyAlgorithm, KeyFileError, KeyFileRandom, PasswordOrigin, PublicKey, SigningKey,
};

const PASSWORD: &str = "correct horse";

#[test]
fn openssl_and_python_read_a_key_file_written_here() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    let script = "
import sys
from cryptography.hazmat.primitives import serialization as s
data = open(sys.argv[1], 'rb').read()
key = s.load_pem_private_key(data, sys.argv[2].encode()).public_key()
sys.stdout.write(key.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo).decode())
";
    for (algorithm, origin) in [
        (KeyAlgorithm::Ed25519, PasswordOrigin::Person),
        (KeyAlgorithm::Ed25519, PasswordOrigin::Generator),
        (KeyAlgorithm::EcdsaP256, PasswordOrigin::Person),
        (KeyAlgorithm::MlDsa65, PasswordOrigin::Person),
    ] {
        let key = SigningKey::from_secret(algorithm, &[0x42; 32]).unwrap();
        let random = KeyFileRandom { salt: [7; 16], iv: [8; 16] };
        let text = key.to_encrypted_pem(PASSWORD.as_bytes(), origin, &random).unwrap();
        fs::write(&file, text).unwrap();

        let python = ["-c", script, path(&file), PASSWORD];
        let public = run(&peers_python(), "python3-venv", &python);
        assert_eq!(public, key.public_key().to_pem());
        // OpenSSL knows ML-DSA from 3.5 on.
        if algorithm != KeyAlgorithm::MlDsa65 {
            let public = openssl(&["pkey", "-passin", &pass(), "-pubout", "-in", path(&file)]);
            assert_eq!(public, key.public_key().to_pem());
        }
    }
}

#[test]
fn a_key_file_that_openssl_wrote_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain.pem");
    let file = folder.path().join("key.pem");
    let p256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    for algorithm in [["-algorithm", "ed25519"].as_slice(), &p256] {
        openssl(&[&["genpkey"], algorithm, &["-out", path(&plain)]].concat());
        let text = fs::read_to_string(&plain).unwrap();
        assert_eq!(
            SigningKey::from_encrypted_pem(&text, PASSWORD.as_bytes()).unwrap_err(),
            KeyFileError::NotEncrypted
        );
        let options = ["-topk8", "-v2", "aes-256-cbc", "-scrypt", "-passout", &pass()];
        let files = ["-in", path(&plain), "-out", path(&file)];
        openssl(&[&["pkcs8"], options.as_slice(), &files].concat());

        let text = fs::read_to_string(&file).unwrap();
        let key = SigningKey::from_encrypted_pem(&text, PASSWORD.as_bytes()).unwrap();
        let public = openssl(&["pkey", "-pubout", "-in", path(&plain)]);
        assert_eq!(PublicKey::from_pem(&public).as_ref(), Ok(key.public_key()));
    }
}

#[test]
fn key_files_of_other_schemes_and_other_keys_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain.pem");
    let file = folder.path().join("key.pem");
    let convert = |more: &[&str]| {
        let options = ["-topk8", "-v2", "aes-256-cbc", "-passout", &pass()];
        let files = ["-in", path(&plain), "-out", path(&file)];
        openssl(&[&["pkcs8"], options.as_slice(), &files, more].concat());
        let text = fs::read_to_string(&file).unwrap();
        SigningKey::from_encrypted_pem(&text, PASSWORD.as_bytes()).unwrap_err()
    };
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", path(&plain)]);
    assert_eq!(convert(&[]), KeyFileError::Scheme);

    let curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
    openssl(&[&["genpkey"], curve.as_slice(), &["-out", path(&plain)]].concat());
    assert_eq!(convert(&["-scrypt"]), KeyFileError::NotAKey);
}

fn pass() -> String {
    format!("pass:{PASSWORD}")
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The Python whose `cryptography` knows ML-DSA.
fn peers_python() -> String {
    match std::env::var("TREESEAL_PEERS") {
        Ok(peers) => peers + "/venv/bin/python",
        Err(_) => panic!("TREESEAL_PEERS is not set: run the tests with `cargo xtask test`"),
    }
}

fn openssl(arguments: &[&str]) -> String {
    run("openssl", "openssl", arguments)
}

/// What a program prints. A test that needs it fails without it.
fn run(program: &str, package: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; install the Debian package {package}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} failed; is the Debian package {package} installed? {errors}"
    );
    String::from_utf8(output.stdout).unwrap()
}
