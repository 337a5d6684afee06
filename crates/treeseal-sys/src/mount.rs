//! Mounting by descriptor: images, overlays of them, and what is mounted.
//!
//! A mount is made *detached*: it has a descriptor and no place in the tree of files yet, so that
//! nobody else sees it before it is right, and it goes away with the descriptor. Images and layers are
//! given as descriptors too: what was verified is what gets mounted.

mod context;
mod detached;
mod erofs;
mod error;
mod loop_device;
mod namespace;
mod overlay;
mod table;
#[cfg(test)]
mod tests;

pub use detached::{DetachedMount, Unmount, unmount};
pub use erofs::mount_erofs;
pub use error::{MountError, MountStep};
pub use overlay::{Overlay, OverlayVerity, Restriction, Upper, mount_overlay};
pub use table::{MountEntry, MountTableError, mount_of, mount_table};
