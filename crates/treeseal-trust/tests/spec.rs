//! The specification's examples are real, and it names every class of refusal that a scenario has.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use treeseal_trust::{Envelope, RootFile, Sha256Digest};

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page(name: &str) -> String {
    fs::read_to_string(top().join("spec").join(name)).unwrap()
}

fn json_blocks(page: &str) -> Vec<&str> {
    page.split("```json\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

#[test]
fn the_example_of_a_seal_is_real() {
    let page = page("seal.md");
    let [payload, envelope] = json_blocks(&page)[..] else { panic!() };
    let parsed = Envelope::parse(envelope.as_bytes()).unwrap();
    assert_eq!(parsed.to_bytes(), envelope.as_bytes());
    assert_eq!(parsed.payload(), payload.as_bytes());
    assert!(page.contains(&format!("payload of {} bytes", payload.len())));
    assert!(page.contains(&parsed.payload_digest().to_hex()));
    let request = parsed.pae_bytes();
    let prefix = request.strip_suffix(payload.as_bytes()).unwrap();
    let prefix = String::from_utf8(prefix.to_vec()).unwrap();
    assert!(page.contains(&format!("the {} bytes `{prefix}`", prefix.len())));
    let vector = fs::read_to_string(top().join("vectors/seal/one-signer.json")).unwrap();
    let vector: Value = serde_json::from_str(&vector).unwrap();
    assert_eq!(vector["envelope"], envelope);
}

#[test]
fn the_example_of_a_root_is_real() {
    let page = page("root.md");
    let [key, root] = json_blocks(&page)[..] else { panic!() };
    assert!(page.contains(&Sha256Digest::of(key.as_bytes()).to_hex()));
    assert!(root.contains(key));
    let signed = RootFile::parse(root.as_bytes()).unwrap().bytes_to_sign();
    assert!(page.contains(&format!("{} bytes", signed.len())));
    assert!(page.contains(&Sha256Digest::of(&signed).to_hex()));
}

#[test]
fn every_class_of_refusal_is_specified() {
    let pages = page("seal.md") + &page("root.md");
    for folder in ["seal", "root"] {
        for path in files(&top().join("vectors").join(folder)) {
            let vector: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let class = vector["expect"].as_str().unwrap();
            assert!(class == "accept" || pages.contains(&format!("`{class}`")), "{class}");
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    assert!(!paths.is_empty());
    paths
}
