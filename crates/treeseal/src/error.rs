use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use treeseal_erofs::{ImageError, WriteError};
use treeseal_source::ostree::{OstreeError, SysrootError};
use treeseal_source::{DumpReadError, ImportError};
use treeseal_store::StoreError;
use treeseal_sys::{
    DurableError, FileError, MemfdError, MountError, MountTableError, TpmFloorError, VerityError,
};
#[cfg(feature = "token")]
use treeseal_token::{TokenError, TokenUri};
use treeseal_tree::display_path;
use treeseal_trust::{
    EditError, EnvelopeError, KeyError, KeyFileError, KeyId, RootError, SealError, Sequence,
    StateError, StatementError, Stream, Timestamp,
};
use treeseal_verity::FileDigest;

use crate::boot::{CommandLineError, ConfigError, HandoverError, TriesError};
use crate::mount::RecordError;
use crate::ostree::CommitError;
use crate::pending::Subject;

/// What a failure says about what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was answered: no. Not trusted, damaged, rolled back.
    No,
    /// It could not be answered: bad usage, I/O, malformed input.
    Unknown,
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file outside the store could not be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A commit of an OSTree repository is not verified.
    #[error(transparent)]
    Commit(Box<CommitError>),
    /// A file or directory of a tree could not be read or restored.
    #[error(transparent)]
    File(#[from] FileError),
    /// The kernel did not enable fs-verity on a file, or did not measure it.
    #[error("cannot {action} `{}`", path.display())]
    Verity {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: VerityError,
    },
    /// A file has fs-verity with another digest than it was to be given.
    #[error(
        "`{}` has fs-verity already, with the digest {found:?}, expected {expected:?}",
        path.display()
    )]
    OtherVerity {
        /// The file.
        path: PathBuf,
        /// The digest that it was to be given.
        expected: FileDigest,
        /// The digest that it has.
        found: FileDigest,
    },
    /// A file is larger than it may be.
    #[error("`{}` has more than {limit} bytes", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read, in bytes.
        limit: usize,
    },
    /// There is no pinned root.
    #[error("there is no trust root at `{}`", path.display())]
    NoRoot {
        /// Where it should be.
        path: PathBuf,
    },
    /// The pinned root lies where it proves nothing.
    #[error("the trust root `{}` lies in the store `{}`: whoever can change the store can change it", path.display(), store.display())]
    RootInStore {
        /// The root.
        path: PathBuf,
        /// The store.
        store: PathBuf,
    },
    /// A trust root is not accepted.
    #[error("the trust root `{}` is not accepted", path.display())]
    Root {
        /// The root.
        path: PathBuf,
        /// Why.
        source: Box<RootError>,
    },
    /// A link of the chain of trust roots is missing.
    #[error(
        "version {missing} of the trust root is missing in `{}`, which has version {newest}",
        place.display()
    )]
    RootGap {
        /// The store, or what else has roots.
        place: PathBuf,
        /// The version that is missing.
        missing: u64,
        /// The newest version that is there.
        newest: u64,
    },
    /// The first root could not be made.
    #[error("cannot make a trust root")]
    MakeRoot {
        /// Why.
        source: RootError,
    },
    /// A key file is missing.
    #[error("there is no key file `{}`", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A key file cannot be used.
    #[error("cannot use the key file `{}`", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyFileError,
    },
    /// A key on a token cannot be used.
    #[cfg(feature = "token")]
    #[error("cannot use the key `{uri}`")]
    Token {
        /// Which key.
        uri: Box<TokenUri>,
        /// Why.
        source: Box<TokenError>,
    },
    /// A file holds no public key that can be used.
    #[error("`{}` is no public key", path.display())]
    PublicKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// There is nowhere to get a passphrase from.
    #[error("there is nothing to get the {what} from")]
    NoPassphrase {
        /// What it is.
        what: String,
    },
    /// A new passphrase has no characters.
    #[error("the passphrase is empty, and would protect nothing")]
    EmptyPassphrase,
    /// The private key would have the name of its public half.
    #[error("`{}` is the name for the public half of a key", path.display())]
    NameOfPublicKey {
        /// The file.
        path: PathBuf,
    },
    /// A file that would be written exists.
    #[error("`{}` exists, and would be overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file that should wait for signatures is not there.
    #[error("there is no file `{}` that waits for signatures", path.display())]
    NoPending {
        /// The file.
        path: PathBuf,
    },
    /// A file that should wait for signatures is neither a seal nor the draft of a trust root.
    #[error("`{}` is neither a seal nor the draft of a trust root", path.display())]
    Pending {
        /// The file.
        path: PathBuf,
        /// Why it is no seal.
        source: Box<SealError>,
    },
    /// The signature of a key would count for nothing.
    #[error("the key {key} has no say in {what}: its signature would count for nothing")]
    NoSay {
        /// The key.
        key: KeyId,
        /// What was to be signed.
        what: Subject,
    },
    /// Without a trust root nobody knows whose signatures are needed.
    #[error("no trust root says who must sign this seal")]
    NoRootToJudge,
    /// A draft does not follow the trust root of this machine.
    #[error(
        "the draft `{}` is version {found}, but the next version of the trust root is {expected}",
        path.display()
    )]
    DraftVersion {
        /// The draft.
        path: PathBuf,
        /// The version that it must have.
        expected: u64,
        /// The version that it has.
        found: u64,
    },
    /// A change to a trust root cannot be made.
    #[error("cannot change the trust root")]
    Edit(#[from] EditError),
    /// A root would be expired from the start.
    #[error("the trust root would expire at {expires}, and it is {now}")]
    ExpiresInPast {
        /// When it would expire.
        expires: Timestamp,
        /// The time by the clock.
        now: Timestamp,
    },
    /// Another root is pinned, and its chain does not lead to this one.
    #[error(
        "`{}` is no root of the chain that is pinned in `{}`", found.display(), path.display()
    )]
    OtherRoot {
        /// The pinned root.
        path: PathBuf,
        /// The root that was to be pinned.
        found: PathBuf,
    },
    /// A new passphrase was not typed the same twice.
    #[error("the two passphrases differ")]
    PassphrasesDiffer,
    /// The TPM's floor of a stream could not be read, enrolled, raised or removed.
    #[error("the floor of the stream `{stream}` in the TPM")]
    TpmFloor {
        /// The stream.
        stream: Stream,
        /// Why.
        source: Box<TpmFloorError>,
    },
    /// The TPM that is asked for keeps no floor of the stream: it never did, or it was cleared.
    #[error("the TPM keeps no floor of the stream `{stream}`: it never did, or it was cleared")]
    NotEnrolled {
        /// The stream.
        stream: Stream,
    },
    /// No TPM is named.
    #[error("no TPM is named")]
    NoTpm,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random {
        /// Why.
        source: io::Error,
    },
    /// The system's clock is before 1970 or after 9999.
    #[error("the system's clock shows no time between 1970 and 9999")]
    Clock,
    /// What was remembered cannot be understood.
    #[error("`{}` cannot be understood", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        source: StateError,
    },
    /// An image could not be mounted.
    #[error("cannot mount the image `{}`", path.display())]
    Mount {
        /// The image.
        path: PathBuf,
        /// Why.
        source: MountError,
    },
    /// The kernel cannot check objects that are to be mounted: one of them, or all in a directory.
    #[error("the kernel cannot check what is in `{}` when it is read", path.display())]
    Unenforced {
        /// The object, or the directory.
        path: PathBuf,
        /// Why.
        source: VerityError,
    },
    /// An image that was checked could not be held in memory.
    #[error("cannot hold the image in memory")]
    Memory(#[from] MemfdError),
    /// An image is not the one that was asked for.
    #[error("`{}` has the file digest {found:?}, expected {expected:?}", path.display())]
    WrongImage {
        /// The image.
        path: PathBuf,
        /// The digest that was asked for.
        expected: FileDigest,
        /// The digest that it has.
        found: FileDigest,
    },
    /// The directories for changes cannot be used together.
    #[error(
        "`{}` and `{}` are not two directories of one mount, neither in the other",
        upper.display(), work.display()
    )]
    ChangesApart {
        /// The directory for what is changed.
        upper: PathBuf,
        /// The directory to work in.
        work: PathBuf,
    },
    /// Owners could not be shown as a user namespace maps them.
    #[error("cannot map owners as `{}` does", path.display())]
    IdMap {
        /// The user namespace.
        path: PathBuf,
        /// Why.
        source: MountError,
    },
    /// A mount could not be given its place.
    #[error("cannot mount anything at `{}`", path.display())]
    Place {
        /// The place.
        path: PathBuf,
        /// Why.
        source: MountError,
    },
    /// A mount could not be taken from its place.
    #[error("cannot unmount `{}`", path.display())]
    Unmount {
        /// The place.
        path: PathBuf,
        /// Why.
        source: MountError,
    },
    /// What is mounted there is no sealed tree.
    #[error(
        "what is mounted at `{}` is no sealed tree, but `{}`", path.display(), display_path(what)
    )]
    NotSealed {
        /// The place.
        path: PathBuf,
        /// What the mount table has as the source.
        what: Vec<u8>,
    },
    /// What is mounted could not be found out.
    #[error(transparent)]
    MountTable(#[from] MountTableError),
    /// What was recorded of a mount cannot be understood.
    #[error("`{}` cannot be understood", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        source: RecordError,
    },
    /// The boot state could not be read or written.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// How often trees were tried at boot cannot be understood.
    #[error("`{}` cannot be understood", path.display())]
    Tries {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TriesError,
    },
    /// The configuration of the boot cannot be used.
    #[error("`{}` is no configuration", path.display())]
    BootConfig {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ConfigError,
    },
    /// The kernel's command line cannot be understood.
    #[error(transparent)]
    CommandLine(#[from] CommandLineError),
    /// The store has no seal that could be booted, whatever it says.
    #[error(
        "the store has no seal for the stream `{stream}`{}",
        floor.map_or(String::new(), |floor| format!(" with sequence {floor} or later"))
    )]
    NothingToBoot {
        /// The stream.
        stream: Stream,
        /// The highest floor.
        floor: Option<Sequence>,
    },
    /// Nothing says what this system was booted from.
    #[error("this system was not booted from a sealed tree: there is no `{}`", path.display())]
    NotBooted {
        /// The file that would say so.
        path: PathBuf,
    },
    /// What this system was told of its boot cannot be understood.
    #[error("`{}` cannot be understood", path.display())]
    Handover {
        /// The file.
        path: PathBuf,
        /// Why.
        source: HandoverError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream has no seal in the store.
    #[error("the store has no seal for the stream `{stream}`")]
    NoSeal {
        /// The stream.
        stream: Stream,
    },
    /// A seal is not accepted.
    #[error("the seal {sequence} of the stream `{stream}` is not accepted")]
    Seal {
        /// The stream.
        stream: Stream,
        /// The sequence that the store has it under.
        sequence: Sequence,
        /// Why.
        source: Box<SealError>,
    },
    /// A seal in a file is not accepted.
    #[error("the seal `{}` is not accepted", path.display())]
    SealFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<SealError>,
    },
    /// A freshness statement would be of no use to readers, so it was not stored.
    #[error("nobody would use this to tell that the seal of `{stream}` is the newest: {reason}")]
    NotFreshened {
        /// The stream.
        stream: Stream,
        /// Why.
        reason: String,
    },
    /// The store has a seal under a sequence that is not its own.
    #[error(
        "the store has the seal {found} of the stream `{stream}` under the sequence {expected}"
    )]
    SequenceMoved {
        /// The stream.
        stream: Stream,
        /// The sequence that the store has it under.
        expected: Sequence,
        /// The sequence that it has.
        found: Sequence,
    },
    /// Another sequence is asked for than that of the deployment that is named.
    #[error("the deployment has sequence {found}, and the kernel's command line asks for {asked}")]
    NotAskedFor {
        /// The sequence that is asked for.
        asked: Sequence,
        /// The sequence of the deployment's seal.
        found: Sequence,
    },
    /// A statement cannot be made.
    #[error("cannot make the statement")]
    Statement(#[source] StatementError),
    /// A signature does not belong to what it is attached to.
    #[error("cannot attach the signature")]
    Attach(#[source] EnvelopeError),
    /// A signature does not belong to the draft that it is attached to.
    #[error("cannot attach the signature")]
    AttachToRoot(#[source] RootError),
    /// Two files that wait for signatures are not copies of each other.
    #[error(
        "`{}` is no copy of `{}`: what is to be signed is not the same", copy.display(), path.display()
    )]
    OtherCopy {
        /// The file.
        path: PathBuf,
        /// What should be a copy of it.
        copy: PathBuf,
    },
    /// The trust root has expired, so nothing new is sealed under it.
    #[error(
        "the trust root expired at {end}, and it is {now}: nothing is sealed under it any more"
    )]
    RootExpired {
        /// When it expired.
        end: Timestamp,
        /// The time by the clock.
        now: Timestamp,
    },
    /// A seal would not be accepted, so it was not stored.
    #[error(
        "the trust root would not accept this seal of the stream `{stream}`, so it was not stored"
    )]
    OwnSeal {
        /// The stream.
        stream: Stream,
        /// Why.
        source: Box<SealError>,
    },
    /// The store does not have what a seal that was prepared is about.
    #[error("the store no longer has the whole tree of the seal {sequence} of `{stream}`")]
    TreeGone {
        /// The stream.
        stream: Stream,
        /// The sequence.
        sequence: Sequence,
        /// What is missing, or damaged.
        source: Box<StoreError>,
    },
    /// A directory's path does not make the name of a stream.
    #[error("the path `{}` does not make the name of a stream", path.display())]
    NoDefaultStream {
        /// The path.
        path: PathBuf,
    },
    /// Sequences have come to their end, or the given one is out of range.
    #[error("sequence {found}: expected one from {expected} to 9007199254740991")]
    Sequence {
        /// The lowest possible.
        expected: u64,
        /// What was asked for.
        found: u64,
    },
    /// A directory could not be imported into the store.
    #[error(transparent)]
    Import(Box<ImportError<StoreError>>),
    /// The digests of a directory's files could not be computed.
    #[error(transparent)]
    Measure(Box<ImportError<io::Error>>),
    /// A dump cannot be read.
    #[error("cannot read the dump `{}`", path.display())]
    Dump {
        /// The dump.
        path: PathBuf,
        /// Why.
        source: DumpReadError,
    },
    /// A tree cannot be sealed because not every byte of it would be vouched for.
    #[error(
        "`{}` has no file digest, or another object path than its digest's: a seal could not vouch for it",
        display_path(path)
    )]
    Unsealable {
        /// The file.
        path: Vec<u8>,
    },
    /// The content of a sealed tree is in no store.
    #[error(
        "the files of `{stream}` are those of a commit of OSTree, and lie in its repository, in no store"
    )]
    ContentElsewhere {
        /// The stream.
        stream: Stream,
    },
    /// No image can hold the tree.
    #[error("no image can hold the tree")]
    Write(#[from] WriteError),
    /// An image is malformed.
    #[error("the image `{}` is malformed", path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// Why.
        source: ImageError,
    },
    /// An image does not have all the digests that its statement names.
    #[error("the image has {what} {found}, its statement says {expected}")]
    ImageDiffers {
        /// Which digest, or the size.
        what: &'static str,
        /// What the statement says.
        expected: String,
        /// What the image has.
        found: String,
    },
    /// The sealed tree has no such path.
    #[error("the tree has no `{}`", display_path(path))]
    NoSuchPath {
        /// The path.
        path: Vec<u8>,
    },
    /// A path is of another type than needed.
    #[error("`{}` is a {found}, expected a {expected}", display_path(path))]
    WrongType {
        /// The path.
        path: Vec<u8>,
        /// What is needed.
        expected: treeseal_tree::FileType,
        /// What it is.
        found: treeseal_tree::FileType,
    },
    /// The directory to extract into is in use.
    #[error("`{}` exists and is not an empty directory", path.display())]
    TargetInUse {
        /// The directory.
        path: PathBuf,
    },
    /// Output took no more.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

/// What an error says and what its causes say, without those that it quotes.
pub fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut said = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some errors quote their cause: a person reads it once.
        if !said.last().is_some_and(|before| before.contains(&text)) {
            said.push(text);
        }
        cause = error.source();
    }
    said
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        Self::Commit(Box::new(error))
    }
}

impl From<SysrootError> for Error {
    fn from(error: SysrootError) -> Self {
        CommitError::from(error).into()
    }
}

impl From<OstreeError> for Error {
    fn from(error: OstreeError) -> Self {
        CommitError::from(error).into()
    }
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn verity<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl Fn(VerityError) -> Self + 'a {
        move |source| Self::Verity { action, path: path.to_owned(), source }
    }

    pub(crate) fn unenforced(path: &Path) -> impl Fn(VerityError) -> Self + '_ {
        |source| Self::Unenforced { path: path.to_owned(), source }
    }

    pub(crate) fn tpm_floor(stream: &Stream) -> impl Fn(TpmFloorError) -> Self + '_ {
        |source| Self::TpmFloor { stream: stream.clone(), source: Box::new(source) }
    }

    #[cfg(feature = "token")]
    pub(crate) fn token(uri: &TokenUri, source: TokenError) -> Self {
        Self::Token { uri: Box::new(uri.clone()), source: Box::new(source) }
    }

    pub(crate) fn seal(stream: &Stream, sequence: Sequence) -> impl Fn(SealError) -> Self + '_ {
        move |source| Self::Seal { stream: stream.clone(), sequence, source: Box::new(source) }
    }

    pub(crate) fn root(path: &Path) -> impl Fn(RootError) -> Self + '_ {
        |source| Self::Root { path: path.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn missing(path: &Path) -> Self {
        Self::io("read", path, io::ErrorKind::NotFound.into())
    }

    pub(crate) fn image_differs(
        what: &'static str,
        expected: &dyn fmt::Display,
        found: &dyn fmt::Display,
    ) -> Self {
        Self::ImageDiffers { what, expected: expected.to_string(), found: found.to_string() }
    }

    pub(crate) fn key_file(path: &Path) -> impl Fn(KeyFileError) -> Self + '_ {
        |source| Self::KeyFile { path: path.to_owned(), source }
    }

    /// Whether the failure answers what was asked.
    pub fn answer(&self) -> Answer {
        match self {
            Self::Seal { .. }
            | Self::SequenceMoved { .. }
            | Self::NotAskedFor { .. }
            | Self::OwnSeal { .. }
            | Self::TreeGone { .. }
            | Self::SealFile { .. }
            | Self::OtherRoot { .. }
            | Self::NotEnrolled { .. }
            | Self::NotFreshened { .. }
            | Self::RootExpired { .. }
            | Self::Root { .. }
            | Self::RootGap { .. }
            | Self::ImageDiffers { .. }
            | Self::NothingToBoot { .. }
            | Self::OtherVerity { .. }
            | Self::WrongImage { .. }
            | Self::Verity { source: VerityError::NotEnabled, .. }
            | Self::NoSeal { .. } => Answer::No,
            Self::Store(error) if error.is_damage() => Answer::No,
            Self::Commit(error) => error.answer(),
            _ => Answer::Unknown,
        }
    }

    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Commit(error) => error.hint()?,
            Self::NoRoot { .. } => {
                "get the root.json of whoever seals, and give its place with --root or \
                 TREESEAL_ROOT; the first `treeseal seal` on a machine makes one"
                    .to_owned()
            }
            Self::RootInStore { .. } => {
                "keep the root where only the machine's owner can write, and name it with --root \
                 or TREESEAL_ROOT"
                    .to_owned()
            }
            Self::NoSeal { .. } => {
                "`treeseal store stat` lists the streams that the store has".to_owned()
            }
            Self::RootGap { missing, .. } => format!(
                "no version is skipped: get {missing}.root.json from whoever keeps the trust root, and \
                 put it into `roots` in the store"
            ),
            Self::RootExpired { .. } => {
                "make a newer root: `treeseal root expire DRAFT DATE`, and have it signed".to_owned()
            }
            Self::OwnSeal { source, .. } if matches!(**source, SealError::Threshold(_)) => {
                "name more keys with --key, or have others sign: `treeseal seal SOURCE --unsigned FILE`"
                    .to_owned()
            }
            Self::NotEnrolled { .. } => {
                "`treeseal floor enrol STREAM` keeps it there; if it was kept there before, find out who \
                 cleared the TPM first"
                    .to_owned()
            }
            Self::ContentElsewhere { stream } => format!(
                "`treeseal ostree verify REPO REF --stream {stream}` checks every byte of them"
            ),
            Self::NoTpm => "name it with --tpm or TREESEAL_TPM, like /dev/tpmrm0".to_owned(),
            Self::OwnSeal { source, .. }
                if matches!(
                    **source,
                    SealError::SequenceReused { .. }
                        | SealError::RolledBack { .. }
                        | SealError::BelowMinimum { .. }
                ) =>
            {
                "the sequence is used up: make the seal again, and have that one signed".to_owned()
            }
            Self::Store(StoreError::Conflict { .. }) => {
                "another one was faster: make yours again, and have that one signed".to_owned()
            }
            Self::TreeGone { .. } => {
                "import the tree again, with `treeseal seal SOURCE --unsigned NEWFILE`: where that \
                 gives the same image, the seal that was signed can be submitted"
                    .to_owned()
            }
            Self::OtherRoot { .. } => {
                "`treeseal submit FILE` adds the next version to the chain; to trust somebody else from \
                 now on, remove the pinned root by hand first"
                    .to_owned()
            }
            Self::PassphrasesDiffer | Self::EmptyPassphrase => {
                "nothing was written: try again".to_owned()
            }
            Self::NameOfPublicKey { path } => {
                format!("name the file of the private key, like {}", path.with_extension("pem").display())
            }
            Self::NoSay { .. } => {
                "`treeseal root show` lists who has which role; nothing was signed".to_owned()
            }
            Self::NoRootToJudge => {
                "give the root.json of whoever has the stream with --root or TREESEAL_ROOT".to_owned()
            }
            Self::DraftVersion { found: 1, .. } => {
                "to change the draft of a first root, name with --root a place where none is pinned \
                 yet; to change the pinned root, name a draft that does not exist yet"
                    .to_owned()
            }
            Self::DraftVersion { .. } => {
                "remove the draft and make the change again: it begins from the present root"
                    .to_owned()
            }
            Self::NoPending { .. } => {
                "`treeseal seal SOURCE --unsigned FILE` makes a seal to be signed, `treeseal root \
                 init` or any change to a root makes a draft"
                    .to_owned()
            }
            Self::NoDefaultStream { .. } => {
                "name the stream with --stream, like vendor/product/arch/channel".to_owned()
            }
            Self::Verity { source: VerityError::NotEnabled, .. } => {
                "`treeseal enable FILE` enables it".to_owned()
            }
            Self::Verity { source, .. } => source.hint()?.to_owned(),
            Self::Mount { source, .. }
            | Self::IdMap { source, .. }
            | Self::Place { source, .. }
            | Self::Unmount { source, .. } => source.hint()?.to_owned(),
            Self::Unenforced { source, .. } if source.is_unsupported() => format!(
                "{}without it `treeseal verify STREAM --deep` checks every byte once, now, and `treeseal \
                 extract` each file that it restores",
                source.hint().map_or(String::new(), |hint| format!("{hint}; "))
            ),
            Self::Unenforced { .. } => {
                "`treeseal store fsck --repair` enables fs-verity on all that the store has".to_owned()
            }
            Self::NotSealed { .. } => "umount(8) unmounts anything".to_owned(),
            Self::ChangesApart { .. } => {
                "make two directories beside each other, on the filesystem that is to keep the changes"
                    .to_owned()
            }
            Self::Record { .. } => {
                "it says what was mounted, and is needed for nothing else: `treeseal umount` removes it"
                    .to_owned()
            }
            Self::OtherVerity { .. } => {
                "that cannot be changed: copy the file, and enable fs-verity on the copy".to_owned()
            }
            Self::TargetInUse { .. } => "name a directory that does not exist yet".to_owned(),
            Self::NoKey { .. } => {
                "name a key with --key; `treeseal key new FILE` makes a key pair, and the first \
                 `treeseal seal` on a machine makes the machine's own"
                    .to_owned()
            }
            Self::NoPassphrase { .. } => {
                "run it on a terminal, or give --passphrase-fd, or the systemd credential \
                 `treeseal.passphrase`"
                    .to_owned()
            }
            Self::KeyFile { source: KeyFileError::Decrypt, .. } => {
                "nothing was signed or changed: run it again with the right passphrase".to_owned()
            }
            Self::PublicKey { .. } => {
                "`treeseal key show FILE --public` prints the public half of a private key".to_owned()
            }
            Self::Exists { .. } => "choose another name, or move the file away".to_owned(),
            Self::Store(error) if error.is_damage() => {
                "`treeseal store fsck` names all damage; `--repair --from DIR` heals it from good \
                 files"
                    .to_owned()
            }
            Self::Tries { path, .. } => format!(
                "it holds how often trees were tried that were not marked good; removing `{}` gives \
                 them all their tries again",
                path.display()
            ),
            Self::NotBooted { .. } => {
                "treeseal-boot in the initramfs writes it; docs/guides/boot.md says how to set that up"
                    .to_owned()
            }
            Self::State { path, .. } => format!(
                "it holds the rollback floors; if `{}` is lost, removing it starts again from the \
                 floors of the trust root",
                path.display()
            ),
            _ => return None,
        })
    }
}
