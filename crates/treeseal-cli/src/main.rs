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

fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    let mut output =
        output::Output::new(arguments.json, progress::Display::new(arguments.progress));
    let outcome = environment::force_hash().and_then(|()| commands::run(&arguments, &mut output));
    match outcome {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => output.fail(&error),
    }
}
