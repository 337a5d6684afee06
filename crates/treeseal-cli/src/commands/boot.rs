use serde_json::{Value, json};
use treeseal::boot::{Status, mark_good, status};

use crate::args::Boot;
use crate::output::{Failure, Outcome, Output};

pub(super) fn run(arguments: &Boot, output: &mut Output) -> Result<Outcome, Failure> {
    let status = match arguments {
        Boot::Status(arguments) => status(&arguments.handed_over.run)?,
        Boot::MarkGood(arguments) => mark_good(&arguments.handed_over.run)?,
    };
    if output.is_json() {
        output.json(&to_json(&status))?;
        return Ok(Outcome::Yes);
    }
    let started = &status.started;
    output.line(format!("booted {} sequence {}", started.stream, started.sequence))?;
    for (label, text) in lines(&status) {
        output.line(format!("  {label:<11} {text}"))?;
    }
    Ok(Outcome::Yes)
}

fn lines(status: &Status) -> Vec<(&'static str, String)> {
    let started = &status.started;
    let mut lines = vec![("marked good", if status.is_good { "yes" } else { "no" }.to_owned())];
    lines.push((
        "floor",
        match &status.floor {
            Some(floor) => format!("{}: nothing older is started", floor.sequence),
            None => "none: no tree was ever marked good".to_owned(),
        },
    ));
    lines.extend(started.signers.iter().map(|signer| ("signed by", signer.clone())));
    lines.push(("enforcement", started.enforcement.clone()));
    lines.push(("expiry", started.expiry.replace('_', " ")));
    for (sequence, tries) in status.attempts.all() {
        lines.push(("tried", format!("sequence {sequence}: {tries} times")));
    }
    lines.push(("store", started.store.clone()));
    lines.extend(started.deployment.iter().map(|path| ("deployment", path.clone())));
    lines
}

fn to_json(status: &Status) -> Value {
    let started = &status.started;
    let tries = |(sequence, tries): (treeseal::trust::Sequence, u32)| json!({ "sequence": sequence.number(), "tries": tries });
    json!({
        "stream": started.stream.to_string(),
        "sequence": started.sequence.number(),
        "payload": started.payload.to_hex(),
        "good": status.is_good,
        "floor": status.floor.map(|floor| floor.sequence.number()),
        "signers": started.signers,
        "enforcement": started.enforcement,
        "expiry": started.expiry,
        "counted": started.is_counted,
        "tries": status.attempts.all().map(tries).collect::<Vec<_>>(),
        "store": started.store,
        "deployment": started.deployment,
    })
}
