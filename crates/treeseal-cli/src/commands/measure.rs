use super::digest;
use crate::args::Measure;
use crate::output::{Failure, Outcome, Output};

pub(super) fn run(arguments: &Measure, output: &mut Output) -> Result<Outcome, Failure> {
    for path in &arguments.files {
        let digest = treeseal::measure_file(path)?;
        digest::print(path, &digest, arguments.compact, output)?;
    }
    Ok(Outcome::Yes)
}
