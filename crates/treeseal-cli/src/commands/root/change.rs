//! Changes to drafts. Each says what the draft differs in from the present root.

use std::path::{Path, PathBuf};

use treeseal::draft::{self, Edited, FirstKeys};
use treeseal::keys::load_public_key;
use treeseal::trust::{
    AtBoot, EditError, FreshnessRule, ImageFormat, RevokedDigest, RoleName, RootContent, Sequence,
    Stream, StreamPattern, TufKey,
};
use treeseal::verity::HashAlgorithm;
use treeseal::{Error, Locations, sha256_of_file};

use super::show;
use crate::args::{
    self, RootAddKey, RootAllow, RootDisallow, RootDraft, RootExpire, RootFloor, RootInit,
    RootPolicy, RootRemoveKey, RootRevoke, RootThreshold,
};
use crate::commands::stream;
use crate::environment;
use crate::output::{Failure, Outcome, Output};
use crate::units;

pub(super) fn init(arguments: &RootInit, output: &mut Output) -> Result<Outcome, Failure> {
    let keys = FirstKeys {
        root: public_keys(&arguments.root_key)?,
        root_threshold: arguments.root_threshold,
        seal: public_keys(&arguments.seal_key)?,
        seal_threshold: arguments.seal_threshold,
    };
    let patterns = arguments.stream.iter().map(|text| pattern(text));
    let patterns = patterns.collect::<Result<Vec<_>, _>>()?;
    let online = public_keys(&arguments.online_key)?;
    let expires = units::time(&arguments.expires)?;
    let files = [&arguments.root_key, &arguments.seal_key, &arguments.online_key];
    let change = |content: &mut RootContent| {
        for pattern in patterns {
            content.allow(pattern, vec![RoleName::targets()], None, None);
        }
        if !online.is_empty() {
            content.set_role(RoleName::timestamp(), std::num::NonZeroU32::MIN, &online);
        }
        files.into_iter().flatten().try_for_each(|file| name_after_file(content, file))
    };
    let edited = draft::first(&arguments.draft, &keys, expires, change)?;
    write(&arguments.draft, &edited, None, output)
}

pub(super) fn add_key(arguments: &RootAddKey, output: &mut Output) -> Result<Outcome, Failure> {
    let role = role(&arguments.role)?;
    let key = TufKey::new(load_public_key(&arguments.key)?);
    change(&arguments.draft, output, |content| {
        content.add_key(&role, &key)?;
        match &arguments.name {
            Some(name) => content.name_key(key.id(), name),
            None => name_after_file(content, &arguments.key)?,
        }
        set_threshold(content, &role, arguments.threshold)
    })
}

pub(super) fn remove_key(
    arguments: &RootRemoveKey,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let role = arguments.role.as_deref().map(role).transpose()?;
    change(&arguments.draft, output, |content| {
        let key = match content.find_key(&arguments.key) {
            Err(_) if Path::new(&arguments.key).exists() => {
                TufKey::new(load_public_key(Path::new(&arguments.key))?).id()
            }
            key => key?,
        };
        // First the threshold: it may be what the key's leaving makes necessary.
        if let Some(role) = &role {
            set_threshold(content, role, arguments.threshold)?;
        }
        if !content.keys.contains_key(&key) {
            return Err(EditError::KeyAbsent { text: arguments.key.clone() }.into());
        }
        Ok(content.remove_key(&key, role.as_ref())?)
    })
}

pub(super) fn threshold(
    arguments: &RootThreshold,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let role = role(&arguments.role)?;
    change(&arguments.draft, output, |content| {
        set_threshold(content, &role, Some(arguments.threshold))
    })
}

pub(super) fn allow(arguments: &RootAllow, output: &mut Output) -> Result<Outcome, Failure> {
    let pattern = pattern(&arguments.pattern)?;
    let roles = arguments.role.iter().map(|name| role(name)).collect::<Result<Vec<_>, _>>()?;
    let min_sequence = arguments.min_sequence.map(sequence).transpose()?;
    let tolerance = units::seconds(&arguments.tolerance)?;
    let freshness = arguments.freshness.as_deref().map(role).transpose()?;
    let freshness = freshness.map(|role| FreshnessRule { role, tolerance });
    change(&arguments.draft, output, |content| {
        content.allow(pattern, roles, min_sequence, freshness);
        Ok(())
    })
}

pub(super) fn disallow(arguments: &RootDisallow, output: &mut Output) -> Result<Outcome, Failure> {
    let pattern = pattern(&arguments.pattern)?;
    change(&arguments.draft, output, |content| Ok(content.disallow(&pattern)?))
}

pub(super) fn floor(arguments: &RootFloor, output: &mut Output) -> Result<Outcome, Failure> {
    let (stream, floor) = (stream(&arguments.stream)?, sequence(arguments.sequence)?);
    change(&arguments.draft, output, |content| Ok(content.raise_floor(&stream, floor)?))
}

pub(super) fn revoke(arguments: &RootRevoke, output: &mut Output) -> Result<Outcome, Failure> {
    let mut digests = Vec::new();
    for text in &arguments.digest {
        digests.push(digest(text)?);
    }
    for image in &arguments.image {
        digests.push(digest(&sha256_of_file(image)?.to_hex())?);
    }
    let sequences = arguments.sequence.iter().map(|text| stream_and_sequence(text));
    let sequences = sequences.collect::<Result<Vec<_>, _>>()?;
    change(&arguments.draft, output, |content| {
        for digest in digests {
            content.revoke_digest(digest)?;
        }
        for (stream, sequence) in &sequences {
            content.revoke_sequence(stream, *sequence)?;
        }
        Ok(())
    })
}

pub(super) fn expire(arguments: &RootExpire, output: &mut Output) -> Result<Outcome, Failure> {
    let expires = units::time(&arguments.time)?;
    change(&arguments.draft, output, |content| {
        content.expires = expires;
        Ok(())
    })
}

pub(super) fn policy(arguments: &RootPolicy, output: &mut Output) -> Result<Outcome, Failure> {
    if arguments.format.is_empty() && arguments.algorithm.is_empty() && arguments.at_boot.is_none()
    {
        return Err(Failure::usage(
            "nothing says what the policy is to be",
            "give --format, --algorithm or --at-boot",
        ));
    }
    let formats = arguments.format.iter().map(|text| format(text));
    let formats = formats.collect::<Result<std::collections::BTreeSet<_>, _>>()?;
    let algorithms = arguments.algorithm.iter().map(|text| algorithm(text));
    let algorithms = algorithms.collect::<Result<std::collections::BTreeSet<_>, _>>()?;
    change(&arguments.draft, output, |content| {
        let extension = content.extension.get_or_insert_default();
        if !formats.is_empty() {
            extension.formats = Some(formats);
        }
        if !algorithms.is_empty() {
            extension.algorithms = Some(algorithms);
        }
        match arguments.at_boot {
            Some(args::AtBoot::Warn) => extension.at_boot = AtBoot::Warn,
            Some(args::AtBoot::Refuse) => extension.at_boot = AtBoot::Refuse,
            None => {}
        }
        Ok(())
    })
}

/// Changes a draft and says what came of it.
fn change(
    draft: &RootDraft,
    output: &mut Output,
    change: impl FnOnce(&mut RootContent) -> Result<(), Error>,
) -> Result<Outcome, Failure> {
    let locations = environment::locations(&draft.places)?;
    let edited = draft::edit(&locations, &draft.draft, change)?;
    write(&draft.draft, &edited, Some(&locations), output)
}

fn write(
    path: &Path,
    edited: &Edited,
    locations: Option<&Locations>,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let path = path.display();
    if edited.dropped_signatures > 0 {
        output.note(&format!(
            "{} signatures were made void by the change, and dropped",
            edited.dropped_signatures
        ));
    }
    if output.is_json() {
        output.json(&serde_json::json!({
            "version": edited.content.version, "droppedSignatures": edited.dropped_signatures,
        }))?;
        return Ok(Outcome::Yes);
    }
    output.line(format!("draft of version {}:", edited.content.version))?;
    let present = locations.map(draft::present_root).transpose()?.flatten();
    let lines = match &present {
        Some(root) => show::differences(root.content(), &edited.content),
        None => show::table(&edited.content),
    };
    for line in lines {
        output.line(format!("  {line}"))?;
    }
    output.note(&format!("`treeseal root sign {path}` signs it; it travels to all who must"));
    Ok(Outcome::Yes)
}

fn set_threshold(
    content: &mut RootContent,
    role: &RoleName,
    threshold: Option<std::num::NonZeroU32>,
) -> Result<(), Error> {
    match threshold {
        Some(threshold) => Ok(content.set_threshold(role, threshold)?),
        None => Ok(()),
    }
}

/// Names a key after the file that it came in, unless it or another key has that name already.
fn name_after_file(content: &mut RootContent, file: &Path) -> Result<(), Error> {
    let key = TufKey::new(load_public_key(file)?).id();
    let names = content.extension.iter().flat_map(|extension| &extension.names);
    let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let is_taken = names.into_iter().any(|(other, taken)| *other == key || taken == name);
    if !is_taken && (1..=64).contains(&name.chars().count()) {
        content.name_key(key, name);
    }
    Ok(())
}

fn public_keys(files: &[PathBuf]) -> Result<Vec<TufKey>, Failure> {
    let key = |file: &PathBuf| Ok(TufKey::new(load_public_key(file)?));
    files.iter().map(key).collect()
}

fn role(name: &str) -> Result<RoleName, Failure> {
    name.parse().map_err(|error: treeseal::trust::RoleNameError| {
        Failure::usage(error.to_string(), "a role is root, targets, timestamp, or one of your own")
    })
}

fn pattern(text: &str) -> Result<StreamPattern, Failure> {
    text.parse().map_err(|error: treeseal::trust::StreamError| {
        Failure::usage(error.to_string(), "a pattern is a stream, one followed by /*, or *")
    })
}

fn sequence(number: u64) -> Result<Sequence, Failure> {
    Sequence::new(number).ok_or_else(|| {
        Failure::usage(format!("{number} is no sequence"), "sequences are 1 to 9007199254740991")
    })
}

fn stream_and_sequence(text: &str) -> Result<(Stream, Sequence), Failure> {
    let unusable = || {
        Failure::usage(
            format!("`{text}` names no seal"),
            "write the stream, = and the sequence, like acme/os/x86_64/stable=7",
        )
    };
    let (name, number) = text.rsplit_once('=').ok_or_else(unusable)?;
    Ok((stream(name)?, sequence(number.parse().map_err(|_| unusable())?)?))
}

fn digest(text: &str) -> Result<RevokedDigest, Failure> {
    let text = text.trim_start_matches("sha256:").trim_start_matches("sha512:");
    text.parse().map_err(|error: treeseal::trust::HexError| {
        Failure::usage(error.to_string(), "give a SHA-256 or fs-verity digest of an image in hex")
    })
}

fn format(text: &str) -> Result<ImageFormat, Failure> {
    text.parse().map_err(|error: treeseal::trust::ImageFormatError| {
        Failure::usage(error.to_string(), "give composefs/0 or composefs/1")
    })
}

fn algorithm(text: &str) -> Result<HashAlgorithm, Failure> {
    text.parse().map_err(|_| {
        Failure::usage(format!("`{text}` is no hash algorithm"), "give sha256 or sha512")
    })
}
