//! Whether a seal is good: the one place for the rules on streams, thresholds, rollback,
//! revocation and expiry.

use crate::digest::Sha256Digest;
use crate::envelope::{Envelope, EnvelopeError};
use crate::extension::{AtBoot, Extension, StreamRule};
use crate::rollback::{Floor, RollbackState};
use crate::root::TrustRoot;
use crate::statement::{ImageFormat, Sequence, Statement, StatementError};
use crate::stream::Stream;
use crate::threshold::{ThresholdError, require_threshold};
use crate::time::Timestamp;
use crate::verified::{Expired, Expiring, Expiry, Verified};

/// What a seal is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct SealRequest<'a> {
    stream: &'a Stream,
    floor: Option<Floor>,
    root_floor: u64,
    clock: Clock,
}

/// What the caller knows about the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Clock {
    /// A clock that the caller trusts: expiry refuses. For install and pull.
    Trusted(Timestamp),
    /// It is this late or later: expiry that this proves is reported, or refuses if the trust root
    /// says so. For boot.
    LowerBound(Timestamp),
    /// Nothing is known. For the first boot of a machine.
    Unknown,
}

impl Clock {
    /// The same clock, but not earlier than a time that was seen signed.
    #[must_use]
    pub fn not_before(self, seen: Option<Timestamp>) -> Self {
        match (self, seen) {
            (clock, None) => clock,
            (Self::Trusted(now), Some(seen)) => Self::Trusted(now.max(seen)),
            (Self::LowerBound(now), Some(seen)) => Self::LowerBound(now.max(seen)),
            (Self::Unknown, Some(seen)) => Self::LowerBound(seen),
        }
    }
}

impl<'a> SealRequest<'a> {
    /// A seal for `stream` that is not older than anything in `state`.
    pub fn new(stream: &'a Stream, state: &RollbackState, clock: Clock) -> Self {
        Self {
            stream,
            floor: state.floor(stream),
            root_floor: state.root_version(),
            clock: clock.not_before(state.newest_time()),
        }
    }

    /// A seal for `stream` where nothing is remembered: old seals are refused by the trust root's
    /// `minSequence` alone.
    pub const fn first_contact(stream: &'a Stream, clock: Clock) -> Self {
        Self { stream, floor: None, root_floor: 0, clock }
    }

    /// The same with another floor.
    #[must_use]
    pub const fn with_floor(self, floor: Floor) -> Self {
        Self { floor: Some(floor), ..self }
    }
}

/// A seal is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The trust root is older than one that was used before.
    #[error(
        "the trust root has version {found}, but version {floor} was used before: give the newer \
         one"
    )]
    RootRolledBack {
        /// The highest version used before.
        floor: u64,
        /// The version given.
        found: u64,
    },
    /// The envelope is malformed.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The trust root lets nobody seal this stream.
    #[error("the trust root has no rule for the stream `{stream}`: nobody may seal it")]
    StreamNotAllowed {
        /// The stream asked for.
        stream: Stream,
    },
    /// Too few of the role's keys signed.
    #[error("the seal is not trusted: {0}")]
    Threshold(#[from] ThresholdError),
    /// The signed payload is no statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The seal is one for another stream.
    #[error("the seal is for the stream `{found}`, expected `{expected}`")]
    OtherStream {
        /// The stream asked for.
        expected: Stream,
        /// The stream sealed.
        found: Stream,
    },
    /// The trust root does not accept statements this old.
    #[error("the seal has sequence {found}; the trust root accepts {min} and later")]
    BelowMinimum {
        /// The lowest sequence that the trust root accepts.
        min: Sequence,
        /// The statement's.
        found: Sequence,
    },
    /// A newer statement was accepted before.
    #[error("the seal has sequence {found}, but {floor} was accepted before: it is an older tree")]
    RolledBack {
        /// The highest sequence accepted.
        floor: Sequence,
        /// The statement's.
        found: Sequence,
    },
    /// Another statement with the same sequence was accepted before.
    #[error(
        "another statement with sequence {sequence} was accepted before ({expected}, now \
         {found}): whoever seals the stream must use each sequence once"
    )]
    SequenceReused {
        /// The sequence of both.
        sequence: Sequence,
        /// The digest of the payload that was accepted.
        expected: Sha256Digest,
        /// The digest of this payload.
        found: Sha256Digest,
    },
    /// The trust root revokes the image.
    #[error("the trust root revokes the image {digest}: use a newer seal")]
    Revoked {
        /// SHA-256 of the image.
        digest: Sha256Digest,
    },
    /// The trust root does not allow the image's format.
    #[error("the trust root does not allow images of format {found}")]
    FormatNotAllowed {
        /// The image's format.
        found: ImageFormat,
    },
    /// The statement or the trust root has ended.
    #[error("{0}: get a newer one")]
    Expired(#[from] Expired),
}

impl SealError {
    /// A stable name of the class of refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::RootRolledBack { .. } => "root_rolled_back",
            Self::Envelope(error) => error.code(),
            Self::StreamNotAllowed { .. } => "stream_not_allowed",
            Self::Threshold(_) => "threshold",
            Self::Statement(error) => error.code(),
            Self::OtherStream { .. } => "other_stream",
            Self::BelowMinimum { .. } => "below_minimum",
            Self::RolledBack { .. } => "rolled_back",
            Self::SequenceReused { .. } => "sequence_reused",
            Self::Revoked { .. } => "revoked",
            Self::FormatNotAllowed { .. } => "format_not_allowed",
            Self::Expired(Expired { what: Expiring::Seal, .. }) => "seal_expired",
            Self::Expired(Expired { what: Expiring::Root, .. }) => "root_expired",
        }
    }
}

/// Verifies a seal: the bytes of an envelope, for one stream, against the trust root.
pub fn verify_seal(
    envelope: &[u8],
    root: &TrustRoot,
    request: &SealRequest<'_>,
) -> Result<Verified<Statement>, SealError> {
    // Treeseal: a trust root that is older than one used before is no trust root.
    if root.version() < request.root_floor {
        let (floor, found) = (request.root_floor, root.version());
        return Err(SealError::RootRolledBack { floor, found });
    }
    // DSSE: "Receive and decode SERIALIZED_BODY, PAYLOAD_TYPE, SIGNATURES from ENVELOPE. Reject if
    // decoding fails." and "Reject if PAYLOAD_TYPE is not a supported type."
    let envelope = Envelope::parse(envelope)?;
    // Treeseal: the stream asked for decides on the role, never the one that the payload names.
    let not_allowed = || SealError::StreamNotAllowed { stream: request.stream.clone() };
    let rule = root.stream_rule(request.stream).ok_or_else(not_allowed)?;
    let role = root.role_keys(&rule.role).ok_or_else(not_allowed)?;
    // DSSE: "Verify SIGNATURE against PAE(UTF8(PAYLOAD_TYPE), SERIALIZED_BODY)."; "Reject if the
    // cardinality of ACCEPTED_KEYS is less than t."
    let signers = require_threshold(&role, &envelope.pae_bytes(), &envelope.claims())?;
    // DSSE: "Parse SERIALIZED_BODY according to PAYLOAD_TYPE. Reject if the parsing fails." It is
    // the same buffer that the signatures were checked over.
    let statement = Statement::parse(envelope.payload())?;
    let payload_digest = envelope.payload_digest();
    check_stream(&statement, request.stream)?;
    check_sequence(&statement, payload_digest, rule, request.floor)?;
    if let Some(extension) = &root.content().extension {
        check_image(&statement, extension)?;
    }
    let expiry = check_expiry(&statement, root, request.clock)?;
    Ok(Verified::new(statement, signers, root.version(), payload_digest, expiry))
}

/// Treeseal: a seal for one stream is no seal for another.
fn check_stream(statement: &Statement, expected: &Stream) -> Result<(), SealError> {
    if statement.stream == *expected {
        return Ok(());
    }
    Err(SealError::OtherStream { expected: expected.clone(), found: statement.stream.clone() })
}

/// Treeseal: a sequence is never accepted below the trust root's `minSequence`, nor below the
/// highest one accepted before; an equal one only for the same payload.
fn check_sequence(
    statement: &Statement,
    found: Sha256Digest,
    rule: &StreamRule,
    floor: Option<Floor>,
) -> Result<(), SealError> {
    let sequence = statement.sequence;
    if sequence < rule.min_sequence {
        return Err(SealError::BelowMinimum { min: rule.min_sequence, found: sequence });
    }
    let Some(floor) = floor else {
        return Ok(());
    };
    if sequence < floor.sequence {
        return Err(SealError::RolledBack { floor: floor.sequence, found: sequence });
    }
    match floor.payload {
        Some(expected) if sequence == floor.sequence && expected != found => {
            Err(SealError::SequenceReused { sequence, expected, found })
        }
        _ => Ok(()),
    }
}

/// Treeseal: a revoked image is refused under each of its digests, and so are formats that the
/// trust root does not name.
fn check_image(statement: &Statement, extension: &Extension) -> Result<(), SealError> {
    if extension.revokes(&statement.digests) {
        return Err(SealError::Revoked { digest: statement.digests.sha256 });
    }
    if !extension.allows(statement.format) {
        return Err(SealError::FormatNotAllowed { found: statement.format });
    }
    Ok(())
}

/// Treeseal: a trusted clock refuses what has ended. Without one, what has certainly ended is
/// reported, or refused if the trust root says `refuse`.
fn check_expiry(
    statement: &Statement,
    root: &TrustRoot,
    clock: Clock,
) -> Result<Expiry, SealError> {
    let (now, refuses) = match clock {
        Clock::Trusted(now) => (now, true),
        Clock::LowerBound(now) => (now, refuses_at_boot(root)),
        Clock::Unknown => return Ok(Expiry::Unknown),
    };
    match (ended(statement, root, now), clock) {
        (Some(expired), _) if refuses => Err(expired.into()),
        (Some(expired), _) => Ok(Expiry::Expired(expired)),
        (None, Clock::Trusted(_)) => Ok(Expiry::InForce),
        (None, _) => Ok(Expiry::Unknown),
    }
}

fn refuses_at_boot(root: &TrustRoot) -> bool {
    root.content().extension.as_ref().is_some_and(|extension| match extension.at_boot {
        AtBoot::Refuse => true,
        AtBoot::Warn => false,
    })
}

/// What has ended at `now`. The last second of a statement is its `notAfter`.
///
/// TUF 5.3.10: "The expiration timestamp in the trusted root metadata file MUST be higher than the
/// fixed update start time."
fn ended(statement: &Statement, root: &TrustRoot, now: Timestamp) -> Option<Expired> {
    if let Some(end) = statement.not_after.filter(|end| now > *end) {
        return Some(Expired { what: Expiring::Seal, end, now });
    }
    let end = root.expires();
    (now >= end).then_some(Expired { what: Expiring::Root, end, now })
}
