use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde_json::json;
use treeseal::verity::{FileDigest, HashAlgorithm, Implementation, Params, UnknownAlgorithm};

use crate::args::{Digest, VerityParams};
use crate::environment;
use crate::output::{Failure, Outcome, Output, json_path};

pub(super) fn run(arguments: &Digest, output: &mut Output) -> Result<Outcome, Failure> {
    let params = params(&arguments.params)?;
    if arguments.explain {
        explain(output);
    }
    output.watch("digest", |output, progress| {
        treeseal::digest_files(&arguments.files, &params, progress, &mut |path, digest| {
            print(path, &digest, arguments.compact, output)
        })
    })?;
    Ok(Outcome::Yes)
}

/// Prints the digest of a file as `fsverity` does.
pub(super) fn print(
    path: &Path,
    digest: &FileDigest,
    compact: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    let name = path.as_os_str().as_bytes();
    if output.is_json() {
        output.json(&json!({
            "path": json_path(name),
            "algorithm": digest.algorithm().name(),
            "digest": digest.to_hex(),
        }))
    } else if compact {
        output.line(digest.to_hex())
    } else {
        output.line([format!("{digest:?} ").as_bytes(), name].concat())
    }
}

/// Says how this machine hashes: no data, so it does not go where the digests go.
fn explain(output: &mut Output) {
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
        let used = Implementation::fastest(algorithm);
        let others: Vec<&str> = Implementation::available()
            .into_iter()
            .filter(|other| other.for_algorithm(algorithm) == *other && *other != used)
            .map(Implementation::name)
            .collect();
        let blocks = match used.width(algorithm) {
            1 => "one block at a time".to_owned(),
            width => format!("up to {width} blocks at once"),
        };
        let others = if others.is_empty() { "no other".to_owned() } else { others.join(", ") };
        output.note(&format!(
            "{algorithm}: {}, {blocks}; this machine also has {others}",
            used.name()
        ));
    }
    output.note(&format!("threads: {}", treeseal::threads()));
    let available = environment::hash_names();
    let missing: Vec<&str> =
        Implementation::NAMES.into_iter().filter(|name| !available.contains(name)).collect();
    output.note(&format!(
        "TREESEAL_HASH can be {}; not on this machine: {}",
        available.join(", "),
        missing.join(", ")
    ));
}

pub(super) fn params(arguments: &VerityParams) -> Result<Params, Failure> {
    let algorithm: HashAlgorithm =
        arguments.hash_alg.parse().map_err(|error: UnknownAlgorithm| {
            Failure::usage(error.to_string(), "the default, sha256, is what composefs uses")
        })?;
    let salt = salt(&arguments.salt).ok_or_else(|| {
        let message = format!("`{}` is not a salt in hex", arguments.salt);
        Failure::usage(message, "write each byte as two hex digits, at most 32 bytes")
    })?;
    Params::new(algorithm, arguments.block_size, &salt)
        .map_err(|error| Failure::usage(error.to_string(), "the default block size is 4096"))
}

fn salt(hex: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let digit =
        |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
