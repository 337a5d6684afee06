//! Signatures of other systems.
//!
//! Pure checks of bytes with keys: where the keys come from, and what a signature is good for, the caller
//! decides.

pub mod ostree;
