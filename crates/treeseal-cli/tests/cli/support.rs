//! Running programs, and a machine's worth of directories for each test.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(crate) use treeseal_testkit::{counter_words as filled, peer, require_root};

/// What a program did.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    fn new(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a program that was put together elsewhere.
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::new(command.stdin(Stdio::null()).output().unwrap())
    }

    /// stdout as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Fails unless the program ended with this code.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.text(), self.stderr);
        self
    }

    /// Fails unless the program succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.expect_code(0)
    }

    /// Fails unless stderr holds a text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "expected `{text}` in stderr: {}", self.stderr);
        self
    }
}

/// A directory with a store, a root, keys and state of its own; gone when dropped.
pub(crate) struct Machine {
    pub(crate) home: tempfile::TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = treeseal();
        command
            .env("TREESEAL_STORE", self.store())
            .env("TREESEAL_ROOT", self.path("config/root.json"))
            .env("TREESEAL_STATE", self.path("state"));
        command
    }

    /// Runs `treeseal` with these arguments.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        Run::new(self.command().args(arguments).output().unwrap())
    }

    /// Makes a small tree with files of every kind that any user can make.
    pub(crate) fn sample_tree(&self) -> PathBuf {
        let tree = self.path("tree");
        fs::create_dir_all(tree.join("etc/conf.d")).unwrap();
        fs::create_dir_all(tree.join("empty")).unwrap();
        fs::write(tree.join("etc/motd"), "Welcome.\n").unwrap();
        fs::write(tree.join("etc/conf.d/large"), filled(300_000)).unwrap();
        fs::write(tree.join("etc/conf.d/block"), filled(4096)).unwrap();
        fs::write(tree.join("nothing"), "").unwrap();
        std::os::unix::fs::symlink("etc/motd", tree.join("link")).unwrap();
        fs::hard_link(tree.join("etc/conf.d/large"), tree.join("etc/again")).unwrap();
        tree
    }

    /// Seals the sample tree as `test/sample/any/stable` and gives the tree's path.
    pub(crate) fn sealed_sample(&self) -> PathBuf {
        let tree = self.sample_tree();
        self.seal(&tree, STREAM);
        tree
    }

    #[track_caller]
    pub(crate) fn seal(&self, tree: &Path, stream: &str) -> Run {
        self.run([OsStr::new("seal"), tree.as_os_str(), "--stream".as_ref(), stream.as_ref()]).ok()
    }

    /// The file of an object of the sample tree that has this content.
    pub(crate) fn object(&self, content: &[u8]) -> PathBuf {
        let digest =
            treeseal::verity::Digester::digest_of(&treeseal::verity::Params::default(), content);
        self.store().join("objects").join(digest.object_path())
    }
}

/// The stream of the sample tree.
pub(crate) const STREAM: &str = "test/sample/any/stable";

/// `treeseal` without anything of this process's environment that it reads.
pub(crate) fn treeseal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_treeseal"));
    command
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("TREESEAL_STORE")
        .env_remove("TREESEAL_ROOT")
        .env_remove("TREESEAL_STATE")
        .env_remove("TREESEAL_TPM")
        .env_remove("TREESEAL_HASH")
        .stdin(Stdio::null());
    command
}

/// Runs `treeseal` where no store is needed.
pub(crate) fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Run {
    Run::new(treeseal().args(arguments).output().unwrap())
}

/// Runs another program; a missing one fails the test with the package that has it.
#[track_caller]
pub(crate) fn program<A: AsRef<OsStr>>(
    name: impl AsRef<OsStr>,
    package: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Run {
    let name = name.as_ref();
    let path = match name.to_str() {
        Some(text) if !text.contains('/') => treeseal_testkit::program(text, package),
        _ => name.into(),
    };
    Run::new(Command::new(path).args(arguments).stdin(Stdio::null()).output().unwrap())
}

/// The Python that has the packages of the interoperability checks.
#[track_caller]
pub(crate) fn venv_python() -> PathBuf {
    let peers = std::env::var_os("TREESEAL_PEERS")
        .expect("TREESEAL_PEERS is not set: run the tests with `cargo xtask test`");
    Path::new(&peers).join("venv/bin/python")
}

/// What rsync, which compares content by checksum, would change to make the second tree the first:
/// nothing, if they are the same. `options` say what else is compared.
#[track_caller]
pub(crate) fn rsync_differences(options: &str, first: &Path, second: &Path) -> String {
    let (first, second) = (format!("{}/", first.display()), format!("{}/", second.display()));
    let flags = ["-n", options, "--checksum", "--delete", "--itemize-changes"];
    program("rsync", "rsync", flags.into_iter().chain([&first[..], &second])).ok().text()
}
