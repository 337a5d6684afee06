//! Runs the tests that need a kernel of their own, inside a virtual machine.
//!
//! `cargo xtask vm` puts this program into an initramfs as `/init`. There it is process 1, prepares the
//! machine, and starts itself once for each test, so that a test may panic, hang or be killed. What
//! it prints is described in [`report`].
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the console is all that it has")]

mod guest;
mod init;
mod kernel_log;
mod report;
mod state;
mod steps;
mod tests;

use anyhow::{Context, Result, bail};
use guest::Guest;
use std::process::ExitCode;

/// Something that runs in the virtual machine: a test, or one machine's part in a scenario.
type Job = fn(&Guest) -> Result<()>;

const USAGE: &str = "\
Usage: treeseal-vm list | test NAME | step NAME | write-release TREE NUMBER

As process 1 it takes no arguments but those of the kernel: vm.tests=NAME,... or vm.step=NAME.
";

fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:?}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<()> {
    if std::process::id() == 1 {
        return init::run();
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["list"] => {
            tests::TESTS.iter().for_each(|(name, _)| println!("{name}"));
            Ok(())
        }
        ["test", name] => find(tests::TESTS, name)?(&Guest::new()),
        ["step", name] => find(steps::STEPS, name)?(&Guest::new()),
        ["write-release", tree, number] => {
            steps::boot::write_release(tree.as_ref(), number.parse().context("no number")?)
        }
        _ => bail!("not understood: {}\n\n{USAGE}", args.join(" ")),
    }
}

fn find(table: &[(&str, Job)], wanted: &str) -> Result<Job> {
    let found = table.iter().find(|(name, _)| *name == wanted);
    found.map(|(_, job)| *job).with_context(|| format!("there is no {wanted}"))
}
