//! Import of a directory.
//!
//! Workers share a queue of directories to open and of names to look at. Each notes what it finds
//! in its own tables ([`found`]), 16 bytes for a name and 40 for an inode, and nothing but a number
//! says which directory a name is in. When all is read, [`assemble`] brings the tables into an
//! order that does not depend on who found what, and builds the tree.
//!
//! The walk goes by descriptor: a directory is opened in the one above, by a name that may not be a
//! symlink, so nobody can lead it elsewhere. A file counts as unchanged when the filesystem says the
//! same of it before it is opened, when it is open, and after it was read. A file that a sink knows
//! is looked at once; nothing else is asked of it, so there is nothing that could have changed.

mod assemble;
mod content;
mod found;
mod names;
mod options;
mod outlook;
mod queue;
mod walk;

pub use content::{ContentSink, FileContent, Known, Measure};
pub use options::{HardLinks, ImportError, ImportOptions, ImportStats, Imported, Xattrs};
pub use walk::import_directory;
