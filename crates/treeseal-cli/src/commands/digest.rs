use std::os::unix::ffi::OsStrExt as _;

use serde_json::json;
use treeseal::verity::{HashAlgorithm, Params, UnknownAlgorithm};

use crate::args::Digest;
use crate::output::{Failure, Outcome, Output, json_path};

pub(super) fn run(arguments: &Digest, output: &mut Output) -> Result<Outcome, Failure> {
    let params = params(arguments)?;
    for path in &arguments.files {
        let digest = treeseal::digest_file(path, &params)?;
        let name = path.as_os_str().as_bytes();
        if output.is_json() {
            output.json(&json!({
                "path": json_path(name),
                "algorithm": digest.algorithm().name(),
                "digest": digest.to_hex(),
            }))?;
        } else if arguments.compact {
            output.line(digest.to_hex())?;
        } else {
            output.line([format!("{digest:?} ").as_bytes(), name].concat())?;
        }
    }
    Ok(Outcome::Yes)
}

fn params(arguments: &Digest) -> Result<Params, Failure> {
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
