//! Development tasks of the workspace: `cargo xtask TASK`.
//!
//! One module per task. A task is a function from the workspace and its arguments to a result; what
//! it runs is printed first, so that a failing step can be repeated by hand.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a task talks to the terminal")]

mod bench;
mod boot_program;
mod check;
mod docs;
mod layering;
mod process;
mod random;
mod section;
mod setup;
mod static_programs;
mod test;
mod vm;
mod workspace;

use anyhow::{Result, bail};
use section::Document;
use std::process::ExitCode;
use workspace::Workspace;

const USAGE: &str = "\
Usage: cargo xtask TASK

  setup                   install what the tests compare with: packages, Python modules, peers
  test [FILTER]           all tests, the Python checks first; FILTER as cargo test takes it
  hashes                  the core of the tests by each way to hash; part of `test` without FILTER
  check [--advisories]    formatting, clippy, rustdoc, dependencies, layering, the boot program's size
  layering [--write]      crates use each other as the table allows; --write renews the document
  docs [--check]          write docs/cli-reference.md; --check only tells whether it is current
  vm [NAME...]            tests in virtual machines; part of `test` without FILTER; --help for options
  boot                    build the boot program, static, and see that it is small; part of `check`
  bench [NAME...]         compare with the peers: digest, import, dump and more; --help for options
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    let Some((task, rest)) = args.split_first() else { bail!("no task given\n\n{USAGE}") };
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let workspace = Workspace::load()?;
    match (task.as_str(), rest.as_slice()) {
        ("setup", []) => setup::run(&workspace).map(drop),
        ("test", []) => test::run(&workspace, None),
        ("test", [filter]) => test::run(&workspace, Some(filter)),
        ("hashes", []) => test::run_hashes(&workspace),
        ("check", []) => check::run(&workspace, check::Advisories::Skip),
        ("check", ["--advisories"]) => check::run(&workspace, check::Advisories::Check),
        ("layering", []) => layering::run(&workspace, Document::Compare),
        ("layering", ["--write"]) => layering::run(&workspace, Document::Write),
        ("docs", []) => docs::run(&workspace, docs::Mode::Write),
        ("docs", ["--check"]) => docs::run(&workspace, docs::Mode::Check),
        ("vm", options) => vm::run(&workspace, options),
        ("boot", []) => boot_program::run(&workspace),
        ("bench", options) => bench::run(&workspace, options),
        ("help" | "-h" | "--help", _) => {
            print!("{USAGE}");
            Ok(())
        }
        _ => bail!("not understood: {}\n\n{USAGE}", args.join(" ")),
    }
}
