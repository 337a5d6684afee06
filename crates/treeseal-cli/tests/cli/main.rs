//! The command line, run as a person runs it, beside the programs that it is compared with.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod bad_input;
mod cache;
mod digest;
mod documents;
mod image;
mod interop;
mod seal;
mod tamper;
mod tpm;
mod usr;

mod support;
