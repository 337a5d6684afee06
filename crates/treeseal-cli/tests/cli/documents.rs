//! The documents say what the program does.

use std::fs;
use std::process::Command;

use treeseal_testkit::repository;

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

/// Runs the commands of a document's `console` blocks in one shell, and fails with the first whose
/// exit code is not the one expected.
fn run_console_blocks(document: &str, skip: &[&str], may_say_no: &[&str]) {
    let text = fs::read_to_string(repository().join(document)).unwrap();
    let mut script = String::from("set -u\n");
    let mut commands = 0;
    let mut in_block = false;
    for line in text.lines() {
        match line {
            "```console" => in_block = true,
            "```" => in_block = false,
            _ if in_block => {
                let Some(command) = line.strip_prefix("$ ") else { continue };
                if skip.contains(&command) {
                    continue;
                }
                commands += 1;
                let expected = i32::from(may_say_no.iter().any(|no| command.starts_with(no)));
                script.push_str(&format!(
                    "{command}\ncode=$?; [ $code = {expected} ] || \
                     {{ echo \"exit code $code: {}\" >&2; exit 9; }}\n",
                    command.replace(['"', '$', '`'], "'")
                ));
            }
            _ => {}
        }
    }
    assert!(commands > 0, "{document} has no commands");
    let home = tempfile::tempdir().unwrap();
    let tour = home.path().join("tour");
    let script = script.replace("/tmp/tour", tour.to_str().unwrap());
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_treeseal"));
    // Where the document puts the release build, there is the build under test.
    let script = script.replace("$PWD/target/release", program.parent().unwrap().to_str().unwrap());
    let output = Command::new("bash")
        .args(["-c", &script])
        .env("TREESEAL_ROOT", home.path().join("config/root.json"))
        .env("TREESEAL_STATE", home.path().join("state"))
        .current_dir(home.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{document}: {stderr}");
}

#[test]
fn the_commands_of_the_readme_work() {
    // The first two set everything up and run this very test: CI runs them as they are.
    let skip = ["cargo run --release -- seal /usr/share", "cargo xtask test"];
    run_console_blocks("README.md", &skip, &["treeseal diff"]);
}
