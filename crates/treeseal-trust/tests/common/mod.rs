//! Keys, statements and roots for tests.
#![allow(dead_code, reason = "each test file uses its part")]

use std::num::NonZeroU32;

use treeseal_trust::{
    Extension, ImageDigests, ImageFormat, Objects, RootContent, RootFile, Sequence, Sha256Digest,
    SigningKey, Source, Statement, StreamRule, TrustRoot, TufKey, sign_statement,
};
use treeseal_verity::{FileDigest, HashAlgorithm};

pub(crate) const STREAM: &str = "acme/os/x86_64/stable";

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

pub(crate) fn public(seed: u8) -> TufKey {
    TufKey::new(*key(seed).public_key())
}

pub(crate) fn number(threshold: u32) -> NonZeroU32 {
    NonZeroU32::new(threshold).unwrap()
}

pub(crate) fn sequence(number: u64) -> Sequence {
    Sequence::new(number).unwrap()
}

pub(crate) fn statement(number: u64) -> Statement {
    Statement {
        stream: STREAM.parse().unwrap(),
        digests: ImageDigests {
            sha256: Sha256Digest::of(b"image"),
            fsverity_sha256: FileDigest::from_bytes(HashAlgorithm::Sha256, &[1; 32]),
            fsverity_sha512: None,
        },
        sequence: sequence(number),
        created: "2026-05-01T12:00:00Z".parse().unwrap(),
        not_after: None,
        format: ImageFormat::ComposefsV0,
        image_size: 12288,
        objects: Objects { count: 3, bytes: 70000, algorithm: HashAlgorithm::Sha256 },
        sources: vec![Source { kind: "dir".to_owned(), name: "root \"fs\"\u{1f332}".to_owned() }],
        previous: None,
    }
}

/// Keys 1 to 3 are root keys, two must sign; 4 and 5 seal, one must sign.
pub(crate) fn root_content() -> RootContent {
    let root = [public(1), public(2), public(3)];
    let targets = [public(4), public(5)];
    let expires = "2030-01-01T00:00:00Z".parse().unwrap();
    let mut content = RootContent::new(expires, (number(2), &root), (number(1), &targets));
    let role = "targets".parse().unwrap();
    let rule = StreamRule { role, min_sequence: Sequence::FIRST };
    content
        .extension
        .get_or_insert_with(Extension::default)
        .streams
        .insert(STREAM.parse().unwrap(), rule);
    content
}

pub(crate) fn root_bytes(content: &RootContent, seeds: &[u8]) -> Vec<u8> {
    let mut file = RootFile::new(content.clone()).unwrap();
    for seed in seeds {
        file.sign(&key(*seed)).unwrap();
    }
    file.to_bytes()
}

pub(crate) fn trust_root() -> TrustRoot {
    TrustRoot::pinned(&root_bytes(&root_content(), &[1, 2])).unwrap()
}

pub(crate) fn seal(number: u64) -> Vec<u8> {
    sign_statement(&statement(number), &[&key(4)]).unwrap().to_bytes()
}
