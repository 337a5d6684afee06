use super::digest;
use crate::args::Enable;
use crate::output::{Failure, Outcome, Output};

pub(super) fn run(arguments: &Enable, output: &mut Output) -> Result<Outcome, Failure> {
    let params = digest::params(&arguments.params)?;
    for path in &arguments.files {
        let digest = treeseal::enable_file(path, &params)?;
        if output.is_json() {
            digest::print(path, &digest, false, output)?;
        }
    }
    Ok(Outcome::Yes)
}
