use std::io;
use std::path::{Path, PathBuf};

use treeseal_erofs::{ImageError, WriteError};
use treeseal_source::{DumpReadError, ImportError};
use treeseal_store::StoreError;
use treeseal_sys::FileError;
use treeseal_tree::display_path;
use treeseal_trust::{
    KeyFileError, RootError, SealError, Sequence, SignStatementError, StateError, Stream,
};

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
    /// A file or directory of a tree could not be read or restored.
    #[error(transparent)]
    File(#[from] FileError),
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
        source: RootError,
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
        source: SealError,
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
    /// A statement cannot be signed.
    #[error("cannot sign the statement")]
    Sign(#[from] SignStatementError),
    /// A seal would not be accepted, so it was not stored.
    #[error(
        "the trust root would not accept this seal of the stream `{stream}`, so it was not stored"
    )]
    OwnSeal {
        /// The stream.
        stream: Stream,
        /// Why.
        source: SealError,
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

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn key_file(path: &Path) -> impl Fn(KeyFileError) -> Self + '_ {
        |source| Self::KeyFile { path: path.to_owned(), source }
    }

    /// Whether the failure answers what was asked.
    pub fn answer(&self) -> Answer {
        match self {
            Self::Seal { .. }
            | Self::SequenceMoved { .. }
            | Self::OwnSeal { .. }
            | Self::Root { .. }
            | Self::ImageDiffers { .. }
            | Self::NoSeal { .. } => Answer::No,
            Self::Store(error) if error.is_damage() => Answer::No,
            _ => Answer::Unknown,
        }
    }

    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
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
            Self::NoDefaultStream { .. } => {
                "name the stream with --stream, like vendor/product/arch/channel".to_owned()
            }
            Self::TargetInUse { .. } => "name a directory that does not exist yet".to_owned(),
            Self::NoKey { path } => format!(
                "a key file is encrypted PKCS#8 in PEM, and its password is in `{}`",
                path.with_extension("password").display()
            ),
            Self::Store(error) if error.is_damage() => {
                "`treeseal store fsck` names all damage; `--repair --from DIR` heals it from good \
                 files"
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
