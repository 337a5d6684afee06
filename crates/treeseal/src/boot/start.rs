use treeseal_source::ostree::Deployment;

use super::{BootState, Candidate, Refusal, Selection};
use crate::Error;

/// A tree that was started.
#[derive(Debug)]
pub struct Attempt<T> {
    /// The tree.
    pub candidate: Candidate,
    /// What mounting it gave.
    pub mounted: T,
    /// The bytes of the newest trust root.
    pub root: Vec<u8>,
    /// The trees that were refused before it.
    pub refused: Vec<Refusal>,
    /// The deployment that it is; `None` for a tree of a store.
    pub deployment: Option<Deployment>,
}

impl Selection {
    /// Mounts the first tree that can be mounted. That it is tried is on the disk before.
    ///
    /// Where that cannot be written, a tree that is counted is not started: it might be tried for ever.
    /// If none can be mounted, the error has all trees and why.
    pub fn start<T>(
        self,
        state: &mut BootState,
        mut mount: impl FnMut(&Candidate) -> Result<T, Error>,
    ) -> Result<Attempt<T>, Vec<Refusal>> {
        let Self { root, candidates, mut refused, accepted } = self;
        for candidate in candidates {
            let counted = match candidate.is_counted {
                true => state.count(&candidate.statement, &accepted),
                false => Ok(()),
            };
            match counted.and_then(|()| mount(&candidate)) {
                Ok(mounted) => {
                    return Ok(Attempt { candidate, mounted, root, refused, deployment: None });
                }
                Err(error) => refused.push(Refusal::new(candidate.statement.sequence, error)),
            }
        }
        Err(refused)
    }
}
