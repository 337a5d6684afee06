use serde_json::json;
use treeseal::ostree::{ExportRequest, Exported, export};
use treeseal::source::ostree::{Checksum, Mode};

use super::super::stream;
use crate::args::{OstreeExport, OstreeMode};
use crate::environment;
use crate::output::{Failure, Outcome, Output};

pub(super) fn run(arguments: &OstreeExport, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let stream = stream(&arguments.stream)?;
    let request = ExportRequest {
        repository: arguments.repository.clone(),
        mode: arguments.mode.map(mode),
        branch: arguments.branch.clone(),
        subject: arguments.subject.clone(),
    };
    let exported =
        output.watch("export", |_, progress| export(&locations, &stream, &request, progress))?;
    let Exported { sequence, checksum, commit, image, was_there } = exported;
    let image = Checksum::from_bytes(image).to_string();
    if output.is_json() {
        output.json(&json!({
            "commit": checksum.to_string(),
            "parent": commit.parent.map(|parent| parent.to_string()),
            "ref": request.branch,
            "stream": stream.to_string(),
            "sequence": sequence.number(),
            "image": image,
            "new": !was_there,
        }))?;
        return Ok(Outcome::Yes);
    }
    let done = if was_there { "is already" } else { "is now" };
    let branch = &request.branch;
    output.line(format!("{stream} sequence {sequence} {done} commit {checksum} of {branch}"))?;
    output.line(format!("  {:<10} {image}", "image"))?;
    Ok(Outcome::Yes)
}

const fn mode(mode: OstreeMode) -> Mode {
    match mode {
        OstreeMode::Archive => Mode::Archive,
        OstreeMode::Bare => Mode::Bare,
        OstreeMode::BareUser => Mode::BareUser,
        OstreeMode::BareUserOnly => Mode::BareUserOnly,
    }
}
