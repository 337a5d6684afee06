use serde_json::{Value, json};
use treeseal::history::{self, LogEntry, Mark};
use treeseal::trust::SealError;

use super::stream;
use crate::args::Log;
use crate::environment;
use crate::output::{Failure, Outcome, Output};

pub(super) fn run(arguments: &Log, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    for entry in history::log(&locations, &stream(&arguments.stream)?)? {
        if output.is_json() {
            output.json(&as_json(&entry))?;
        } else {
            output.line(text(&entry))?;
        }
    }
    Ok(Outcome::Yes)
}

fn text(entry: &LogEntry) -> String {
    let mut text = format!("{} {} image {}", entry.sequence, entry.created, entry.image);
    for key in &entry.signers {
        text.push_str(&format!(" signed {}", key.to_string().get(..16).unwrap_or_default()));
    }
    if entry.is_current {
        text.push_str(" [current]");
    }
    for mark in &entry.marks {
        text.push_str(&format!(" [{}]", describe(mark)));
    }
    if let Some(error) = &entry.refused {
        text.push_str(&format!(" [refused: {error}]"));
    }
    text
}

fn describe(mark: &Mark) -> String {
    match mark {
        Mark::Gap { after: Some(sequence) } => format!("gap after {sequence}"),
        Mark::Gap { after: None } => "earlier ones are not here".to_owned(),
        Mark::SameTree => "the same tree, sealed again".to_owned(),
        Mark::Moved { to } => format!("lies under {to}, which is not its sequence"),
        Mark::OtherPrevious => "does not name the one before it".to_owned(),
        Mark::BackInTime => "made before the one before it".to_owned(),
        _ => "remarkable".to_owned(),
    }
}

fn code(mark: &Mark) -> &'static str {
    match mark {
        Mark::Gap { .. } => "gap",
        Mark::SameTree => "same_tree",
        Mark::Moved { .. } => "moved",
        Mark::OtherPrevious => "other_previous",
        Mark::BackInTime => "back_in_time",
        _ => "other",
    }
}

fn as_json(entry: &LogEntry) -> Value {
    json!({
        "sequence": entry.sequence.number(),
        "created": entry.created.to_string(),
        "payload": entry.payload.to_hex(),
        "imageSha256": entry.image.to_hex(),
        "signers": entry.signers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "current": entry.is_current,
        "marks": entry.marks.iter().map(code).collect::<Vec<_>>(),
        "refused": entry.refused.as_ref().map(SealError::code),
    })
}
