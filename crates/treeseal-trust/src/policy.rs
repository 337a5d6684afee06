//! Whether a seal is good: the one place for the rules on streams, thresholds, rollback,
//! revocation and expiry.

use crate::digest::Sha256Digest;
use crate::envelope::{Envelope, EnvelopeError};
use crate::extension::{AtBoot, Extension, StreamRule};
use crate::freshness::FreshStatement;
use crate::role::RoleName;
use crate::rollback::{Floor, RollbackState};
use crate::root::TrustRoot;
use crate::statement::{Sequence, Statement, StatementError};
use crate::stream::Stream;
use crate::threshold::{RoleKeys, Signers, ThresholdError, require_threshold};
use crate::time::Timestamp;
use crate::verified::{Expired, Expiring, Expiry, Freshness, Standing, Verified};

/// What a seal is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct SealRequest<'a> {
    stream: &'a Stream,
    floor: Option<Floor>,
    root_floor: u64,
    clock: Clock,
    /// The newest time that was seen signed.
    seen: Option<Timestamp>,
    /// The bytes of a freshness statement.
    freshness: Option<&'a [u8]>,
    is_own: bool,
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

impl<'a> SealRequest<'a> {
    /// A seal for `stream` that is not older than anything in `state`.
    pub fn new(stream: &'a Stream, state: &RollbackState, clock: Clock) -> Self {
        Self {
            floor: state.floor(stream),
            root_floor: state.root_version(),
            seen: state.newest_time(),
            ..Self::first_contact(stream, clock)
        }
    }

    /// A seal for `stream` where nothing is remembered: old seals are refused by the trust root's
    /// `minSequence` alone.
    pub const fn first_contact(stream: &'a Stream, clock: Clock) -> Self {
        Self {
            stream,
            floor: None,
            root_floor: 0,
            clock,
            seen: None,
            freshness: None,
            is_own: false,
        }
    }

    /// The same, but nothing below `sequence`, which is known from elsewhere.
    #[must_use]
    pub fn not_below(self, sequence: Sequence) -> Self {
        let elsewhere = Floor { sequence, payload: None, fresh_until: None };
        let floor = match self.floor {
            Some(floor) if floor.sequence >= sequence => floor,
            Some(floor) => Floor { fresh_until: floor.fresh_until, ..elsewhere },
            None => elsewhere,
        };
        Self { floor: Some(floor), ..self }
    }

    /// The same for whoever has just made the seal: that nobody has said yet that it is the newest
    /// does not matter. Not for readers.
    #[must_use]
    pub const fn for_the_sealer(self) -> Self {
        Self { is_own: true, ..self }
    }

    /// The same with a freshness statement for the stream, if there is one: the bytes of its
    /// envelope.
    #[must_use]
    pub const fn with_freshness(self, envelope: Option<&'a [u8]>) -> Self {
        Self { freshness: envelope, ..self }
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
    /// The trust root revokes this seal of the stream.
    #[error("the trust root revokes the seal with sequence {sequence}: use a newer one")]
    SequenceRevoked {
        /// The statement's sequence.
        sequence: Sequence,
    },
    /// The trust root allows none of the images, by their formats and algorithms.
    #[error("the trust root allows none of the seal's images: {found}")]
    ImageNotAllowed {
        /// What images there are.
        found: String,
    },
    /// The statement or the trust root has ended, or was not said to be the newest for too long.
    #[error("{0}: get a newer one")]
    Expired(#[from] Expired),
    /// Something ended before a time that was seen signed, but after the time of the clock.
    #[error(
        "the clock shows {clock}, but something that was signed at {seen} has been seen: set the \
         clock, which is wrong; whether {} has expired cannot be told by it", expired.what
    )]
    ClockBehind {
        /// What the clock shows.
        clock: Timestamp,
        /// The newest time seen signed.
        seen: Timestamp,
        /// What seems to have ended.
        expired: Expired,
    },
    /// The seal was made later than now.
    #[error(
        "the seal was made at {created}, and the clock shows {now}: one of the two clocks is wrong"
    )]
    FromFuture {
        /// When it says that it was made.
        created: Timestamp,
        /// The time.
        now: Timestamp,
    },
    /// Nobody says that the seal is the newest, and somebody must.
    #[error(
        "nothing says that the seal is the newest, and the trust root demands it: the role `{role}` \
         must say so (`treeseal freshen`)"
    )]
    FreshnessMissing {
        /// Who must say so.
        role: RoleName,
    },
    /// The freshness statement cannot be used, and one is needed.
    #[error("the freshness statement is not accepted: {0}")]
    Freshness(#[from] FreshnessError),
    /// Another seal is the newest.
    #[error(
        "the seal has sequence {found}, but `{role}` says that {current} ({payload}) is current: a \
         newer seal is kept back"
    )]
    NotCurrent {
        /// Who says so.
        role: RoleName,
        /// The sequence that is current.
        current: Sequence,
        /// The payload that is current.
        payload: Sha256Digest,
        /// The sequence of the seal.
        found: Sequence,
    },
}

/// A freshness statement cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FreshnessError {
    /// The envelope is malformed.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Too few of the role's keys signed.
    #[error(transparent)]
    Threshold(#[from] ThresholdError),
    /// The signed payload is no freshness statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// It is one for another stream.
    #[error("it is for the stream `{found}`, expected `{expected}`")]
    OtherStream {
        /// The stream asked for.
        expected: Stream,
        /// The stream that it speaks of.
        found: Stream,
    },
    /// It was made later than now.
    #[error("it was made at {created}, and it is {now}: one of the two clocks is wrong")]
    FromFuture {
        /// When it says that it was made.
        created: Timestamp,
        /// The time.
        now: Timestamp,
    },
}

impl FreshnessError {
    /// A stable name of the class of refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Envelope(error) => error.code(),
            Self::Threshold(_) => "freshness_threshold",
            Self::Statement(error) => error.code(),
            Self::OtherStream { .. } => "other_stream",
            Self::FromFuture { .. } => "freshness_from_future",
        }
    }
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
            Self::SequenceRevoked { .. } => "sequence_revoked",
            Self::ImageNotAllowed { .. } => "image_not_allowed",
            Self::Expired(Expired { what: Expiring::Seal, .. }) => "seal_expired",
            Self::Expired(Expired { what: Expiring::Root, .. }) => "root_expired",
            Self::Expired(Expired { what: Expiring::Freshness, .. }) => "stale",
            Self::ClockBehind { .. } => "clock_behind",
            Self::FromFuture { .. } => "seal_from_future",
            Self::FreshnessMissing { .. } => "freshness_missing",
            Self::Freshness(error) => error.code(),
            Self::NotCurrent { .. } => "not_current",
        }
    }
}

/// Verifies a seal: the bytes of an envelope, for one stream, against the trust root.
///
/// The steps are those of `spec/seal.md`, section 5, in their order. Of the statement's images the
/// result has those that the trust root allows.
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
    // Treeseal: the stream asked for decides on the roles, never the one that the payload names.
    let not_allowed = || SealError::StreamNotAllowed { stream: request.stream.clone() };
    let (extension, rule) = root.stream_rule(request.stream).ok_or_else(not_allowed)?;
    let signers = require_roles(root, rule, &envelope)?.ok_or_else(not_allowed)?;
    // DSSE: "Parse SERIALIZED_BODY according to PAYLOAD_TYPE. Reject if the parsing fails." It is
    // the same buffer that the signatures were checked over.
    let mut statement = Statement::parse(envelope.payload())?;
    let payload_digest = envelope.payload_digest();
    check_stream(&statement, request.stream)?;
    check_sequence(&statement, payload_digest, rule, request.floor)?;
    check_revoked(&statement, extension)?;
    retain_allowed(&mut statement, extension)?;
    let time = Time::of(request);
    check_created(&statement, time)?;
    let expiry = check_expiry(&statement, root, time)?;
    let sealed = (statement.sequence, payload_digest);
    let freshness = if request.is_own {
        Freshness { standing: Standing::NotRequired, until: None, seen: None, ignored: None }
    } else {
        check_freshness(sealed, root, rule, request, time)?
    };
    Ok(Verified::new(statement, signers, root.version(), payload_digest, expiry, freshness))
}

/// The stream that a seal names, which nobody vouches for: to ask for what one was given, and then
/// to say which stream it is. Who wants a certain stream must name it.
pub fn claimed_stream(envelope: &[u8]) -> Result<Stream, SealError> {
    let envelope = Envelope::parse(envelope)?;
    Ok(Statement::parse(envelope.payload())?.stream)
}

/// DSSE: "Verify SIGNATURE against PAE(UTF8(PAYLOAD_TYPE), SERIALIZED_BODY)."; "Reject if the
/// cardinality of ACCEPTED_KEYS is less than t."
///
/// Treeseal: so for each role of the rule. `None` if the root lacks one, or the rule has none.
fn require_roles(
    root: &TrustRoot,
    rule: &StreamRule,
    envelope: &Envelope,
) -> Result<Option<Vec<Signers>>, ThresholdError> {
    let signed = envelope.signed_message();
    let mut signers = Vec::new();
    for name in &rule.roles {
        let Some(role) = root.role_keys(name) else { return Ok(None) };
        signers.push(require_threshold(&role, &signed)?);
    }
    Ok((!signers.is_empty()).then_some(signers))
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

/// Treeseal: a seal can be revoked by its sequence, and a tree by any digest of any of its images.
fn check_revoked(statement: &Statement, extension: &Extension) -> Result<(), SealError> {
    let sequence = statement.sequence;
    if extension.revokes_sequence(&statement.stream, sequence) {
        return Err(SealError::SequenceRevoked { sequence });
    }
    match statement.images.iter().find(|image| extension.revokes(&image.digests)) {
        Some(image) => Err(SealError::Revoked { digest: image.digests.sha256 }),
        None => Ok(()),
    }
}

/// Treeseal: images of formats or algorithms that the trust root does not name are not used.
fn retain_allowed(statement: &mut Statement, extension: &Extension) -> Result<(), SealError> {
    let found: Vec<String> = statement.images.iter().map(ToString::to_string).collect();
    statement.images.retain(|image| extension.allows(image));
    if statement.images.is_empty() {
        return Err(SealError::ImageNotAllowed { found: found.join(", ") });
    }
    Ok(())
}

/// What is known of the time, by the clock and by what was seen signed.
#[derive(Clone, Copy)]
enum Time {
    Trusted(Timestamp),
    /// A trusted clock that shows less than was seen signed: it is wrong.
    Behind {
        clock: Timestamp,
        seen: Timestamp,
    },
    LowerBound(Timestamp),
    Unknown,
}

impl Time {
    fn of(request: &SealRequest<'_>) -> Self {
        match (request.clock, request.seen) {
            (Clock::Trusted(clock), Some(seen)) if clock < seen => Self::Behind { clock, seen },
            (Clock::Trusted(now), _) => Self::Trusted(now),
            (Clock::LowerBound(now), seen) => Self::LowerBound(seen.map_or(now, |s| s.max(now))),
            (Clock::Unknown, Some(seen)) => Self::LowerBound(seen),
            (Clock::Unknown, None) => Self::Unknown,
        }
    }

    const fn now(self) -> Option<Timestamp> {
        match self {
            Self::Trusted(now) | Self::LowerBound(now) => Some(now),
            Self::Behind { seen, .. } => Some(seen),
            Self::Unknown => None,
        }
    }

    /// Whether what has ended is refused: by a trusted clock, or because the trust root says so.
    fn refuses(self, root: &TrustRoot) -> bool {
        let refuse_at_boot = match &root.content().extension {
            Some(extension) => extension.at_boot == AtBoot::Refuse,
            None => false,
        };
        matches!(self, Self::Trusted(_) | Self::Behind { .. }) || refuse_at_boot
    }

    /// The refusal of what has ended. A clock that is wrong is named instead.
    const fn refusal(self, expired: Expired) -> SealError {
        match self {
            Self::Behind { clock, seen } => SealError::ClockBehind { clock, seen, expired },
            _ => SealError::Expired(expired),
        }
    }
}

/// Seconds by which a seal may be made later than now.
const LATEST_CREATION: u64 = 86_400;

/// Treeseal: a seal from the future would make every right clock look wrong once it is remembered.
fn check_created(statement: &Statement, time: Time) -> Result<(), SealError> {
    match time {
        Time::Trusted(now) if statement.created > now.saturating_add(LATEST_CREATION) => {
            Err(SealError::FromFuture { created: statement.created, now })
        }
        _ => Ok(()),
    }
}

/// Treeseal: a trusted clock refuses what has ended. Without one, what has certainly ended is
/// reported, or refused if the trust root says `refuse`.
fn check_expiry(statement: &Statement, root: &TrustRoot, time: Time) -> Result<Expiry, SealError> {
    let Some(now) = time.now() else { return Ok(Expiry::Unknown) };
    match (ended(statement, root, now), time) {
        (Some(expired), _) if time.refuses(root) => Err(time.refusal(expired)),
        (Some(expired), _) => Ok(Expiry::Expired(expired)),
        (None, Time::Trusted(_)) => Ok(Expiry::InForce),
        (None, _) => Ok(Expiry::Unknown),
    }
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

/// Treeseal: where the rule asks for it, somebody must have said lately that nothing newer is
/// current; and whoever has the role to say so is believed when the seal is not.
fn check_freshness(
    sealed: (Sequence, Sha256Digest),
    root: &TrustRoot,
    rule: &StreamRule,
    request: &SealRequest<'_>,
    time: Time,
) -> Result<Freshness, SealError> {
    let role = rule.freshness.as_ref().map_or_else(RoleName::timestamp, |rule| rule.role.clone());
    let given = request.freshness.map(|bytes| usable_freshness(bytes, &role, root, request, time));
    let (fresh, ignored) = match given.transpose() {
        Ok(fresh) => (fresh, None),
        Err(error) if rule.freshness.is_some() && time.refuses(root) => return Err(error.into()),
        Err(error) => (None, Some(error.to_string())),
    };
    if let Some(fresh) = &fresh {
        check_current(sealed, fresh, &role)?;
    }
    let said = fresh.map(|fresh| fresh.until);
    let until = said.max(request.floor.and_then(|floor| floor.fresh_until));
    let seen = if matches!(time, Time::Trusted(_)) { said } else { None };
    let standing = standing(until, root, rule, time)?;
    Ok(Freshness { standing, until, seen, ignored })
}

/// Seconds that the clocks of signer and verifier may differ.
const CLOCK_SKEW: u64 = 300;

/// Reads a freshness statement if the role signed it, for this stream, and not in the future.
fn usable_freshness(
    envelope: &[u8],
    role: &RoleName,
    root: &TrustRoot,
    request: &SealRequest<'_>,
    time: Time,
) -> Result<FreshStatement, FreshnessError> {
    let envelope = Envelope::parse(envelope)?;
    let role = root.role_keys(role).unwrap_or_else(|| RoleKeys::unreachable(role.clone()));
    require_threshold(&role, &envelope.signed_message())?;
    let fresh = FreshStatement::parse(envelope.payload())?;
    if fresh.stream != *request.stream {
        let (expected, found) = (request.stream.clone(), fresh.stream);
        return Err(FreshnessError::OtherStream { expected, found });
    }
    match time {
        Time::Trusted(now) if fresh.created > now.saturating_add(CLOCK_SKEW) => {
            Err(FreshnessError::FromFuture { created: fresh.created, now })
        }
        _ => Ok(fresh),
    }
}

/// Refuses a seal when another one is current. What was current before this one was made does not
/// matter: this one is newer.
fn check_current(
    (found, digest): (Sequence, Sha256Digest),
    fresh: &FreshStatement,
    role: &RoleName,
) -> Result<(), SealError> {
    let (current, payload) = (fresh.sequence, fresh.payload);
    if current > found || (current == found && payload != digest) {
        let role = role.clone();
        return Err(SealError::NotCurrent { role, current, payload, found });
    }
    Ok(())
}

/// Judges the last second for which nothing newer was current, if any is known.
fn standing(
    until: Option<Timestamp>,
    root: &TrustRoot,
    rule: &StreamRule,
    time: Time,
) -> Result<Standing, SealError> {
    let (until, tolerance) = match (&rule.freshness, until) {
        (None, None) => return Ok(Standing::NotRequired),
        (None, Some(until)) => (until, None),
        (Some(rule), Some(until)) => (until, Some(rule.tolerance)),
        (Some(rule), None) if time.refuses(root) => {
            return Err(SealError::FreshnessMissing { role: rule.role.clone() });
        }
        (Some(_), None) => return Ok(Standing::Stale),
    };
    let end = until.saturating_add(tolerance.unwrap_or(0));
    let expired = time.now().filter(|now| *now > end);
    let expired = expired.map(|now| Expired { what: Expiring::Freshness, end, now });
    match (time, expired) {
        (_, Some(expired)) if tolerance.is_some() && time.refuses(root) => {
            Err(time.refusal(expired))
        }
        (Time::Trusted(now), _) if now <= until => Ok(Standing::Current),
        (Time::Trusted(_) | Time::Behind { .. }, _) if tolerance.is_some() => {
            Ok(Standing::Tolerated)
        }
        (_, Some(_)) => Ok(Standing::Stale),
        (_, None) => Ok(Standing::Unknown),
    }
}
