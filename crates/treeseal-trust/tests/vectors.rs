//! Every scenario in `vectors/seal` and `vectors/root`, which `reference/trust_vectors.py` wrote.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use treeseal_trust::{
    Clock, Expiry, RollbackState, SealRequest, Signers, Stream, TrustRoot, verify_seal,
};

/// Change these with the scenarios: a test that finds no files must not pass.
const SEAL_SCENARIOS: usize = 440;
const ROOT_SCENARIOS: usize = 241;

#[test]
fn seals_are_judged_as_the_vectors_say() {
    run("seal", SEAL_SCENARIOS, judge_seal);
}

#[test]
fn roots_are_judged_as_the_vectors_say() {
    run("root", ROOT_SCENARIOS, judge_root);
}

/// What came out: what was accepted, or the class and text of the refusal.
type Judgement = Result<Value, (&'static str, String)>;

fn run(folder: &str, expected_count: usize, judge: fn(&Value) -> Judgement) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors").join(folder);
    let mut count = 0;
    let mut failures = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        count += 1;
        let vector: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let expected = vector["expect"].as_str().unwrap();
        let failure = match judge(&vector) {
            Ok(accepted) if expected != "accept" => format!("accepted {accepted}"),
            Ok(accepted) if accepted != vector["accepted"] => {
                format!("accepted {accepted}, expected {}", vector["accepted"])
            }
            Err((code, text)) if code != expected => format!("{code}: {text}"),
            _ => continue,
        };
        failures.push(format!("{}: expected {expected}, found {failure}", path.display()));
    }
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!(count, expected_count, "number of scenarios in {}", folder.display());
}

fn judge_seal(vector: &Value) -> Judgement {
    let root = TrustRoot::pinned(text(vector, "root").as_bytes()).unwrap();
    let stream: Stream = text(vector, "stream").parse().unwrap();
    let mut state = match vector.get("state") {
        Some(state) => RollbackState::from_bytes(state.as_str().unwrap().as_bytes()).unwrap(),
        None => RollbackState::default(),
    };
    let given = ["freshness", "freshnessBase64"].iter().any(|name| vector.get(name).is_some());
    let freshness = given.then(|| embedded("freshness", vector));
    let request = SealRequest::new(&stream, &state, clock(vector));
    let request = request.with_freshness(freshness.as_deref());
    let envelope = padded(embedded("envelope", vector), vector.get("envelopePadTo"));
    let seal = verify_seal(&envelope, &root, &request)
        .map_err(|error| (error.code(), error.to_string()))?;
    let ids = |role: &Signers| role.key_ids().map(|id| id.to_string()).collect::<Vec<_>>();
    let signers = seal.signers().iter().map(|role| (role.role().to_string(), json!(ids(role))));
    let images = seal.images.iter().map(ToString::to_string);
    state.raise(&seal);
    let after = String::from_utf8(state.to_bytes()).unwrap();
    assert_eq!(after, text(vector, "stateAfter"), "{}", vector["stream"]);
    Ok(json!({
        "sequence": seal.sequence.number(),
        "signers": signers.collect::<serde_json::Map<_, _>>(),
        "images": images.collect::<Vec<_>>(),
        "freshness": seal.freshness().standing.code(),
        "rootVersion": seal.root_version(),
        "payloadDigest": seal.payload_digest().to_hex(),
        "expiry": match seal.expiry() {
            Expiry::InForce => "in_force",
            Expiry::Unknown => "unknown",
            Expiry::Expired(_) => "expired",
            _ => "other",
        },
    }))
}

fn clock(vector: &Value) -> Clock {
    let clock = &vector["clock"];
    if clock == "unknown" {
        return Clock::Unknown;
    }
    match clock.get("trusted") {
        Some(now) => Clock::Trusted(now.as_str().unwrap().parse().unwrap()),
        None => Clock::LowerBound(text(clock, "lowerBound").parse().unwrap()),
    }
}

fn judge_root(vector: &Value) -> Judgement {
    let chain: Vec<Vec<u8>> = vector["chain"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| padded(embedded("root", item), item.get("padTo")))
        .collect();
    let mut root = None;
    for (index, bytes) in chain.iter().enumerate() {
        let judged = match &root {
            None => TrustRoot::pinned(bytes),
            Some(root) => TrustRoot::advance(root, bytes),
        };
        match judged {
            Ok(next) => root = Some(next),
            // Only the last root of a chain is refused.
            Err(error) if index + 1 == chain.len() => {
                return Err((error.code(), error.to_string()));
            }
            Err(error) => panic!("root {index} of the chain: {error}"),
        }
    }
    Ok(json!({ "version": root.unwrap().version() }))
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap()
}

/// A field that is text, or base64 under a longer name because it is not UTF-8.
fn embedded(name: &str, vector: &Value) -> Vec<u8> {
    use base64::Engine as _;

    match vector.get(format!("{name}Base64")) {
        Some(text) => {
            let engine = base64::engine::general_purpose::STANDARD;
            engine.decode(text.as_str().unwrap()).unwrap()
        }
        None => text(vector, name).as_bytes().to_vec(),
    }
}

/// The bytes with spaces after them up to a length.
fn padded(mut bytes: Vec<u8>, length: Option<&Value>) -> Vec<u8> {
    if let Some(length) = length {
        bytes.resize(usize::try_from(length.as_u64().unwrap()).unwrap(), b' ');
    }
    bytes
}
