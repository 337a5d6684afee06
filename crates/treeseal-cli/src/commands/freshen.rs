use serde_json::json;

use super::sign::key_places;
use super::stream;
use crate::args::Freshen;
use crate::environment;
use crate::output::{Failure, Outcome, Output};
use crate::passphrases::Sources;
use crate::units;

pub(super) fn run(arguments: &Freshen, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let stream = stream(&arguments.stream)?;
    let seconds = units::seconds(&arguments.duration)?;
    let places = key_places(&arguments.keys)?;
    let mut passphrases = Sources::new(&arguments.keys.passphrase);
    let fresh = treeseal::freshen(&locations, &stream, seconds, &places, &mut passphrases)?;
    let sequence = fresh.statement.sequence;
    if output.is_json() {
        output.json(&json!({
            "stream": stream.to_string(),
            "sequence": sequence.number(),
            "until": fresh.until.to_string(),
        }))?;
    } else {
        output.line(format!("{stream} sequence {sequence} is current until {}", fresh.until))?;
    }
    Ok(Outcome::Yes)
}
