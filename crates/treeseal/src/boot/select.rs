use std::fmt;
use std::path::Path;

use treeseal_store::Store;
use treeseal_sys::{DurableDir, DurableOptions};
use treeseal_trust::{
    Clock, SealError, SealRequest, Sequence, Sha256Digest, Statement, Stream, TrustRoot, Verified,
    verify_seal,
};

use super::state::MAX_ATTEMPTS;
use super::{Attempts, BootState, CommandLine, Config, Expired};
use crate::root::{RootSource, follow_chain, read_root};
use crate::sealed::require_sequence;
use crate::{Error, memory};

/// What decides on the trees that may be started, beside the trust root and the state.
#[derive(Clone, Copy, Debug)]
pub struct Criteria<'a> {
    /// The stream.
    pub stream: &'a Stream,
    /// The floor that the TPM keeps, if it is asked for.
    pub floor: Option<Sequence>,
    /// What is known of the time.
    pub clock: Clock,
    /// How often a tree is tried that was not marked good.
    pub tries: u32,
    /// What the kernel's command line asks for.
    pub command_line: CommandLine,
}

/// The trees that may be started.
#[derive(Debug)]
pub struct Selection {
    /// The bytes of the newest trust root.
    pub root: Vec<u8>,
    /// Those that are accepted and have tries left, the newest first.
    pub candidates: Vec<Candidate>,
    /// Those that are not, the newest first.
    pub refused: Vec<Refusal>,
    /// All that are accepted, with or without tries left.
    pub(super) accepted: Vec<Sha256Digest>,
}

/// A tree that may be started.
#[derive(Debug)]
pub struct Candidate {
    /// Its statement.
    pub statement: Verified<Statement>,
    /// The bytes of its seal.
    pub envelope: Vec<u8>,
    /// The bytes of the freshness statement, where it was not accepted without.
    pub freshness: Option<Vec<u8>>,
    /// Whether starting it costs a try: `false` for the oldest that is accepted, because there is none
    /// to go back to. That is the one that was marked good last, where the store has it.
    pub is_counted: bool,
}

/// A tree that is not started, and why.
#[derive(Debug)]
pub struct Refusal {
    /// The sequence under which the store has it.
    pub sequence: Sequence,
    /// Why.
    pub reason: Reason,
}

/// Why a tree is not started.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Its seal is not accepted, or it cannot be mounted.
    Error(Box<Error>),
    /// It was tried as often as is allowed, and never marked good.
    OutOfTries {
        /// How often it was tried.
        tried: u32,
        /// How often it may be.
        allowed: u32,
    },
}

impl Refusal {
    pub(super) fn new(sequence: Sequence, error: Error) -> Self {
        Self { sequence, reason: Reason::Error(Box::new(error)) }
    }
}

impl fmt::Display for Refusal {
    /// One line, with all causes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sequence {}: ", self.sequence)?;
        match &self.reason {
            Reason::Error(error) => f.write_str(&crate::causes(&**error).join(": ")),
            Reason::OutOfTries { tried, allowed } => {
                write!(f, "tried {tried} times and never marked good; {allowed} tries are allowed")
            }
        }
    }
}

impl<'a> Criteria<'a> {
    /// The criteria of a configuration, with the floor that its TPM keeps.
    pub fn new(config: &'a Config, command_line: CommandLine) -> Result<Self, Error> {
        let tries = command_line.tries.map_or(config.tries, |tries| tries.min(config.tries));
        Ok(Self {
            stream: &config.stream,
            floor: crate::tpm::floor(config.tpm.as_ref(), &config.stream)?,
            clock: clock(config.expired)?,
            tries,
            command_line,
        })
    }

    pub(super) fn request<'r>(&'r self, state: &BootState) -> SealRequest<'r> {
        let request = SealRequest::new(self.stream, state.floors(), self.clock);
        match self.floor {
            Some(floor) => request.not_below(floor),
            None => request,
        }
    }
}

/// The system's clock. Where it is not to be trusted, it may also show no time at all.
fn clock(expired: Expired) -> Result<Clock, Error> {
    match expired {
        Expired::Refuse => memory::clock(),
        Expired::Warn => Ok(memory::now().map_or(Clock::Unknown, Clock::LowerBound)),
    }
}

/// Opens the store in `directory` below `filesystem`, through no symlink.
pub fn open_store(filesystem: &Path, directory: &str) -> Result<Store, Error> {
    // Whoever has written to the disk could lead elsewhere. Nobody writes to it now.
    let opened = DurableDir::open(filesystem, DurableOptions::default())?.open_dir(directory)?;
    Ok(Store::open_read_only(opened.path())?)
}

/// Selects the trees that may be started: those that the trust root accepts now and that are not below
/// a floor, and of these the ones that have tries left.
///
/// `pinned` is the file of the trust root in the initramfs; the store's roots lead on from it. What the store
/// points to as the current seal does not count.
pub fn select(
    store: &Store,
    pinned: &Path,
    state: &BootState,
    criteria: &Criteria<'_>,
) -> Result<Selection, Error> {
    let (root, root_bytes) = newest_root(&[store], pinned)?;
    let judged = Judge { store, root: &root, criteria, request: criteria.request(state) };
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    for sequence in looked_at(store, state, criteria)? {
        match judged.judge(sequence) {
            Ok(candidate) => accepted.push(candidate),
            Err(error) => refused.push(Refusal::new(sequence, error)),
        }
    }
    if let Some(oldest) = accepted.last_mut() {
        oldest.is_counted = false;
    }
    let payloads = accepted.iter().map(|candidate| candidate.statement.payload_digest()).collect();
    let mut candidates = Vec::new();
    for candidate in accepted {
        match out_of_tries(&candidate, state.attempts(), criteria.tries) {
            Some(refusal) => refused.push(refusal),
            None => candidates.push(candidate),
        }
    }
    if let Some(named) = criteria.command_line.sequence {
        candidates.retain(|candidate| candidate.statement.sequence == named);
        refused.retain(|refusal| refusal.sequence == named);
    }
    refused.sort_by_key(|refusal| std::cmp::Reverse(refusal.sequence));
    Ok(Selection { root: root_bytes, candidates, refused, accepted: payloads })
}

/// The newest trust root that leads on from the pinned one, and its bytes.
pub(super) fn newest_root(
    sources: &[&dyn RootSource],
    pinned: &Path,
) -> Result<(TrustRoot, Vec<u8>), Error> {
    let mut bytes = read_root(pinned)?;
    let root = TrustRoot::pinned(&bytes).map_err(Error::root(pinned))?;
    let root = follow_chain(sources, root, |_, next| bytes = next)?;
    Ok((root, bytes))
}

/// The sequences that are looked at, the newest first: those from the floors on, and one that is named.
///
/// Of too many, the newest and the oldest: whoever can fill the store can empty it too, but what an
/// honest machine piles up must not hide the tree that works.
fn looked_at(
    store: &Store,
    state: &BootState,
    criteria: &Criteria<'_>,
) -> Result<Vec<Sequence>, Error> {
    let remembered = state.floors().floor(criteria.stream).map(|floor| floor.sequence);
    let floor = remembered.max(criteria.floor);
    let mut sequences = store.sequences(criteria.stream)?;
    sequences.retain(|sequence| Some(*sequence) >= floor);
    let surplus = sequences.len().saturating_sub(MAX_ATTEMPTS);
    sequences.drain(surplus.min(1)..surplus.min(1) + surplus);
    if let Some(named) = criteria.command_line.sequence
        && !sequences.contains(&named)
    {
        sequences.push(named);
        sequences.sort_unstable();
    }
    if sequences.is_empty() {
        return Err(Error::NothingToBoot { stream: criteria.stream.clone(), floor });
    }
    sequences.reverse();
    Ok(sequences)
}

struct Judge<'a> {
    store: &'a Store,
    root: &'a TrustRoot,
    criteria: &'a Criteria<'a>,
    request: SealRequest<'a>,
}

impl Judge<'_> {
    fn judge(&self, sequence: Sequence) -> Result<Candidate, Error> {
        let stream = self.criteria.stream;
        let envelope = self.store.seal(stream, sequence)?;
        let freshness = self.store.freshness(stream)?;
        let verified = verify(&envelope, self.root, self.request, freshness.as_deref());
        let (statement, needs_freshness) = verified.map_err(Error::seal(stream, sequence))?;
        require_sequence(&statement, sequence)?;
        let freshness = freshness.filter(|_| needs_freshness);
        Ok(Candidate { statement, envelope, freshness, is_counted: true })
    }
}

/// Verifies a seal, with the freshness statement only if it is not accepted without; and whether it
/// was needed.
///
/// A freshness statement can only take away, and whoever can write to the store can take the statement
/// away. So where it is not needed it would protect from nobody, and take the tree to go back to from
/// everybody whose update has failed.
pub(super) fn verify(
    envelope: &[u8],
    root: &TrustRoot,
    request: SealRequest<'_>,
    freshness: Option<&[u8]>,
) -> Result<(Verified<Statement>, bool), SealError> {
    match (verify_seal(envelope, root, &request), freshness) {
        (Ok(statement), _) => Ok((statement, false)),
        (Err(error), None) => Err(error),
        (Err(_), freshness) => {
            let request = request.with_freshness(freshness);
            verify_seal(envelope, root, &request).map(|statement| (statement, true))
        }
    }
}

fn out_of_tries(candidate: &Candidate, attempts: &Attempts, allowed: u32) -> Option<Refusal> {
    let tried = attempts.of(&candidate.statement.payload_digest());
    let sequence = candidate.statement.sequence;
    (candidate.is_counted && tried >= allowed)
        .then_some(Refusal { sequence, reason: Reason::OutOfTries { tried, allowed } })
}
