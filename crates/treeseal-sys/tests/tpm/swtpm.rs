//! A TPM in software, with its state in a temporary directory, and the tools of others to look at it.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use treeseal_sys::{Tpm, TpmAddress};
use treeseal_testkit::{program, python, run};

/// Killed when it is dropped.
pub(crate) struct Swtpm {
    dir: TempDir,
    child: Child,
}

impl Swtpm {
    /// A new TPM: its owner's password is empty.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        let child = spawn(dir.path());
        Self { dir, child }
    }

    /// Kills it, as a power cut does, and starts it with what it had made durable.
    pub(crate) fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(self.dir.path());
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("tpm")
    }

    pub(crate) fn address(&self) -> TpmAddress {
        TpmAddress::Unix(self.socket())
    }

    pub(crate) fn connect(&self) -> Tpm {
        Tpm::open(&self.address()).unwrap()
    }

    /// Runs a program of tpm2-tools on this TPM, and gives what it printed.
    pub(crate) fn tool(&self, name: &str, arguments: &[&str]) -> Vec<u8> {
        run(self.tool_command(name).args(arguments)).stdout
    }

    /// Runs a program of tpm2-tools that is to fail, and gives its messages.
    pub(crate) fn tool_refused(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.tool_command(name).args(arguments).output().unwrap();
        assert!(!output.status.success(), "{name} was not refused");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn tool_command(&self, name: &str) -> Command {
        let [python, bridge, socket] = [python(), bridge(), self.socket()]
            .map(|path| path.into_os_string().into_string().unwrap());
        let mut command = Command::new(program(name, "tpm2-tools"));
        command.arg("--tcti").arg(format!("cmd:{python} {bridge} stdio {socket}"));
        command
    }

    pub(crate) fn set_owner_password(&self, password: &str) {
        self.tool("tpm2_changeauth", &["-c", "owner", password]);
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A character device that leads to a TPM. It goes when it is dropped.
pub(crate) struct Device {
    child: Child,
    pub(crate) path: PathBuf,
}

impl Device {
    pub(crate) fn new(tpm: &Swtpm) -> Self {
        let mut command = Command::new(python());
        command.arg(bridge()).arg("device").arg(tpm.socket()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut path = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut path).unwrap();
        Self { child, path: path.trim().into() }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bridge() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tpm/bridge.py")
}

fn spawn(dir: &Path) -> Child {
    let socket = dir.join("tpm");
    let _ = fs::remove_file(&socket);
    let path = |name: &str| dir.join(name).into_os_string().into_string().unwrap();
    let mut command = Command::new(program("swtpm", "swtpm"));
    command.args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"]);
    command.arg("--tpmstate").arg(format!("dir={}", path("state")));
    command.arg("--server").arg(format!("type=unixio,path={}", path("tpm")));
    command.arg("--ctrl").arg(format!("type=unixio,path={}", path("control")));
    command.arg("--log").arg(format!("file={}", path("log")));
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while UnixStream::connect(&socket).is_err() {
        let log = || fs::read_to_string(dir.join("log")).unwrap_or_default();
        assert!(child.try_wait().unwrap().is_none(), "swtpm ended: {}", log());
        assert!(Instant::now() < deadline, "swtpm does not listen: {}", log());
        thread::sleep(Duration::from_millis(5));
    }
    child
}

/// An address as a person writes it.
pub(crate) fn address(text: &str) -> TpmAddress {
    TpmAddress::from(OsStr::new(text))
}
