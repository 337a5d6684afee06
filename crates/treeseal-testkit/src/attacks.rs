//! Attacks on a sealed tree, each carried out: by one who can write to the disk with the store, or
//! who stands between the store and its reader.
//!
//! An [`Attack`] does its work with plain operations on files and with bytes that it crafts itself. It
//! knows nothing of what should stop it; whoever runs it looks at what a reader of the [`Victim`]'s
//! tree then gets. What lies outside the store is out of the attacker's reach: the pinned root, what
//! the machine remembers, and all keys but the one that was stolen and the one that was revoked.

mod keyring;
mod objects;
mod roots;
mod seals;
mod trees;
mod victim;

pub use victim::{KeySeed, OTHER_STREAM, Reach, STREAM, Victim};

/// One way to attack.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// What it is one way of, in the words of the threat model.
    pub threat: &'static str,
    /// What is done; with the threat it is the attack's name.
    pub way: &'static str,
    /// Does it.
    pub carry_out: fn(&Victim),
}

/// All attacks, those of a threat together.
pub fn attacks() -> impl Iterator<Item = &'static Attack> {
    [objects::ATTACKS, trees::ATTACKS, seals::ATTACKS, roots::ATTACKS, keyring::ATTACKS]
        .into_iter()
        .flatten()
}
