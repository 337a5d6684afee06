//! Rollback floors that a disk cannot undo: counters in the memory of a TPM 2.0.
//!
//! [`TpmFloor`] keeps the floor of one stream; `spec/tpm.md` has its format. [`Tpm`] is as much of
//! a TPM client as that needs: seven commands with passwords, no keys and no sessions that encrypt.
//! Numbers and layouts are those of the TCG's *Trusted Platform Module Library*, revision 1.59;
//! "Part 2, 13.4" is a section of it.
//!
//! What a TPM answers is read as untrusted bytes. Nothing in it is authenticated, so whoever sits
//! between the processor and the TPM can say anything: this keeps a floor from those who can
//! rewrite the disk, and not from those who can open the machine.

mod client;
mod code;
mod connection;
mod error;
mod floor;
mod record;
mod response;
mod wire;

pub use client::Tpm;
pub use code::TpmCode;
pub use connection::TpmAddress;
pub use error::{TpmError, TpmResponseError};
pub use floor::{TpmFloor, TpmFloorError, TpmHalfMade};
pub use record::{TPM_MAX_SEQUENCE, TpmIndices};
pub use wire::TpmCommand;
