//! Durable writes: directories by descriptor, temporary files, renames, barriers and locks.
//!
//! A file becomes visible in four steps, in this order: it is written under a temporary name, its
//! content is made durable, it is renamed to its name, and the renaming is made durable. Whoever
//! sees the name therefore sees the whole content, after a crash too; what a crash interrupts is
//! left under a temporary name.
//!
//! Where fs-verity is wanted it is enabled after the content was written and before it is made
//! durable, so that a file has it from the moment it has its name.
//!
//! Every step is announced to a [`StepHook`] before it is taken. Tests use it to stop at any step
//! and to take back what a crash could take back.

mod dir;
mod error;
mod lock;
mod step;
mod temp;

pub use dir::{Barrier, DurableDir, DurableOptions, Entry, EntryKind, Seen};
pub use error::DurableError;
pub use lock::{FileLock, LockError, LockHolder, LockMode, LockNotice, LockWait};
pub use step::{Step, StepAction, StepHook};
pub use temp::{TempEntry, TempFile};
