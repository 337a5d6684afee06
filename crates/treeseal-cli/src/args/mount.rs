use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};

use super::Places;

/// Mount the current tree of a stream; the kernel checks every byte of it when it is read
///
/// The store must lie where files can have fs-verity. `mount -t treeseal STREAM DIR` does the same where
/// the program is known by the name mount.treeseal as well.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal mount local/usr/share /mnt\n  treeseal status\n  \
        treeseal umount /mnt")]
pub(crate) struct Mount {
    /// The stream
    pub(crate) stream: String,
    /// The directory to mount it over
    pub(crate) directory: PathBuf,
    /// What checks every byte: kernel
    #[arg(long, value_name = "HOW", default_value = KERNEL, hide_default_value = true)]
    pub(crate) enforce: String,
    /// Directory that keeps changes; nobody vouches for what is in it
    #[arg(long, value_name = "DIR", requires = "work")]
    pub(crate) upper: Option<PathBuf>,
    /// Empty directory beside it, for overlayfs to work in
    #[arg(long, value_name = "DIR", requires = "upper")]
    pub(crate) work: Option<PathBuf>,
    /// Show owners as this user namespace maps them, like /proc/PID/ns/user
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) idmap: Option<PathBuf>,
    /// What the mount does not allow, separated by commas
    #[arg(short, long, value_name = "OPTIONS", value_enum, value_delimiter = ',')]
    pub(crate) options: Vec<Forbidden>,
    #[command(flatten)]
    pub(crate) records: Records,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Unmount a sealed tree
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal umount /mnt")]
pub(crate) struct Umount {
    /// Where it is mounted
    pub(crate) directory: PathBuf,
    /// Take it away at once, and let it end when nobody uses it any more
    #[arg(long)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) records: Records,
}

/// Say which sealed trees are mounted, who has sealed them, and what enforces it
///
/// Where a tree lies and whether it is enforced is the kernel's word. The rest was recorded when it was
/// mounted, and is not verified again. Exit code 1 when a mount is not enforced, or nothing is recorded of it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal status --json")]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) records: Records,
}

/// Where it is recorded what was mounted
#[derive(Debug, Args)]
pub(crate) struct Records {
    /// Where it is recorded what was mounted: the directory `mounts` in this one
    #[arg(long, value_name = "DIR", env = "TREESEAL_RUN", hide_env_values = true)]
    #[arg(default_value = RUN)]
    pub(crate) run: PathBuf,
}

/// Where it is recorded what was mounted, if nothing else is said.
pub(crate) const RUN: &str = "/run/treeseal";

/// The one way to enforce a mount.
pub(crate) const KERNEL: &str = "kernel";

/// What a mount may forbid, by the words of mount(8).
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Forbidden {
    /// Writing, where there are directories for changes
    Ro,
    /// Programs with the rights of their owner
    Nosuid,
    /// Devices
    Nodev,
    /// Programs
    Noexec,
}

/// What mount(8) calls a helper with.
#[derive(Debug, Parser)]
#[command(disable_version_flag = true)]
pub(crate) struct Helper {
    /// What is to be mounted
    pub(crate) source: OsString,
    /// The directory to mount it over
    pub(crate) directory: PathBuf,
    /// Options, separated by commas; a backslash before a comma makes it part of a value
    #[arg(short)]
    pub(crate) options: Vec<OsString>,
    /// Look at the arguments and mount nothing
    #[arg(short)]
    pub(crate) fake: bool,
    /// Ignore options that are not known
    #[arg(short)]
    pub(crate) sloppy: bool,
    /// Is taken and means nothing
    #[arg(short = 'n')]
    no_mtab: bool,
    /// Is taken and means nothing
    #[arg(short)]
    verbose: bool,
    /// Is taken and means nothing: the type is in the program's name
    #[arg(short = 't', value_name = "TYPE")]
    kind: Option<OsString>,
}
