use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Keys, Places};

/// Verify what OSTree repositories have, and sign it
#[derive(Debug, Subcommand)]
pub(crate) enum Ostree {
    Verify(OstreeVerify),
    Sign(OstreeSign),
    CheckDeployment(OstreeCheckDeployment),
}

/// Verify a commit: its signatures, its ref, its age, every object, and its image
///
/// Keys are those of `ostree sign`. What was accepted under a ref is remembered, and nothing older is
/// accepted under it. What is revoked in /etc/ostree and /usr/share/ostree is revoked in any case.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
        treeseal ostree verify /ostree/repo exampleos/x86_64/stable --key release.pub")]
pub(crate) struct OstreeVerify {
    #[command(flatten)]
    pub(crate) commit: NamedCommit,
    /// File of public keys that are trusted [default: those where OSTree looks]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// Directory of keys, as /etc/ostree is one: trusted.ed25519, revoked.ed25519.d and so on
    #[arg(long, value_name = "DIR")]
    pub(crate) keys_dir: Vec<PathBuf>,
    /// File of public keys that are not to be trusted again
    #[arg(long, value_name = "FILE")]
    pub(crate) revoked: Vec<PathBuf>,
    /// An image that must be that of the commit, like the `.ostree.cfs` of a deployment
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Option<PathBuf>,
    /// Directory of what is remembered: when the newest commit of a ref was made
    #[arg(long, value_name = "DIR", env = "TREESEAL_STATE", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,
}

/// Sign a commit, as `ostree sign` does
///
/// The signature is of Ed25519 and lies beside the commit, where everything else stays as it is. A key
/// that has signed the commit is refused. Before each signature the signing log gets a line.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
        treeseal ostree sign /srv/repo exampleos/x86_64/stable --key release.pem")]
pub(crate) struct OstreeSign {
    #[command(flatten)]
    pub(crate) commit: NamedCommit,
    #[command(flatten)]
    pub(crate) keys: Keys,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Say how a deployment would be booted by ostree-prepare-root, and what protects that boot and what not
///
/// Looked at are the boot loader's entry, the deployment's prepare-root.conf, its image, every object that
/// the image names, and the signatures of the commit. Nothing is changed. The exit code is 1 if the
/// deployment does not boot as it is said to, or not with the protection that is required.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal ostree check-deployment /sysroot --require signed")]
pub(crate) struct OstreeCheckDeployment {
    /// The filesystem that OSTree deploys to: /sysroot, or / where that is none
    pub(crate) sysroot: PathBuf,
    /// Directory of the deployment [default: that of the first boot entry]
    #[arg(long, value_name = "DIR")]
    pub(crate) deployment: Option<PathBuf>,
    /// File of public keys that may have signed the commit [default: that of the configuration]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// What must protect the boot
    #[arg(long, value_enum)]
    pub(crate) require: Option<RequiredProtection>,
}

/// What must protect a boot
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RequiredProtection {
    /// The kernel checks the image and every object, and the image is the one that the commit states
    Verity,
    /// The same, and the commit must be signed, and is
    Signed,
}

/// Which commit is meant
#[derive(Debug, Args)]
pub(crate) struct NamedCommit {
    /// The repository
    pub(crate) repository: PathBuf,
    /// A ref, REMOTE:REF, or the checksum of a commit
    #[arg(value_name = "REF")]
    pub(crate) name: String,
}
