//! OSTree repositories: those of `vectors/ostree`, and such as `ostree` makes here.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use treeseal_erofs::{FormatVersion, ImageWriter, VersionChoice};
use treeseal_source::Progress;
use treeseal_source::ostree::{Checksum, Commit, OstreeError, Repository, read_commit};
use treeseal_testkit::{program, repository, run};
use treeseal_tree::Tree;
use treeseal_verity::Params;

mod made;
mod sysroot;
mod tampered;
mod usr;

/// The ref of the vectors' commits.
const REF: &str = "fixture/x86_64/stable";
const FIRST: &str = "aab40b14bf2d468066283f133c1f95f68c7469f727b16637cbae217109c56792";
const SECOND: &str = "1ef25641152323996ac56d1a6081bf4392a090774b63be369637a6fca59e8c99";

/// The modes in which the vectors have their repository.
const MODES: [&str; 2] = ["archive", "bare"];

/// A repository of the vectors, unpacked.
struct Unpacked {
    _directory: TempDir,
    path: PathBuf,
}

impl Unpacked {
    fn new(mode: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let archive = vectors().join(format!("ostree-{mode}.tar.gz"));
        let mut tar = Command::new(program("tar", "tar"));
        tar.args(["--extract", "--xattrs", "--xattrs-include=*", "--same-owner", "--file"]);
        run(tar.arg(archive).arg("--directory").arg(directory.path()));
        let path = directory.path().join(mode);
        Self { _directory: directory, path }
    }

    fn open(&self) -> Repository {
        Repository::open(&self.path).unwrap()
    }

    /// Where an object lies.
    fn object(&self, checksum: &str, extension: &str) -> PathBuf {
        self.path.join("objects").join(checksum_of(checksum).object_path(extension))
    }
}

fn vectors() -> PathBuf {
    repository().join("vectors/ostree")
}

fn checksum_of(hex: &str) -> Checksum {
    Checksum::from_hex(hex.as_bytes()).unwrap()
}

fn read(repository: &Repository, name: &str) -> Result<(Commit, Tree), OstreeError> {
    let (commit, _) = repository.commit(&repository.resolve(name)?)?;
    let tree = read_commit(repository, &commit, &Progress::default())?;
    Ok((commit, tree))
}

/// The image that libostree would make.
fn image_of(tree: &Tree) -> ImageWriter<'_> {
    ImageWriter::new(tree, VersionChoice::Fixed(FormatVersion::V0)).unwrap()
}

fn digest_of(tree: &Tree) -> Vec<u8> {
    image_of(tree).digest(Params::default()).as_bytes().to_vec()
}

fn open_error(path: &Path) -> String {
    messages(&Repository::open(path).unwrap_err())
}

/// An error with its causes.
fn messages(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn a_commit_has_the_image_that_libostree_made_of_it() {
    let expected = std::fs::read(vectors().join("stable-1.0.cfs")).unwrap();
    for mode in MODES {
        let unpacked = Unpacked::new(mode);
        let (commit, tree) = read(&unpacked.open(), FIRST).unwrap();
        assert!(image_of(&tree).to_bytes() == expected, "{mode}");
        assert_eq!(commit.composefs_digest.unwrap().as_slice(), digest_of(&tree), "{mode}");
    }
}

#[test]
fn a_commit_says_what_it_is() {
    for mode in MODES {
        let repository = Unpacked::new(mode);
        let (commit, tree) = read(&repository.open(), REF).unwrap();
        assert_eq!(commit.parent, Some(checksum_of(FIRST)));
        assert_eq!(commit.version.as_deref(), Some("1.1"));
        assert_eq!(commit.ref_binding, Some(vec![REF.to_owned()]));
        assert_eq!(commit.composefs_digest.unwrap().as_slice(), digest_of(&tree), "{mode}");
    }
}

#[test]
fn refs_are_names_and_commits_are_checksums() {
    let unpacked = Unpacked::new("archive");
    let repository = unpacked.open();
    assert_eq!(repository.resolve(REF).unwrap(), checksum_of(SECOND));
    assert_eq!(repository.resolve(FIRST).unwrap(), checksum_of(FIRST));
    let refused = |name: &str| messages(&repository.resolve(name).unwrap_err());
    for name in ["", "..", "../config", "a//b", "/etc/passwd", ".hidden", "a:b:c", "a\0b", "é"] {
        assert!(refused(name).ends_with("can be neither a ref, a remote and a ref, nor a commit"));
    }
    assert!(refused("fixture/x86_64/none").ends_with("has no ref `fixture/x86_64/none`"));
    assert!(refused("origin:stable").ends_with("has no ref `origin:stable`"));
    std::fs::write(unpacked.path.join("refs/heads/short"), "abc\n").unwrap();
    assert_eq!(refused("short"), "the ref `short` holds no checksum of a commit");
    std::fs::write(unpacked.path.join("refs/heads/long"), [b'a'; 1000]).unwrap();
    assert_eq!(refused("long"), "the ref `long` holds no checksum of a commit");
}

#[test]
fn what_is_no_repository_is_refused() {
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("config");
    let error = open_error(directory.path());
    assert!(error.ends_with("config: No such file or directory (os error 2)"), "{error}");
    for (text, reason) in [
        ("", "its repo_version is `` and not 1"),
        ("[core]\nrepo_version=2\nmode=bare\n", "its repo_version is `2` and not 1"),
        (
            "[core]\nrepo_version=1\nmode=bare-split-xattrs\n",
            "`bare-split-xattrs` is not read here",
        ),
        ("[other]\nrepo_version=1\n", "its repo_version is `` and not 1"),
        (
            "[core]\nrepo_version = 1\nmode = bare\n",
            "objects: No such file or directory (os error 2)",
        ),
    ] {
        std::fs::write(&config, text).unwrap();
        let error = open_error(directory.path());
        assert!(error.ends_with(reason), "{error}");
    }
}
