//! Makes a sealed tree the root of the machine.
//!
//! As the first process of an initramfs it mounts what it needs, starts a tree, moves into it and
//! becomes its init. Run by an initramfs that does these things itself, it mounts the tree at
//! `/sysroot` and returns. Which tree that is, [`treeseal::boot`] decides; `spec/boot.md` has the
//! formats and the rules.
//!
//! Where nothing can be started it says why and ends as the configuration says: there is no shell, and
//! nothing that lets a tree pass unverified.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "it speaks to the console")]

mod arguments;
mod deployed;
mod device;
mod ending;
mod failure;
mod filesystem;
mod kernel;
mod root;
mod superblock;
mod switch;
mod writable;

use std::path::Path;
use std::process::ExitCode;

use arguments::Request;
use failure::Failure;
use treeseal::boot::{Config, Failure as Plan};

fn main() -> ExitCode {
    // What the kernel leaves over of its command line is for the tree's init.
    if std::process::id() == 1 {
        return run_as_init();
    }
    match arguments::parse(std::env::args_os().skip(1)) {
        Ok(Request::Mount(places)) => mount_for_caller(&places),
        Ok(Request::Print(text)) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            failure.report();
            ExitCode::from(2)
        }
    }
}

/// Where things are in the initramfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// The directory of `boot.json` and `root.json`.
    pub(crate) configuration: std::path::PathBuf,
    /// Where the tree is mounted.
    pub(crate) sysroot: std::path::PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self { configuration: "/etc/treeseal".into(), sysroot: "/sysroot".into() }
    }
}

fn mount_for_caller(places: &Places) -> ExitCode {
    let mounted = configuration(places).and_then(|config| root::mount(places, &config));
    match mounted {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::FAILURE
        }
    }
}

/// Comes back only where the kernel refuses to stop.
fn run_as_init() -> ExitCode {
    let places = Places::default();
    let plan = match prepare(&places) {
        Ok(config) => match become_init(&places, &config) {
            Ok(never) => match never {},
            Err(failure) => {
                failure.report();
                config.failure
            }
        },
        Err(failure) => {
            failure.report();
            Plan::default()
        }
    };
    ending::end(plan)
}

fn prepare(places: &Places) -> Result<Config, Failure> {
    kernel::mount_interfaces()?;
    configuration(places)
}

fn become_init(places: &Places, config: &Config) -> Result<std::convert::Infallible, Failure> {
    kernel::load_modules(&config.modules)?;
    root::mount(places, config)?;
    switch::into(&places.sysroot, &config.init)
}

fn configuration(places: &Places) -> Result<Config, Failure> {
    Ok(Config::read(&places.configuration.join(Path::new("boot.json")))?)
}
