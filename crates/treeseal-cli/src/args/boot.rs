use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Say what this machine was booted from, and mark it good
#[derive(Debug, Subcommand)]
pub(crate) enum Boot {
    Status(BootStatus),
    MarkGood(BootMarkGood),
}

/// Say which sealed tree this machine was booted from, and whether it was marked good
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal boot status --json")]
pub(crate) struct BootStatus {
    #[command(flatten)]
    pub(crate) handed_over: HandedOver,
}

/// Mark the running tree good: nothing older is booted any more
///
/// A unit of systemd does it when the boot is complete. Until then the tree is booted as often as the
/// configuration says, and then the one before it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal boot mark-good")]
pub(crate) struct BootMarkGood {
    #[command(flatten)]
    pub(crate) handed_over: HandedOver,
}

/// What the boot program has handed over
#[derive(Debug, Args)]
pub(crate) struct HandedOver {
    /// Where the boot program wrote what was started
    #[arg(long, value_name = "DIR", default_value = "/run/treeseal")]
    pub(crate) run: PathBuf,
}
