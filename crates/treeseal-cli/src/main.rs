//! The `treeseal` command: arguments in, plain values to the library, text out.
//!
//! Flags become plain values in [`args`], the environment in [`environment`]; each command has a
//! file of its own in [`commands`]. This is the only crate that prints.

mod args;
mod commands;
mod environment;
mod output;
mod passphrases;
mod progress;
mod units;

use std::process::ExitCode;

use clap::Parser as _;
use output::{Failure, Outcome, Output};

fn main() -> ExitCode {
    match std::env::args_os().next().and_then(|name| commands::HelperName::of(&name)) {
        Some(helper) => help_mount(helper),
        None => run_command(),
    }
}

fn run_command() -> ExitCode {
    let arguments = args::Arguments::parse();
    let mut output = Output::new(arguments.json, progress::Display::new(arguments.progress));
    let outcome = environment::force_hash().and_then(|()| commands::run(&arguments, &mut output));
    end(outcome, &mut output)
}

/// Called by mount(8), under a name of its own.
fn help_mount(helper: commands::HelperName) -> ExitCode {
    let arguments = args::Helper::parse();
    let quiet = progress::Display::new(args::ShowProgress::Never);
    let mut output = Output::new(false, quiet);
    let outcome = helper.run(&arguments, &mut output);
    end(outcome, &mut output)
}

fn end(outcome: Result<Outcome, Failure>, output: &mut Output) -> ExitCode {
    match outcome {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => output.fail(&error),
    }
}
