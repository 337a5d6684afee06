//! Signatures of the commits in `vectors/ostree`, which `ostree sign` made, and by keys of `openssl`.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use treeseal_foreign::ostree::{Keys, SignatureKind, SignersError, parse_keys, signers};
use treeseal_source::ostree::{Checksum, DetachedMetadata, Repository};
use treeseal_testkit::{program, repository, run};
use treeseal_trust::PublicKey;

const FIRST: &str = "aab40b14bf2d468066283f133c1f95f68c7469f727b16637cbae217109c56792";
const SECOND: &str = "1ef25641152323996ac56d1a6081bf4392a090774b63be369637a6fca59e8c99";

const ED25519: &str = SignatureKind::Ed25519.metadata_key();
const SPKI: &str = SignatureKind::Spki.metadata_key();

fn vectors() -> PathBuf {
    repository().join("vectors/ostree")
}

fn key(name: &str) -> PublicKey {
    let bytes = fs::read(vectors().join(format!("{name}.pub"))).unwrap();
    parse_keys(&bytes).unwrap().remove(0)
}

fn keys(trusted: &[&str], revoked: &[&str]) -> Keys {
    let named = |names: &[&str]| names.iter().map(|name| key(name)).collect();
    Keys { trusted: named(trusted), revoked: named(revoked) }
}

/// The bytes of a commit, and what is kept beside it.
fn commit(hex: &str) -> (Vec<u8>, DetachedMetadata) {
    let directory = TempDir::new().unwrap();
    let archive = vectors().join("ostree-archive.tar.gz");
    let mut tar = Command::new(program("tar", "tar"));
    run(tar.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(directory.path()));
    let repository = Repository::open(&directory.path().join("archive")).unwrap();
    let checksum = Checksum::from_hex(hex.as_bytes()).unwrap();
    let (_, bytes) = repository.commit(&checksum).unwrap();
    (bytes, repository.detached_metadata(&checksum).unwrap())
}

#[test]
fn the_keys_that_signed_are_found() {
    let (bytes, metadata) = commit(FIRST);
    let found = signers(&bytes, &metadata, &keys(&["good", "wrong", "good"], &[]));
    assert_eq!(found, Ok(vec![key("good")]));
    let (bytes, metadata) = commit(SECOND);
    let found = signers(&bytes, &metadata, &keys(&["wrong", "good", "third"], &[]));
    assert_eq!(found, Ok(vec![key("good"), key("third")]));
}

#[test]
fn other_keys_and_other_commits_are_refused() {
    let (bytes, metadata) = commit(FIRST);
    let untrusted = Err(SignersError::Untrusted { found: 1, trusted: 1 });
    assert_eq!(signers(&bytes, &metadata, &keys(&["wrong"], &[])), untrusted);
    let (_, others) = commit(SECOND);
    let swapped = Err(SignersError::Untrusted { found: 2, trusted: 1 });
    assert_eq!(signers(&bytes, &others, &keys(&["good"], &[])), swapped);
    let mut changed = bytes.clone();
    changed[20] ^= 1;
    assert_eq!(signers(&changed, &metadata, &keys(&["good"], &[])), untrusted);
    let none = DetachedMetadata::default();
    assert_eq!(signers(&bytes, &none, &keys(&["good"], &[])), Err(SignersError::Unsigned));
    let no_keys = Err(SignersError::Untrusted { found: 1, trusted: 0 });
    assert_eq!(signers(&bytes, &metadata, &Keys::default()), no_keys);
}

#[test]
fn a_revoked_key_counts_for_nothing_however_it_is_trusted() {
    let (bytes, metadata) = commit(FIRST);
    let revoked = Err(SignersError::Revoked { key: Box::new(key("good")) });
    assert_eq!(signers(&bytes, &metadata, &keys(&["good", "third"], &["good"])), revoked);
    let (bytes, metadata) = commit(SECOND);
    let found = signers(&bytes, &metadata, &keys(&["good", "third"], &["good"]));
    assert_eq!(found, Ok(vec![key("third")]));
}

#[test]
fn a_signature_that_is_none_is_refused_wherever_it_stands() {
    let (bytes, metadata) = commit(FIRST);
    let good = metadata.list(ED25519).unwrap().remove(0);
    for (wrong, found) in [(&good[..63], 63), (&[good.as_slice(), &[0]].concat(), 65), (&[][..], 0)]
    {
        let mut before = DetachedMetadata::default();
        before.add_to_list(ED25519, wrong).unwrap();
        before.add_to_list(ED25519, &good).unwrap();
        let mut after = metadata.clone();
        after.add_to_list(ED25519, wrong).unwrap();
        for (metadata, position) in [(before, 1), (after, 2)] {
            let malformed =
                Err(SignersError::Malformed { kind: SignatureKind::Ed25519, position, found });
            assert_eq!(signers(&bytes, &metadata, &keys(&["good"], &[])), malformed);
        }
    }
}

#[test]
fn adding_a_signature_leaves_the_rest_as_it_was() {
    let (_, metadata) = commit(SECOND);
    let mut signed = metadata.clone();
    signed.add_to_list(SPKI, b"another").unwrap();
    let read = DetachedMetadata::parse(&signed.to_bytes()).unwrap();
    assert_eq!(read.list(ED25519), metadata.list(ED25519));
    assert_eq!(read.list(SPKI), Ok(vec![b"another".to_vec()]));
    assert_eq!(DetachedMetadata::parse(&metadata.to_bytes()), Ok(metadata));
}

/// A new key of `openssl`, and its signature over bytes.
fn openssl_signs(directory: &Path, algorithm: &[&str], bytes: &[u8]) -> (PublicKey, Vec<u8>) {
    let openssl = || Command::new(program("openssl", "openssl"));
    let (secret, message) = (directory.join("key.pem"), directory.join("message"));
    fs::write(&message, bytes).unwrap();
    run(openssl().arg("genpkey").args(algorithm).arg("-out").arg(&secret));
    let public = run(openssl().args(["pkey", "-pubout", "-in"]).arg(&secret)).stdout;
    let signature = match algorithm.contains(&"ed25519") {
        true => run(openssl()
            .args(["pkeyutl", "-sign", "-rawin", "-inkey"])
            .arg(&secret)
            .arg("-in")
            .arg(&message)),
        false => run(openssl().args(["dgst", "-sha256", "-sign"]).arg(&secret).arg(&message)),
    };
    (parse_keys(&public).unwrap().remove(0), signature.stdout)
}

#[test]
fn signatures_of_both_algorithms_are_checked_under_the_key_of_spki() {
    let (bytes, _) = commit(FIRST);
    let p256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    for algorithm in [&["-algorithm", "ed25519"][..], &p256] {
        let directory = TempDir::new().unwrap();
        let (key, signature) = openssl_signs(directory.path(), algorithm, &bytes);
        let mut metadata = DetachedMetadata::default();
        metadata.add_to_list(SPKI, &signature).unwrap();
        let trusted = Keys { trusted: vec![key.clone()], revoked: Vec::new() };
        assert_eq!(signers(&bytes, &metadata, &trusted), Ok(vec![key.clone()]));
        assert!(signers(&bytes[1..], &metadata, &trusted).is_err());
        let revoked = Keys { revoked: vec![key], ..trusted };
        assert!(matches!(signers(&bytes, &metadata, &revoked), Err(SignersError::Revoked { .. })));
    }
}
