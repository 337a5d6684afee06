//! Trust roots through the public interface.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::PathBuf;

use common::{key, number, public, root_bytes, root_content, trust_root};
use treeseal_trust::{
    Extension, RoleName, RootContent, RootError, RootFile, StreamRule, TrustRoot,
};

fn foreign(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/root/foreign");
    fs::read(folder.join(name)).unwrap()
}

#[test]
fn roots_that_python_tuf_wrote_read_back_value_for_value() {
    for name in ["1", "2", "1.extension"] {
        let bytes = foreign(&format!("python-tuf-{name}.root.json"));
        let file = RootFile::parse(&bytes).unwrap();
        // The spelling is the writer's choice: theirs escapes what is not ASCII.
        let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        assert_eq!(json(&file.to_bytes()), json(&bytes));
        // Our own writer gives the same signed bytes for the same content.
        let again = RootFile::new(file.content().clone()).unwrap();
        assert_eq!(again.bytes_to_sign(), file.bytes_to_sign());
        for (id, key) in &file.content().keys {
            assert_eq!(key.id(), *id);
        }
    }
}

#[test]
fn a_new_root_reads_back_and_meets_its_threshold() {
    let root = trust_root();
    assert_eq!(root.content(), &root_content());
    assert_eq!(root.version(), 1);
    let signers: Vec<_> = root.signers().key_ids().collect();
    assert_eq!(signers, [key(1).key_id(), key(2).key_id()]);
    assert_eq!(root.signers().role(), &RoleName::root());
}

/// Version 2: key 1 is replaced by key 6.
fn rotated() -> RootContent {
    let mut content = root_content();
    content.version = 2;
    content.set_role(RoleName::root(), number(2), &[public(2), public(3), public(6)]);
    content.set_role(RoleName::snapshot(), number(1), &[public(6)]);
    content.set_role(RoleName::timestamp(), number(1), &[public(6)]);
    content
}

#[test]
fn the_next_root_needs_the_old_and_the_new_keys() {
    let next = rotated();
    assert!(!next.keys.contains_key(&key(1).key_id()));
    assert_eq!(trust_root().advance(&root_bytes(&next, &[1, 2, 6])).unwrap().version(), 2);
    assert_eq!(trust_root().advance(&root_bytes(&next, &[2, 3])).unwrap().version(), 2);
    let refuse = |seeds: &[u8]| trust_root().advance(&root_bytes(&next, seeds)).unwrap_err();
    assert!(matches!(refuse(&[2, 6]), RootError::OldThreshold { version: 2, .. }));
    assert!(matches!(refuse(&[1, 2]), RootError::NewThreshold { version: 2, .. }));
    assert_eq!(
        refuse(&[6]).to_string(),
        "the present trust root does not accept version 2: 0 of the role `root`'s 3 keys signed \
         this, 2 must: it is signed by other keys or was changed after it was signed"
    );
}

#[test]
fn versions_are_taken_in_order() {
    let mut next = rotated();
    next.version = 3;
    let error = trust_root().advance(&root_bytes(&next, &[2, 3])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "version 2 of the trust root must come next, found version 3: give every version in order"
    );
}

#[test]
fn a_root_that_breaks_a_rule_is_not_written() {
    let refuse = |change: fn(&mut RootContent)| {
        let mut content = root_content();
        change(&mut content);
        RootFile::new(content).unwrap_err().code()
    };
    assert_eq!(refuse(|c| c.version = 0), "field_range");
    assert_eq!(refuse(|c| c.spec_version = "2.0".to_owned()), "root_spec_version");
    assert_eq!(refuse(|c| c.keys.clear()), "role_key_unknown");
    assert_eq!(
        refuse(|c| {
            c.roles.remove(&RoleName::snapshot());
        }),
        "role_set"
    );
    assert_eq!(
        refuse(|c| c.set_role(RoleName::targets(), number(3), &[public(4), public(5)])),
        "threshold_unreachable"
    );
    assert_eq!(
        refuse(|c| {
            c.keys.insert(key(4).key_id(), public(6));
        }),
        "key_id_mismatch"
    );
    assert_eq!(
        refuse(|c| {
            let rule = StreamRule {
                roles: vec![RoleName::timestamp()],
                min_sequence: treeseal_trust::Sequence::FIRST,
                freshness: None,
            };
            let extension = c.extension.get_or_insert_with(Extension::default);
            extension.streams.insert("*".parse().unwrap(), rule);
        }),
        "stream_role"
    );
}

#[test]
fn only_a_signature_by_the_named_key_can_be_attached() {
    let mut file = RootFile::new(root_content()).unwrap();
    let signature = key(1).sign(&file.bytes_to_sign());
    let error = file.attach(&public(2), signature.clone()).unwrap_err();
    assert_eq!(error.code(), "signature");
    file.attach(&public(1), signature).unwrap();
    file.sign(&key(1)).unwrap();
    assert_eq!(file.claimed_signers().collect::<Vec<_>>(), [key(1).key_id()]);
}

#[test]
fn an_unused_extension_allows_no_stream() {
    let mut content = root_content();
    content.extension = None;
    let root = TrustRoot::pinned(&root_bytes(&content, &[1, 2])).unwrap();
    assert_eq!(root.stream_rule(&common::STREAM.parse().unwrap()), None);
}
