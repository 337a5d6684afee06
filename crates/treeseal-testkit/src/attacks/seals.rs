//! Attacks on the seal: who vouches, for what, and whether it is the newest.

use std::fs;

use serde_json::{Value, json};
use treeseal_trust::{Envelope, Sequence, Statement, sign_statement};

use super::Attack;
use super::objects::replace_without_end;
use super::victim::{
    FOREIGN_KEY, KeySeed, OTHER_STREAM, REVOKED_KEY, STOLEN_KEY, STREAM, Victim, config_of, key,
    link_over, replace,
};

const OLDER_TREE: &str = "whole older tree";
const STRIPPED: &str = "stripped seal";
const MALFORMED: &str = "malformed seal";
const REVOKED: &str = "revoked key";
const TWO_IDS: &str = "same key under two ids";

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        threat: OLDER_TREE,
        way: "the store points to the release before",
        carry_out: |victim| replace(&victim.pointer(), b"1\n"),
    },
    Attack {
        threat: OLDER_TREE,
        way: "the seal of the release before under the newest number",
        carry_out: |victim| {
            link_over(&victim.seal_file(STREAM, 1), &victim.seal_file(STREAM, 2));
        },
    },
    Attack {
        threat: OLDER_TREE,
        way: "the store is put back to what it was before the newest release",
        carry_out: |victim| {
            for newer in
                [victim.object(&config_of(2)), victim.image(2), victim.seal_file(STREAM, 2)]
            {
                fs::remove_file(newer).unwrap();
            }
            replace(&victim.pointer(), b"1\n");
        },
    },
    Attack {
        threat: STRIPPED,
        way: "the seal has no signatures",
        carry_out: |victim| {
            change_envelope(victim, |envelope| envelope["signatures"] = json!([]));
        },
    },
    Attack {
        threat: STRIPPED,
        way: "the seal is removed",
        carry_out: |victim| fs::remove_file(victim.seal_file(STREAM, 2)).unwrap(),
    },
    Attack {
        threat: STRIPPED,
        way: "the signatures under another statement",
        carry_out: |victim| {
            let forged = Envelope::unsigned(&forged(victim)).unwrap().to_bytes();
            let forged: Value = serde_json::from_slice(&forged).unwrap();
            change_envelope(victim, |envelope| envelope["payload"] = forged["payload"].clone());
        },
    },
    Attack {
        threat: "foreign key",
        way: "a newer seal, signed twice by keys that nobody knows",
        carry_out: |victim| publish_forged(victim, &[FOREIGN_KEY, FOREIGN_KEY + 1]),
    },
    Attack {
        threat: "one stolen key under the threshold",
        way: "a newer seal, signed by it and by a foreign key",
        carry_out: |victim| publish_forged(victim, &[STOLEN_KEY, FOREIGN_KEY]),
    },
    Attack {
        threat: "duplicated signature",
        way: "a newer seal with the stolen key's signature twice",
        carry_out: |victim| {
            publish_forged(victim, &[STOLEN_KEY]);
            change_envelope_of(victim, 3, |envelope| {
                let signature = envelope["signatures"][0].clone();
                envelope["signatures"] = json!([signature, signature]);
            });
        },
    },
    Attack {
        threat: TWO_IDS,
        way: "a newer seal with the stolen key's signature under the id of another key as well",
        carry_out: |victim| {
            publish_under_two_ids(victim, &key(STOLEN_KEY + 1).key_id().to_string());
        },
    },
    Attack {
        threat: TWO_IDS,
        way: "the same under an id that nobody has",
        carry_out: |victim| publish_under_two_ids(victim, &"5a".repeat(32)),
    },
    Attack {
        threat: REVOKED,
        way: "a newer seal, signed by it and by the stolen key",
        carry_out: |victim| publish_forged(victim, &[REVOKED_KEY, STOLEN_KEY]),
    },
    Attack {
        threat: REVOKED,
        way: "the same, and the roots that revoke it are removed",
        carry_out: |victim| {
            for version in [2, 3] {
                fs::remove_file(victim.root_file(version)).unwrap();
            }
            publish_forged(victim, &[REVOKED_KEY, STOLEN_KEY]);
        },
    },
    Attack {
        threat: "other stream's seal",
        way: "it takes the place of the newest",
        carry_out: |victim| {
            link_over(&victim.seal_file(OTHER_STREAM, 1), &victim.seal_file(STREAM, 2));
        },
    },
    Attack {
        threat: MALFORMED,
        way: "bytes that are no JSON",
        carry_out: |victim| replace(&victim.seal_file(STREAM, 2), &[0xff; 5000]),
    },
    Attack {
        threat: MALFORMED,
        way: "lists in lists, sixty thousand deep",
        carry_out: |victim| replace(&victim.seal_file(STREAM, 2), &[b'['; 60_000]),
    },
    Attack {
        threat: MALFORMED,
        way: "the size of a disk, and no content",
        carry_out: |victim| replace_without_end(&victim.seal_file(STREAM, 2)),
    },
    Attack {
        threat: MALFORMED,
        way: "a pointer that leads out of the store",
        carry_out: |victim| replace(&victim.pointer(), b"../../../../2\n"),
    },
];

/// A statement that is newer than all others, of the tree that is in the store already.
fn forged(victim: &Victim) -> Statement {
    let mut statement = victim.statement(1);
    statement.sequence = Sequence::new(3).unwrap();
    statement.previous = None;
    statement
}

fn publish_forged(victim: &Victim, signers: &[KeySeed]) {
    let keys: Vec<_> = signers.iter().map(|seed| key(*seed)).collect();
    let keys: Vec<_> = keys.iter().collect();
    victim.publish(3, &sign_statement(&forged(victim), &keys).unwrap().to_bytes());
}

fn publish_under_two_ids(victim: &Victim, other: &str) {
    publish_forged(victim, &[STOLEN_KEY]);
    change_envelope_of(victim, 3, |envelope| {
        let mut again = envelope["signatures"][0].clone();
        again["keyid"] = other.into();
        envelope["signatures"].as_array_mut().unwrap().push(again);
    });
}

fn change_envelope(victim: &Victim, change: impl FnOnce(&mut Value)) {
    change_envelope_of(victim, 2, change);
}

fn change_envelope_of(victim: &Victim, sequence: u64, change: impl FnOnce(&mut Value)) {
    let mut envelope = serde_json::from_slice(&victim.seal(sequence).to_bytes()).unwrap();
    change(&mut envelope);
    replace(&victim.seal_file(STREAM, sequence), envelope.to_string().as_bytes());
}
