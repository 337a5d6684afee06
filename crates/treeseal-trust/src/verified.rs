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
    signers: Vec<Signers>,
    root_version: u64,
    payload_digest: Sha256Digest,
    expiry: Expiry,
    freshness: Freshness,
}

/// What is known about the expiry of a seal that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expiry {
    /// Seal and root hold at the time of a clock that the caller trusts.
    InForce,
    /// No clock to trust, or one that is behind what was seen signed: nothing shows that either is
    /// expired, nothing that neither is.
    Unknown,
    /// No trusted clock, and the time is past this end, but the trust root only warns at boot.
    Expired(Expired),
}

impl Expiry {
    /// A stable name: `in_force`, `unknown` or `expired`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InForce => "in_force",
            Self::Unknown => "unknown",
            Self::Expired(_) => "expired",
        }
    }
}

/// What is known about whether a seal that was accepted is the newest of its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The answer.
    pub standing: Standing,
    /// The last second for which somebody said that nothing newer was current, if anybody did.
    pub until: Option<Timestamp>,
    /// That second if a statement that came with the seal said so at a time that a trusted clock
    /// agrees with: what is to be remembered.
    pub(crate) seen: Option<Timestamp>,
    /// Why a freshness statement that came with the seal, and that the trust root does not ask for,
    /// was not used.
    pub ignored: Option<String>,
}

/// Whether a seal is the newest of its stream, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// The trust root does not ask, and nobody said anything.
    NotRequired,
    /// It is, at the time of a trusted clock.
    Current,
    /// It was; since then nobody said anything, and the trust root tolerates that.
    Tolerated,
    /// No trusted clock, and longer ago than the trust root tolerates, which only warns at boot.
    Stale,
    /// No trusted clock, so it cannot be said.
    Unknown,
}

impl Standing {
    /// A stable name: `not_required`, `current`, `tolerated`, `stale` or `unknown`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotRequired => "not_required",
            Self::Current => "current",
            Self::Tolerated => "tolerated",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
        }
    }
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
    /// What was said about freshness, and the time for which that may be missing.
    Freshness,
}

impl core::fmt::Display for Expiring {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Seal => "the seal",
            Self::Root => "the trust root",
            Self::Freshness => "the proof that the seal is the newest",
        })
    }
}

impl<T> Verified<T> {
    /// To be called by the policy alone. The signers are the proof that thresholds were met.
    pub(crate) const fn new(
        value: T,
        signers: Vec<Signers>,
        root_version: u64,
        payload_digest: Sha256Digest,
        expiry: Expiry,
        freshness: Freshness,
    ) -> Self {
        Self { value, signers, root_version, payload_digest, expiry, freshness }
    }

    /// What was verified.
    pub const fn get(&self) -> &T {
        &self.value
    }

    /// Who signed, for each role of the stream's rule.
    pub fn signers(&self) -> &[Signers] {
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

    /// What is known about whether it is the newest. Whoever asked without a trusted clock must look
    /// at it.
    pub const fn freshness(&self) -> &Freshness {
        &self.freshness
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
