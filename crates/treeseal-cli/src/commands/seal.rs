use std::error::Error as _;
use std::path::Path;

use serde_json::{Value, json};
use treeseal::ostree::store_of_repository;
use treeseal::store::SinkStats;
use treeseal::trust::{Image, Objects, Stream};
use treeseal::{
    CacheNote, CommitSource, Locations, Prepared, Reading, SealOptions, SealSource, Sealed,
};

use super::sign::key_places;
use super::{import, stream};
use crate::args::{Keys, Seal, SealedKind};
use crate::environment;
use crate::output::{Failure, Outcome, Output};
use crate::passphrases::Sources;
use crate::units;

pub(super) fn run(arguments: &Seal, output: &mut Output) -> Result<Outcome, Failure> {
    let options = options(arguments)?;
    let locations = locations(arguments, output)?;
    let unsigned = arguments.unsigned.as_deref();
    let how = |stream: &Stream| match arguments.from {
        SealedKind::Ostree => how_to_verify_commit(arguments, stream),
        SealedKind::Dir | SealedKind::Dump => how_to_read(stream),
    };
    carry_out(&locations, &options, &arguments.keys, unsigned, &how, output)
}

/// Seals a tree, or writes its seal to the file `unsigned` for others to sign. `how` says how the sealed
/// tree is used.
pub(super) fn carry_out(
    locations: &Locations,
    options: &SealOptions,
    keys: &Keys,
    unsigned: Option<&Path>,
    how: &dyn Fn(&Stream) -> String,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    if let Some(file) = unsigned {
        return prepare(locations, options, file, output);
    }
    let places = key_places(keys)?;
    let mut passphrases = Sources::new(&keys.passphrase);
    let sealed = output.watch("seal", |_, progress| {
        treeseal::seal(locations, options, &places, &mut passphrases, progress)
    })?;
    if let Some(made) = &sealed.made {
        output.note(&format!(
            "made the key {} in `{}` and pinned the trust root `{}`",
            made.key,
            made.key_file.display(),
            made.root_file.display()
        ));
    }
    write_notes(&sealed.notes, output);
    if output.is_json() {
        output.json(&as_json(&sealed))?;
    } else {
        write_text(&sealed, output)?;
        output.note(&how(&sealed.statement.stream));
    }
    Ok(Outcome::Yes)
}

/// How a tree is read whose content is in the store.
pub(super) fn how_to_read(stream: &Stream) -> String {
    format!(
        "verify it with `treeseal verify {stream} --deep`, read it with `treeseal ls {stream}` and \
         `treeseal extract {stream} DIR`; any static server that serves the store publishes it"
    )
}

fn how_to_verify_commit(arguments: &Seal, stream: &Stream) -> String {
    format!(
        "verify it with `treeseal ostree verify {} {} --stream {stream}`",
        arguments.source.display(),
        arguments.commit.as_deref().unwrap_or_default()
    )
}

/// Where things lie. A repository has a store of its own, where readers look.
fn locations(arguments: &Seal, output: &mut Output) -> Result<Locations, Failure> {
    if arguments.from != SealedKind::Ostree {
        return environment::locations(&arguments.places);
    }
    let locations = environment::locations_beside(&arguments.places, &arguments.source)?;
    let read = store_of_repository(&arguments.source);
    if locations.store != read && !arguments.embed {
        output.note(&format!(
            "the seal goes to the store `{}`; whoever verifies the commit looks beside the commit, where \
             `treeseal ostree embed` puts it, and in `{}`",
            locations.store.display(),
            read.display()
        ));
    }
    Ok(locations)
}

fn source(arguments: &Seal) -> Result<SealSource, Failure> {
    let path = arguments.source.clone();
    match (arguments.from, &arguments.commit) {
        (SealedKind::Ostree, name) => Ok(SealSource::Commit(CommitSource {
            repository: path,
            name: name.clone().unwrap_or_default(),
            embed: arguments.embed,
        })),
        (_, Some(name)) => Err(Failure::usage(
            format!("`{name}` would be a commit, and SOURCE is to be no repository"),
            "give --from ostree to seal a commit",
        )),
        _ if arguments.embed => Err(Failure::usage(
            "the seal is to be put beside a commit, and SOURCE is to be no repository",
            "give --from ostree and a REF to seal a commit",
        )),
        (SealedKind::Dir, None) => {
            Ok(SealSource::Directory(path, import::options(&arguments.import)?))
        }
        (SealedKind::Dump, None) => Ok(SealSource::Dump(path)),
    }
}

fn options(arguments: &Seal) -> Result<SealOptions, Failure> {
    Ok(SealOptions {
        source: source(arguments)?,
        stream: arguments.stream.as_deref().map(stream).transpose()?,
        sequence: arguments.sequence,
        not_after: arguments.not_after.as_deref().map(units::time).transpose()?,
        versions: arguments.format_version.iter().map(|v| import::version(*v)).collect(),
        sha512: arguments.sha512,
        reading: if arguments.no_cache { Reading::All } else { Reading::Changed },
    })
}

fn write_text(sealed: &Sealed, output: &mut Output) -> Result<(), Failure> {
    let (statement, stored) = (&sealed.statement, &sealed.stored);
    let cloned = match stored.cloned_objects {
        0 => String::new(),
        cloned => format!(", {cloned} of them sharing blocks with their source"),
    };
    output.line(format!(
        "sealed {} sequence {}: {} objects, {} bytes, {} new{cloned}",
        statement.stream,
        statement.sequence,
        statement.objects.count,
        statement.objects.bytes,
        stored.new_objects
    ))?;
    write_images(&statement.images, output)
}

fn prepare(
    locations: &Locations,
    options: &SealOptions,
    file: &Path,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let Prepared { statement, stored, notes } = output
        .watch("seal", |_, progress| treeseal::prepare(locations, options, file, progress))?;
    write_notes(&notes, output);
    let (stream, sequence) = (&statement.stream, statement.sequence);
    if output.is_json() {
        output.json(&json!({
            "stream": stream.to_string(),
            "sequence": sequence.number(),
            "images": images_as_json(&statement.images),
            "objects": objects_as_json(&statement.objects),
            "new": new_as_json(&stored),
            "cloned": cloned_as_json(&stored),
            "known": known_as_json(&stored),
            "unsigned": file,
        }))?;
        return Ok(Outcome::Yes);
    }
    output
        .line(format!("{stream} sequence {sequence} waits for signatures in {}", file.display()))?;
    write_images(&statement.images, output)?;
    output.note(&format!(
        "`treeseal sign {0}`, or `sign-request` and `attach`, sign it; `treeseal submit {0}` puts it \
         into the store",
        file.display()
    ));
    Ok(Outcome::Yes)
}

/// The seal is the same with and without these, so they are no errors.
fn write_notes(notes: &[CacheNote], output: &mut Output) {
    for note in notes {
        output.note(&format!("note: {note}"));
        let mut cause = note.source();
        while let Some(error) = cause {
            output.note(&format!("caused by: {error}"));
            cause = error.source();
        }
    }
}

fn write_images(images: &[Image], output: &mut Output) -> Result<(), Failure> {
    for image in images {
        for digest in image.digests.files() {
            output.line(format!("image {digest}"))?;
        }
    }
    Ok(())
}

fn images_as_json(images: &[Image]) -> Value {
    let image = |image: &Image| {
        json!({
            "format": image.format.to_string(),
            "sha256": image.digests.sha256.to_hex(),
            "fsverity": image.digests.files().map(ToString::to_string).collect::<Vec<_>>(),
        })
    };
    images.iter().map(image).collect()
}

fn objects_as_json(objects: &Objects) -> Value {
    json!({ "count": objects.count, "bytes": objects.bytes })
}

fn new_as_json(stored: &SinkStats) -> Value {
    json!({ "objects": stored.new_objects, "bytes": stored.new_bytes })
}

/// What of that shares its blocks with the files that it comes from.
fn cloned_as_json(stored: &SinkStats) -> Value {
    json!({ "objects": stored.cloned_objects, "bytes": stored.cloned_bytes })
}

/// What was not read.
fn known_as_json(stored: &SinkStats) -> Value {
    json!({ "objects": stored.known_objects, "bytes": stored.known_bytes })
}

fn as_json(sealed: &Sealed) -> Value {
    let statement = &sealed.statement;
    json!({
        "stream": statement.stream.to_string(),
        "sequence": statement.sequence.number(),
        "images": images_as_json(&statement.images),
        "objects": objects_as_json(&statement.objects),
        "new": new_as_json(&sealed.stored),
        "cloned": cloned_as_json(&sealed.stored),
        "known": known_as_json(&sealed.stored),
        "made": sealed.made.as_ref().map(|made| json!({
            "key": made.key.to_string(),
            "keyFile": made.key_file,
            "rootFile": made.root_file,
        })),
    })
}
