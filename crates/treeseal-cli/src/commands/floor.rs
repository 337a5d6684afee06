use serde_json::json;
use treeseal::keys::{Passphrases as _, Wanted};
use treeseal::trust::Sequence;
use zeroize::Zeroizing;

use super::stream;
use crate::args::{Floor, FloorChange, FloorEnrol};
use crate::environment;
use crate::output::{Failure, Outcome, Output};
use crate::passphrases::Sources;

pub(super) fn run(arguments: &Floor, output: &mut Output) -> Result<Outcome, Failure> {
    match arguments {
        Floor::Enrol(arguments) => enrol(arguments, output),
        Floor::Show(arguments) => show(arguments, output),
        Floor::Remove(arguments) => remove(arguments, output),
    }
}

fn enrol(arguments: &FloorEnrol, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.change.places)?;
    let stream = stream(&arguments.change.stream)?;
    let sequence = arguments.sequence.map(|number| {
        Sequence::new(number).ok_or_else(|| {
            Failure::usage(
                format!("{number} is no sequence"),
                "sequences are 1 to 9007199254740991",
            )
        })
    });
    let owner = owner_password(&arguments.change)?;
    let floor = treeseal::enrol_floor(&locations, &stream, sequence.transpose()?, &owner)?;
    if owner.is_empty() {
        output.note(
            "the password of the TPM's owner is empty: whoever can use the TPM can lower the floor; \
             `tpm2_changeauth -c owner` sets one",
        );
    }
    write(&stream.to_string(), floor, output)
}

fn show(arguments: &FloorChange, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let stream = stream(&arguments.stream)?;
    let floor = treeseal::show_floor(&locations, &stream)?;
    write(&stream.to_string(), floor, output)
}

fn remove(arguments: &FloorChange, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let stream = stream(&arguments.stream)?;
    let removed = treeseal::remove_floor(&locations, &stream, &owner_password(arguments)?)?;
    if output.is_json() {
        output.json(&json!({ "stream": stream.to_string(), "removed": removed }))?;
    } else if removed {
        output.line(format!("the TPM keeps no floor of {stream} any more"))?;
    } else {
        output.line(format!("the TPM kept no floor of {stream}"))?;
    }
    Ok(Outcome::Yes)
}

fn owner_password(arguments: &FloorChange) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if !arguments.owner_password {
        return Ok(Zeroizing::default());
    }
    let wanted = Wanted::new("password of the TPM's owner");
    Ok(Sources::new(&arguments.passphrase).passphrase(&wanted)?)
}

fn write(stream: &str, floor: Sequence, output: &mut Output) -> Result<Outcome, Failure> {
    if output.is_json() {
        output.json(&json!({ "stream": stream, "floor": floor.number() }))?;
    } else {
        output.line(format!("the TPM keeps the floor of {stream} at {floor}"))?;
    }
    Ok(Outcome::Yes)
}
