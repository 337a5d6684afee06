//! Running programs, and a machine's worth of directories for each test.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

use serde_json::Value;
use treeseal::trust::{KeyAlgorithm, KeyFileRandom, KeyId, PasswordOrigin, SigningKey};

pub(crate) use treeseal_testkit::{counter_words as filled, peer, require_root};

/// What a program did.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn new(output: Output) -> Self {
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

/// Everything below a directory: type, mode and content, by path.
pub(crate) type Snapshot = BTreeMap<PathBuf, (u32, Vec<u8>)>;

pub(crate) fn snapshot(directory: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let content = match metadata.file_type() {
                kind if kind.is_file() => fs::read(&path).unwrap(),
                kind if kind.is_dir() => {
                    pending.push(path.clone());
                    Vec::new()
                }
                _ => Vec::new(),
            };
            found.insert(path, (metadata.mode(), content));
        }
    }
    found
}

/// Fails and names the files, if two snapshots are not the same.
#[track_caller]
pub(crate) fn assert_unchanged(before: &Snapshot, after: &Snapshot) {
    let differs = |path: &&PathBuf| before.get(*path) != after.get(*path);
    let changed: Vec<&PathBuf> = before.keys().chain(after.keys()).filter(differs).collect();
    assert!(changed.is_empty(), "these were changed: {changed:?}");
}

/// Puts other bytes in the place of a file, which may have fs-verity and not be writable.
pub(crate) fn overwrite(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
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
        fs::write(tree.join("etc/conf.d/large"), filled(600_000)).unwrap();
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

    /// Runs `treeseal` in the machine's directory, with arguments that are separated by spaces.
    pub(crate) fn does(&self, words: &str) -> Run {
        Run::new(self.command_of(words).output().unwrap())
    }

    /// The command that [`does`](Self::does) runs.
    pub(crate) fn command_of(&self, words: &str) -> Command {
        let mut command = self.command();
        command.args(words.split_whitespace()).current_dir(self.home.path());
        command
    }

    /// The same by a clock that stands at `time`, which is written like `2030-01-31T12:00:00Z`.
    pub(crate) fn does_at(&self, time: &str, words: &str) -> Run {
        let mut command = Command::new(treeseal_testkit::program("faketime", "faketime"));
        let plain = self.command_of(words);
        command.args(["-f", &time.replace('T', " ").replace('Z', "")]).arg(plain.get_program());
        command.args(plain.get_args()).current_dir(self.home.path()).stdin(Stdio::null());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // The times of files stay as they are.
        Run::new(command.env("TZ", "UTC").env("NO_FAKE_STAT", "1").output().unwrap())
    }

    /// What a command says as JSON.
    #[track_caller]
    pub(crate) fn json(&self, words: &str) -> Value {
        let text = self.does(&format!("{words} --json")).ok().text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Runs a command that must fail with this code, write no data, and change nothing.
    #[track_caller]
    pub(crate) fn refuses(&self, code: i32, words: &str) -> Run {
        let before = snapshot(self.home.path());
        let run = self.does(words).expect_code(code);
        assert_eq!(run.text(), "", "data of a command that failed");
        assert_unchanged(&before, &snapshot(self.home.path()));
        run
    }

    /// Writes key pairs as `NAME.pem` and `NAME.pub`, with the passphrases beside them in
    /// `NAME.password`, so that nobody is asked.
    pub(crate) fn keys(&self, names: &[&str]) {
        for name in names {
            let (private, public) = key_pair(name);
            fs::write(self.path(&format!("{name}.pem")), private).unwrap();
            fs::write(self.path(&format!("{name}.pub")), public).unwrap();
            fs::write(self.path(&format!("{name}.password")), PASSPHRASE).unwrap();
        }
    }

    /// Has these people make, sign and pin a first root: `options` are those of `root init`.
    #[track_caller]
    pub(crate) fn pinned_root(&self, options: &str, signers: &[&str]) {
        self.does(&format!("root init first.json {options}")).ok();
        for signer in signers {
            self.does(&format!("root sign first.json --key {signer}.pem")).ok();
        }
        self.does("root pin first.json").ok();
        fs::remove_file(self.path("first.json")).unwrap();
    }

    /// Makes this change, or several separated by `;`, to the trust root, and submits it.
    #[track_caller]
    pub(crate) fn next_root(&self, changes: &str, signers: &[&str]) {
        for change in changes.split(';') {
            let (command, arguments) = change.trim().split_once(' ').unwrap();
            self.does(&format!("root {command} next.json {arguments}")).ok();
        }
        for signer in signers {
            self.does(&format!("root sign next.json --key {signer}.pem")).ok();
        }
        self.does("submit next.json").ok();
        fs::remove_file(self.path("next.json")).unwrap();
    }

    /// The lines of the signing log.
    pub(crate) fn signing_log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("state/signing.log")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The file of an object of the sample tree that has this content.
    pub(crate) fn object(&self, content: &[u8]) -> PathBuf {
        let digest =
            treeseal::verity::Digester::digest_of(&treeseal::verity::Params::default(), content);
        self.store().join("objects").join(digest.object_path())
    }
}

/// The passphrase of all keys that [`Machine::keys`] writes.
pub(crate) const PASSPHRASE: &str = "correct horse";

/// The key pair of a person. It follows from the name; that ends in `-p256` or `-mldsa` for keys of
/// these types.
fn key_of(name: &str) -> SigningKey {
    let algorithm = match name.rsplit_once('-') {
        Some((_, "p256")) => KeyAlgorithm::EcdsaP256,
        Some((_, "mldsa")) => KeyAlgorithm::MlDsa65,
        _ => KeyAlgorithm::Ed25519,
    };
    let mut secret = [7; 32];
    secret[..name.len()].copy_from_slice(name.as_bytes());
    SigningKey::from_secret(algorithm, &secret).unwrap()
}

/// The id of the key that [`Machine::keys`] writes for a person.
pub(crate) fn id_of(name: &str) -> KeyId {
    key_of(name).key_id()
}

/// Private and public half in PEM. Encrypting takes its time, so it is done once for each name.
fn key_pair(name: &str) -> (String, String) {
    static MADE: Mutex<Option<HashMap<String, (String, String)>>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap();
    let made = made.get_or_insert_default();
    let pair = made.entry(name.to_owned()).or_insert_with(|| {
        let key = key_of(name);
        let random = KeyFileRandom { salt: [1; 16], iv: [2; 16] };
        let private =
            key.to_encrypted_pem(PASSPHRASE.as_bytes(), PasswordOrigin::Person, &random).unwrap();
        let private = match key.public_key().algorithm() {
            // Not known to every openssl.
            KeyAlgorithm::MlDsa65 => private,
            _ => quick_to_open(&private),
        };
        (private, key.public_key().to_pem())
    });
    pair.clone()
}

/// The same key file with a scrypt that takes no time: tests open keys a thousand times.
fn quick_to_open(private: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    fs::write(&file, private).unwrap();
    let (file, pass) = (file.to_str().unwrap(), format!("pass:{PASSPHRASE}"));
    let convert = ["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-scrypt", "-scrypt_N", "2"];
    let costs =
        ["-scrypt_r", "8", "-scrypt_p", "1", "-in", file, "-passin", &pass, "-passout", &pass];
    program("openssl", "openssl", convert.iter().chain(&costs)).ok().text()
}

/// The stream of the sample tree.
pub(crate) const STREAM: &str = "test/sample/any/stable";

/// `treeseal` without anything of this process's environment that it reads, but for `TREESEAL_HASH`:
/// whoever runs the tests says with it how all of them hash.
pub(crate) fn treeseal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_treeseal"));
    command
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("TREESEAL_STORE")
        .env_remove("TREESEAL_ROOT")
        .env_remove("TREESEAL_STATE")
        .env_remove("TREESEAL_TPM")
        .env_remove("TREESEAL_PKCS11_MODULE")
        .env_remove("CREDENTIALS_DIRECTORY")
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

/// A command that runs `plain` on a terminal of so many columns, where these lines are typed, each
/// when something is asked. What the terminal shows goes to stdout as it comes.
pub(crate) fn terminal(plain: &Command, columns: u16, typed: &[&str]) -> Command {
    let mut python = Command::new(treeseal_testkit::python());
    python.args(["-c", TERMINAL, &columns.to_string(), &typed.join("\n")]);
    let mut command = run_by(python, plain);
    if plain.get_envs().all(|(name, _)| name != "TERM") {
        command.env("TERM", "xterm");
    }
    command
}

const TERMINAL: &str = r#"
import fcntl, os, pty, struct, sys, termios, time
columns, typed = int(sys.argv[1]), [line for line in sys.argv[2].split("\n") if sys.argv[2]]
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    os.execv(sys.argv[3], sys.argv[3:])
shown = b""
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        break
    if not piece:
        break
    shown += piece
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
    if typed and shown.endswith(b": "):
        # A person is slower than the program, which first asks and then stops the echo.
        while termios.tcgetattr(terminal)[3] & termios.ECHO:
            time.sleep(0.005)
        time.sleep(float(os.environ.get("TYPES_AFTER_SECONDS", "0")))
        os.write(terminal, typed.pop(0).encode() + b"\n")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

/// A command that has `runner` run `plain`, which would run in the same place with the same
/// environment.
pub(crate) fn run_by(mut runner: Command, plain: &Command) -> Command {
    runner.arg(plain.get_program()).args(plain.get_args()).stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => runner.env(name, value),
            None => runner.env_remove(name),
        };
    }
    runner.current_dir(plain.get_current_dir().unwrap());
    runner
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
