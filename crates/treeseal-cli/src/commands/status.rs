use serde_json::{Value, json};
use treeseal::causes;
use treeseal::mount::{Hold, MountStatus, Record, Recorded, status};
use treeseal::tree::display_path;

use crate::args::{KERNEL, Status};
use crate::output::{Failure, Outcome, Output, json_path};

/// What is said of a mount that the kernel checks.
pub(super) const ENFORCED: &str = "kernel: every byte is checked when it is read";

pub(super) fn run(arguments: &Status, output: &mut Output) -> Result<Outcome, Failure> {
    let mounts = status(&arguments.records.run)?;
    for mount in &mounts {
        if output.is_json() {
            output.json(&to_json(mount))?;
        } else {
            write(mount, output)?;
        }
    }
    Ok(if mounts.iter().all(is_known) { Outcome::Yes } else { Outcome::No })
}

/// Whether all that is to be known of a mount is known, and it is enforced.
fn is_known(mount: &MountStatus) -> bool {
    mount.is_enforced && matches!(mount.recorded, Recorded::Record(_))
}

fn write(mount: &MountStatus, output: &mut Output) -> Result<(), Failure> {
    output.line(display_path(&mount.mount_point).to_string())?;
    let enforcement = if mount.is_enforced { ENFORCED } else { "NONE: objects are not checked" };
    output.line(format!("  {:<11} {enforcement}", "enforcement"))?;
    let writable = if mount.is_read_only { "no" } else { "yes" };
    output.line(format!("  {:<11} {writable}", "writable"))?;
    match &mount.recorded {
        Recorded::Record(record) => {
            let (stream, sequence) = (&record.stream, record.sequence);
            output.line(format!("  {:<11} {stream} sequence {sequence}", "recorded"))?;
            write_record(record, output)
        }
        Recorded::Missing => output.line(format!("  {:<11} nothing", "recorded")),
        Recorded::Damaged(error) => {
            let said = causes(error.as_ref()).join(": ");
            output.line(format!("  {:<11} nothing that can be used: {said}", "recorded"))
        }
    }
}

/// Writes what a record says beside the stream and the sequence.
pub(super) fn write_record(record: &Record, output: &mut Output) -> Result<(), Failure> {
    for (label, text) in lines(record) {
        output.line(format!("  {label:<11} {text}"))?;
    }
    Ok(())
}

fn lines(record: &Record) -> Vec<(&'static str, String)> {
    let signers = record.signers.iter().map(|signer| ("signed by", signer.clone()));
    let mut lines: Vec<_> = signers.collect();
    lines.push(("expiry", record.expiry.replace('_', " ")));
    let held = match record.hold {
        Hold::Verity => "held by fs-verity",
        Hold::Memory => "held in memory",
    };
    lines.push(("image", format!("{}, {held}", record.image)));
    lines.push(("store", record.store.clone()));
    if let Some(upper) = &record.upper {
        lines.push(("changes", format!("{upper}, for which nobody vouches")));
    }
    lines
}

fn to_json(mount: &MountStatus) -> Value {
    let damage = match &mount.recorded {
        Recorded::Damaged(error) => Some(causes(error.as_ref()).join(": ")),
        _ => None,
    };
    let record = match &mount.recorded {
        Recorded::Record(record) => Some(record_to_json(record)),
        _ => None,
    };
    json!({
        "mountPoint": json_path(&mount.mount_point),
        "source": json_path(&mount.source),
        "enforcement": mount.is_enforced.then_some(KERNEL),
        "writable": !mount.is_read_only,
        "recorded": record,
        "damage": damage,
    })
}

pub(super) fn record_to_json(record: &Record) -> Value {
    json!({
        "stream": record.stream.to_string(),
        "sequence": record.sequence.number(),
        "payload": record.payload.to_hex(),
        "signers": record.signers,
        "expiry": record.expiry,
        "image": record.image.to_hex(),
        "imageHeldBy": record.hold.name(),
        "store": record.store,
        "upper": record.upper,
    })
}
