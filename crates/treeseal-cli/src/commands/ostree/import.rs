use treeseal::erofs::VersionChoice;
use treeseal::{Reading, SealOptions, SealSource};

use super::super::{seal, stream};
use crate::args::{NamedCommit, OstreeImport};
use crate::environment;
use crate::output::{Failure, Outcome, Output};
use crate::units;

pub(super) fn run(arguments: &OstreeImport, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let NamedCommit { repository, name } = &arguments.commit;
    let options = SealOptions {
        source: SealSource::ImportedCommit(repository.clone(), name.clone()),
        stream: Some(stream(&arguments.stream)?),
        sequence: arguments.sequence,
        not_after: arguments.not_after.as_deref().map(units::time).transpose()?,
        versions: vec![VersionChoice::Auto],
        sha512: false,
        reading: Reading::All,
    };
    let unsigned = arguments.unsigned.as_deref();
    seal::carry_out(&locations, &options, &arguments.keys, unsigned, &seal::how_to_read, output)
}
