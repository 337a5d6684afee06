//! Attacks on what is trusted: the roots in the store, and the wish for enforcement.

use std::fs;
use std::time::{Duration, SystemTime};

use super::Attack;
use super::objects::replace_without_end;
use super::victim::{
    FOREIGN_KEY, STOLEN_KEY, Victim, key, link_over, replace, root_bytes, root_content,
    with_foreign_key,
};

const ADDED_KEY: &str = "key added to the store";
const SKIPPED: &str = "skipped root version";
const REPLAYED: &str = "replayed old root";
const MALFORMED: &str = "malformed root";

/// When even the newest root has expired: 2033-06-01.
const AFTER_EXPIRY: Duration = Duration::from_secs(2_001_196_800);

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        threat: ADDED_KEY,
        way: "the next root, with the attacker's key and signature",
        carry_out: |victim| add_root(victim, 4, &[FOREIGN_KEY]),
    },
    Attack {
        threat: ADDED_KEY,
        way: "the same, signed by the stolen release key",
        carry_out: |victim| add_root(victim, 4, &[STOLEN_KEY, FOREIGN_KEY]),
    },
    Attack {
        threat: ADDED_KEY,
        way: "public keys as files in the store",
        carry_out: |victim| {
            let key = key(FOREIGN_KEY).public_key().to_pem();
            for name in ["own.pem", "roots/own.pub", "roots/1.root.json", "root.json"] {
                replace(&victim.store().join(name), key.as_bytes());
            }
        },
    },
    Attack {
        threat: "expired root",
        way: "nothing new comes into the store until the newest has expired",
        carry_out: |victim| {
            victim.reach().wait_until(SystemTime::UNIX_EPOCH + AFTER_EXPIRY).unwrap();
        },
    },
    Attack {
        threat: SKIPPED,
        way: "the second is removed",
        carry_out: |victim| fs::remove_file(victim.root_file(2)).unwrap(),
    },
    Attack {
        threat: SKIPPED,
        way: "the third under the name of the second",
        carry_out: |victim| link_over(&victim.root_file(3), &victim.root_file(2)),
    },
    Attack {
        threat: REPLAYED,
        way: "the second under the name of the third",
        carry_out: |victim| link_over(&victim.root_file(2), &victim.root_file(3)),
    },
    Attack {
        threat: REPLAYED,
        way: "all but the pinned one are removed",
        carry_out: |victim| {
            for version in [2, 3] {
                fs::remove_file(victim.root_file(version)).unwrap();
            }
        },
    },
    Attack {
        threat: MALFORMED,
        way: "bytes that are no JSON",
        carry_out: |victim| replace(&victim.root_file(3), &[0xff; 5000]),
    },
    Attack {
        threat: MALFORMED,
        way: "the size of a disk, and no content",
        carry_out: |victim| replace_without_end(&victim.root_file(3)),
    },
    Attack {
        threat: "enforcement switched off on the command line",
        way: "`treeseal.enforce=none` for the kernel",
        carry_out: |victim| {
            replace(&victim.command_line(), b"quiet treeseal.enforce=none");
        },
    },
];

fn add_root(victim: &Victim, version: u64, signers: &[u8]) {
    let content = with_foreign_key(root_content(version));
    replace(&victim.root_file(version), &root_bytes(content, signers));
}
