//! What a machine knows of its boot. The boot itself is played by the library: nothing is mounted.

use std::fs;
use std::path::Path;

use treeseal::TpmAddress;
use treeseal::boot::{BootState, CommandLine, Config, Criteria, Handover, open_store, select};

use crate::support::{Machine, STREAM};
use crate::tpm::Swtpm;

/// Starts the newest tree of the machine's store, with its state below `disk`, and hands it over.
fn boot(machine: &Machine, tpm: Option<TpmAddress>) -> u64 {
    try_boot(machine, tpm).unwrap()
}

fn try_boot(machine: &Machine, tpm: Option<TpmAddress>) -> Result<u64, treeseal::Error> {
    let config = format!(
        r#"{{"_type": "treeseal:boot/v1", "stream": "{STREAM}", "store": {{"device": "/dev/vda",
        "filesystem": "ext4", "directory": "store"}}, "state": {{"directory": "boot"}}}}"#
    );
    let config = Config { tpm, ..Config::from_bytes(config.as_bytes()).unwrap() };
    let disk = machine.path("disk");
    fs::create_dir_all(&disk).unwrap();
    let store = open_store(machine.home.path(), "store").unwrap();
    let mut state = BootState::open(&disk, "boot").unwrap();
    let criteria = Criteria::new(&config, CommandLine::default()).unwrap();
    let root = machine.path("config/root.json");
    let selection = select(&store, &root, &state, &criteria)?;
    let attempt = selection.start(&mut state, |_| Ok(())).unwrap();
    let places = (machine.store().display().to_string(), disk.display().to_string());
    let handover = Handover::new(&attempt, &config, "kernel", (&places.0, &places.1));
    handover.write(&machine.path("run")).unwrap();
    Ok(handover.started.sequence.number())
}

fn seal_next(machine: &Machine, tree: &Path) {
    fs::write(tree.join("etc/motd"), format!("{:?}", std::time::Instant::now())).unwrap();
    machine.seal(tree, STREAM);
}

#[test]
fn a_boot_is_shown_and_marked_good() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    assert_eq!(boot(&machine, None), 1);
    let text = machine.does("boot status --run run").ok().text();
    assert!(text.starts_with(&format!("booted {STREAM} sequence 1\n  marked good no\n")), "{text}");
    assert!(text.contains("floor       none: no tree was ever marked good"), "{text}");
    assert!(text.contains("enforcement kernel"), "{text}");

    let marked = machine.does("boot mark-good --run run").ok().text();
    assert!(
        marked.contains("marked good yes\n  floor       1: nothing older is started"),
        "{marked}"
    );
    assert_eq!(machine.does("boot mark-good --run run").ok().text(), marked);

    seal_next(&machine, &tree);
    assert_eq!(boot(&machine, None), 2);
    let status = machine.json("boot status --run run");
    assert_eq!(status["sequence"], 2);
    assert_eq!(status["good"], false);
    assert_eq!(status["floor"], 1);
    assert_eq!(status["counted"], true);
    assert_eq!(status["tries"], serde_json::json!([{ "sequence": 2, "tries": 1 }]));
    assert_eq!(status["signers"].as_array().unwrap().len(), 1);
    assert_eq!(machine.json("boot mark-good --run run")["good"], true);
}

#[test]
fn looking_at_a_newer_seal_raises_no_floor_of_the_boot() {
    let machine = Machine::new();
    let tree = machine.sealed_sample();
    boot(&machine, None);
    machine.does("boot mark-good --run run").ok();
    seal_next(&machine, &tree);
    machine.run(["verify", STREAM]).ok();
    assert_eq!(machine.json("boot status --run run")["floor"], 1);
}

#[test]
fn a_system_that_was_not_booted_from_a_seal_is_told_so() {
    let machine = Machine::new();
    for words in ["boot status --run run", "boot mark-good --run run"] {
        machine
            .refuses(2, words)
            .says(
                "error: this system was not booted from a sealed tree: there is no `run/boot.json`",
            )
            .says("hint: treeseal-boot in the initramfs writes it");
    }
}

#[test]
fn what_was_handed_over_is_read_strictly() {
    let machine = Machine::new();
    machine.sealed_sample();
    boot(&machine, None);
    let path = machine.path("run/boot.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen('{', "{\"good\":true,", 1)).unwrap();
    machine
        .refuses(2, "boot status --run run")
        .says("error: `run/boot.json` cannot be understood")
        .says("caused by: /good is not a field of this format");
    fs::write(&path, text).unwrap();
    fs::write(machine.path("disk/boot/floors.json"), "{}").unwrap();
    let refused = machine.does("boot mark-good --run run").expect_code(2);
    refused.says("floors.json` cannot be understood");
}

#[test]
fn marking_good_raises_the_floor_in_the_tpm_and_booting_does_not() {
    let machine = Machine::new();
    let _swtpm = Swtpm::start(&machine.path("tpm"));
    let address = format!("unix:{}", machine.path("tpm/tpm").display());
    let tpm = || Some(TpmAddress::from(address.as_ref()));
    let floor = || {
        let words = format!("floor show {STREAM} --tpm {address}");
        machine.json(&words)["floor"].as_u64().unwrap()
    };
    let tree = machine.sealed_sample();
    machine.does(&format!("floor enrol {STREAM} --tpm {address} --sequence 1")).ok();
    seal_next(&machine, &tree);
    assert_eq!(boot(&machine, tpm()), 2);
    assert_eq!(floor(), 1);
    machine.does("boot mark-good --run run").ok();
    assert_eq!(floor(), 2);
    // The state is gone: the TPM alone keeps the first tree out.
    fs::remove_dir_all(machine.path("disk")).unwrap();
    fs::remove_file(machine.path("store/seals").join(STREAM).join("@2.seal.json")).unwrap();
    let refused = try_boot(&machine, tpm()).unwrap_err().to_string();
    let expected =
        format!("the store has no seal for the stream `{STREAM}` with sequence 2 or later");
    assert_eq!(refused, expected);
}
