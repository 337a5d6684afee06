//! Rollback floors in a TPM, which `swtpm` plays.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Machine, Run, STREAM, assert_unchanged, snapshot};

/// A TPM with a state of its own, ended when dropped.
pub(crate) struct Swtpm(Child);

impl Swtpm {
    pub(crate) fn start(directory: &Path) -> Self {
        fs::create_dir_all(directory).unwrap();
        let socket = |name: &str| format!("type=unixio,path={}/{name}", directory.display());
        let program = treeseal_testkit::program("swtpm", "swtpm");
        let child = Command::new(program)
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={}", directory.display())])
            .args(["--server", &socket("tpm"), "--ctrl", &socket("control")])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self(child);
        let deadline = Instant::now() + Duration::from_secs(30);
        while !directory.join("tpm").exists() {
            assert!(Instant::now() < deadline, "swtpm made no socket");
            std::thread::sleep(Duration::from_millis(10));
        }
        started
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Runs `treeseal` with the TPM of this machine.
fn with_tpm(machine: &Machine, arguments: &[&str]) -> Run {
    let tpm = format!("unix:{}", machine.path("tpm/tpm").display());
    let mut command = machine.command();
    Run::of(command.env("TREESEAL_TPM", tpm).args(arguments))
}

#[test]
fn a_machine_whose_disk_is_put_back_accepts_no_older_tree_with_a_tpm() {
    let machine = Machine::new();
    let _swtpm = Swtpm::start(&machine.path("tpm"));
    let tree = machine.sealed_sample();
    let before = machine.path("before");
    fs::create_dir(&before).unwrap();
    let copy = |from: &str, to: &str| {
        let (from, to) = (machine.path(from), machine.path(to));
        crate::support::program("cp", "coreutils", ["-a".as_ref(), from.as_path(), &to]).ok();
    };
    with_tpm(&machine, &["floor", "show", STREAM]).expect_code(1).says("keeps no floor");
    with_tpm(&machine, &["verify", STREAM]).expect_code(1).says("keeps no floor");
    let enrolled = with_tpm(&machine, &["floor", "enrol", STREAM]).ok().says("owner is empty");
    assert_eq!(enrolled.text(), format!("the TPM keeps the floor of {STREAM} at 1\n"));
    copy("store", "before/store");
    copy("state", "before/state");

    fs::write(tree.join("etc/motd"), "Newer.\n").unwrap();
    machine.seal(&tree, STREAM);
    with_tpm(&machine, &["verify", STREAM]).ok();
    let floor = with_tpm(&machine, &["floor", "show", STREAM, "--json"]).ok().text();
    assert_eq!(floor, format!("{{\"floor\":2,\"stream\":\"{STREAM}\"}}\n"));

    // All that the machine stores is put back: only the TPM remembers.
    fs::remove_dir_all(machine.store()).unwrap();
    fs::remove_dir_all(machine.path("state")).unwrap();
    copy("before/store", "store");
    copy("before/state", "state");
    machine.run(["verify", STREAM]).ok();
    with_tpm(&machine, &["verify", STREAM])
        .expect_code(1)
        .says("the seal has sequence 1, but 2 was accepted before: it is an older tree");
    with_tpm(&machine, &["cat", STREAM, "/etc/motd"]).expect_code(1);

    // A TPM that was cleared is no TPM that remembers nothing.
    with_tpm(&machine, &["floor", "remove", STREAM]).ok();
    with_tpm(&machine, &["verify", STREAM]).expect_code(1).says("or it was cleared");
}

#[test]
fn what_the_tpm_refuses_is_not_sealed_either() {
    let machine = Machine::new();
    let _swtpm = Swtpm::start(&machine.path("tpm"));
    let tree = machine.sealed_sample();
    let before = snapshot(&machine.store().join("seals"));
    let seal = |sequence: &str| {
        with_tpm(
            &machine,
            &["seal", tree.to_str().unwrap(), "--stream", STREAM, "--sequence", sequence],
        )
    };
    seal("2").expect_code(1).says("keeps no floor");
    assert_unchanged(&before, &snapshot(&machine.store().join("seals")));
    with_tpm(&machine, &["floor", "enrol", STREAM, "--sequence", "5"]).ok();
    seal("4").expect_code(1).says("the seal has sequence 4, but 5 was accepted before");
    assert_unchanged(&before, &snapshot(&machine.store().join("seals")));
    seal("6").ok();
    with_tpm(&machine, &["verify", STREAM]).ok();
}

#[test]
fn a_tpm_that_does_not_answer_is_an_error_and_not_a_floor_of_nothing() {
    let machine = Machine::new();
    machine.sealed_sample();
    with_tpm(&machine, &["verify", STREAM]).expect_code(2).says("floor of the stream");
    machine.run(["floor", "show", STREAM]).expect_code(2).says("no TPM is named");
}
