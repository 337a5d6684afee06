use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use treeseal_erofs::{FormatVersion, ImageWriter, VersionChoice};
use treeseal_foreign::ostree::signers;
use treeseal_source::Progress;
use treeseal_source::ostree::{Checksum, Commit, Repository, read_commit};
use treeseal_tree::Tree;
use treeseal_tree::diff::{Change, Difference, diff};
use treeseal_trust::{PublicKey, Stream, Timestamp};
use treeseal_verity::{FileDigest, Params};

use super::seals::Purpose;
use super::seen::{self, Ref};
use super::{CommitError, CommitSeal, KeySources};
use crate::image::tree_of_image;
use crate::{Error, Locations};

/// Which commit is to be verified, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitRequest {
    /// The repository.
    pub repository: PathBuf,
    /// A ref, a remote and a ref, or a checksum.
    pub name: String,
    /// The keys by one of which it must be signed; none, if its seal is enough.
    pub keys: Option<KeySources>,
    /// The stream that it must be sealed for, if it must be.
    pub stream: Option<Stream>,
    /// An image that must be that of the commit.
    pub image: Option<PathBuf>,
}

/// A commit for which somebody trusted vouches, and whose every object is what it should be.
#[derive(Debug)]
pub struct VerifiedCommit {
    /// The commit's name.
    pub checksum: Checksum,
    /// What it says.
    pub commit: Commit,
    /// When it was made, as it says.
    pub time: Timestamp,
    /// The trusted keys that have signed it; none where that was not asked.
    pub signers: Vec<PublicKey>,
    /// Its seal, if it was asked for.
    pub seal: Option<CommitSeal>,
    /// Whether it was named by a ref under which nothing was accepted before; nothing, if it was named
    /// by its checksum.
    pub is_first_contact: Option<bool>,
    /// What it contains.
    pub tree: Tree,
    /// The fs-verity digest of the image that libostree mounts it as.
    pub image: FileDigest,
}

/// Verifies a commit: who vouches for it, that it was made for the ref and is not older than what was
/// accepted under it, every object, and the image.
///
/// Vouched for it is by a signature, a seal, or both, as the request says; one of them must be asked
/// for. What was accepted is remembered in the state of `locations`, whose store does not matter.
pub fn verify_commit(
    locations: &Locations,
    request: &CommitRequest,
    progress: &Progress,
) -> Result<VerifiedCommit, Error> {
    if request.keys.is_none() && request.stream.is_none() {
        return Err(CommitError::NoKeys.into());
    }
    let keys = request.keys.as_ref().map(KeySources::read).transpose()?;
    let repository = Repository::open(&request.repository)?;
    let checksum = repository.resolve(&request.name)?;
    let (commit, bytes) = repository.commit(&checksum)?;
    let signers = match keys {
        Some(keys) => signers(&bytes, &repository.detached_metadata(&checksum)?, &keys)
            .map_err(|source| CommitError::Signers { commit: checksum, source })?,
        None => Vec::new(),
    };
    let time = Timestamp::from_unix(commit.timestamp)
        .ok_or(CommitError::Time { commit: checksum, found: commit.timestamp })?;
    let known_ref = known_ref(request, &checksum)?;
    let judged =
        known_ref.as_ref().map(|known| judge_ref(locations, known, &checksum, &commit, time));
    let is_first_contact = judged.transpose()?;
    let tree = read_commit(&repository, &commit, progress)?;
    let image = image_digest(&checksum, &commit, &tree)?;
    if let Some(path) = &request.image {
        require_image(path, &image, &tree)?;
    }
    let find =
        |stream| CommitSeal::find(locations, &repository, &checksum, stream, &image, Purpose::Use);
    let seal = request.stream.as_ref().map(find).transpose()?;
    if let Some(seal) = &seal {
        seal.remember(locations)?;
    }
    if let Some(known) = known_ref {
        seen::remember(&locations.state, known, time)?;
    }
    Ok(VerifiedCommit { checksum, commit, time, signers, seal, is_first_contact, tree, image })
}

/// The ref that a commit is named by, if it is.
fn known_ref(request: &CommitRequest, checksum: &Checksum) -> Result<Option<Ref>, Error> {
    if request.name == checksum.to_string() {
        return Ok(None);
    }
    let path = &request.repository;
    let real = path.canonicalize().map_err(|source| Error::io("find", path, source))?;
    let repository = real.as_os_str().as_bytes().escape_ascii().to_string();
    Ok(Some(Ref { repository, name: request.name.clone() }))
}

/// Refuses a commit that was not made for a ref, or that is older than what was accepted under it; and
/// says whether nothing was.
fn judge_ref(
    locations: &Locations,
    known: &Ref,
    checksum: &Checksum,
    commit: &Commit,
    time: Timestamp,
) -> Result<bool, Error> {
    require_ref(checksum, commit, &known.name)?;
    let newest = seen::newest(&locations.state, known)?;
    require_time(checksum, time, newest, &known.name)?;
    Ok(newest.is_none())
}

/// A commit names the refs that it was made for. One that names none could be put under any.
fn require_ref(checksum: &Checksum, commit: &Commit, name: &str) -> Result<(), CommitError> {
    // The name that a remote's ref has there.
    let name = name.split_once(':').map_or(name, |(_, name)| name);
    let bound = commit.ref_binding.as_deref().unwrap_or_default();
    if bound.iter().any(|bound| bound == name) {
        return Ok(());
    }
    let (name, bound) = (name.to_owned(), bound.to_vec());
    Err(CommitError::OtherRef { commit: *checksum, name, bound })
}

fn require_time(
    checksum: &Checksum,
    found: Timestamp,
    seen: Option<Timestamp>,
    name: &str,
) -> Result<(), CommitError> {
    match seen {
        Some(seen) if found < seen => {
            Err(CommitError::Older { commit: *checksum, name: name.to_owned(), found, seen })
        }
        _ => Ok(()),
    }
}

/// The digest of a commit's image, as libostree makes it: the one that the commit states, if it states
/// any.
pub(crate) fn image_digest(
    checksum: &Checksum,
    commit: &Commit,
    tree: &Tree,
) -> Result<FileDigest, CommitError> {
    let image = ImageWriter::new(tree, VersionChoice::Fixed(FormatVersion::V0))
        .map_err(|source| CommitError::NoImage { commit: *checksum, source })?;
    let found = image.digest(Params::default());
    match commit.composefs_digest {
        Some(stated) if found.as_bytes() != stated => {
            let stated = Checksum::from_bytes(stated).to_string();
            Err(CommitError::Digest { commit: *checksum, stated, found })
        }
        _ => Ok(found),
    }
}

/// Refuses a file that is not the image of a commit.
fn require_image(path: &Path, expected: &FileDigest, tree: &Tree) -> Result<(), Error> {
    if crate::digest_file(path, &Params::default())? == *expected {
        return Ok(());
    }
    let difference = first_difference(tree, &tree_of_image(path)?);
    Err(CommitError::OtherImage { path: path.to_owned(), difference }.into())
}

/// The first path that is not the same in both, and how it differs.
fn first_difference(commit: &Tree, image: &Tree) -> Option<(Vec<u8>, String)> {
    let mut first = None;
    diff(commit, image, &mut |Difference { path, change }| {
        first.get_or_insert_with(|| {
            let what = match change {
                Change::Removed(file_type) => format!("is a {file_type} only in the commit"),
                Change::Added(file_type) => format!("is a {file_type} only in the image"),
                Change::Field { field, .. } => format!("has another {}", field.name()),
            };
            (path, what)
        });
    });
    first
}
