//! The command line as it is parsed. Every `--help` ends with a worked example.

mod boot;
mod mount;
mod ostree;
mod root;
mod signing;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use boot::Boot;
pub(crate) use mount::{Forbidden, Helper, KERNEL, Mount, RUN, Status, Umount};
pub(crate) use ostree::{
    EnforceImage, Judges, NamedCommit, Ostree, OstreeCheckDeployment, OstreeDeployVerify,
    OstreeEmbed, OstreeExport, OstreeImport, OstreeMode, OstreeSign, OstreeVerify,
    RequiredProtection,
};
pub(crate) use root::{
    AtBoot, Root, RootAddKey, RootAllow, RootDisallow, RootDraft, RootExpire, RootFloor,
    RootHistory, RootInit, RootPin, RootPolicy, RootRemoveKey, RootRevoke, RootShow, RootThreshold,
    RootVerify,
};
pub(crate) use signing::{
    Attach, Floor, FloorChange, FloorEnrol, Freshen, Key, KeyNew, KeyShow, KeyType, Keys,
    Passphrase, Sign, SignRequest, Submit,
};

/// Sign a file tree once; verify every byte of it wherever it is read.
#[derive(Debug, Parser)]
#[command(
    name = "treeseal",
    version,
    about,
    after_help = "Exit codes: 0 done or verified, 1 the answer is no, 2 could not answer.\n\n\
        Example:\n  treeseal seal /usr/share\n  treeseal verify local/usr/share --deep"
)]
pub(crate) struct Arguments {
    /// Write data as JSON, lists as one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say on stderr how far long operations are: auto (a line on a terminal), never, or json
    #[arg(long, global = true, value_name = "HOW", value_enum, default_value_t)]
    #[arg(hide_possible_values = true)]
    pub(crate) progress: ShowProgress,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Seal(Seal),
    Verify(Verify),
    Ls(Ls),
    Cat(Cat),
    Extract(Extract),
    Mount(Mount),
    Umount(Umount),
    Status(Status),
    Diff(Diff),
    Log(Log),
    #[command(subcommand)]
    Key(Key),
    #[command(subcommand)]
    Root(Root),
    Sign(Sign),
    SignRequest(SignRequest),
    Attach(Attach),
    Submit(Submit),
    Freshen(Freshen),
    #[command(subcommand)]
    Floor(Floor),
    #[command(subcommand)]
    Boot(Boot),
    #[command(subcommand)]
    Ostree(Ostree),
    Digest(Digest),
    Enable(Enable),
    Measure(Measure),
    #[command(subcommand)]
    Image(Image),
    #[command(subcommand)]
    Store(Store),
    #[command(subcommand, hide = true)]
    Docs(Docs),
}

/// Where the store, the pinned root and the memory lie
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Places {
    /// Directory of objects, images and seals
    #[arg(long, value_name = "DIR", env = "TREESEAL_STORE", hide_env_values = true)]
    pub(crate) store: Option<PathBuf>,
    /// The pinned trust root; keys lie in `keys` beside it
    #[arg(long, value_name = "FILE", env = "TREESEAL_ROOT", hide_env_values = true)]
    pub(crate) root: Option<PathBuf>,
    /// Directory of what is remembered: rollback floors, times seen
    #[arg(long, value_name = "DIR", env = "TREESEAL_STATE", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,
    /// The TPM that keeps rollback floors as well: a device, or unix: and the path of a socket
    #[arg(long, value_name = "TPM", env = "TREESEAL_TPM", hide_env_values = true)]
    pub(crate) tpm: Option<OsString>,
}

/// Import a tree into the store, write its image, sign it
///
/// The first use makes a key and a pinned trust root, outside the store. A commit of OSTree is sealed as
/// the image that libostree makes of it: its files stay in the repository.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal seal /usr/share --stream example/demo/any/stable\n  \
        treeseal seal --from ostree /srv/repo exampleos/x86_64/stable --stream example/os/x86_64/stable \
        --embed")]
pub(crate) struct Seal {
    /// The directory to seal, a dump with `--from dump`, or a repository with `--from ostree`
    pub(crate) source: PathBuf,
    /// The commit in a repository: a ref, REMOTE:REF, or a checksum
    #[arg(value_name = "REF", required_if_eq("from", "ostree"))]
    pub(crate) commit: Option<String>,
    /// The stream to seal under [default: local/ and the path of SOURCE; none for a commit]
    #[arg(long, required_if_eq("from", "ostree"))]
    pub(crate) stream: Option<String>,
    /// The sequence of the seal [default: one more than the last]
    #[arg(long, value_name = "N")]
    pub(crate) sequence: Option<u64>,
    /// The last second in which the seal holds: a time, or how long from now, like 90d
    #[arg(long, value_name = "TIME")]
    pub(crate) not_after: Option<String>,
    /// Sign nothing, and write the seal that is to be signed to this file
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub(crate) unsigned: Option<PathBuf>,
    /// What SOURCE is
    #[arg(long, value_enum, default_value_t)]
    pub(crate) from: SealedKind,
    /// Put the seal of a commit beside the commit as well: it goes wherever OSTree takes that
    #[arg(long, conflicts_with = "unsigned")]
    pub(crate) embed: bool,
    #[command(flatten)]
    pub(crate) import: Import,
    /// Format version of the image; given several times, there is an image for each
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) format_version: Vec<FormatVersion>,
    /// Name the image by SHA-512 as well
    #[arg(long)]
    pub(crate) sha512: bool,
    /// Read every file, also those that have not changed since this machine last sealed them
    #[arg(long)]
    pub(crate) no_cache: bool,
    #[command(flatten)]
    pub(crate) keys: Keys,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Check the seal of a stream: signatures, policy, image
///
/// With `--deep` every object is read and checked as well. With `--seal` one seal is checked on its
/// own, without a store; what is remembered is used only where `--state` says so.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal verify local/usr/share --deep\n  \
        treeseal verify --seal usr.seal.json --image usr.image --root root.json")]
pub(crate) struct Verify {
    /// The stream; with `--seal`, the one that the seal must be for
    #[arg(required_unless_present = "seal")]
    pub(crate) stream: Option<String>,
    /// Read and check every object
    #[arg(long, conflicts_with = "seal")]
    pub(crate) deep: bool,
    /// A seal in a file, instead of the current one in the store
    #[arg(long, value_name = "FILE")]
    pub(crate) seal: Option<PathBuf>,
    /// The image that the seal must be for
    #[arg(long, value_name = "FILE", requires = "seal")]
    pub(crate) image: Option<PathBuf>,
    /// A freshness statement
    #[arg(long, value_name = "FILE", requires = "seal")]
    pub(crate) freshness: Option<PathBuf>,
    /// A root that leads on from the pinned one; may be given several times, in order
    #[arg(long, value_name = "FILE", requires = "seal")]
    pub(crate) next_root: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// List the files of a sealed tree
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal ls local/usr/share /doc")]
pub(crate) struct Ls {
    /// The stream
    pub(crate) stream: String,
    /// List only this file or directory and what is below it
    #[arg(default_value = "/")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Write the content of a file of a sealed tree to stdout, each byte checked before it is written
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal cat local/usr/share /common-licenses/GPL-3")]
pub(crate) struct Cat {
    /// The stream
    pub(crate) stream: String,
    /// Paths of regular files in the tree
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Restore a sealed tree, each file checked before it gets its name
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal extract local/usr/share /tmp/copy")]
pub(crate) struct Extract {
    /// The stream
    pub(crate) stream: String,
    /// The directory to make; may exist if it is empty
    pub(crate) directory: PathBuf,
    /// Leave owners as they come, and leave out devices and attributes that only the superuser may set
    #[arg(long)]
    pub(crate) unprivileged: bool,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Say why two trees differ, one line a field
///
/// A and B are streams, directories or images. Exit code 1 when they differ.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal diff local/usr/share /usr/share")]
pub(crate) struct Diff {
    /// A stream, or the path of a directory or image (with a `/` first, or `./`)
    pub(crate) first: PathBuf,
    /// Likewise
    pub(crate) second: PathBuf,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Say what was sealed under a stream, with gaps and trees that were sealed again
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal log local/usr/share")]
pub(crate) struct Log {
    /// The stream
    pub(crate) stream: String,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// What an fs-verity digest depends on besides the content
#[derive(Debug, Args)]
pub(crate) struct VerityParams {
    /// Hash algorithm: sha256 or sha512
    #[arg(long, value_name = "ALGORITHM", default_value = "sha256")]
    pub(crate) hash_alg: String,
    /// Block size in bytes: a power of two from 1024 to 65536
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    pub(crate) block_size: u32,
    /// Salt in hex, at most 32 bytes
    #[arg(long, value_name = "HEX", default_value = "", hide_default_value = true)]
    pub(crate) salt: String,
}

/// Print the fs-verity digest of files, as `fsverity digest` does
///
/// All cores work on one large file, or on many files. The environment variable TREESEAL_HASH forces
/// an implementation of the hash functions, by a name that `--explain` shows; all give the same
/// digests.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal digest --hash-alg sha512 /etc/os-release")]
pub(crate) struct Digest {
    /// The files
    #[arg(required_unless_present = "explain", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) params: VerityParams,
    /// Print the digest alone
    #[arg(long)]
    pub(crate) compact: bool,
    /// Say on stderr how this machine hashes; needs no FILE
    #[arg(long)]
    pub(crate) explain: bool,
}

/// Enable fs-verity on files, as `fsverity enable` does
///
/// From then on no file of them can be written, and the kernel checks each block that is read. That
/// cannot be undone but by deleting the file. A file that has the same digest already is left as it is.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal enable --hash-alg sha512 /srv/image\n  \
        treeseal measure /srv/image")]
pub(crate) struct Enable {
    /// The files; nobody may have them open for writing
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) params: VerityParams,
}

/// Print the digest by which the kernel checks files, as `fsverity measure` does
///
/// Nothing is read: the kernel knows the digest of a file that fs-verity is enabled on. Exit code 1
/// when it is not enabled.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal measure /srv/image")]
pub(crate) struct Measure {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Print the digest alone
    #[arg(long)]
    pub(crate) compact: bool,
}

/// Make and read composefs images, as the composefs tools do
#[derive(Debug, Subcommand)]
pub(crate) enum Image {
    Build(ImageBuild),
    Dump(ImageRead),
    Ls(ImageRead),
    Objects(ImageRead),
    Info(ImageInfo),
    Check(ImageInfo),
}

/// Make an image, as `mkcomposefs` does; prints its file digest when IMAGE is a file
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal image build /usr/share share.image\n  \
        treeseal image dump share.image | treeseal image build --from dump - copy.image")]
pub(crate) struct ImageBuild {
    /// The directory, or a dump with `--from dump`; `-` is stdin
    pub(crate) source: PathBuf,
    /// The image to write; `-` is stdout
    pub(crate) image: PathBuf,
    /// What SOURCE is
    #[arg(long, value_enum, default_value_t)]
    pub(crate) from: SourceKind,
    /// Format version: `auto` is 0, or 1 when the tree holds a whiteout
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format_version: FormatVersion,
    /// Refuse dumps that `mkcomposefs` refuses with CFS_PARSE_STRICT
    #[arg(long)]
    pub(crate) strict: bool,
    /// Store the content of files in this object directory
    #[arg(long, value_name = "DIR")]
    pub(crate) digest_store: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) import: Import,
}

/// Print an image as dump text, as a list of files, or its objects
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal image ls share.image --filter doc")]
pub(crate) struct ImageRead {
    /// The image; `-` is stdin
    pub(crate) image: PathBuf,
    /// Only this name in the root directory and what is below it; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) filter: Vec<OsString>,
}

/// Say what is in an image, or check all of it
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal image check share.image")]
pub(crate) struct ImageInfo {
    /// The image; `-` is stdin
    pub(crate) image: PathBuf,
}

/// How a directory becomes a tree
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Give every file this time, in seconds since 1970 [default: SOURCE_DATE_EPOCH, or its own]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) epoch: Option<i64>,
    /// Make the tree that another program makes of the directory
    #[arg(long, value_enum)]
    pub(crate) compat: Option<Compat>,
    /// Which extended attributes are recorded
    #[arg(long, value_enum, default_value_t)]
    pub(crate) xattrs: Xattrs,
    /// Leave out block and character devices
    #[arg(long)]
    pub(crate) skip_devices: bool,
}

/// Keep the store in order
#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    Fsck(Fsck),
    Gc(Gc),
    Stat(Stat),
}

/// Check everything in the store: names every damaged, missing or stray part
///
/// Objects and images that the kernel checks by fs-verity are measured, which says that reading them
/// gives what it should or an error. All others are read. Where fs-verity could be and is not, that is
/// named; it does not make the exit code 1.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal store fsck --repair --from /usr/share")]
pub(crate) struct Fsck {
    /// Read what the kernel checks as well: finds what gives an error when it is read
    #[arg(long)]
    pub(crate) read: bool,
    /// Heal what can be healed, and enable fs-verity where it could be
    #[arg(long)]
    pub(crate) repair: bool,
    /// A directory with good copies of the files
    #[arg(long, value_name = "DIR", requires = "repair")]
    pub(crate) from: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Remove what no seal reaches
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal store gc --dry-run")]
pub(crate) struct Gc {
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Say what is in the store
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal store stat")]
pub(crate) struct Stat {
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Print documents that are made from this parser
#[derive(Debug, Subcommand)]
pub(crate) enum Docs {
    /// The reference of all commands, as Markdown
    CliReference,
    /// A shell's completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Manual pages, one file a command
    Man {
        /// Where the files go
        directory: PathBuf,
    },
}

/// How it is said how far an operation is.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum ShowProgress {
    /// A line on a terminal, nothing elsewhere
    #[default]
    Auto,
    /// Nothing
    Never,
    /// One JSON object a line
    Json,
}

/// What can be sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SealedKind {
    /// A directory
    #[default]
    Dir,
    /// composefs dump text
    Dump,
    /// A repository of OSTree, with a commit in it; the store is `extensions/treeseal` there, if no other
    /// is named
    Ostree,
}

/// What a source is.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum SourceKind {
    /// A directory
    #[default]
    Dir,
    /// composefs dump text
    Dump,
}

/// Which format version to write.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum FormatVersion {
    /// 0, or 1 when the tree holds a whiteout
    #[default]
    Auto,
    /// Version 0
    #[value(name = "0")]
    V0,
    /// Version 1
    #[value(name = "1")]
    V1,
}

/// Whose tree of a directory to make.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Compat {
    /// Each name of a file becomes a file of its own
    Mkcomposefs,
}

/// Which extended attributes are recorded.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Xattrs {
    /// All that the kernel shows
    #[default]
    All,
    /// Those that begin with `user.`
    User,
    /// None
    None,
}
