use serde_json::{Value, json};
use treeseal::{SealOptions, SealSource, Sealed};

use super::{import, stream};
use crate::args::{Seal, SourceKind};
use crate::environment;
use crate::output::{Failure, Outcome, Output};

pub(super) fn run(arguments: &Seal, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let options = options(arguments)?;
    let sealed = treeseal::seal(&locations, &options, &())?;
    if let Some(made) = &sealed.made {
        output.note(&format!(
            "made the key {} in `{}` and pinned the trust root `{}`",
            made.key,
            made.key_file.display(),
            made.root_file.display()
        ));
    }
    if output.is_json() {
        output.json(&as_json(&sealed))?;
    } else {
        write_text(&sealed, output)?;
    }
    Ok(Outcome::Yes)
}

fn options(arguments: &Seal) -> Result<SealOptions, Failure> {
    let source = match arguments.from {
        SourceKind::Dir => {
            SealSource::Directory(arguments.source.clone(), import::options(&arguments.import)?)
        }
        SourceKind::Dump => SealSource::Dump(arguments.source.clone()),
    };
    Ok(SealOptions {
        source,
        stream: arguments.stream.as_deref().map(stream).transpose()?,
        sequence: arguments.sequence,
        keys: arguments.key.clone(),
        version: import::version(arguments.format_version),
    })
}

fn write_text(sealed: &Sealed, output: &mut Output) -> Result<(), Failure> {
    let statement = &sealed.statement;
    let stream = &statement.stream;
    output.line(format!(
        "sealed {stream} sequence {}: {} objects, {} bytes, {} new",
        statement.sequence,
        statement.objects.count,
        statement.objects.bytes,
        sealed.stored.new_objects
    ))?;
    if let Some(digest) = statement.digests.fsverity_sha256 {
        output.line(format!("image {digest}"))?;
    }
    output.note(&format!(
        "verify it with `treeseal verify {stream} --deep`, read it with `treeseal ls {stream}` and \
         `treeseal extract {stream} DIR`; any static server that serves the store publishes it"
    ));
    Ok(())
}

fn as_json(sealed: &Sealed) -> Value {
    let statement = &sealed.statement;
    json!({
        "stream": statement.stream.to_string(),
        "sequence": statement.sequence.number(),
        "image": statement.digests.fsverity_sha256.map(|digest| digest.to_hex()),
        "imageSha256": statement.digests.sha256.to_string(),
        "objects": { "count": statement.objects.count, "bytes": statement.objects.bytes },
        "new": { "objects": sealed.stored.new_objects, "bytes": sealed.stored.new_bytes },
        "made": sealed.made.as_ref().map(|made| json!({
            "key": made.key.to_string(),
            "keyFile": made.key_file,
            "rootFile": made.root_file,
        })),
    })
}
