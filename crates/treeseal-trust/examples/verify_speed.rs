//! What it costs to verify a seal with three signatures against a chain of five roots.
//!
//! ```text
//! cargo run --release -p treeseal-trust --example verify_speed
//! ```
//!
//! Every round starts from bytes: it pins the first root, follows four more, each signed by two of
//! three old and two of three new keys, and verifies the seal. The keys are for TESTS ONLY.
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use treeseal_trust::{
    Clock, Image, ImageDigests, ImageFormat, KeyAlgorithm, Objects, RoleName, RootContent,
    RootFile, SealRequest, Sequence, Sha256Digest, SigningKey, Source, Statement, Stream,
    TrustRoot, TufKey, sign_statement, verify_seal,
};
use treeseal_verity::{FileDigest, HashAlgorithm};

/// Rounds that are timed, after as many that are not.
const ROUNDS: usize = 200;

/// Roots in the chain.
const ROOTS: u8 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    for (name, algorithm) in [
        ("Ed25519", KeyAlgorithm::Ed25519),
        ("P-256", KeyAlgorithm::EcdsaP256),
        ("ML-DSA-65", KeyAlgorithm::MlDsa65),
    ] {
        let (chain, seal, stream) = (chain(algorithm)?, seal(algorithm)?, stream()?);
        let round = || -> Result<Duration, Box<dyn Error>> {
            let start = Instant::now();
            verify(&chain, &seal, &stream)?;
            Ok(start.elapsed())
        };
        for _ in 0..ROUNDS {
            round()?;
        }
        let mut times = (0..ROUNDS).map(|_| round()).collect::<Result<Vec<_>, _>>()?;
        times.sort_unstable();
        let [first, .., last] = times[..] else { return Err("no rounds".into()) };
        let median = times[ROUNDS / 2];
        println!("{name:<10} median {median:>8.2?}  from {first:.2?} to {last:.2?}");
    }
    Ok(())
}

fn verify(chain: &[Vec<u8>], seal: &[u8], stream: &Stream) -> Result<(), Box<dyn Error>> {
    let (first, next) = chain.split_first().ok_or("no root")?;
    let mut root = TrustRoot::pinned(first)?;
    for next in next {
        root = root.advance(next)?;
    }
    let request =
        SealRequest::first_contact(stream, Clock::Trusted("2026-06-01T00:00:00Z".parse()?));
    let verified = verify_seal(seal, &root, &request)?;
    if verified.signers().iter().map(|role| role.keys().len()).sum::<usize>() != 3 {
        return Err("expected three signers".into());
    }
    Ok(())
}

fn stream() -> Result<Stream, Box<dyn Error>> {
    Ok("acme/os/x86_64/stable".parse()?)
}

fn key(algorithm: KeyAlgorithm, number: u8) -> Result<SigningKey, Box<dyn Error>> {
    SigningKey::from_secret(algorithm, &[number; 32]).ok_or_else(|| "no key".into())
}

fn public(algorithm: KeyAlgorithm, numbers: [u8; 3]) -> Result<Vec<TufKey>, Box<dyn Error>> {
    let public = |number| Ok(TufKey::new(key(algorithm, number)?.public_key().clone()));
    numbers.into_iter().map(public).collect()
}

/// Root N has the root keys N to N + 2; of these the last two are those of root N + 1 too.
fn chain(algorithm: KeyAlgorithm) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let (two, three) = (NonZeroU32::new(2).ok_or("2")?, NonZeroU32::new(3).ok_or("3")?);
    let seal_keys = public(algorithm, [101, 102, 103])?;
    let root_keys = |number: u8| public(algorithm, [number, number + 1, number + 2]);
    let mut content = RootContent::new(
        "2030-01-01T00:00:00Z".parse()?,
        (two, &root_keys(1)?),
        (three, &seal_keys),
    );
    content.allow("acme/*".parse()?, vec![RoleName::targets()], None, None);
    let mut chain = Vec::new();
    for number in 1..=ROOTS {
        content.version = number.into();
        for role in [RoleName::root(), RoleName::snapshot(), RoleName::timestamp()] {
            content.set_role(role, two, &root_keys(number)?);
        }
        let mut file = RootFile::new(content.clone())?;
        for signer in [number, number + 1] {
            file.sign(&key(algorithm, signer)?)?;
        }
        if number > 1 {
            // The second signer that the root before has, beside `number`.
            file.sign(&key(algorithm, number - 1)?)?;
        }
        chain.push(file.to_bytes());
    }
    Ok(chain)
}

fn seal(algorithm: KeyAlgorithm) -> Result<Vec<u8>, Box<dyn Error>> {
    let keys = [101, 102, 103].map(|number| key(algorithm, number));
    let keys = keys.into_iter().collect::<Result<Vec<_>, _>>()?;
    let digests = ImageDigests {
        sha256: Sha256Digest::of(b"image"),
        fsverity_sha256: FileDigest::from_bytes(HashAlgorithm::Sha256, &[1; 32]),
        fsverity_sha512: None,
    };
    let format = ImageFormat::ComposefsV0;
    let image = Image { digests, format, size: 12288, objects: HashAlgorithm::Sha256 };
    let statement = Statement {
        stream: stream()?,
        images: vec![image],
        sequence: Sequence::FIRST,
        created: "2026-05-01T12:00:00Z".parse()?,
        not_after: None,
        objects: Objects { count: 3, bytes: 70000 },
        sources: vec![Source { kind: "dir".to_owned(), name: "/usr".to_owned() }],
        previous: None,
    };
    Ok(sign_statement(&statement, &keys.iter().collect::<Vec<_>>())?.to_bytes())
}
