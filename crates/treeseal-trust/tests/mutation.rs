//! Envelopes, roots and states with bytes changed: nothing panics, and nothing changed is trusted.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{STREAM, root_bytes, root_content, seal, trust_root};
use proptest::prelude::*;
use proptest::sample::Index;
use treeseal_trust::{
    Clock, RollbackState, RootFile, SealRequest, SigningKey, Statement, Stream, TrustRoot, json,
    verify_seal,
};

/// Some edits: a byte replaced, removed, doubled, or a piece copied elsewhere.
fn edited(mut bytes: Vec<u8>, edits: &[(Index, Index, u8, u8)]) -> Vec<u8> {
    for (at, other, kind, byte) in edits {
        let (at, other) = (at.index(bytes.len().max(1)), other.index(bytes.len().max(1)));
        if bytes.is_empty() {
            continue;
        }
        match kind % 5 {
            0 => bytes[at] = *byte,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, *byte),
            3 => bytes.truncate(at),
            _ => {
                let piece = bytes[at.min(other)..at.max(other)].to_vec();
                bytes.splice(other..other, piece);
            }
        }
    }
    bytes
}

fn edits() -> impl Strategy<Value = Vec<(Index, Index, u8, u8)>> {
    // Mostly bytes that mean something to JSON.
    let byte = prop_oneof![
        proptest::sample::select(b"{}[]\",:\\0123456789-.eEabcdef \n".to_vec()),
        any::<u8>(),
    ];
    proptest::collection::vec((any::<Index>(), any::<Index>(), any::<u8>(), byte), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn an_edited_envelope_is_refused_or_says_the_same(edits in edits()) {
        let stream: Stream = STREAM.parse().unwrap();
        let request = SealRequest::first_contact(&stream, Clock::Unknown);
        let bytes = edited(seal(7), &edits);
        if let Ok(seal) = verify_seal(&bytes, &trust_root(), &request) {
            prop_assert_eq!(seal.get(), &common::statement(7));
        }
    }

    #[test]
    fn an_edited_payload_is_refused_or_a_statement(edits in edits()) {
        let payload = edited(common::statement(7).to_payload().unwrap(), &edits);
        if let Ok(statement) = Statement::parse(&payload) {
            let written = statement.to_payload().unwrap();
            prop_assert_eq!(Statement::parse(&written).unwrap(), statement);
        }
    }

    #[test]
    fn an_edited_root_is_refused_or_says_the_same(edits in edits()) {
        let bytes = edited(root_bytes(&root_content(), &[1, 2]), &edits);
        if let Ok(root) = TrustRoot::pinned(&bytes) {
            prop_assert_eq!(root.content(), &root_content());
        }
        if let Ok(file) = RootFile::parse(&bytes) {
            let again = RootFile::new(file.content().clone()).unwrap();
            let again = RootFile::parse(&again.to_bytes()).unwrap();
            prop_assert_eq!(again.content(), file.content());
        }
    }

    #[test]
    fn an_edited_state_is_refused_or_a_state(edits in edits()) {
        let text = br#"{"_type":"treeseal:rollback-state/v1","newestTime":"2026-05-01T12:00:00Z","rootVersion":3,"streams":{"a/b":{"sequence":7}}}"#;
        if let Ok(state) = RollbackState::from_bytes(&edited(text.to_vec(), &edits)) {
            prop_assert_eq!(RollbackState::from_bytes(&state.to_bytes()), Ok(state));
        }
    }

    #[test]
    fn any_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = json::parse(&bytes, 200);
        let _ = SigningKey::from_encrypted_pem(&String::from_utf8_lossy(&bytes), b"");
    }
}

#[test]
fn every_single_bit_of_the_signed_root_matters() {
    let bytes = root_bytes(&root_content(), &[1, 2]);
    let start = bytes.windows(9).position(|window| window == b"\"signed\":").unwrap();
    for at in start..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(TrustRoot::pinned(&changed).is_err(), "bit {bit} of byte {at}");
        }
    }
}
