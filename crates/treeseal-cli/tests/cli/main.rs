//! The command line, run as a person runs it, beside the programs that it is compared with.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod alone;
mod bad_input;
mod boot;
mod cache;
mod ceremony;
mod deployment;
mod digest;
mod documents;
mod freshness;
mod fsverity;
mod history;
mod image;
mod interop;
mod keys;
mod memory;
mod mount;
mod ostree;
mod ostree_deploy;
mod ostree_export;
mod ostree_import;
mod ostree_seal;
mod progress;
mod rotation;
mod seal;
mod signing;
mod tamper;
mod tpm;
mod usr;

mod support;
