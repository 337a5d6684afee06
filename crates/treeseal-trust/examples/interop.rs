//! Trades seals and trust roots with other implementations, for `reference/trust_interop.py`.
//!
//! ```text
//! interop make DIR     writes seal.json, 1.root.json, 2.root.json, release-N.pem, chain/ and the
//!                      private keys of all of them
//! interop check DIR    verifies the same files as another implementation wrote them
//! interop walk ROOT... pins the first root and follows the others; prints the versions trusted
//! interop judge CASES  gives a verdict on every case of a file, for `trust_differential.py`
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

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use treeseal_trust::{
    AtBoot, Clock, Envelope, Extension, Image, ImageDigests, ImageFormat, KeyAlgorithm, Objects,
    RoleName, RootContent, RootFile, SealError, SealRequest, Sequence, Sha256Digest, SigningKey,
    Source, Statement, StreamRule, TrustRoot, TufKey, sign_statement, verify_seal,
};
use treeseal_verity::{FileDigest, HashAlgorithm};

const STREAM: &str = "acme/os/x86_64/stable";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["make", folder] => make(Path::new(folder)),
        ["check", folder] => check(Path::new(folder)),
        ["walk", first, next @ ..] => walk(first, next),
        ["judge", cases] => judge(Path::new(cases)),
        _ => Err("usage: interop make|check DIR, interop walk ROOT..., interop judge CASES".into()),
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
    make_chain(&folder.join("chain"))?;
    Ok(fs::write(folder.join("private-keys.txt"), private_keys())?)
}

/// A line for each key: its kind and its secret in hex. The last one is in none of the files.
fn private_keys() -> String {
    let line = |(kind, byte): (&str, u8)| format!("{kind} {}\n", format!("{byte:02x}").repeat(32));
    let usual = (1..=6).map(|seed| ("ed25519", seed));
    let numbers = *CHAIN.start()..=*CHAIN.end() + 2;
    let chain = numbers.map(|number| (chain_kind(number), chain_secret(number)));
    usual.chain(chain).chain([("ml-dsa-65", 0x50)]).map(line).collect()
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

/// The versions of the chain.
const CHAIN: std::ops::RangeInclusive<u8> = 1..=6;

/// The version that also comes signed by too few.
const BAD_LINK: u8 = 4;

/// Writes five rotations. Version N has the keys N, N + 1 and N + 2, of which two must sign: each
/// version replaces one key. Even keys are P-256.
fn make_chain(folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    let mut content = first_root()?;
    for version in CHAIN {
        set_chain_version(&mut content, version)?;
        // Keys that the version before and this one both have.
        let signers = [version, version + 1];
        fs::write(folder.join(format!("{version}.root.json")), chain_root(&content, signers)?)?;
        if version == BAD_LINK {
            // Two of the version before, but one of this one; and the other way round.
            let (old, new) = ([version - 1, version], [version + 1, version + 2]);
            fs::write(folder.join("old-keys.root.json"), chain_root(&content, old)?)?;
            fs::write(folder.join("new-keys.root.json"), chain_root(&content, new)?)?;
        }
    }
    Ok(())
}

fn set_chain_version(content: &mut RootContent, version: u8) -> Result<(), Box<dyn Error>> {
    let two = NonZeroU32::new(2).ok_or("two")?;
    let key =
        |number| Ok::<_, Box<dyn Error>>(TufKey::new(chain_key(number)?.public_key().clone()));
    let keys = [key(version)?, key(version + 1)?, key(version + 2)?];
    content.version = version.into();
    for name in [RoleName::root(), RoleName::snapshot(), RoleName::timestamp()] {
        content.set_role(name, two, &keys);
    }
    Ok(())
}

fn chain_root(content: &RootContent, signers: [u8; 2]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut file = RootFile::new(content.clone())?;
    for number in signers {
        file.sign(&chain_key(number)?)?;
    }
    Ok(file.to_bytes())
}

/// The kind of a key of the chain: not of ML-DSA, which not every TUF client knows.
const fn chain_kind(number: u8) -> &'static str {
    if number.is_multiple_of(2) { "p256" } else { "ed25519" }
}

const fn chain_secret(number: u8) -> u8 {
    0x40 + number
}

fn chain_key(number: u8) -> Result<SigningKey, Box<dyn Error>> {
    let algorithm = match chain_kind(number) {
        "p256" => KeyAlgorithm::EcdsaP256,
        _ => KeyAlgorithm::Ed25519,
    };
    let key = SigningKey::from_secret(algorithm, &[chain_secret(number); 32]);
    Ok(key.ok_or("not a secret of P-256")?)
}

fn walk(first: &str, next: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut root = TrustRoot::pinned(&fs::read(first)?)?;
    println!("{}", root.version());
    for path in next {
        root = root.advance(&fs::read(path)?)?;
        println!("{}", root.version());
    }
    Ok(())
}

/// Prints a verdict for each line of the file that is a case:
///
/// ```text
/// base ROOT             pins a root: number 0, then 1, ...
/// root N NEXT           is this the next root after base N?
/// envelope N ENVELOPE   did enough of the keys that base N names sign this?
/// ```
///
/// Everything but N is base64. A verdict is `ok` and what was understood: SHA-256 of the signed
/// bytes of a root, or of the payload of an envelope. Or it is the class of refusal.
fn judge(cases: &Path) -> Result<(), Box<dyn Error>> {
    let mut bases = Vec::new();
    let base = |bases: &[TrustRoot], number: &str| -> Result<TrustRoot, Box<dyn Error>> {
        Ok(bases.get(number.parse::<usize>()?).ok_or("no such base")?.clone())
    };
    for line in fs::read_to_string(cases)?.lines() {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["base", root] => bases.push(TrustRoot::pinned(&decoded(root)?)?),
            ["root", number, next] => {
                println!("{}", judge_root(&base(&bases, number)?, &decoded(next)?));
            }
            ["envelope", number, envelope] => {
                let envelope = decoded(envelope)?;
                println!("{}", judge_envelope(&base(&bases, number)?, &envelope)?);
            }
            _ => return Err("not a case".into()),
        }
    }
    Ok(())
}

fn decoded(base64: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(base64).map_err(|error| error.to_string())
}

fn judge_root(base: &TrustRoot, next: &[u8]) -> String {
    match (base.advance(next), RootFile::parse(next)) {
        (Ok(_), Ok(file)) => format!("ok {}", Sha256Digest::of(&file.bytes_to_sign()).to_hex()),
        (Err(error), _) | (_, Err(error)) => error.code().to_owned(),
    }
}

/// What is wrong with a payload is only said of one that enough keys signed: then the signatures
/// are good.
fn judge_envelope(base: &TrustRoot, envelope: &[u8]) -> Result<String, Box<dyn Error>> {
    let stream = STREAM.parse()?;
    let request = SealRequest::first_contact(&stream, Clock::Unknown);
    Ok(match verify_seal(envelope, base, &request) {
        Err(
            error @ (SealError::Envelope(_)
            | SealError::Threshold(_)
            | SealError::StreamNotAllowed { .. }
            | SealError::RootRolledBack { .. }),
        ) => error.code().to_owned(),
        Ok(_) | Err(_) => format!("ok {}", Envelope::parse(envelope)?.payload_digest().to_hex()),
    })
}
