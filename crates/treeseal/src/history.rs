//! What was sealed under a stream, and which roots there were.

use treeseal_store::Store;
use treeseal_trust::{
    Clock, Envelope, KeyId, SealError, SealRequest, Sequence, Sha256Digest, Statement, Stream,
    Timestamp, TrustRoot, verify_seal,
};

use crate::root::{follow_chain, newest_root, pinned_root};
use crate::{Error, Locations, sealed};

/// A seal of a stream's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its sequence.
    pub sequence: Sequence,
    /// When it was made, by the signer's clock.
    pub created: Timestamp,
    /// SHA-256 of its payload.
    pub payload: Sha256Digest,
    /// SHA-256 of its first image.
    pub image: Sha256Digest,
    /// The keys that signed, of the roles that seal the stream now.
    pub signers: Vec<KeyId>,
    /// Whether it is the one that the store points to.
    pub is_current: bool,
    /// What is remarkable about it.
    pub marks: Vec<Mark>,
    /// Why the trust root of today would not accept it, if so; floors and time aside.
    pub refused: Option<SealError>,
}

/// Something remarkable in a stream's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mark {
    /// Sequences are missing before this one.
    Gap {
        /// The sequence that came before.
        after: Option<Sequence>,
    },
    /// The tree is that of the seal before: it was sealed again.
    SameTree,
    /// The store has it under another sequence than its own.
    Moved {
        /// The one that the store has it under.
        to: Sequence,
    },
    /// It names another statement as the one before it than the one that is there.
    OtherPrevious,
    /// It was made before the one that comes before it in sequence.
    BackInTime,
}

/// The history of a stream, as far as the store has it, oldest first.
pub fn log(locations: &Locations, stream: &Stream) -> Result<Vec<LogEntry>, Error> {
    let store = Store::open_read_only(&locations.store)?;
    let root = newest_root(&store, pinned_root(locations)?)?;
    let current = store.current(stream)?;
    let mut entries: Vec<LogEntry> = Vec::new();
    for sequence in store.sequences(stream)? {
        let envelope = sealed::read_seal(&store, stream, sequence)?;
        let statement = Statement::parse(envelope.payload())
            .map_err(|error| Error::seal(stream, sequence)(error.into()))?;
        let mut entry = entry(&root, stream, &envelope, &statement);
        entry.is_current = current == Some(sequence);
        entry.marks = marks(entries.last(), &entry, &statement);
        if entry.sequence != sequence {
            entry.marks.push(Mark::Moved { to: sequence });
        }
        entries.push(entry);
    }
    if entries.is_empty() {
        return Err(Error::NoSeal { stream: stream.clone() });
    }
    Ok(entries)
}

fn entry(
    root: &TrustRoot,
    stream: &Stream,
    envelope: &Envelope,
    statement: &Statement,
) -> LogEntry {
    let counted = root.sealers(stream, envelope).into_iter();
    let signers = counted.flat_map(|role| match role {
        Ok(signers) => signers.key_ids().collect::<Vec<_>>(),
        Err(error) => error.found,
    });
    let request = SealRequest::first_contact(stream, Clock::Unknown).for_the_sealer();
    LogEntry {
        sequence: statement.sequence,
        created: statement.created,
        payload: envelope.payload_digest(),
        // A statement that was read has one.
        image: statement.images.first().map_or(Sha256Digest::of(b""), |i| i.digests.sha256),
        signers: signers.collect(),
        is_current: false,
        marks: Vec::new(),
        refused: verify_seal(&envelope.to_bytes(), root, &request).err(),
    }
}

fn marks(before: Option<&LogEntry>, entry: &LogEntry, statement: &Statement) -> Vec<Mark> {
    let mut marks = Vec::new();
    let follows = match before {
        Some(before) => before.sequence.next() == Some(entry.sequence),
        None => entry.sequence == Sequence::FIRST,
    };
    if !follows {
        marks.push(Mark::Gap { after: before.map(|before| before.sequence) });
    }
    let Some(before) = before else { return marks };
    if before.image == entry.image {
        marks.push(Mark::SameTree);
    }
    if follows && statement.previous != Some(before.payload) {
        marks.push(Mark::OtherPrevious);
    }
    if entry.created < before.created {
        marks.push(Mark::BackInTime);
    }
    marks
}

/// The trust root of this machine, version by version from the pinned one on.
pub fn root_chain(locations: &Locations) -> Result<Vec<TrustRoot>, Error> {
    let pinned = pinned_root(locations)?;
    if !locations.store.exists() {
        return Ok(vec![pinned]);
    }
    let mut chain = Vec::new();
    let store = Store::open_read_only(&locations.store)?;
    let newest = follow_chain(&[&store], pinned, |root, _| chain.push(root))?;
    chain.push(newest);
    Ok(chain)
}
