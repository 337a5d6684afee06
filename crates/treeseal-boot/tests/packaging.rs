//! What is installed for the makers of initramfs is whole, and the shells can read it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by that")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use treeseal_testkit::{program, repository, run};

/// Installs for one generator, and gives the files that come of it, below the directory.
fn installed(generator: &str, directory: &Path) -> Vec<PathBuf> {
    let mut install = Command::new(repository().join("packaging/install"));
    run(install.arg(env!("CARGO_BIN_EXE_treeseal-boot")).arg(generator).arg(directory));
    let mut files = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        match path.is_dir() {
            true => pending.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path())),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

#[test]
fn every_generator_gets_the_program_the_unit_and_scripts_that_shells_can_read() {
    for (generator, scripts) in
        [("dracut", 3), ("mkinitcpio", 2), ("initramfs-tools", 2), ("none", 0)]
    {
        let directory = tempfile::tempdir().unwrap();
        let files = installed(generator, directory.path());
        let is_there = |name: &str| files.contains(&directory.path().join(name));
        assert!(is_there("usr/lib/treeseal/treeseal-boot"), "{generator}: {files:?}");
        assert!(is_there("usr/lib/systemd/system/treeseal-mark-good.service"), "{generator}");
        let is_script = |path: &&PathBuf| {
            let name = path.file_name().unwrap();
            name != "treeseal-boot" && path.extension() != Some("service".as_ref())
        };
        let found: Vec<_> = files.iter().filter(is_script).collect();
        assert_eq!(found.len(), scripts, "{generator}: {found:?}");
        for script in found {
            let text = fs::read_to_string(script).unwrap();
            let shell = if text.starts_with("#!/bin/bash") { "bash" } else { "sh" };
            run(Command::new(program(shell, shell)).arg("-n").arg(script));
        }
    }
}

#[test]
fn a_generator_that_is_not_known_is_refused_and_nothing_is_installed() {
    let directory = tempfile::tempdir().unwrap();
    let mut install = Command::new(repository().join("packaging/install"));
    install.args(["program", "grub"]).arg(directory.path());
    let output = install.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("usage: packaging/install"));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
