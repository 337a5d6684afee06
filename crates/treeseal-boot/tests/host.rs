//! The program on this machine, in a mount namespace of its own, with filesystems on loop devices.
//!
//! Those have no fs-verity, so the kernel enforces nothing and no tree may be started: what is tested
//! here is that it says why and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by that")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use treeseal::erofs::VersionChoice;
use treeseal::keys::{Passphrases, Wanted};
use treeseal::source::ImportOptions;
use treeseal::{Error, Locations, Progress, Reading, SealOptions, SealSource};
use treeseal_testkit::{program, require_root, run};

const STREAM: &str = "acme/os/x86_64/stable";

/// Nobody is asked: the machine's own key is made at the first use.
struct Nobody;

impl Passphrases for Nobody {
    fn passphrase(&mut self, wanted: &Wanted) -> Result<zeroize::Zeroizing<Vec<u8>>, Error> {
        let file = wanted.key_file.as_deref().unwrap();
        Ok(treeseal::keys::passphrase_beside(file)?.unwrap())
    }
}

/// A machine whose disk is a loop device; gone when dropped.
struct Machine {
    home: tempfile::TempDir,
    /// What its filesystem is called: no other on this machine has that name.
    label: String,
    devices: Vec<String>,
}

/// What the program did.
struct Ran {
    code: Option<i32>,
    said: String,
    /// What was mounted when it had ended.
    mounts: String,
}

impl Machine {
    fn new() -> Self {
        require_root("mounting");
        let home = tempfile::tempdir().unwrap();
        let name = home.path().file_name().unwrap().to_str().unwrap();
        let label = format!("ts{}", name.trim_start_matches('.'));
        let mut machine = Self { home, label, devices: Vec::new() };
        machine.add_disk();
        machine.configure("");
        fs::write(machine.path("cmdline"), "quiet\n").unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A disk with an empty filesystem that has the machine's label.
    fn add_disk(&mut self) {
        let image = self.path(&format!("disk-{}", self.devices.len()));
        fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let mut mkfs = Command::new(program("mkfs.ext4", "e2fsprogs"));
        run(mkfs.args(["-q", "-O", "^verity", "-L", &self.label]).arg(&image));
        let mut losetup = Command::new(program("losetup", "mount"));
        let output = run(losetup.args(["--find", "--show"]).arg(&image));
        self.devices.push(String::from_utf8(output.stdout).unwrap().trim().to_owned());
    }

    /// Writes `boot.json`, with more fields at its end.
    fn configure(&self, more: &str) {
        let config = format!(
            r#"{{"_type": "treeseal:boot/v1", "stream": "{STREAM}", "wait": 0, "store": {{"device":
            "LABEL={}", "filesystem": "ext4", "directory": "treeseal/store"}}, "state": {{"directory":
            "treeseal/boot"}}{more}}}"#,
            self.label
        );
        fs::create_dir_all(self.path("config")).unwrap();
        fs::write(self.path("config/boot.json"), config).unwrap();
    }

    /// Looks at the first disk, mounted.
    fn on_disk<T>(&self, look: impl FnOnce(&Path) -> T) -> T {
        let place = self.path("mounted");
        fs::create_dir_all(&place).unwrap();
        run(Command::new(program("mount", "mount")).arg(&self.devices[0]).arg(&place));
        let seen = look(&place);
        run(Command::new(program("umount", "mount")).arg(&place));
        seen
    }

    /// Seals a tree, which differs each time, into the store on the disk.
    fn seal(&self) {
        let tree = self.path("tree");
        fs::create_dir_all(tree.join("etc")).unwrap();
        let seal = |disk: &Path| {
            let locations = Locations {
                store: disk.join("treeseal/store"),
                root: self.path("config/root.json"),
                keys: self.path("keys"),
                state: self.path("state"),
                tpm: None,
            };
            let options = SealOptions {
                source: SealSource::Directory(tree.clone(), ImportOptions::default()),
                stream: Some(STREAM.parse().unwrap()),
                sequence: None,
                not_after: None,
                versions: vec![VersionChoice::Auto],
                sha512: false,
                reading: Reading::All,
            };
            treeseal::seal(&locations, &options, &[], &mut Nobody, &Progress::default()).unwrap()
        };
        let sequence = self.on_disk(seal).statement.sequence;
        fs::write(tree.join("etc/motd"), format!("After {sequence}.")).unwrap();
    }

    fn boot(&self) -> Ran {
        // The command line is a file of this test's, and `/run` is empty, in this namespace alone.
        let script = "mount -t tmpfs none /run && mount --bind \"$1\" /proc/cmdline || exit 99
            \"$2\" --config \"$3\" --sysroot \"$4\"; code=$?; cat /proc/mounts >\"$5\"; exit $code";
        let mut command = Command::new(program("unshare", "util-linux"));
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "boot"]);
        command.arg(self.path("cmdline")).arg(env!("CARGO_BIN_EXE_treeseal-boot"));
        command.args(["config", "sysroot", "mounts"].map(|name| self.path(name)));
        let output = command.output().unwrap();
        let mounts = fs::read_to_string(self.path("mounts")).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        Ran { code: output.status.code(), said, mounts }
    }

    /// Boots, which must fail, say this and leave nothing behind.
    #[track_caller]
    fn refuses(&self, expected: &[&str]) {
        let ran = self.boot();
        assert_eq!(ran.code, Some(1), "{}", ran.said);
        for text in expected {
            assert!(ran.said.contains(text), "expected `{text}`, found: {}", ran.said);
        }
        let home = self.home.path().to_str().unwrap();
        let left: Vec<_> = ran
            .mounts
            .lines()
            .filter(|line| line.contains("/run/treeseal") || line.contains(home))
            .filter(|line| !line.contains("/proc/cmdline"))
            .collect();
        assert!(left.is_empty(), "still mounted: {left:?}");
        assert!(self.devices.iter().all(|device| !ran.mounts.contains(&format!("{device} "))));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for device in &self.devices {
            run(Command::new(program("losetup", "mount")).args(["--detach", device]));
        }
    }
}

#[test]
fn a_tree_that_the_kernel_cannot_enforce_is_not_started_and_costs_a_try() {
    let machine = Machine::new();
    machine.seal();
    machine.seal();
    machine.refuses(&[
        "mounting acme/os/x86_64/stable sequence 2, which costs a try\n",
        "mounting acme/os/x86_64/stable sequence 1\n",
        "error: no tree of the stream `acme/os/x86_64/stable` can be started\n",
        "refused: sequence 2: the kernel cannot check what is in \
         `/run/treeseal/store/treeseal/store/objects` when it is read: ",
        "refused: sequence 1: the kernel cannot check what is in `",
    ]);
    let tries = machine.on_disk(|disk| fs::read_to_string(disk.join("treeseal/boot/tries.json")));
    let tries = tries.unwrap();
    assert!(tries.ends_with("\"sequence\":2,\"tries\":1}]}"), "{tries}");
    machine.refuses(&[]);
    machine.refuses(&[]);
    machine.refuses(&["refused: sequence 2: tried 3 times and never marked good"]);
}

#[test]
fn a_parameter_that_does_not_exist_is_refused_before_anything_is_mounted() {
    let machine = Machine::new();
    machine.seal();
    fs::write(machine.path("cmdline"), "quiet treeseal.enforce=none\n").unwrap();
    machine.refuses(&["error: the kernel's command line has `treeseal.enforce=none`"]);
    assert!(!machine.on_disk(|disk| disk.join("treeseal/boot").exists()));
}

#[test]
fn a_tree_that_is_named_and_not_there_is_not_replaced_by_another() {
    let machine = Machine::new();
    machine.seal();
    fs::write(machine.path("cmdline"), "treeseal.sequence=7\n").unwrap();
    machine.refuses(&["refused: sequence 7: "]);
}

#[test]
fn a_configuration_that_is_not_understood_is_refused() {
    let machine = Machine::new();
    machine.configure(r#", "verify": false"#);
    machine.refuses(&["boot.json` is no configuration", "caused by: /verify is not a field"]);
    fs::remove_file(machine.path("config/boot.json")).unwrap();
    machine.refuses(&["error: cannot read `", "boot.json`"]);
}

#[test]
fn without_a_trust_root_nothing_is_started() {
    let machine = Machine::new();
    machine.seal();
    fs::remove_file(machine.path("config/root.json")).unwrap();
    machine.refuses(&["error: there is no trust root at `"]);
    fs::write(machine.path("config/root.json"), "{}").unwrap();
    machine.refuses(&["root.json` is not accepted"]);
}

#[test]
fn a_disk_that_is_missing_or_there_twice_is_refused() {
    let mut machine = Machine::new();
    machine.add_disk();
    let expected =
        format!("error: there are several with filesystem with the label `{}`", machine.label);
    machine.refuses(&[&expected, &machine.devices[0], &machine.devices[1]]);
    machine.label.push('x');
    machine.configure("");
    let expected = format!("error: there is no filesystem with the label `{}`", machine.label);
    machine.refuses(&[&expected]);
}

#[test]
fn damaged_state_is_refused_and_named() {
    let machine = Machine::new();
    machine.seal();
    machine.on_disk(|disk| {
        fs::create_dir_all(disk.join("treeseal/boot")).unwrap();
        fs::write(disk.join("treeseal/boot/floors.json"), "{}").unwrap();
    });
    machine.refuses(&[
        "error: `/run/treeseal/store/treeseal/boot/floors.json` cannot be understood",
        "hint: it holds the rollback floors",
    ]);
}

#[test]
fn a_symlink_in_the_way_to_the_store_is_refused() {
    let machine = Machine::new();
    machine.on_disk(|disk| std::os::unix::fs::symlink("/tmp", disk.join("treeseal")).unwrap());
    machine.refuses(&["is a symlink, expected a directory"]);
}
