use std::path::Path;

use serde_json::json;
use treeseal::keys::{self, KeyPlace, Signer};
use treeseal::trust::{KeyAlgorithm, PublicKey, TufKey};

use super::sign::key_place;
use crate::args::{Key, KeyNew, KeyShow, KeyType};
use crate::output::{Failure, Outcome, Output};
use crate::passphrases::Sources;

pub(super) fn run(arguments: &Key, output: &mut Output) -> Result<Outcome, Failure> {
    match arguments {
        Key::New(arguments) => new(arguments, output),
        Key::Show(arguments) => show(arguments, output),
    }
}

fn new(arguments: &KeyNew, output: &mut Output) -> Result<Outcome, Failure> {
    let algorithm = match arguments.key_type {
        KeyType::Ed25519 => KeyAlgorithm::Ed25519,
        KeyType::P256 => KeyAlgorithm::EcdsaP256,
        KeyType::MlDsa65 => KeyAlgorithm::MlDsa65,
    };
    let mut passphrases = Sources::new(&arguments.passphrase);
    let made = keys::new_key(&arguments.file, algorithm, &mut passphrases)?;
    if output.is_json() {
        output.json(&json!({
            "key": made.id.to_string(), "private": made.private, "public": made.public,
        }))?;
    } else {
        output.line(format!("{} {}", made.id, made.public.display()))?;
    }
    Ok(Outcome::Yes)
}

fn show(arguments: &KeyShow, output: &mut Output) -> Result<Outcome, Failure> {
    let public = public_half(arguments)?;
    if arguments.public {
        output.bytes(public.to_pem().as_bytes())?;
        return Ok(Outcome::Yes);
    }
    let (id, algorithm) = (TufKey::new(public.clone()).id().to_string(), public.algorithm());
    if output.is_json() {
        output.json(&json!({
            "key": id, "type": algorithm.name(), "scheme": algorithm.scheme(),
            "public": public.to_pem(),
        }))?;
    } else {
        output.line(format!("{id} {algorithm}"))?;
    }
    Ok(Outcome::Yes)
}

/// The public half, for which a public key's file needs no passphrase.
fn public_half(arguments: &KeyShow) -> Result<PublicKey, Failure> {
    let place = key_place(&arguments.key, arguments.pkcs11_module.as_deref())?;
    if let KeyPlace::File(path) = &place
        && let Ok(public) = keys::load_public_key(Path::new(path))
    {
        return Ok(public);
    }
    let mut passphrases = Sources::new(&arguments.passphrase);
    Ok(Signer::open(&place, &mut passphrases)?.public_key().clone())
}
