use treeseal::Unmount;
use treeseal::mount::umount;

use crate::args::Umount;
use crate::output::{Failure, Outcome};

pub(super) fn run(arguments: &Umount) -> Result<Outcome, Failure> {
    let how = if arguments.detach { Unmount::Detach } else { Unmount::IfUnused };
    umount(&arguments.directory, how, &arguments.records.run)?;
    Ok(Outcome::Yes)
}
