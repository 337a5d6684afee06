//! Saying which seal of a stream is current, as the online role does.

use treeseal_store::Store;
use treeseal_trust::{
    Clock, Envelope, FreshStatement, RoleName, RollbackState, SealError, SealRequest, Sequence,
    Standing, Statement, Stream, Timestamp, TrustRoot, TufKey, Verified, verify_seal,
};

use crate::identity::open_or_own;
use crate::keys::{KeyPlace, Passphrases, Signature, Signer};
use crate::pending::Subject;
use crate::root::{newest_root, pinned_root};
use crate::{Error, Locations, memory};

/// A stream whose current seal was said to be the newest.
#[derive(Debug)]
pub struct Freshened {
    /// The seal, as the trust root accepts it with what was said.
    pub statement: Verified<Statement>,
    /// The last second of which it was said.
    pub until: Timestamp,
}

/// Says in the store that the current seal of a stream is the newest, for this many seconds.
///
/// The keys at `places`, or the machine's own, must be those of the stream's freshness role: what
/// readers would not use is not stored.
pub fn freshen(
    locations: &Locations,
    stream: &Stream,
    seconds: u64,
    places: &[KeyPlace],
    passphrases: &mut dyn Passphrases,
) -> Result<Freshened, Error> {
    let now = memory::now()?;
    let store = Store::open(&locations.store)?;
    let mut writer = store.writer()?;
    let root = newest_root(&store, pinned_root(locations)?)?;
    let state = memory::recall(locations)?.unwrap_or_default();
    let request = memory::request(locations, &state, stream, Clock::Trusted(now))?;
    let (seal, sealed) = current_seal(&store, &root, stream, &request)?;
    require_right_clock(stream, &state, now)?;

    let signers = open_or_own(locations, places, passphrases)?;
    for signer in &signers {
        require_say(&root, stream, sealed.sequence, &signer.tuf_key())?;
    }
    let until = now.saturating_add(seconds);
    let envelope = sign(locations, &sealed, (now, until), &signers)?;
    let statement = accept(&seal, &root, stream, &request.with_freshness(Some(&envelope)))?;
    writer.put_freshness(stream, &envelope)?;
    memory::remember(locations, &root, &statement)?;
    Ok(Freshened { statement, until })
}

/// The stream's current seal: its bytes, and what it says. One that is known not to be current is
/// refused: whoever keeps a newer seal back may have left what was said of it.
fn current_seal(
    store: &Store,
    root: &TrustRoot,
    stream: &Stream,
    request: &SealRequest<'_>,
) -> Result<(Vec<u8>, Verified<Statement>), Error> {
    let sequence =
        store.current(stream)?.ok_or_else(|| Error::NoSeal { stream: stream.clone() })?;
    let seal = store.seal(stream, sequence)?;
    let refused = Error::seal(stream, sequence);
    let sealed = verify_seal(&seal, root, &request.for_the_sealer()).map_err(&refused)?;
    let present = store.freshness(stream)?;
    match verify_seal(&seal, root, &request.with_freshness(present.as_deref())) {
        Err(kept_back @ SealError::NotCurrent { .. }) => Err(refused(kept_back)),
        _ => Ok((seal, sealed)),
    }
}

/// Refuses a clock that shows less than was seen signed: what it says of now would be wrong.
fn require_right_clock(
    stream: &Stream,
    state: &RollbackState,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(seen) = state.newest_time().filter(|seen| *seen > now) else { return Ok(()) };
    let reason = format!(
        "the clock shows {now}, but something that was signed at {seen} has been seen: set the \
         clock, which is wrong"
    );
    Err(Error::NotFreshened { stream: stream.clone(), reason })
}

/// The envelope that says that a seal is the newest, from the one time to the other.
fn sign(
    locations: &Locations,
    sealed: &Verified<Statement>,
    (created, until): (Timestamp, Timestamp),
    signers: &[Signer],
) -> Result<Vec<u8>, Error> {
    let (stream, sequence, payload) = (&sealed.stream, sealed.sequence, sealed.payload_digest());
    let fresh = FreshStatement { stream: stream.clone(), payload, sequence, created, until };
    let mut envelope = Envelope::unsigned_freshness(&fresh).map_err(Error::Statement)?;
    let what = Signature::Freshness { stream, sequence: sequence.number() };
    for signer in signers {
        signer.sign_envelope(&mut envelope, &what, &locations.signing_log())?;
    }
    Ok(envelope.to_bytes())
}

/// Judges seal and freshness statement as a reader would.
fn accept(
    seal: &[u8],
    root: &TrustRoot,
    stream: &Stream,
    request: &SealRequest<'_>,
) -> Result<Verified<Statement>, Error> {
    let useless = |reason| Error::NotFreshened { stream: stream.clone(), reason };
    let statement = verify_seal(seal, root, request).map_err(|error| useless(error.to_string()))?;
    match (statement.freshness().standing, &statement.freshness().ignored) {
        (Standing::Current, None) => Ok(statement),
        (_, Some(reason)) => Err(useless(reason.clone())),
        (_, None) => Err(useless("it is no proof at this time".to_owned())),
    }
}

/// Refuses a key that is not one of the stream's freshness role.
fn require_say(
    root: &TrustRoot,
    stream: &Stream,
    sequence: Sequence,
    key: &TufKey,
) -> Result<(), Error> {
    let rule = root.stream_rule(stream).and_then(|(_, rule)| rule.freshness.as_ref());
    let role = rule.map_or_else(RoleName::timestamp, |rule| rule.role.clone());
    if root.content().keys_of(&role).any(|wanted| wanted.public() == key.public()) {
        return Ok(());
    }
    let what = Subject::Freshness { stream: stream.clone(), sequence: sequence.number() };
    Err(Error::NoSay { key: key.id(), what })
}
