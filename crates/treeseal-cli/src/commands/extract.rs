use serde_json::json;
use treeseal::SealedTree;
use treeseal::extract::{Privilege, extract};

use super::stream;
use crate::args::Extract;
use crate::environment;
use crate::output::{Failure, Outcome, Output};

pub(super) fn run(arguments: &Extract, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let sealed = SealedTree::open(&locations, &stream(&arguments.stream)?)?;
    let privilege = if arguments.unprivileged { Privilege::Unprivileged } else { Privilege::All };
    let extracted = output.watch("extract", |_, progress| {
        extract(&sealed, &arguments.directory, privilege, progress)
    })?;
    if output.is_json() {
        output.json(&json!({
            "files": extracted.files,
            "bytes": extracted.bytes,
            "skippedDevices": extracted.skipped_devices,
        }))?;
    } else {
        output.line(format!("extracted {} files, {} bytes", extracted.files, extracted.bytes))?;
    }
    if extracted.skipped_devices > 0 {
        output.note(&format!("left out {} devices", extracted.skipped_devices));
    }
    Ok(Outcome::Yes)
}
