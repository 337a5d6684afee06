use treeseal_store::Store;
use treeseal_trust::{Statement, Stream, TrustRoot, Verified, verify_seal};

use crate::root::{newest_root, pinned_root};
use crate::sealed::require_sequence;
use crate::{Error, Locations, memory};

/// The current seal of a stream, which the trust root accepts. Nothing was read of what it is about:
/// the image and the objects are still to be checked against it.
#[derive(Debug)]
pub struct CurrentSeal {
    /// The statement, with who vouches for it.
    pub statement: Verified<Statement>,
    /// The trust root that accepted it.
    pub root: TrustRoot,
    /// The store that has it.
    pub store: Store,
    /// Whether nothing was remembered of any seal: only the floors of the trust root were there to
    /// keep old ones out.
    pub is_first_contact: bool,
}

impl CurrentSeal {
    /// Verifies the seal against the pinned root and what is remembered. That it was accepted is still
    /// to be [remembered](Self::remember).
    pub(crate) fn verify(locations: &Locations, stream: &Stream) -> Result<Self, Error> {
        let root = pinned_root(locations)?;
        let remembered = memory::recall(locations)?;
        let is_first_contact = remembered.is_none();
        let state = remembered.unwrap_or_default();
        let store = Store::open_read_only(&locations.store)?;
        let root = newest_root(&store, root)?;
        let sequence =
            store.current(stream)?.ok_or_else(|| Error::NoSeal { stream: stream.clone() })?;
        let envelope = store.seal(stream, sequence)?;
        let freshness = store.freshness(stream)?;
        let request = memory::request(locations, &state, stream, memory::clock()?)?
            .with_freshness(freshness.as_deref());
        let statement =
            verify_seal(&envelope, &root, &request).map_err(Error::seal(stream, sequence))?;
        require_sequence(&statement, sequence)?;
        Ok(Self { statement, root, store, is_first_contact })
    }

    /// Remembers what was accepted, so that nothing older will be: when what it is about was found to
    /// be there and right.
    pub(crate) fn remember(&self, locations: &Locations) -> Result<(), Error> {
        memory::remember(locations, &self.root, &self.statement)
    }
}
