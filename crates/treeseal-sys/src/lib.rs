//! The operating system: directories by descriptor, attributes, durable writes; and its TPM.
//!
//! Everything here goes by file descriptor and never twice by name. One of the two islands where
//! `unsafe` may stand; so far none is needed, because `rustix` wraps the system calls in use.

mod durable;
mod file;
mod process;
mod tpm;

pub use durable::*;
pub use file::*;
pub use process::*;
pub use tpm::*;
