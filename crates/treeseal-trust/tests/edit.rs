//! Changes to trust roots, as people ask for them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{STREAM, number, public, root_content, sequence};
use treeseal_trust::{EditError, RoleName, RootContent, RootFile, Sequence, StreamPattern};

fn edited(change: impl FnOnce(&mut RootContent) -> Result<(), EditError>) -> RootContent {
    let mut content = root_content().successor();
    change(&mut content).unwrap();
    // Whatever is asked for makes a root.
    RootFile::new(content).unwrap().content().clone()
}

fn refused(change: impl FnOnce(&mut RootContent) -> Result<(), EditError>) -> String {
    change(&mut root_content()).unwrap_err().to_string()
}

#[test]
fn the_next_version_says_the_same_until_it_is_changed() {
    let next = root_content().successor();
    assert_eq!(next.version, 2);
    assert_eq!(RootContent { version: 1, ..next }, root_content());
}

#[test]
fn keys_come_and_go_and_the_unused_roles_follow_the_root_role() {
    let root = RoleName::root();
    let added = edited(|content| content.add_key(&root, &public(9)));
    for role in [&root, &RoleName::snapshot(), &RoleName::timestamp()] {
        assert_eq!(added.role(role).unwrap().key_ids.len(), 4, "{role}");
    }
    let removed = edited(|content| content.remove_key(&public(1).id(), None));
    assert!(!removed.keys.contains_key(&public(1).id()));
    assert_eq!(removed.role(&RoleName::snapshot()), removed.role(&root));
    // A role that says what is fresh on its own does not follow.
    let own = edited(|content| {
        content.set_role(RoleName::timestamp(), number(1), &[public(8)]);
        content.add_key(&root, &public(9))
    });
    assert_eq!(own.role(&RoleName::timestamp()).unwrap().key_ids, [public(8).id()]);
}

#[test]
fn a_role_of_ones_own_is_made_with_its_first_key() {
    let role: RoleName = "nightly".parse().unwrap();
    let content = edited(|content| content.add_key(&role, &public(9)));
    assert_eq!(content.role(&role).unwrap().threshold, number(1));
    assert_eq!(
        refused(|content| content.add_key(&RoleName::targets(), &public(4))),
        format!("the role `targets` has the key {} already", public(4).id())
    );
}

#[test]
fn what_would_lock_everybody_out_is_refused_with_the_way_out() {
    let targets = RoleName::targets();
    let one = edited(|content| content.remove_key(&public(5).id(), Some(&targets)));
    let mut one = one;
    let last = one.remove_key(&public(4).id(), None).unwrap_err().to_string();
    assert!(last.ends_with("without it nobody could sign: add another key first"), "{last}");
    let high = refused(|content| content.set_threshold(&targets, number(3)));
    assert!(high.contains("need 3 signers and have 2 keys"), "{high}");
    let low = refused(|content| {
        content.remove_key(&public(1).id(), None)?;
        content.remove_key(&public(2).id(), None)
    });
    assert!(low.ends_with("lower its threshold, or add a key first"), "{low}");
    let absent = refused(|content| content.remove_key(&public(4).id(), Some(&RoleName::root())));
    assert!(absent.contains("does not have the key"), "{absent}");
}

#[test]
fn keys_are_found_by_name_and_by_the_start_of_their_id() {
    let mut content = root_content();
    let id = public(4).id();
    content.name_key(id, "alice");
    assert_eq!(content.find_key("alice"), Ok(id));
    assert_eq!(content.find_key(&id.to_string()), Ok(id));
    assert_eq!(content.find_key(&id.to_string()[..8]), Ok(id));
    for text in ["", "al", &id.to_string()[..7], "0000000000"] {
        assert!(matches!(content.find_key(text), Err(EditError::KeyAbsent { .. })), "{text}");
    }
    // The name goes with the key.
    content.remove_key(&id, None).unwrap();
    assert!(content.extension.unwrap().names.is_empty());
}

#[test]
fn floors_rise_and_a_stream_gets_a_rule_of_its_own() {
    let stream = STREAM.parse().unwrap();
    let content = edited(|content| {
        content.extension.as_mut().unwrap().streams.clear();
        content.allow("acme/*".parse().unwrap(), vec![RoleName::targets()], None, None);
        content.raise_floor(&stream, sequence(7))
    });
    let streams = content.extension.unwrap().streams;
    assert_eq!(streams[&StreamPattern::from(stream.clone())].min_sequence, sequence(7));
    assert_eq!(streams[&"acme/*".parse().unwrap()].min_sequence, Sequence::FIRST);
    let lowered = refused(|content| {
        content.raise_floor(&stream, sequence(7))?;
        content.raise_floor(&stream, sequence(6))
    });
    assert!(lowered.contains("is 7, and a floor is not lowered"), "{lowered}");
    let unknown = refused(|content| content.raise_floor(&"other".parse().unwrap(), sequence(2)));
    assert_eq!(unknown, "the trust root has no rule for `other`");
}

#[test]
fn what_is_allowed_is_disallowed_again_and_nothing_is_revoked_twice() {
    let pattern: StreamPattern = STREAM.parse().unwrap();
    let content = edited(|content| content.disallow(&pattern));
    assert!(content.extension.unwrap().streams.is_empty());
    assert!(refused(|content| content.disallow(&"other".parse().unwrap())).contains("no rule"));
    let twice = refused(|content| {
        content.revoke_sequence(&STREAM.parse().unwrap(), sequence(3))?;
        content.revoke_sequence(&STREAM.parse().unwrap(), sequence(3))
    });
    assert!(twice.ends_with("is revoked already"), "{twice}");
    let digest = "ab".repeat(32);
    let twice = refused(|content| {
        content.revoke_digest(digest.parse().unwrap())?;
        content.revoke_digest(digest.parse().unwrap())
    });
    assert_eq!(twice, format!("the image {digest} is revoked already"));
}
