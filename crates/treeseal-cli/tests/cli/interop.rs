//! Seals and roots beside implementations that are not ours.

use std::fs;
use std::path::Path;

use treeseal_testkit::repository;

use crate::support::{Machine, STREAM, program, venv_python};

#[test]
fn a_seal_is_accepted_by_in_toto_securesystemslib_and_tuf() {
    let machine = Machine::new();
    machine.sealed_sample();
    let seal = machine.store().join("seals").join(STREAM).join("@1.seal.json");
    let image = fs::read_dir(machine.store().join("images"))
        .unwrap()
        .flat_map(|fanout| fs::read_dir(fanout.unwrap().path()).unwrap())
        .next()
        .unwrap()
        .unwrap()
        .path();
    let check = |image: &Path| {
        let script = repository().join("reference/seal_interop.py");
        let root = machine.path("config/root.json");
        let arguments = [script.as_path(), &root, &seal, image];
        program(venv_python(), "python3-venv", arguments)
    };
    assert!(check(&image).ok().text().starts_with("test/sample/any/stable 1 "));
    let other = machine.path("other");
    fs::write(&other, "another image").unwrap();
    assert_ne!(check(&other).code, 0);
}

#[test]
fn envelopes_and_roots_are_traded_with_in_toto_securesystemslib_and_tuf() {
    // `cargo test` builds the example beside the programs.
    let program_directory = Path::new(env!("CARGO_BIN_EXE_treeseal")).parent().unwrap();
    let example = program_directory.join("examples/interop");
    assert!(example.exists(), "run `cargo build -p treeseal-trust --example interop`");
    let script = repository().join("reference/trust_interop.py");
    let arguments = [script.as_os_str(), "run".as_ref(), example.as_os_str()];
    program(venv_python(), "python3-venv", arguments).ok();
}
