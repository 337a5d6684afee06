use core::ops::Deref;

use crate::digest::Sha256Digest;
use crate::threshold::Signers;
use crate::time::Timestamp;

/// Something that was verified against the trust root, and by whom it is vouched for.
///
/// Only [`verify_seal`](crate::verify_seal) makes one. What mounts, extracts or prints trusted
/// data asks for this type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T> {
    value: T,
    signers: Signers,
    root_version: u64,
    payload_digest: Sha256Digest,
    expiry: Expiry,
}

/// What is known about the expiry of a seal that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expiry {
    /// Seal and root hold at the time of a clock that the caller trusts.
    InForce,
    /// No trusted clock: nothing shows that either is expired, nothing that neither is.
    Unknown,
    /// No trusted clock, and the time is past this end, but the trust root only warns at boot.
    Expired(Expired),
}

/// Something that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} expired at {end}, and it is {now} or later")]
pub struct Expired {
    /// What ended.
    pub what: Expiring,
    /// When it ended.
    pub end: Timestamp,
    /// The time that shows it.
    pub now: Timestamp,
}

/// What can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expiring {
    /// The statement, by its `notAfter`.
    Seal,
    /// The trust root, by its `expires`.
    Root,
}

impl core::fmt::Display for Expiring {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Seal => "the seal",
            Self::Root => "the trust root",
        })
    }
}

impl<T> Verified<T> {
    /// To be called by the policy alone. The signers are the proof that a threshold was met.
    pub(crate) const fn new(
        value: T,
        signers: Signers,
        root_version: u64,
        payload_digest: Sha256Digest,
        expiry: Expiry,
    ) -> Self {
        Self { value, signers, root_version, payload_digest, expiry }
    }

    /// What was verified.
    pub const fn get(&self) -> &T {
        &self.value
    }

    /// Who signed, in which role.
    pub const fn signers(&self) -> &Signers {
        &self.signers
    }

    /// The version of the trust root that accepted the signers.
    pub const fn root_version(&self) -> u64 {
        self.root_version
    }

    /// SHA-256 of the payload: what a floor remembers, and the next statement's `previous`.
    pub const fn payload_digest(&self) -> Sha256Digest {
        self.payload_digest
    }

    /// What is known about expiry. Whoever asked without a trusted clock must look at it.
    pub const fn expiry(&self) -> Expiry {
        self.expiry
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
