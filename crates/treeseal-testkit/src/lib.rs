//! Builders, corruptors and vectors for the tests.
//!
//! A helper that cannot do its work panics: in a test that is the way to fail, and the message says
//! what is missing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of tests fails the test"
)]

pub mod attacks;

mod class;
mod console;
mod content;
mod crash;
mod environment;
mod lengths;
mod ostree;
mod vectors;

pub use class::refusal_class;
pub use console::{ConsoleStep, console_steps, run_console};
pub use content::{counter_words, sha256_hex};
pub use crash::{CrashingDisk, Loss};
pub use environment::{fixtures, peer, program, python, repository, require_root, run};
pub use lengths::boundary_lengths;
pub use ostree::OstreeSystem;
pub use vectors::{IMAGE_SCENARIOS, VERITY_SCENARIOS, Vector, load_vectors};
