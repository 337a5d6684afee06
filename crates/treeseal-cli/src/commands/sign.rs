//! Signing apart from building: what waits for signatures, and how it gets them.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::{Value, json};
use treeseal::keys::{self, KeyPlace};
use treeseal::pending::{self, Standing, Subject};
use treeseal::trust::{KeyId, TrustRoot};

use crate::args::{Attach, Keys, Sign, SignRequest, Submit};
use crate::environment;
use crate::output::{Failure, Outcome, Output, shown_name};
use crate::passphrases::Sources;

/// Bytes of a signature file: room for the longest and a line end.
const MAX_SIGNATURE: u64 = 8192;

pub(super) fn sign(arguments: &Sign, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let places = key_places(&arguments.keys)?;
    let mut passphrases = Sources::new(&arguments.keys.passphrase);
    let standing = pending::sign(&locations, &arguments.file, &places, &mut passphrases)?;
    write_standing(&arguments.file, &standing, output)
}

pub(super) fn request(arguments: &SignRequest, output: &mut Output) -> Result<Outcome, Failure> {
    let key = keys::load_public_key(&arguments.key)?;
    output.bytes(&pending::request(&arguments.file, &key)?)?;
    Ok(Outcome::Yes)
}

pub(super) fn attach(arguments: &Attach, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let standing = match &arguments.key {
        Some(key) => {
            let key = keys::load_public_key(key)?;
            let signature = read_signature(&arguments.signature)?;
            pending::attach(&locations, &arguments.file, &key, &signature)?
        }
        None => pending::merge(&locations, &arguments.file, &arguments.signature)?,
    };
    write_standing(&arguments.file, &standing, output)
}

pub(super) fn submit(arguments: &Submit, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let subject = pending::submit(&locations, &arguments.file)?;
    if output.is_json() {
        output.json(&as_json(&subject))?;
    } else {
        output.line(format!("{subject} is in the store"))?;
    }
    Ok(Outcome::Yes)
}

/// The keys of the flags, in their order.
pub(super) fn key_places(arguments: &Keys) -> Result<Vec<KeyPlace>, Failure> {
    let module = arguments.pkcs11_module.as_deref();
    arguments.key.iter().map(|key| key_place(key, module)).collect()
}

pub(super) fn key_place(text: &OsStr, module: Option<&Path>) -> Result<KeyPlace, Failure> {
    KeyPlace::new(text, module).map_err(|error| {
        // Without the text itself: there may be a PIN in it.
        Failure::usage(
            format!("the URI of a key on a token cannot be used: {error}"),
            "a key on a token is like pkcs11:token=LABEL;object=NAME",
        )
    })
}

/// What people call a key, and its id.
pub(super) fn named(root: Option<&TrustRoot>, key: &KeyId) -> String {
    with_name(root.and_then(|root| root.key_name(key)), key)
}

fn with_name(name: Option<impl AsRef<str>>, key: &KeyId) -> String {
    match name {
        Some(name) => format!("{} ({key})", shown_name(name.as_ref())),
        None => key.to_string(),
    }
}

pub(super) fn write_standing(
    file: &Path,
    standing: &Standing,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    if output.is_json() {
        let mut value = as_json(&standing.subject);
        value["complete"] = standing.is_complete().into();
        value["roles"] = standing.roles.iter().map(role_as_json).collect();
        output.json(&value)?;
        return Ok(Outcome::Yes);
    }
    output.line(format!("{}:", standing.subject))?;
    for role in &standing.roles {
        let of =
            role.root_version.map_or(String::new(), |version| format!(" of version {version}"));
        output.line(format!(
            "  role `{}`{of}: {} of {} signatures",
            role.role,
            role.signed.len(),
            role.threshold
        ))?;
        for key in &role.signed {
            output.line(format!("    {}", with_name(standing.names.get(key), key)))?;
        }
    }
    let file = file.display();
    output.note(&if standing.is_complete() {
        match standing.subject {
            Subject::Root { version: 1 } => format!(
                "it is complete: `treeseal root pin {file}` pins it on a machine that is to trust it"
            ),
            _ => format!("it is complete: `treeseal submit {file}` puts it into the store"),
        }
    } else {
        format!("it is not complete: `treeseal sign {file}` or `treeseal attach` adds signatures")
    });
    Ok(Outcome::Yes)
}

fn as_json(subject: &Subject) -> Value {
    match subject {
        Subject::Seal { stream, sequence } => {
            json!({ "kind": "seal", "stream": stream.to_string(), "sequence": sequence })
        }
        Subject::Root { version } => json!({ "kind": "root", "version": version }),
        _ => json!({ "kind": "other" }),
    }
}

pub(super) fn role_as_json(role: &pending::RoleStanding) -> Value {
    json!({
        "role": role.role.to_string(),
        "rootVersion": role.root_version,
        "threshold": role.threshold,
        "signed": role.signed.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// The bytes of a file with a signature; of a longer file, more than any signature has.
pub(super) fn read_signature(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |source| treeseal::Error::Io { action: "read", path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_SIGNATURE), &mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}
