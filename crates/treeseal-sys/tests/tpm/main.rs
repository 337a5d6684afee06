//! Floors in a TPM, against `swtpm`: they grow and never fall, whatever is interrupted; and no
//! response, however wrong, leads to more than an error.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod floor;
mod interrupted;
mod malformed;
mod proxy;
mod swtpm;

/// The hash of a stream's name.
const STREAM: [u8; 32] = *b"12345678901234567890123456789012";

/// Another stream with the same indices.
const NEIGHBOUR: [u8; 32] = *b"1234~~~~~~~~~~~~~~~~~~~~~~~~~~~~";

/// The owner's password of a new TPM.
const EMPTY: &[u8] = b"";
