//! Trades seals and trust roots with other implementations, for `reference/trust_interop.py`.
//!
//! ```text
//! interop make DIR     writes seal.json, 1.root.json, 2.root.json and release-N.pem
//! interop check DIR    verifies the same files as another implementation wrote them
//! ```
//!
//! The keys are for TESTS ONLY: everybody knows them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people and scripts")]

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::ExitCode;

use treeseal_trust::{
    AtBoot, Clock, Extension, Image, ImageDigests, ImageFormat, Objects, RoleName, RootContent,
    RootFile, SealRequest, Sequence, Sha256Digest, SigningKey, Source, Statement, StreamRule,
    TrustRoot, TufKey, sign_statement, verify_seal,
};
use treeseal_verity::{FileDigest, HashAlgorithm};

const STREAM: &str = "acme/os/x86_64/stable";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["make", folder] => make(Path::new(folder)),
        ["check", folder] => check(Path::new(folder)),
        _ => Err("usage: interop make|check DIR".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Root keys are 1 to 4, release keys 5 and 6.
fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn public(seeds: &[u8]) -> Vec<TufKey> {
    seeds.iter().map(|seed| TufKey::new(key(*seed).public_key().clone())).collect()
}

fn make(folder: &Path) -> Result<(), Box<dyn Error>> {
    let envelope = sign_statement(&statement()?, &[&key(5), &key(6)])?;
    fs::write(folder.join("seal.json"), envelope.to_bytes())?;
    for seed in [5, 6] {
        let name = format!("release-{}.pem", seed - 4);
        fs::write(folder.join(name), key(seed).public_key().to_pem())?;
    }
    let mut content = first_root()?;
    fs::write(folder.join("1.root.json"), signed(&content, &[1, 2])?)?;
    content.version = 2;
    let two = NonZeroU32::new(2).ok_or("two")?;
    for name in [RoleName::root(), RoleName::snapshot(), RoleName::timestamp()] {
        content.set_role(name, two, &public(&[2, 3, 4]));
    }
    fs::write(folder.join("2.root.json"), signed(&content, &[1, 2, 4])?)?;
    Ok(())
}

fn first_root() -> Result<RootContent, Box<dyn Error>> {
    let two = NonZeroU32::new(2).ok_or("two")?;
    let (root, targets) = (public(&[1, 2, 3]), public(&[5, 6]));
    let mut content =
        RootContent::new("2030-01-01T00:00:00Z".parse()?, (two, &root), (two, &targets));
    let rule = StreamRule {
        roles: vec![RoleName::targets()],
        min_sequence: Sequence::FIRST,
        freshness: None,
    };
    content.extension = Some(Extension {
        streams: [(STREAM.parse()?, rule)].into(),
        revoked: [Sha256Digest::of(b"withdrawn").to_hex().parse()?].into(),
        formats: Some(BTreeSet::from([ImageFormat::ComposefsV0, ImageFormat::ComposefsV1])),
        at_boot: AtBoot::Refuse,
        ..Extension::default()
    });
    content.set_role("nightly".parse()?, NonZeroU32::MIN, &public(&[6]));
    Ok(content)
}

fn signed(content: &RootContent, seeds: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut file = RootFile::new(content.clone())?;
    for seed in seeds {
        file.sign(&key(*seed))?;
    }
    Ok(file.to_bytes())
}

fn statement() -> Result<Statement, Box<dyn Error>> {
    Ok(Statement {
        stream: STREAM.parse()?,
        images: vec![
            image(ImageFormat::ComposefsV0, b"image"),
            image(ImageFormat::ComposefsV1, b"image of version 1"),
        ],
        sequence: Sequence::FIRST,
        created: "2026-05-01T12:00:00Z".parse()?,
        not_after: Some("2027-05-01T12:00:00Z".parse()?),
        objects: Objects { count: 3, bytes: 70000 },
        sources: vec![Source { kind: "dir".to_owned(), name: "Größe \"1\"".to_owned() }],
        previous: Some(Sha256Digest::of(b"previous")),
    })
}

/// An image file with this content.
fn image(format: ImageFormat, content: &[u8]) -> Image {
    Image {
        digests: ImageDigests {
            sha256: Sha256Digest::of(content),
            fsverity_sha256: FileDigest::from_bytes(HashAlgorithm::Sha256, &[1; 32]),
            fsverity_sha512: FileDigest::from_bytes(HashAlgorithm::Sha512, &[2; 64]),
        },
        format,
        size: 12288,
        objects: HashAlgorithm::Sha256,
    }
}

fn check(folder: &Path) -> Result<(), Box<dyn Error>> {
    let read = |name: &str| fs::read(folder.join(name));
    let root = TrustRoot::pinned(&read("1.root.json")?)?;
    let root = root.advance(&read("2.root.json")?)?;
    let stream = STREAM.parse()?;
    let clock = Clock::Trusted("2026-06-01T00:00:00Z".parse()?);
    let request = SealRequest::first_contact(&stream, clock);
    let seal = verify_seal(&read("seal.json")?, &root, &request)?;
    println!(
        "accepted: {} sequence {}, {} signers, root version {}",
        seal.stream,
        seal.sequence,
        seal.signers().iter().map(|role| role.keys().len()).sum::<usize>(),
        seal.root_version()
    );
    Ok(())
}
