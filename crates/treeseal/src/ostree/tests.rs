//! Which seal of a commit is found, and by which trust root it is judged.

use std::fs;
use std::num::NonZeroU32;
use std::path::PathBuf;

use treeseal_source::ostree::{Checksum, DetachedMetadata, Repository};
use treeseal_store::Store;
use treeseal_trust::{
    Clock, Extension, Image, ImageDigests, ImageFormat, Objects, RootContent, RootFile,
    SealRequest, Sequence, Sha256Digest, SigningKey, Statement, Stream, StreamRule, TrustRoot,
    TufKey, sign_statement, verify_seal,
};
use treeseal_verity::{FileDigest, HashAlgorithm};

use super::seals::{CommitSeals, FoundSeal, MAX_ROOTS, ROOTS, STATEMENT, SealPlace};
use super::store_of_repository;
use crate::{Answer, Error};

const STREAM: &str = "acme/os/x86_64/stable";
const OWNER: u8 = 1;
const RELEASE: u8 = 2;
const STRANGER: u8 = 3;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn stream() -> Stream {
    STREAM.parse().unwrap()
}

fn digest(image: &str) -> FileDigest {
    let bytes = Sha256Digest::of(image.as_bytes());
    FileDigest::from_bytes(HashAlgorithm::Sha256, bytes.as_bytes()).unwrap()
}

/// The seal of an image, under this sequence.
fn seal(number: u64, image: &str, signer: u8) -> Vec<u8> {
    let digests = ImageDigests {
        sha256: Sha256Digest::of(image.as_bytes()),
        fsverity_sha256: Some(digest(image)),
        fsverity_sha512: None,
    };
    let (format, objects) = (ImageFormat::ComposefsV0, HashAlgorithm::Sha256);
    let statement = Statement {
        stream: stream(),
        images: vec![Image { digests, format, size: 8192, objects }],
        sequence: Sequence::new(number).unwrap(),
        created: "2026-05-01T12:00:00Z".parse().unwrap(),
        not_after: None,
        objects: Objects { count: 1, bytes: 100 },
        sources: Vec::new(),
        previous: None,
    };
    sign_statement(&statement, &[&key(signer)]).unwrap().to_bytes()
}

/// A version of the owner's root, by which these keys seal.
fn root(version: u64, sealers: &[u8]) -> Vec<u8> {
    let public = |seed: &u8| TufKey::new(key(*seed).public_key().clone());
    let expires = "2030-01-01T00:00:00Z".parse().unwrap();
    let sealers: Vec<TufKey> = sealers.iter().map(public).collect();
    let one = NonZeroU32::MIN;
    let mut content = RootContent::new(expires, (one, &[public(&OWNER)]), (one, &sealers));
    content.version = version;
    let roles = vec!["targets".parse().unwrap()];
    let rule = StreamRule { roles, min_sequence: Sequence::FIRST, freshness: None };
    let extension = content.extension.get_or_insert_with(Extension::default);
    extension.streams.insert(STREAM.parse().unwrap(), rule);
    let mut file = RootFile::new(content).unwrap();
    file.sign(&key(OWNER)).unwrap();
    file.to_bytes()
}

/// A repository with nothing but what lies beside a commit, and a store.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("objects")).unwrap();
        fs::write(home.path().join("config"), "[core]\nrepo_version=1\nmode=bare\n").unwrap();
        Self(home)
    }

    fn commit() -> Checksum {
        Checksum::from_bytes([7; 32])
    }

    fn beside(&self, seal: Option<&[u8]>, roots: &[Vec<u8>]) {
        let mut metadata = DetachedMetadata::default();
        if let Some(seal) = seal {
            metadata.set_bytes(STATEMENT, seal);
        }
        metadata.set_list(ROOTS, roots);
        let path = self.metadata_path();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, metadata.to_bytes()).unwrap();
    }

    fn metadata_path(&self) -> PathBuf {
        self.repository().detached_metadata_path(&Self::commit())
    }

    fn repository(&self) -> Repository {
        Repository::open(self.0.path()).unwrap()
    }

    fn store(&self) -> Store {
        Store::create_or_open(&store_of_repository(self.0.path())).unwrap()
    }

    fn publish(&self, sequence: u64, seal: &[u8]) {
        let sequence = Sequence::new(sequence).unwrap();
        self.store().writer().unwrap().put_seal(&stream(), sequence, seal).unwrap();
    }

    fn put_root(&self, version: u64, bytes: &[u8]) {
        self.store().writer().unwrap().put_root(version, bytes).unwrap();
    }

    fn seals(&self) -> Result<CommitSeals, Error> {
        CommitSeals::open(&self.repository(), &Self::commit())
    }

    fn root(&self) -> Result<TrustRoot, Error> {
        let pinned = TrustRoot::pinned(&root(1, &[RELEASE])).unwrap();
        self.seals()?.newest_root(pinned, |_, _| ())
    }

    /// The seal of an image, as a machine finds it that remembers nothing.
    fn find(&self, image: &str) -> Result<FoundSeal, Error> {
        let (root, stream) = (self.root()?, stream());
        let request = SealRequest::first_contact(&stream, Clock::Unknown);
        self.seals()?.find(&stream, &digest(image), |envelope, freshness| {
            verify_seal(envelope, &root, &request.with_freshness(freshness))
        })
    }

    /// Why there is none.
    fn refusal(&self, image: &str) -> String {
        let error = self.find(image).err().unwrap();
        assert_eq!(error.answer(), Answer::No, "{error}");
        error.to_string()
    }
}

#[test]
fn the_seal_beside_the_commit_goes_before_those_of_the_store() {
    let home = Home::new();
    home.publish(1, &seal(1, "image", RELEASE));
    assert_eq!(home.find("image").unwrap().place, SealPlace::Store(Sequence::FIRST));
    home.beside(Some(&seal(2, "image", RELEASE)), &[]);
    let found = home.find("image").unwrap();
    assert_eq!((found.place, found.statement.sequence.number()), (SealPlace::Beside, 2));
    assert_eq!(found.envelope, seal(2, "image", RELEASE));
}

#[test]
fn the_store_stands_in_for_a_seal_beside_the_commit_that_does_not_hold() {
    let home = Home::new();
    home.publish(1, &seal(1, "image", RELEASE));
    for wrong in [seal(2, "other", RELEASE), seal(2, "image", STRANGER), b"{}".to_vec()] {
        home.beside(Some(&wrong), &[]);
        assert_eq!(home.find("image").unwrap().place, SealPlace::Store(Sequence::FIRST));
    }
}

#[test]
fn without_a_seal_that_holds_each_is_named_with_its_reason() {
    let home = Home::new();
    assert!(home.refusal("image").ends_with(": none is beside it or in the repository's store"));
    home.beside(Some(&seal(9, "image", STRANGER)), &[]);
    home.publish(1, &seal(1, "other", RELEASE));
    home.publish(2, &seal(3, "image", RELEASE));
    let refusal = home.refusal("image");
    let parts: Vec<&str> = refusal.split("; ").collect();
    let [beside, second, first] = parts.as_slice() else { panic!("{refusal}") };
    assert!(beside.contains("beside the commit: the seal is not trusted: 0 of the"), "{beside}");
    assert!(second.starts_with("sequence 2 in the repository's store: the store has the seal 3"));
    let other = format!("it seals another image: {}", digest("other"));
    assert_eq!(*first, format!("sequence 1 in the repository's store: {other}"));
}

#[test]
fn only_the_newest_seals_of_a_store_are_looked_at() {
    let home = Home::new();
    for sequence in 1..=65 {
        home.publish(sequence, &seal(sequence, &format!("image {sequence}"), RELEASE));
    }
    assert!(home.find("image 2").is_ok());
    assert!(!home.refusal("image 1").contains("sequence 1 "));
}

#[test]
fn roots_lead_on_from_the_pinned_one_from_both_places() {
    let home = Home::new();
    home.beside(Some(&seal(1, "image", RELEASE)), &[root(2, &[RELEASE])]);
    home.put_root(3, &root(3, &[STRANGER]));
    assert_eq!(home.root().unwrap().version(), 3);
    assert!(home.refusal("image").contains("the seal is not trusted"));
}

#[test]
fn a_wrong_root_in_one_place_does_not_hide_the_right_one() {
    let home = Home::new();
    let mut forged = root(2, &[STRANGER]);
    let signature = forged.windows(6).position(|window| window == b"\"sig\":").unwrap() + 8;
    forged[signature] = if forged[signature] == b'0' { b'1' } else { b'0' };
    home.beside(None, &[forged]);
    let refused = home.root().unwrap_err();
    let place = home.metadata_path().display().to_string();
    assert_eq!(refused.to_string(), format!("the trust root `{place}` is not accepted"));
    home.put_root(2, &root(2, &[RELEASE]));
    assert_eq!(home.root().unwrap().version(), 2);
}

#[test]
fn a_gap_in_the_roots_beside_a_commit_is_refused() {
    let home = Home::new();
    home.beside(Some(&seal(1, "image", RELEASE)), &[root(3, &[RELEASE])]);
    let place = home.metadata_path().display().to_string();
    assert_eq!(
        home.root().unwrap_err().to_string(),
        format!("version 2 of the trust root is missing in `{place}`, which has version 3")
    );
}

#[test]
fn more_roots_than_are_read_are_refused() {
    let home = Home::new();
    home.beside(None, &vec![root(2, &[RELEASE]); MAX_ROOTS]);
    assert_eq!(home.root().unwrap().version(), 2);
    home.beside(None, &vec![root(2, &[RELEASE]); MAX_ROOTS + 1]);
    assert!(home.seals().err().unwrap().to_string().ends_with("has more than 256 trust roots"));
}

#[test]
fn a_store_behind_a_symlink_is_refused() {
    let home = Home::new();
    let elsewhere = tempfile::tempdir().unwrap();
    Store::create_or_open(elsewhere.path()).unwrap();
    fs::create_dir(home.0.path().join("extensions")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), store_of_repository(home.0.path())).unwrap();
    assert!(home.seals().is_err());
}
