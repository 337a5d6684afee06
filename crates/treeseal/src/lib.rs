//! Operations on sealed trees: what the commands do, as a library.
//!
//! Data flows one way: source → tree → (objects, image) → digest → statement → seal, and back:
//! seal → policy → [`Verified`](treeseal_trust::Verified) statement → image → each byte that is
//! read. [`seal()`] is the one way, [`SealedTree`] the other: everything that reads a sealed tree
//! asks for that type, and only a seal that the trust root accepts makes one.
//!
//! Nothing here prints or reads the environment; [`Locations`] say where things lie. What may take
//! long counts what it has done in a [`Progress`], for whoever wants to show it.

pub mod boot;
pub mod extract;
pub mod image;
pub mod keys;
pub mod mount;
pub mod ostree;
pub mod upkeep;

mod current_seal;
mod digest;
mod digest_cache;
pub mod draft;
mod error;
mod files;
mod freshness;
mod fsverity;
pub mod history;
mod identity;
mod locations;
mod memory;
pub mod pending;
mod read;
mod root;
mod seal;
mod sealed;
mod standalone;
mod stated_image;
mod tpm;

pub use current_seal::CurrentSeal;
pub use digest::{digest_file, digest_files, threads};
pub use digest_cache::CacheNote;
pub use error::{Answer, Error, causes};
pub use freshness::{Freshened, freshen};
pub use fsverity::{enable_file, measure_file};
pub use identity::NewIdentity;
pub use locations::{Locations, default_stream, is_superuser};
pub use read::{TreeName, compare};
pub use root::{pin_root, verify_chain};
pub use seal::{CommitSource, Prepared, Reading, SealOptions, SealSource, Sealed, prepare, seal};
pub use sealed::{Checked, SealedTree, sha256_of_file};
pub use standalone::{SealFiles, Verification, verify_files};
pub use tpm::{enrol_floor, remove_floor, show_floor};
pub use treeseal_source::{Amount, Phase, Progress, Reached};
pub use treeseal_sys::{MountError, TpmAddress, Unmount, VerityError};

pub use {
    treeseal_erofs as erofs, treeseal_source as source, treeseal_store as store,
    treeseal_tree as tree, treeseal_trust as trust, treeseal_verity as verity,
};
