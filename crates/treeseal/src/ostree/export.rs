use std::io::Write;
use std::path::{Path, PathBuf};

use treeseal_erofs::{FormatVersion, ImageWriter, VersionChoice};
use treeseal_source::Progress;
use treeseal_source::ostree::{
    Checksum, Commit, Mode, Repository, RepositoryWriter, read_commit, write_tree,
};
use treeseal_trust::{Sequence, Statement, Stream};
use treeseal_verity::Params;

use crate::files;
use crate::sealed::Counted;
use crate::{Error, Locations, SealedTree};

/// Where a sealed tree is to be a commit, and what it says.
#[derive(Clone, Debug)]
pub struct ExportRequest {
    /// The repository. One is made where there is nothing or an empty directory.
    pub repository: PathBuf,
    /// The mode that it must have; `None` for the one that it has, or `archive` for a new one.
    pub mode: Option<Mode>,
    /// The ref that is to name the commit.
    pub branch: String,
    /// What the commit is about; `None` for the stream and the sequence.
    pub subject: Option<String>,
}

/// A sealed tree that is a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The sequence of the tree's seal.
    pub sequence: Sequence,
    /// The commit's name.
    pub checksum: Checksum,
    /// The commit.
    pub commit: Commit,
    /// The digest of its image, which it states.
    pub image: [u8; 32],
    /// Whether the ref named this commit before.
    pub was_there: bool,
}

/// Writes the current tree of a stream as a commit into a repository, each byte checked, and lets a ref
/// name it.
///
/// The commit states the digest of its image: all of it is read back and checked for that before the ref
/// names it. What it is depends on the tree, the seal, the request and the ref's present commit, which is
/// its parent. Where that is the same but for its own parent, it stays.
pub fn export(
    locations: &Locations,
    stream: &Stream,
    request: &ExportRequest,
    progress: &Progress,
) -> Result<Exported, Error> {
    let sealed = SealedTree::open(locations, stream)?;
    let repository = Repository::open_or_create(&request.repository, request.mode)?;
    let _lock = files::lock(&repository.path().join(".lock"))?;
    let present = repository.local_ref(&request.branch)?;
    let writer = RepositoryWriter::new(&repository)?;
    let root = write_objects(&sealed, &writer, repository.path(), progress)?;
    let mut commit = commit_of(sealed.statement(), root, request);
    let image = image_digest(&repository, &commit, progress)?;
    commit.composefs_digest = Some(image);
    let sequence = sealed.statement().sequence;
    if let Some(present) = present {
        commit.parent = repository.commit(&present)?.0.parent;
        if Checksum::of(&commit.to_bytes()) == present {
            return Ok(Exported { sequence, checksum: present, commit, image, was_there: true });
        }
        commit.parent = Some(present);
    }
    let checksum = write_commit(&writer, &commit, &request.branch)?;
    Ok(Exported { sequence, checksum, commit, image, was_there: false })
}

/// A commit without a parent, of a tree that is in the repository.
fn commit_of(
    statement: &Statement,
    (root_tree, root_meta): (Checksum, Checksum),
    request: &ExportRequest,
) -> Commit {
    let subject = || format!("{} sequence {}", statement.stream, statement.sequence);
    Commit {
        parent: None,
        subject: request.subject.clone().unwrap_or_else(subject),
        body: String::new(),
        timestamp: statement.created.to_unix(),
        root_tree,
        root_meta,
        version: None,
        ref_binding: Some(vec![request.branch.clone()]),
        collection_binding: None,
        composefs_digest: None,
    }
}

/// The digest of the image that libostree makes of a commit.
fn image_digest(
    repository: &Repository,
    commit: &Commit,
    progress: &Progress,
) -> Result<[u8; 32], Error> {
    let tree = read_commit(repository, commit, progress)?;
    let image = ImageWriter::new(&tree, VersionChoice::Fixed(FormatVersion::V0))?;
    let mut digest = [0; 32];
    digest.copy_from_slice(image.digest(Params::default()).as_bytes());
    Ok(digest)
}

/// Writes everything but the commit.
fn write_objects(
    sealed: &SealedTree,
    writer: &RepositoryWriter<'_>,
    path: &Path,
    progress: &Progress,
) -> Result<(Checksum, Checksum), Error> {
    let content = |id, output: &mut dyn Write| {
        let copied = sealed.copy_content(id, &mut Counted { output, progress });
        copied.map_err(|error| match error {
            Error::Output(source) => Error::io("write", path, source),
            other => other,
        })
    };
    let objects = writer.new_objects();
    let root = write_tree(&objects, sealed.tree(), &content, progress)?;
    objects.publish()?;
    Ok(root)
}

fn write_commit(
    writer: &RepositoryWriter<'_>,
    commit: &Commit,
    branch: &str,
) -> Result<Checksum, Error> {
    let objects = writer.new_objects();
    let checksum = objects.put_commit(commit)?;
    objects.publish()?;
    writer.set_ref(branch, &checksum)?;
    Ok(checksum)
}
