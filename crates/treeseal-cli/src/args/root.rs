use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Places, Sign};

/// Make, change, sign and show trust roots
///
/// A change makes or changes a draft: a file that travels to those who must sign it.
#[derive(Debug, Subcommand)]
pub(crate) enum Root {
    Init(RootInit),
    AddKey(RootAddKey),
    RemoveKey(RootRemoveKey),
    Threshold(RootThreshold),
    Allow(RootAllow),
    Disallow(RootDisallow),
    Floor(RootFloor),
    Revoke(RootRevoke),
    Expire(RootExpire),
    Policy(RootPolicy),
    /// Sign a draft: the same as `treeseal sign`
    #[command(after_help = "Example:\n  treeseal root sign draft.json --key alice.pem")]
    Sign(Sign),
    Show(RootShow),
    Verify(RootVerify),
    History(RootHistory),
    Pin(RootPin),
}

/// The draft that is changed
#[derive(Debug, Args)]
pub(crate) struct RootDraft {
    /// The draft; where there is none, it begins from the present trust root
    pub(crate) draft: PathBuf,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Write the draft of a first trust root
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  treeseal root init draft.json --root-key alice.pub --root-key bob.pub \
        --root-threshold 2 --seal-key release.pub --stream 'acme/*'"
)]
pub(crate) struct RootInit {
    /// The draft to write
    pub(crate) draft: PathBuf,
    /// The public key of somebody who signs trust roots
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) root_key: Vec<PathBuf>,
    /// How many of them must sign
    #[arg(long, value_name = "N", default_value_t = NonZeroU32::MIN)]
    pub(crate) root_threshold: NonZeroU32,
    /// The public key of somebody who seals
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) seal_key: Vec<PathBuf>,
    /// How many of them must sign
    #[arg(long, value_name = "N", default_value_t = NonZeroU32::MIN)]
    pub(crate) seal_threshold: NonZeroU32,
    /// The public key of the online role, which says what is fresh [default: the root keys]
    #[arg(long, value_name = "FILE")]
    pub(crate) online_key: Vec<PathBuf>,
    /// Streams that may be sealed: a stream, or one followed by /*, or * for all
    #[arg(long, value_name = "PATTERN", default_value = "*")]
    pub(crate) stream: Vec<String>,
    /// When it expires: a time, or how long from now, like 730d
    #[arg(long, value_name = "TIME", default_value = "730d")]
    pub(crate) expires: String,
}

/// Give a role a key; a role that does not exist is made
///
/// Keys are named after their files; `show` has the names.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  treeseal root add-key draft.json targets carol.pub --name carol"
)]
pub(crate) struct RootAddKey {
    #[command(flatten)]
    pub(crate) draft: RootDraft,
    /// root, targets, timestamp, or a role of your own
    pub(crate) role: String,
    /// The public key
    pub(crate) key: PathBuf,
    /// What people call the key [default: the file's name without its ending]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// How many of the role's keys must sign from now on
    #[arg(long, value_name = "N")]
    pub(crate) threshold: Option<NonZeroU32>,
}

/// Take a key away, from one role or from all
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal root remove-key draft.json alice")]
pub(crate) struct RootRemoveKey {
    #[command(flatten)]
    pub(crate) draft: RootDraft,
    /// The key: its name, its id or the start of it, or a file with the public key
    pub(crate) key: String,
    /// The role [default: all that have the key]
    #[arg(long)]
    pub(crate) role: Option<String>,
    /// How many of the role's keys must sign from now on
    #[arg(long, value_name = "N", requires = "role")]
    pub(crate) threshold: Option<NonZeroU32>,
}

/// Set how many keys of a role must sign
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal root threshold draft.json targets 2")]
pub(crate) struct RootThreshold {
    #[command(flatten)]
    pub(crate) draft: RootDraft,
    /// The role
    pub(crate) role: String,
    /// How many
    pub(crate) threshold: NonZeroU32,
}

/// Let roles seal streams; given several, all of them must sign
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  treeseal root allow draft.json 'acme/*' --role targets --role post-quantum"
)]
pub(crate) struct RootAllow {
    #[command(flatten)]
    pub(crate) draft: RootDraft,
    /// A stream, or one followed by /*, or * for all
    pub(crate) pattern: String,
    /// A role that must sign; may be given several times
    #[arg(long, default_value = "targets")]
    pub(crate) role: Vec<String>,
    /// The lowest sequence that is accepted [default: as it is]
    #[arg(long, value_name = "N")]
    pub(crate) min_sequence: Option<u64>,
    /// Seals need a freshness statement by this role [default: they need none]
    #[arg(long, value_name = "ROLE")]
    pub(crate) freshness: Option<String>,
    /// How long after its end a freshness statement may be missing
    #[arg(long, value_name = "DURATION", default_value = "24h", requires = "freshness")]
    pub(crate) tolerance: String,
}

/// Let nobody seal the streams of a pattern any more, unless another pattern has them
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal root disallow draft.json 'acme/*'")]
pub(crate) struct RootDisallow {
    #[command(flatten)]
    pub(crate) draft: RootDraft,
    /// The pattern
    pub(crate) pattern: String,
}

/// Raise the lowest sequence of a stream that is accepted
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal root floor draft.json acme/os/x86_64/stable 12")]
pub(crate) struct RootFloor {
    #[command(flatten)]
    pub(crate) draft: RootDraft,
    /// The stream
    pub(crate) stream: String,
    /// The sequence
    pub(crate) sequence: u64,
}

/// Revoke images or single seals; a key is revoked with `remove-key`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  treeseal root revoke draft.json --sequence acme/os/x86_64/stable=11"
)]
#[group(skip)]
pub(crate) struct RootRevoke {
    #[command(flatten)]
    pub(crate) draft: RootDraft,
    /// The digest of an image in hex: its SHA-256, or one of its fs-verity digests
    #[arg(long, value_name = "HEX", required_unless_present_any = ["image", "sequence"])]
    pub(crate) digest: Vec<String>,
    /// An image, to be revoked by its SHA-256
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Vec<PathBuf>,
    /// A seal of a stream, written STREAM=N
    #[arg(long, value_name = "STREAM=N")]
    pub(crate) sequence: Vec<String>,
}

/// Set when the trust root expires
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal root expire draft.json 730d")]
pub(crate) struct RootExpire {
    #[command(flatten)]
    pub(crate) draft: RootDraft,
    /// A time, or how long from now, like 730d
    pub(crate) time: String,
}

/// Set what images may be, and what is done about expiry at boot
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  treeseal root policy draft.json --format composefs/1 --at-boot refuse"
)]
pub(crate) struct RootPolicy {
    #[command(flatten)]
    pub(crate) draft: RootDraft,
    /// A format that images may have, like composefs/1; may be given several times
    #[arg(long)]
    pub(crate) format: Vec<String>,
    /// An algorithm that images and objects may be named by: sha256 or sha512; may be given twice
    #[arg(long)]
    pub(crate) algorithm: Vec<String>,
    /// What is done at boot about a seal or root that has expired
    #[arg(long, value_enum)]
    pub(crate) at_boot: Option<AtBoot>,
}

/// What is done about expiry at boot.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AtBoot {
    /// Boot, and report it
    Warn,
    /// Do not boot
    Refuse,
}

/// Show a trust root or a draft as a table
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal root show draft.json")]
pub(crate) struct RootShow {
    /// The file [default: the present trust root]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Check that roots follow each other, each signed by those of the one before and its own
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal root verify 1.root.json 2.root.json 3.root.json")]
pub(crate) struct RootVerify {
    /// The roots, in order; the first is taken as the pinned one
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// List the versions of the trust root, from the pinned one on
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal root history")]
pub(crate) struct RootHistory {
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Make a trust root the pinned one of this machine
///
/// Only for a root that you have from somebody you trust, by a way you trust. A root that is pinned
/// already is replaced only by one of its own chain.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal root pin 1.root.json --root /etc/treeseal/root.json")]
pub(crate) struct RootPin {
    /// The root
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) places: Places,
}
