//! Keys, statements and roots for tests.
#![allow(dead_code, reason = "each test file uses its part")]

use std::num::NonZeroU32;

use treeseal_trust::{
    Extension, Image, ImageDigests, ImageFormat, Objects, RootContent, RootFile, Sequence,
    Sha256Digest, SigningKey, Source, Statement, StreamRule, TrustRoot, TufKey, sign_statement,
};
use treeseal_verity::{FileDigest, HashAlgorithm};

pub(crate) const STREAM: &str = "acme/os/x86_64/stable";

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

pub(crate) fn public(seed: u8) -> TufKey {
    TufKey::new(key(seed).public_key().clone())
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
        images: vec![image(ImageFormat::ComposefsV0)],
        sequence: sequence(number),
        created: "2026-05-01T12:00:00Z".parse().unwrap(),
        not_after: None,
        objects: Objects { count: 3, bytes: 70000 },
        sources: vec![Source { kind: "dir".to_owned(), name: "root \"fs\"\u{1f332}".to_owned() }],
        previous: None,
    }
}

pub(crate) fn image(format: ImageFormat) -> Image {
    let name = format.to_string();
    let file = Sha256Digest::of(name.as_bytes());
    Image {
        digests: ImageDigests {
            sha256: file,
            fsverity_sha256: FileDigest::from_bytes(HashAlgorithm::Sha256, file.as_bytes()),
            fsverity_sha512: None,
        },
        format,
        size: 12288,
        objects: HashAlgorithm::Sha256,
    }
}

/// Keys 1 to 3 are root keys, two must sign; 4 and 5 seal, one must sign.
pub(crate) fn root_content() -> RootContent {
    let root = [public(1), public(2), public(3)];
    let targets = [public(4), public(5)];
    let expires = "2030-01-01T00:00:00Z".parse().unwrap();
    let mut content = RootContent::new(expires, (number(2), &root), (number(1), &targets));
    let roles = vec!["targets".parse().unwrap()];
    let rule = StreamRule { roles, min_sequence: Sequence::FIRST, freshness: None };
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
