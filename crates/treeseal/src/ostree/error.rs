use std::path::PathBuf;

use treeseal_foreign::ostree::{KeyFileError, SecretKeyError, SignersError};
use treeseal_source::ostree::{Checksum, OstreeError, SysrootError};
use treeseal_tree::display_path;
use treeseal_trust::{KeyAlgorithm, KeyId, Stream, Timestamp};
use treeseal_verity::FileDigest;

use super::{RefusedSeal, SealProblem, SeenError, Unsealed};
use crate::{Answer, Error};

/// Why a commit is not verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The repository or an object in it cannot be read, or is not what it should be.
    #[error(transparent)]
    Repository(#[from] OstreeError),
    /// What is deployed is not as OSTree deploys it.
    #[error(transparent)]
    Sysroot(#[from] SysrootError),
    /// A file of keys cannot be used.
    #[error("cannot use the keys in `{}`", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyFileError,
    },
    /// A file of a secret key cannot be used.
    #[error("cannot sign with the key in `{}`", path.display())]
    SecretKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SecretKeyError,
    },
    /// OSTree has no such signatures.
    #[error("the key {key} is one of {}, and OSTree's signatures are made with Ed25519", found.name())]
    KeyKind {
        /// The key.
        key: KeyId,
        /// Its algorithm.
        found: KeyAlgorithm,
    },
    /// A signature of the key is there, or the key was named twice.
    #[error("commit {commit} would have two signatures of the key {key}")]
    SignedBefore {
        /// The commit.
        commit: Checksum,
        /// The key.
        key: KeyId,
    },
    /// A signature that was made elsewhere is not one that can be added.
    #[error(
        "the signature is not one of Ed25519 over commit {commit} by a key in `{}`", keys.display()
    )]
    Signature {
        /// The commit.
        commit: Checksum,
        /// The file of the keys.
        keys: PathBuf,
    },
    /// There is no key that is trusted.
    #[error("there is no key that a commit could be signed by")]
    NoKeys,
    /// Nobody who is trusted has signed it.
    #[error("commit {commit} is not accepted")]
    Signers {
        /// The commit.
        commit: Checksum,
        /// Why.
        source: SignersError,
    },
    /// It was made for other refs.
    #[error("commit {commit} was made for {}, and not for `{name}`", list(bound))]
    OtherRef {
        /// The commit.
        commit: Checksum,
        /// The ref that it was found under.
        name: String,
        /// The refs that it names.
        bound: Vec<String>,
    },
    /// It is older than one that was accepted under the same ref.
    #[error("commit {commit} is of {found}, and one of {seen} was accepted under `{name}` before")]
    Older {
        /// The commit.
        commit: Checksum,
        /// The ref.
        name: String,
        /// When it was made.
        found: Timestamp,
        /// When the newest was made that was accepted.
        seen: Timestamp,
    },
    /// Its time is none.
    #[error("commit {commit} was made {found} seconds after 1970, which is no time")]
    Time {
        /// The commit.
        commit: Checksum,
        /// The seconds.
        found: u64,
    },
    /// What it contains has another image than it says.
    #[error("commit {commit} has an image with the digest {found:?}, and states {stated}")]
    Digest {
        /// The commit.
        commit: Checksum,
        /// The digest that it states, in hex.
        stated: String,
        /// That of the image of what it contains.
        found: FileDigest,
    },
    /// An image is not that of the commit.
    #[error("`{}` is not the image of the commit: {}", path.display(), first_difference(difference))]
    OtherImage {
        /// The image.
        path: PathBuf,
        /// The first path that differs, and how; nothing where the trees are the same and only written
        /// differently.
        difference: Option<(Vec<u8>, String)>,
    },
    /// No image can hold what it contains.
    #[error("commit {commit} has no image")]
    NoImage {
        /// The commit.
        commit: Checksum,
        /// Why.
        source: treeseal_erofs::WriteError,
    },
    /// Another image was asked for than the one that libostree makes.
    #[error(
        "the image of a commit has format version 0 and no other: it is the one that libostree makes"
    )]
    Version,
    /// No further ref can be remembered.
    #[error("`{}` has {limit} refs, and no room for another", path.display())]
    TooManyRefs {
        /// The file.
        path: PathBuf,
        /// How many are remembered at most.
        limit: usize,
    },
    /// No seal of the commit is accepted.
    #[error(
        "commit {commit} has no seal of the stream `{stream}` that is accepted: {}",
        list_refused(refused)
    )]
    NotSealed {
        /// The commit.
        commit: Checksum,
        /// The stream.
        stream: Stream,
        /// The seals that were looked at.
        refused: Vec<RefusedSeal>,
    },
    /// A deployment has no image.
    #[error("the deployment has no image `{}`", path.display())]
    NotDeployed {
        /// Where it should be.
        path: PathBuf,
    },
    /// A deployment is not sealed, or entries of the boot loader lead to one that is not.
    #[error("not sealed for `{stream}`: {}", list_unsealed(unsealed))]
    Unsealed {
        /// The stream.
        stream: Stream,
        /// What is not sealed.
        unsealed: Vec<Unsealed>,
    },
    /// More trust roots than are read beside a commit, or put there.
    #[error("`{}` has more than {limit} trust roots", path.display())]
    TooManyRoots {
        /// Where they lie.
        path: PathBuf,
        /// How many there may be.
        limit: usize,
    },
    /// What is remembered of earlier commits cannot be understood.
    #[error("`{}` cannot be understood", path.display())]
    Seen {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SeenError,
    },
}

impl CommitError {
    /// What it says about what was asked.
    pub(crate) fn answer(&self) -> Answer {
        match self {
            Self::Signers { .. }
            | Self::OtherRef { .. }
            | Self::Older { .. }
            | Self::Digest { .. }
            | Self::OtherImage { .. }
            | Self::Repository(
                OstreeError::Differs { .. }
                | OstreeError::Missing { .. }
                | OstreeError::Object { .. }
                | OstreeError::Read { .. }
                | OstreeError::Tree { .. },
            ) => Answer::No,
            Self::NotSealed { refused, .. }
                if refused.iter().all(|seal| seal.problem.answer() == Answer::No) =>
            {
                Answer::No
            }
            Self::Unsealed { unsealed, .. }
                if unsealed.iter().all(|unsealed| unsealed.answer() == Answer::No) =>
            {
                Answer::No
            }
            Self::NotDeployed { .. }
            | Self::Sysroot(
                SysrootError::NoDeployment { .. }
                | SysrootError::Argument { .. }
                | SysrootError::Link { .. }
                | SysrootError::Name { .. },
            ) => Answer::No,
            _ => Answer::Unknown,
        }
    }

    /// What can be done about it.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoKeys => {
                "name files of public keys with --key, or put them where OSTree looks for them: \
                 /etc/ostree/trusted.ed25519"
                    .to_owned()
            }
            Self::Unsealed { unsealed, .. }
                if unsealed.iter().any(|unsealed| matches!(*unsealed.reason, Error::Verity { .. })) =>
            {
                "the kernel does not check such an image when it is used; `--enforce scan` reads it now, \
                 and nothing checks it later"
                    .to_owned()
            }
            Self::Unsealed { .. } => {
                "`ostree admin undeploy N` takes the N-th deployment away, of those that `ostree admin \
                 status` lists, counted from 0"
                    .to_owned()
            }
            Self::NotSealed { stream, refused, .. } if refused.iter().all(is_of_another) => format!(
                "`treeseal seal --from ostree REPO REF --stream {stream} --embed` seals it, where it is made"
            ),
            Self::KeyKind { .. } => {
                "`treeseal key new FILE --type ed25519` makes one that can be used".to_owned()
            }
            Self::Signature { .. } => {
                "what is signed are the bytes that `treeseal ostree sign REPO REF --unsigned FILE` writes; \
                 nothing was changed"
                    .to_owned()
            }
            Self::OtherRef { .. } => {
                "find out who moved the ref; a commit that is named by its checksum is verified as what \
                 it is"
                    .to_owned()
            }
            Self::Older { name, .. } => format!(
                "somebody may be offering an old commit: pull `{name}` from where it is made"
            ),
            Self::Repository(OstreeError::Differs { .. } | OstreeError::Missing { .. }) => {
                "`ostree fsck` names all objects that are damaged; `ostree pull` gets them again"
                    .to_owned()
            }
            Self::Repository(OstreeError::NoRef { .. }) => {
                "`ostree refs --repo=REPO` lists the refs".to_owned()
            }
            Self::TooManyRefs { path, .. } => format!(
                "remove what is not verified any more from `{}`, or give another directory with --state",
                path.display()
            ),
            _ => return None,
        })
    }
}

/// Whether a seal is in order and not that of the commit: then the commit has none.
const fn is_of_another(seal: &RefusedSeal) -> bool {
    matches!(seal.problem, SealProblem::OtherImage { .. })
}

fn list(names: &[String]) -> String {
    match names {
        [] => "no ref".to_owned(),
        names => names
            .iter()
            .map(|name| format!("`{}`", name.escape_debug()))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

fn list_refused(refused: &[RefusedSeal]) -> String {
    match refused {
        [] => "none is beside it or in the repository's store".to_owned(),
        refused => refused
            .iter()
            .map(|RefusedSeal { place, problem }| format!("{place}: {problem}"))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

fn list_unsealed(unsealed: &[Unsealed]) -> String {
    let line = |unsealed: &Unsealed| {
        format!("{}: {}", unsealed.what, crate::causes(&*unsealed.reason).join(": "))
    };
    unsealed.iter().map(line).collect::<Vec<_>>().join("; ")
}

fn first_difference(difference: &Option<(Vec<u8>, String)>) -> String {
    match difference {
        Some((path, what)) => format!("`{}` {what}", display_path(path)),
        None => "it has the same tree, written in another way".to_owned(),
    }
}
