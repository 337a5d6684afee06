//! The seals of a commit: where they lie, and which of them holds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use treeseal_source::ostree::{Checksum, OstreeError, Repository};
use treeseal_store::Store;
use treeseal_trust::{
    Clock, Envelope, RootFile, SealError, SealRequest, Sequence, Statement, Stream, TrustRoot,
    Verified, verify_seal,
};
use treeseal_verity::FileDigest;

use super::CommitError;
use crate::root::{RootSource, follow_chain, pinned_root};
use crate::sealed::require_sequence;
use crate::{Answer, Error, Locations, memory};

/// Where a repository has its store: in what OSTree leaves to other programs.
const STORE: &str = "extensions/treeseal";

/// The key of what is kept beside a commit under which its seal lies: the bytes of an envelope, `ay`.
pub(super) const STATEMENT: &str = "treeseal.statement";

/// The key under which trust roots lie, that lead on from the one that a machine has pinned: `aay`.
pub(super) const ROOTS: &str = "treeseal.roots";

/// The most trust roots beside a commit: one every month for twenty years.
pub(super) const MAX_ROOTS: usize = 256;

/// The most seals of a stream in a store that are looked at, the newest first.
const MAX_SEALS: usize = 64;

/// Where a repository has its store.
pub fn store_of_repository(repository: &Path) -> PathBuf {
    repository.join(STORE)
}

/// What a repository has in the way of seals of a commit, and of trust roots to judge them by. Nothing
/// in it is trusted because it lies there.
pub(crate) struct CommitSeals {
    commit: Checksum,
    beside: Option<Vec<u8>>,
    roots: RootsBeside,
    store: Option<Store>,
}

/// A seal of a commit that was accepted.
pub(crate) struct FoundSeal {
    /// Where it lies.
    pub(crate) place: SealPlace,
    /// Its statement.
    pub(crate) statement: Verified<Statement>,
    /// Its bytes.
    pub(crate) envelope: Vec<u8>,
}

/// Where a seal of a commit lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealPlace {
    /// In the metadata beside the commit.
    Beside,
    /// In the repository's store, under this sequence.
    Store(Sequence),
}

impl fmt::Display for SealPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beside => f.write_str("beside the commit"),
            Self::Store(sequence) => write!(f, "sequence {sequence} in the repository's store"),
        }
    }
}

/// A seal that is not the one of a commit.
#[derive(Debug)]
pub struct RefusedSeal {
    /// Where it lies.
    pub place: SealPlace,
    /// Why.
    pub problem: SealProblem,
}

/// Why a seal is not the one of a commit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealProblem {
    /// It is not accepted.
    #[error(transparent)]
    Refused(#[from] SealError),
    /// It is that of something else.
    #[error("it seals another image: {}", list(stated))]
    OtherImage {
        /// The digests of the images that it seals.
        stated: Vec<FileDigest>,
    },
    /// It could not be read, or lies under another sequence than its own.
    #[error("{}", crate::causes(&**.0).join(": "))]
    Unreadable(Box<Error>),
}

impl SealProblem {
    pub(super) fn answer(&self) -> Answer {
        match self {
            Self::Refused(_) | Self::OtherImage { .. } => Answer::No,
            Self::Unreadable(error) => error.answer(),
        }
    }
}

impl CommitSeals {
    /// Looks at what a repository has beside a commit, and for its store.
    pub(crate) fn open(repository: &Repository, commit: &Checksum) -> Result<Self, Error> {
        let metadata = repository.detached_metadata(commit)?;
        let path = repository.detached_metadata_path(commit);
        let malformed = |source| OstreeError::Object { path: path.clone(), source };
        let beside = metadata.bytes(STATEMENT).map_err(malformed)?.map(<[u8]>::to_vec);
        let roots = RootsBeside::new(&path, metadata.list(ROOTS).map_err(malformed)?)?;
        let store = open_store(repository.path())?;
        Ok(Self { commit: *commit, beside, roots, store })
    }

    /// The seals and roots of a store alone.
    fn of_store(commit: &Checksum, store: Store) -> Self {
        Self { commit: *commit, beside: None, roots: RootsBeside::default(), store: Some(store) }
    }

    /// The newest trust root that leads on from the pinned one, by the roots beside the commit and those
    /// of the store; `passed` is that of [`follow_chain`].
    pub(crate) fn newest_root(
        &self,
        pinned: TrustRoot,
        passed: impl FnMut(TrustRoot, Vec<u8>),
    ) -> Result<TrustRoot, Error> {
        follow_chain(&self.root_sources(), pinned, passed)
    }

    /// Where trust roots lie: beside the commit, and in the store.
    pub(crate) fn root_sources(&self) -> Vec<&dyn RootSource> {
        let mut sources: Vec<&dyn RootSource> = vec![&self.roots];
        sources.extend(self.store.as_ref().map(|store| store as &dyn RootSource));
        sources
    }

    /// The first seal that names this image and that `judge` accepts: the one beside the commit, or the
    /// newest of the stream in the store.
    ///
    /// `judge` gets an envelope, and the freshness statement of the store if there is one.
    pub(crate) fn find(
        &self,
        stream: &Stream,
        image: &FileDigest,
        judge: impl Fn(&[u8], Option<&[u8]>) -> Result<Verified<Statement>, SealError>,
    ) -> Result<FoundSeal, Error> {
        let freshness = match &self.store {
            Some(store) => store.freshness(stream)?,
            None => None,
        };
        let judge = |envelope: &[u8]| judge(envelope, freshness.as_deref());
        let mut refused = Vec::new();
        for place in self.places(stream)? {
            match self.accept(stream, place, image, judge) {
                Ok((statement, envelope)) => {
                    return Ok(FoundSeal { place, statement, envelope });
                }
                Err(problem) => refused.push(RefusedSeal { place, problem }),
            }
        }
        let (commit, stream) = (self.commit, stream.clone());
        Err(CommitError::NotSealed { commit, stream, refused }.into())
    }

    /// Where seals lie, in the order in which they are looked at.
    fn places(&self, stream: &Stream) -> Result<Vec<SealPlace>, Error> {
        let beside = self.beside.iter().map(|_| SealPlace::Beside);
        let stored = match &self.store {
            Some(store) => store.sequences(stream)?,
            None => Vec::new(),
        };
        let newest = stored.into_iter().rev().take(MAX_SEALS);
        Ok(beside.chain(newest.map(SealPlace::Store)).collect())
    }

    fn accept(
        &self,
        stream: &Stream,
        place: SealPlace,
        image: &FileDigest,
        judge: impl Fn(&[u8]) -> Result<Verified<Statement>, SealError>,
    ) -> Result<(Verified<Statement>, Vec<u8>), SealProblem> {
        let envelope = self.envelope(stream, place)?;
        // Most seals of a stream are those of other commits, and signatures take time to check. What is
        // read here is read again from what was verified.
        require_image(&claimed_statement(&envelope)?, image)?;
        let statement = judge(&envelope)?;
        require_image(&statement, image)?;
        if let SealPlace::Store(sequence) = place {
            require_sequence(&statement, sequence).map_err(unreadable)?;
        }
        Ok((statement, envelope))
    }

    fn envelope(&self, stream: &Stream, place: SealPlace) -> Result<Vec<u8>, SealProblem> {
        match (place, &self.store) {
            (SealPlace::Store(sequence), Some(store)) => {
                store.seal(stream, sequence).map_err(|error| unreadable(error.into()))
            }
            _ => Ok(self.beside.clone().unwrap_or_default()),
        }
    }
}

fn unreadable(error: Error) -> SealProblem {
    SealProblem::Unreadable(Box::new(error))
}

/// What an envelope says, for which nobody vouches.
fn claimed_statement(envelope: &[u8]) -> Result<Statement, SealError> {
    Ok(Statement::parse(Envelope::parse(envelope)?.payload())?)
}

fn require_image(statement: &Statement, image: &FileDigest) -> Result<(), SealProblem> {
    let mut stated = statement.images.iter().flat_map(|image| image.digests.files());
    if stated.any(|stated| stated == image) {
        return Ok(());
    }
    let stated = statement.images.iter().flat_map(|image| image.digests.files());
    Err(SealProblem::OtherImage { stated: stated.copied().collect() })
}

fn list(digests: &[FileDigest]) -> String {
    digests.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The store of a repository, if it has one.
fn open_store(repository: &Path) -> Result<Option<Store>, Error> {
    let path = store_of_repository(repository);
    match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::io("read", &path, source)),
        // Whoever has written to the repository could lead elsewhere.
        Ok(_) => Ok(Some(crate::boot::open_store(repository, STORE)?)),
    }
}

/// Trust roots beside a commit.
#[derive(Default)]
struct RootsBeside {
    path: PathBuf,
    by_version: BTreeMap<u64, Vec<u8>>,
}

impl RootsBeside {
    fn new(path: &Path, roots: Vec<Vec<u8>>) -> Result<Self, Error> {
        if roots.len() > MAX_ROOTS {
            return Err(
                CommitError::TooManyRoots { path: path.to_owned(), limit: MAX_ROOTS }.into()
            );
        }
        let mut by_version = BTreeMap::new();
        for bytes in roots {
            let file = RootFile::parse(&bytes).map_err(Error::root(path))?;
            by_version.insert(file.content().version, bytes);
        }
        Ok(Self { path: path.to_owned(), by_version })
    }
}

impl RootSource for RootsBeside {
    fn root(&self, version: u64) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.by_version.get(&version).cloned())
    }

    fn newest_version(&self) -> Result<Option<u64>, Error> {
        Ok(self.by_version.keys().next_back().copied())
    }

    fn place(&self) -> &Path {
        &self.path
    }

    fn path_of(&self, _version: u64) -> PathBuf {
        self.path.clone()
    }
}

/// The seal of a commit that this machine accepts.
#[derive(Debug)]
pub struct CommitSeal {
    /// The statement, with who vouches for it.
    pub statement: Verified<Statement>,
    /// The trust root that accepted it.
    pub root: TrustRoot,
    /// Where the seal lies.
    pub place: SealPlace,
    /// Whether nothing was remembered of any seal.
    pub is_first_contact: bool,
    /// Its bytes.
    pub(super) envelope: Vec<u8>,
}

/// What a seal is looked for for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// What it seals is going to be used: nothing older than what is remembered, and nothing stale.
    Use,
    /// It was made here: that nobody has said yet that it is the newest does not matter.
    Own,
    /// What it seals was used before: floors and times do not matter.
    GoingBack,
}

impl CommitSeal {
    /// Finds the seal of a commit with this image in its repository, by the pinned root and what is
    /// remembered in `locations`, whose store does not matter. That it was accepted is still to be
    /// [remembered](Self::remember).
    pub(super) fn find(
        locations: &Locations,
        repository: &Repository,
        commit: &Checksum,
        stream: &Stream,
        image: &FileDigest,
        purpose: Purpose,
    ) -> Result<Self, Error> {
        // A root that lies in the repository would be its own judge.
        let locations = Locations { store: repository.path().to_owned(), ..locations.clone() };
        let seals = CommitSeals::open(repository, commit)?;
        Self::among(&seals, &locations, stream, image, purpose)
    }

    /// Finds it in a store, for whoever has made it.
    pub(super) fn find_own(
        locations: &Locations,
        store: &Store,
        commit: &Checksum,
        stream: &Stream,
        image: &FileDigest,
    ) -> Result<Self, Error> {
        let seals = CommitSeals::of_store(commit, store.clone());
        Self::among(&seals, locations, stream, image, Purpose::Own)
    }

    fn among(
        seals: &CommitSeals,
        locations: &Locations,
        stream: &Stream,
        image: &FileDigest,
        purpose: Purpose,
    ) -> Result<Self, Error> {
        let root = seals.newest_root(pinned_root(locations)?, |_, _| ())?;
        let remembered = memory::recall(locations)?;
        let is_first_contact = remembered.is_none();
        let state = remembered.unwrap_or_default();
        let request = match purpose {
            Purpose::Use => memory::request(locations, &state, stream, memory::clock()?)?,
            Purpose::Own => {
                memory::request(locations, &state, stream, memory::clock()?)?.for_the_sealer()
            }
            Purpose::GoingBack => {
                SealRequest::first_contact(stream, Clock::Unknown).for_the_sealer()
            }
        };
        let found = seals.find(stream, image, |envelope, freshness| {
            verify_seal(envelope, &root, &request.with_freshness(freshness))
        })?;
        let FoundSeal { place, statement, envelope } = found;
        Ok(Self { statement, root, place, is_first_contact, envelope })
    }

    /// Remembers what was accepted, so that nothing older will be.
    pub(super) fn remember(&self, locations: &Locations) -> Result<(), Error> {
        memory::remember(locations, &self.root, &self.statement)
    }
}
