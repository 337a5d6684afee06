//! Booting a sealed tree: which tree is started, how often it is tried, and when its floor rises.
//!
//! The program in the initramfs [selects](select()) the trees that it may start, [starts](Selection::start)
//! the first that can be mounted, and [hands over](Handover) to the system what was booted; when that
//! has come up, [`mark_good`] raises the floors. `spec/boot.md` has the formats and the rules.
//!
//! The state of this is kept apart from what a machine remembers otherwise: looking at a newer seal
//! must not make the tree unbootable that still works.

mod command_line;
mod config;
mod deployment;
mod handover;
mod mark;
mod select;
mod start;
mod state;
#[cfg(test)]
mod tests;

pub use command_line::{CommandLine, CommandLineError};
pub use config::{
    Config, ConfigError, Device, Ending, Expired, Failure, Filesystem, MAX_CONFIG_SIZE, Source,
    Writable,
};
pub use deployment::{ChosenDeployment, choose_deployment};
pub use handover::{Handover, HandoverError, Started};
pub(crate) use handover::{MAX_SIGNERS, signers};
pub use mark::{Status, mark_good, status};
pub use select::{Candidate, Criteria, Refusal, Selection, open_store, select};
pub use start::Attempt;
pub use state::{Attempts, BootState, TriesError};
