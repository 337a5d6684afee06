//! The documents say what the program does.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use treeseal_testkit::{ConsoleStep, console_steps, repository, run_console};

use crate::support::run;

#[test]
fn the_command_line_reference_is_up_to_date() {
    let written = fs::read_to_string(repository().join("docs/cli-reference.md")).unwrap();
    let made = run(["docs", "cli-reference"]).ok().text();
    assert!(written == made, "docs/cli-reference.md has drifted: run `cargo xtask docs`");
}

#[test]
fn every_help_ends_with_an_example() {
    for command in [
        "seal",
        "verify",
        "ls",
        "cat",
        "extract",
        "diff",
        "digest",
        "enable",
        "measure",
        "image build",
        "image dump",
        "image check",
        "store fsck",
        "store gc",
        "store stat",
        "log",
        "key new",
        "key show",
        "root init",
        "root add-key",
        "root remove-key",
        "root threshold",
        "root allow",
        "root disallow",
        "root floor",
        "root revoke",
        "root expire",
        "root policy",
        "root sign",
        "root show",
        "root verify",
        "root history",
        "root pin",
        "sign",
        "sign-request",
        "attach",
        "submit",
        "freshen",
        "mount",
        "umount",
        "status",
        "boot status",
        "boot mark-good",
        "ostree verify",
        "ostree sign",
        "ostree embed",
        "ostree deploy-verify",
        "ostree import",
        "ostree export",
        "ostree check-deployment",
    ] {
        let help = run(command.split(' ').chain(["--help"])).ok().text();
        let (_, example) = help.rsplit_once("Example:\n").expect(command);
        let name = format!("treeseal {}", command.split(' ').next().unwrap());
        assert!(example.contains(&name), "{command}: {example}");
    }
}

#[test]
fn manual_pages_and_completions_are_made() {
    let directory = tempfile::tempdir().unwrap();
    run(["docs".as_ref(), "man".as_ref(), directory.path().as_os_str()]).ok();
    let page = fs::read_to_string(directory.path().join("treeseal-seal.1")).unwrap();
    assert!(page.contains("seal"));
    assert!(run(["docs", "completions", "bash"]).ok().text().contains("treeseal"));
}

#[test]
fn the_commands_of_the_readme_work() {
    // The first two set everything up and run this very test: CI runs them as they are.
    let skip = ["cargo run --release -- seal /usr/share", "cargo xtask test"];
    let home = tempfile::tempdir().unwrap();
    let tour = home.path().join("tour");
    let text = fs::read_to_string(repository().join("README.md")).unwrap();
    // The program under test stands in the search path already.
    let text =
        text.replace("/tmp/tour", tour.to_str().unwrap()).replace("$PWD/target/release:", "");
    let mut steps = console_steps(&text);
    steps.retain(|step| !skip.contains(&step.command.as_str()));
    for step in steps.iter_mut().filter(|step| step.command.starts_with("treeseal diff")) {
        step.code = 1;
    }
    let (root, state) = (home.path().join("config/root.json"), home.path().join("state"));
    run_here("README.md", &steps, &[("TREESEAL_ROOT", &root), ("TREESEAL_STATE", &state)]);
}

/// Runs the commands of a page for people.
#[track_caller]
fn run_guide(name: &str) {
    let text = fs::read_to_string(repository().join("docs/guides").join(name)).unwrap();
    for (program, package) in [
        ("openssl", "openssl"),
        ("softhsm2-util", "softhsm2"),
        ("pkcs11-tool", "opensc"),
        ("ostree", "ostree"),
    ] {
        if text.contains(&format!("$ {program} ")) {
            treeseal_testkit::program(program, package);
        }
    }
    run_here(name, &console_steps(&text), &[]);
}

/// Runs the steps of a document with the `treeseal` under test, in a fresh directory.
#[track_caller]
fn run_here(name: &str, steps: &[ConsoleStep], environment: &[(&str, &Path)]) {
    let work = tempfile::tempdir().unwrap();
    let mut shell = Command::new("bash");
    for variable in ["SOURCE_DATE_EPOCH", "TREESEAL_STORE", "TREESEAL_ROOT", "TREESEAL_STATE"] {
        shell.env_remove(variable);
    }
    shell.current_dir(work.path()).env("PATH", path()).envs(environment.iter().copied());
    run_console(name, steps, &mut shell);
}

/// The search path with the `treeseal` under test in front.
fn path() -> OsString {
    let program = Path::new(env!("CARGO_BIN_EXE_treeseal"));
    let before = std::env::var_os("PATH").unwrap_or_default();
    let directories = program.parent().map(Path::to_owned).into_iter();
    std::env::join_paths(directories.chain(std::env::split_paths(&before))).unwrap()
}

/// Pages whose commands need a kernel of their own: `cargo xtask vm` runs them.
const GUIDES_IN_MACHINES: [&str; 1] = ["mounting.md"];

macro_rules! guides {
    ($($test:ident: $page:literal,)*) => {
        $(
            #[test]
            fn $test() {
                run_guide($page);
            }
        )*

        /// The pages that have a test.
        const GUIDES: &[&str] = &[$($page),*];
    };
}

guides! {
    a_first_root_is_made_as_its_page_says: "first-root.md",
    a_lost_key_is_replaced_as_its_page_says: "lost-key.md",
    a_stolen_key_under_the_threshold_is_replaced_as_its_page_says:
        "stolen-key-under-the-threshold.md",
    a_stolen_key_is_revoked_as_its_page_says: "stolen-key-revoked.md",
    an_old_client_catches_up_as_its_page_says: "old-client.md",
    signing_elsewhere_works_as_its_page_says: "signing-elsewhere.md",
    one_seal_is_checked_as_its_page_says: "checking-one-seal.md",
    post_quantum_keys_work_as_their_page_says: "post-quantum.md",
    a_tree_is_made_ready_to_boot_as_its_page_says: "boot.md",
    commits_are_sealed_as_their_page_says: "ostree.md",
    systems_leave_the_keys_of_builds_as_their_page_says: "ostree-migration.md",
}

#[test]
fn every_guide_is_run_and_listed() {
    let index = fs::read_to_string(repository().join("docs/guides/README.md")).unwrap();
    let mut pages = 0;
    for entry in fs::read_dir(repository().join("docs/guides")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name == "README.md" {
            continue;
        }
        pages += 1;
        let mut tested = GUIDES.iter().chain(&GUIDES_IN_MACHINES);
        assert!(tested.any(|page| *page == name), "{name} has no test");
        assert!(index.contains(&format!("({name})")), "the index lacks {name}");
    }
    assert_eq!(pages, GUIDES.len() + GUIDES_IN_MACHINES.len());
}
