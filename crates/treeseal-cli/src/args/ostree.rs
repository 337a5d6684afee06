use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Keys, Places};

/// Verify what OSTree repositories have, and sign it
#[derive(Debug, Subcommand)]
pub(crate) enum Ostree {
    Verify(OstreeVerify),
    Sign(OstreeSign),
    Embed(OstreeEmbed),
    DeployVerify(OstreeDeployVerify),
    CheckDeployment(OstreeCheckDeployment),
    Import(OstreeImport),
    Export(OstreeExport),
}

/// Verify a commit: who vouches for it, its ref, its age, every object, and its image
///
/// Keys are those of `ostree sign`. With --stream the commit's seal is verified, against the pinned trust
/// root and what is remembered, and signatures only if keys are named as well: then both must hold. What
/// was accepted is remembered, and nothing older is accepted. What is revoked in /etc/ostree and
/// /usr/share/ostree is revoked in any case.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
        treeseal ostree verify /ostree/repo exampleos/x86_64/stable --key release.pub\n  \
        treeseal ostree verify /ostree/repo exampleos/x86_64/stable --stream example/os/x86_64/stable")]
pub(crate) struct OstreeVerify {
    #[command(flatten)]
    pub(crate) commit: NamedCommit,
    /// The stream that the commit must be sealed for; the seal lies beside the commit, or in the store
    /// `extensions/treeseal` of the repository
    #[arg(long)]
    pub(crate) stream: Option<String>,
    /// File of public keys that are trusted [default: those where OSTree looks, without --stream]
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
    #[command(flatten)]
    pub(crate) judges: Judges,
}

/// What a seal is judged by
#[derive(Clone, Debug, Args)]
pub(crate) struct Judges {
    /// The pinned trust root
    #[arg(long, value_name = "FILE", env = "TREESEAL_ROOT", hide_env_values = true)]
    pub(crate) root: Option<PathBuf>,
    /// Directory of what is remembered: rollback floors, times seen, when the newest commit of a ref was
    /// made
    #[arg(long, value_name = "DIR", env = "TREESEAL_STATE", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,
    /// The TPM that keeps rollback floors as well: a device, or unix: and the path of a socket
    #[arg(long, value_name = "TPM", env = "TREESEAL_TPM", hide_env_values = true)]
    pub(crate) tpm: Option<OsString>,
}

/// Put the seal that the store has of a commit beside the commit
///
/// For a seal that was signed elsewhere, when it is in the store: `seal --embed` does the same at once.
/// The seal and the store's trust roots then go wherever OSTree takes the commit.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal ostree embed /srv/repo exampleos/x86_64/stable \
        --stream example/os/x86_64/stable")]
pub(crate) struct OstreeEmbed {
    #[command(flatten)]
    pub(crate) commit: NamedCommit,
    /// The stream that the commit is sealed for
    #[arg(long)]
    pub(crate) stream: String,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Import a commit into the store as a tree, write its image, sign it
///
/// Every object of the commit is checked, and is in the store afterwards, where the tree is read and mounted
/// like any other. Files of 1 MiB and more share their blocks with a repository that is not of mode archive,
/// where the filesystem can do that; others are copied. The tree is what the commit has: every time is 0. To
/// seal a commit and leave its files where they are, use `seal --from ostree`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal ostree import /srv/repo exampleos/x86_64/stable \
        --stream example/tree/x86_64/stable")]
pub(crate) struct OstreeImport {
    #[command(flatten)]
    pub(crate) commit: NamedCommit,
    /// The stream to seal under
    #[arg(long)]
    pub(crate) stream: String,
    /// The sequence of the seal [default: one more than the last]
    #[arg(long, value_name = "N")]
    pub(crate) sequence: Option<u64>,
    /// The last second in which the seal holds: a time, or how long from now, like 90d
    #[arg(long, value_name = "TIME")]
    pub(crate) not_after: Option<String>,
    /// Sign nothing, and write the seal that is to be signed to this file
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub(crate) unsigned: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) keys: Keys,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Write a sealed tree as a commit into a repository
///
/// Each byte of the tree is checked as it is read, and the commit again before the ref names it. A repository
/// is made where there is nothing or an empty directory. Times, and that names are links of one file, are
/// not kept; devices, fifos and sockets are refused, and what a repository of mode bare-user-only does not
/// keep. The commit is of the time at which the tree was sealed, and states the digest of its image. Where
/// the ref names the same commit already, nothing is done. `ostree prune` must not run meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal ostree export example/os/x86_64/stable /srv/repo \
        --branch exampleos/x86_64/stable")]
pub(crate) struct OstreeExport {
    /// The stream
    pub(crate) stream: String,
    /// The repository
    pub(crate) repository: PathBuf,
    /// The ref that is to name the commit; the commit that it names now becomes the parent
    #[arg(long, value_name = "REF")]
    pub(crate) branch: String,
    /// What the commit is about [default: the stream and the sequence]
    #[arg(long, value_name = "TEXT")]
    pub(crate) subject: Option<String>,
    /// The mode that the repository must have [default: the one that it has; archive for a new one]
    #[arg(long)]
    pub(crate) mode: Option<OstreeMode>,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// How a repository keeps files
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum OstreeMode {
    /// Compressed, to be served
    Archive,
    /// As they are used, with their owners: needs the superuser
    Bare,
    /// As they are used, with owners in an attribute
    BareUser,
    /// Without owners and attributes
    BareUserOnly,
}

/// Sign a commit, as `ostree sign` does
///
/// The signature is of Ed25519 and lies beside the commit, where everything else stays as it is. A key
/// that has signed the commit is refused. Before each signature the signing log gets a line. Where the
/// key is elsewhere, --unsigned writes what is to be signed, and --attach adds what comes back.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
        treeseal ostree sign /srv/repo exampleos/x86_64/stable --key release.pem\n  \
        treeseal ostree sign /srv/repo exampleos/x86_64/stable --unsigned commit\n  \
        openssl pkeyutl -sign -rawin -inkey release.pem -in commit -out signature\n  \
        treeseal ostree sign /srv/repo exampleos/x86_64/stable --attach signature --by release.pub")]
pub(crate) struct OstreeSign {
    #[command(flatten)]
    pub(crate) commit: NamedCommit,
    /// Sign nothing, and write the bytes that are to be signed to this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "attach"])]
    pub(crate) unsigned: Option<PathBuf>,
    /// Add this signature, 64 bytes, that was made elsewhere
    #[arg(long, value_name = "FILE", requires = "by", conflicts_with = "key")]
    pub(crate) attach: Option<PathBuf>,
    /// File of public keys, one of which made it
    #[arg(long, value_name = "FILE", requires = "attach")]
    pub(crate) by: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) keys: Keys,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Verify that a deployment is sealed, and that the boot loader leads to no other
///
/// For a hook that runs after `ostree admin deploy`. The digest by which the kernel checks the
/// deployment's image must be the sealed one. Of the other deployments to which entries of the boot
/// loader lead, the trust root must accept the seals; that they are older does not matter. Nothing is
/// remembered. Exit code 1 names all that are not sealed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
        treeseal ostree deploy-verify / --stream example/os/x86_64/stable")]
pub(crate) struct OstreeDeployVerify {
    /// The root of the system, which has `ostree` and `boot`
    pub(crate) sysroot: PathBuf,
    /// The stream that the deployments must be sealed for
    #[arg(long)]
    pub(crate) stream: String,
    /// The directory of the deployment [default: the one that is booted by default]
    #[arg(long, value_name = "DIR")]
    pub(crate) deployment: Option<PathBuf>,
    /// What checks the images: kernel, or scan, which reads them now and checks nothing later
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    #[arg(hide_possible_values = true)]
    pub(crate) enforce: EnforceImage,
    #[command(flatten)]
    pub(crate) judges: Judges,
}

/// Say how a deployment would be booted by ostree-prepare-root, and what protects that boot and what not
///
/// Looked at are the boot loader's entry, the deployment's prepare-root.conf, its image, every object that
/// the image names, and the signatures and the seal of the commit. Nothing is changed, and nothing is
/// remembered. The exit code is 1 if the deployment does not boot as it is said to, or not with the
/// protection that is required.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal ostree check-deployment /sysroot --require signed")]
pub(crate) struct OstreeCheckDeployment {
    /// The filesystem that OSTree deploys to: /sysroot, or / where that is none
    pub(crate) sysroot: PathBuf,
    /// Directory of the deployment [default: that of the first boot entry]
    #[arg(long, value_name = "DIR")]
    pub(crate) deployment: Option<PathBuf>,
    /// Look for a seal of this stream as well, by the pinned trust root
    #[arg(long)]
    pub(crate) stream: Option<String>,
    /// File of public keys that may have signed the commit [default: that of the configuration]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// What must protect the boot
    #[arg(long, value_enum)]
    pub(crate) require: Option<RequiredProtection>,
    #[command(flatten)]
    pub(crate) judges: Judges,
}

/// What checks the image of a deployment.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum EnforceImage {
    /// fs-verity, whenever it is read
    #[default]
    Kernel,
    /// This command, once
    Scan,
}

/// What must protect a boot
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RequiredProtection {
    /// The kernel checks the image and every object, and the image is the one that the commit states
    Verity,
    /// The same, and the commit must be signed, and is
    Signed,
    /// The kernel checks the image and every object, and the image has a seal that this machine accepts
    Sealed,
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
