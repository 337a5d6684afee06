//! What the tests share: content, and a small kind of tree.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use treeseal_store::{
    Finding, FsckOptions, FsckReport, References, SealFile, SinkOptions, Store, StoreError, Writer,
    fsck,
};
use treeseal_trust::{Sequence, Stream};
use treeseal_verity::{Digester, FileDigest, HashAlgorithm, Params};

/// Bytes of a run for SHA-256: content of more than this has a sidecar.
pub const RUN: usize = 128 * 4096;

/// Sizes on both sides of what matters: a block, a run, what is read whole.
pub const SIZES: [usize; 12] = [
    1,
    64,
    4095,
    4096,
    4097,
    8192,
    RUN,
    RUN + 1,
    (1 << 20) - 1,
    1 << 20,
    (1 << 20) + 1,
    (1 << 20) + (256 << 10),
];

/// Content that differs from block to block, and for every seed.
pub fn content(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ size as u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(size);
    bytes
}

pub fn digest_of(bytes: &[u8]) -> FileDigest {
    Digester::digest_of(&Params::default(), bytes)
}

pub fn tree_of(bytes: &[u8]) -> Vec<u8> {
    let mut digester = Digester::with_tree(Params::default());
    digester.update(bytes);
    digester.finish().tree.unwrap()
}

pub fn stream(name: &str) -> Stream {
    name.parse().unwrap()
}

pub fn sequence(number: u64) -> Sequence {
    Sequence::new(number).unwrap()
}

/// A directory whose filesystem is fast to sync, if there is one.
pub fn directory() -> tempfile::TempDir {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() {
        return tempfile::tempdir_in(shared).unwrap();
    }
    tempfile::tempdir().unwrap()
}

/// Puts objects, an image that lists them, a seal that names the image, and the pointer.
pub fn seal_tree(
    writer: &mut Writer,
    stream: &Stream,
    number: u64,
    contents: &[Vec<u8>],
) -> Result<FileDigest, StoreError> {
    let sink = writer.object_sink(SinkOptions::default()).with_batch_limits(5, 1 << 30);
    let mut image = String::new();
    for content in contents {
        let digest = sink.put_reader(&mut &content[..], Some(content.len() as u64))?;
        image.push_str(&format!("{digest} {}\n", content.len()));
    }
    sink.commit()?;
    let digest = writer.put_image(HashAlgorithm::Sha256, image.as_bytes())?;
    writer.put_seal(stream, sequence(number), digest.to_hex().as_bytes())?;
    writer.set_current(stream, sequence(number))?;
    Ok(digest)
}

/// What such a seal reaches.
pub fn resolve(
    store: &Store,
    seal: &[u8],
    references: &mut References,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let image = FileDigest::from_hex(seal)?;
    references.add_image(image);
    let text = String::from_utf8(store.read_image(&image, 1 << 20)?)?;
    for line in text.lines() {
        let (digest, size) = line.split_once(' ').ok_or("no size")?;
        references.add_object(FileDigest::from_hex(digest.as_bytes())?, size.parse()?);
    }
    Ok(())
}

/// What all seals of a store reach.
pub fn references(store: &Store) -> References {
    let mut references = References::new();
    for seals in store.streams().unwrap() {
        for sequence in seals.sequences {
            let seal = store.seal(&seals.stream, sequence).unwrap();
            resolve(store, &seal, &mut references).unwrap();
        }
    }
    references
}

pub fn resolve_file(
    store: &Store,
) -> impl FnMut(SealFile<'_>, &mut References) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
{
    let store = store.clone();
    move |seal, references| resolve(&store, seal.envelope, references)
}

/// Findings by their text, and the report.
pub fn check(store: &Store, references: Option<&References>) -> (Vec<String>, FsckReport) {
    let mut findings = Vec::new();
    let report = fsck(store, references, FsckOptions::default(), &mut |finding: Finding| {
        findings.push(finding.to_string());
    })
    .unwrap();
    findings.sort();
    (findings, report)
}

/// Every file below a directory and its content, by path.
pub fn snapshot(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(directory: &Path, top: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, top, found);
            } else {
                let name = path.strip_prefix(top).unwrap().display().to_string();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(directory, directory, &mut found);
    found
}

/// Whether there is no unfinished file. A writer that is still there has directories for them.
pub fn nothing_unfinished(store: &Path) -> bool {
    snapshot(&store.join("tmp")).is_empty()
}
