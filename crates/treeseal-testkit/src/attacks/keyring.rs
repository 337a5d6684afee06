//! Attacks by the kernel's keyring for fs-verity: none of it is used, so it must not count.
//!
//! The certificate `attacker.der` is of a key that exists no more; `attacker.p7s` is its signature of
//! the formatted digest of the forged file, as OpenSSL makes it with
//! `smime -sign -noattr -nocerts -binary -outform der`.

use std::fs;
use std::process::Command;

use super::Attack;
use super::victim::{Victim, config_of, forged_config, replace};
use crate::run;

const CERTIFICATE: &[u8] = include_bytes!("attacker.der");
const SIGNATURE: &[u8] = include_bytes!("attacker.p7s");

pub(super) const ATTACKS: &[Attack] = &[Attack {
    threat: "key added to a keyring",
    way: "an object is replaced by one with a signature that the keyring `.fs-verity` accepts",
    carry_out: add_key_and_signed_object,
}];

fn add_key_and_signed_object(victim: &Victim) {
    let [certificate, signature] =
        ["certificate", "signature"].map(|name| victim.path(&format!("attacker.{name}")));
    fs::write(&certificate, CERTIFICATE).unwrap();
    fs::write(&signature, SIGNATURE).unwrap();
    victim.reach().add_to_keyring(&certificate).unwrap();

    let object = victim.object(&config_of(2));
    replace(&object, &forged_config());
    let mut fsverity = Command::new("fsverity");
    run(fsverity.arg("enable").arg("--signature").arg(signature).arg(object));
}
