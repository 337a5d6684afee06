use serde_json::json;
use treeseal::{Checked, SealedTree};

use super::stream;
use crate::args::Verify;
use crate::environment;
use crate::output::{Failure, Outcome, Output};

pub(super) fn run(arguments: &Verify, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let sealed = SealedTree::open(&locations, &stream(&arguments.stream)?)?;
    let checked = arguments.deep.then(|| sealed.check_objects(&())).transpose()?;
    if output.is_json() {
        write_json(&sealed, checked, output)?;
    } else {
        write_text(&sealed, checked, output)?;
    }
    Ok(Outcome::Yes)
}

fn write_text(
    sealed: &SealedTree,
    checked: Option<Checked>,
    output: &mut Output,
) -> Result<(), Failure> {
    let statement = sealed.statement();
    let signers = statement.signers();
    output.line(format!(
        "verified {} sequence {}, sealed {}",
        statement.stream, statement.sequence, statement.created
    ))?;
    output.line(format!(
        "signed by {} of the role `{}`, {} needed, by trust root version {}",
        signers.keys().len(),
        signers.role(),
        signers.threshold(),
        statement.root_version()
    ))?;
    for key in signers.key_ids() {
        output.line(format!("  {key}"))?;
    }
    output.line(format!(
        "image checked: {} bytes, {}",
        statement.image_size, statement.digests.sha256
    ))?;
    output.line(match checked {
        Some(checked) => format!(
            "scan: every byte of {} objects checked, {} bytes",
            checked.objects, checked.bytes
        ),
        None => "objects not read: `--deep` reads them".to_owned(),
    })
}

fn write_json(
    sealed: &SealedTree,
    checked: Option<Checked>,
    output: &mut Output,
) -> Result<(), Failure> {
    let statement = sealed.statement();
    let signers = statement.signers();
    output.json(&json!({
        "stream": statement.stream.to_string(),
        "sequence": statement.sequence.number(),
        "created": statement.created.to_string(),
        "notAfter": statement.not_after.map(|end| end.to_string()),
        "role": signers.role().to_string(),
        "threshold": signers.threshold(),
        "signers": signers.key_ids().map(|key| key.to_string()).collect::<Vec<_>>(),
        "rootVersion": statement.root_version(),
        "imageSha256": statement.digests.sha256.to_string(),
        "enforcement": checked.map(|_| "scan"),
        "checked": checked.map(|checked| json!({
            "objects": checked.objects,
            "bytes": checked.bytes,
        })),
    }))
}
