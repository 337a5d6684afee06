use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use treeseal_erofs::{FormatVersion, ImageWriter, VersionChoice};
use treeseal_foreign::ostree::signers;
use treeseal_source::Progress;
use treeseal_source::ostree::{Checksum, Commit, Repository, read_commit};
use treeseal_tree::Tree;
use treeseal_tree::diff::{Change, Difference, diff};
use treeseal_trust::{PublicKey, Timestamp};
use treeseal_verity::{FileDigest, HashAlgorithm, Params};

use super::seen::{self, Ref};
use super::{CommitError, KeySources};
use crate::Error;
use crate::image::tree_of_image;

/// Which commit is to be verified, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitRequest {
    /// The repository.
    pub repository: PathBuf,
    /// A ref, a remote and a ref, or a checksum.
    pub name: String,
    /// The keys.
    pub keys: KeySources,
    /// An image that must be that of the commit.
    pub image: Option<PathBuf>,
}

/// A commit that somebody trusted has signed, and whose every object is what it should be.
#[derive(Debug)]
pub struct VerifiedCommit {
    /// The commit's name.
    pub checksum: Checksum,
    /// What it says.
    pub commit: Commit,
    /// When it was made, as it says.
    pub time: Timestamp,
    /// The trusted keys that have signed it.
    pub signers: Vec<PublicKey>,
    /// Whether it was named by a ref under which nothing was accepted before; nothing, if it was named
    /// by its checksum.
    pub is_first_contact: Option<bool>,
    /// What it contains.
    pub tree: Tree,
    /// The fs-verity digest of the image that libostree mounts it as.
    pub image: FileDigest,
}

/// Verifies a commit: who has signed it, that it was made for the ref and is not older than what was
/// accepted under it, every object, and the image.
///
/// What was accepted under a ref is remembered in the directory `state`.
pub fn verify_commit(
    state: &Path,
    request: &CommitRequest,
    progress: &Progress,
) -> Result<VerifiedCommit, Error> {
    let keys = request.keys.read()?;
    let repository = Repository::open(&request.repository)?;
    let checksum = repository.resolve(&request.name)?;
    let (commit, bytes) = repository.commit(&checksum)?;
    let metadata = repository.detached_metadata(&checksum)?;
    let signers = signers(&bytes, &metadata, &keys)
        .map_err(|source| CommitError::Signers { commit: checksum, source })?;
    let time = Timestamp::from_unix(commit.timestamp)
        .ok_or(CommitError::Time { commit: checksum, found: commit.timestamp })?;
    let known_ref = known_ref(request, &checksum)?;
    let mut is_first_contact = None;
    if let Some(known) = &known_ref {
        require_ref(&checksum, &commit, &known.name)?;
        let newest = seen::newest(state, known)?;
        require_time(&checksum, time, newest, &known.name)?;
        is_first_contact = Some(newest.is_none());
    }
    let tree = read_commit(&repository, &commit, progress)?;
    let image = check_image(&checksum, &commit, &tree, request.image.as_deref())?;
    if let Some(known) = known_ref {
        seen::remember(state, known, time)?;
    }
    Ok(VerifiedCommit { checksum, commit, time, signers, is_first_contact, tree, image })
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

/// Makes the image as libostree does, and compares it with what the commit states and with a file.
fn check_image(
    checksum: &Checksum,
    commit: &Commit,
    tree: &Tree,
    file: Option<&Path>,
) -> Result<FileDigest, Error> {
    let writer = ImageWriter::new(tree, VersionChoice::Fixed(FormatVersion::V0))
        .map_err(|source| CommitError::NoImage { commit: *checksum, source })?;
    let params = Params::with_algorithm(HashAlgorithm::Sha256);
    let found = writer.digest(params.clone());
    if let Some(stated) = commit.composefs_digest
        && found.as_bytes() != stated
    {
        let stated = Checksum::from_bytes(stated).to_string();
        return Err(CommitError::Digest { commit: *checksum, stated, found }.into());
    }
    if let Some(path) = file
        && crate::digest_file(path, &params)? != found
    {
        let difference = first_difference(tree, &tree_of_image(path)?);
        return Err(CommitError::OtherImage { path: path.to_owned(), difference }.into());
    }
    Ok(found)
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
