//! The operating system: files by descriptor, durable writes, fs-verity, mounts; and its TPM.
//!
//! Everything here goes by file descriptor and never twice by name. One of the two islands where
//! `unsafe` may stand: for the few requests and calls that `rustix`
//! does not wrap.

mod durable;
mod file;
mod ioctl;
mod memfd;
mod mount;
mod proc;
mod process;
mod tpm;
mod verity;

pub use durable::*;
pub use file::*;
pub use memfd::*;
pub use mount::*;
pub use process::*;
pub use tpm::*;
pub use verity::*;
