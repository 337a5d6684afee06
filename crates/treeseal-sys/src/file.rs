//! Files and directories by descriptor: walking a tree that others may change, and restoring one.
//!
//! Every name given here is a single component, looked up in an open directory without following a
//! symlink, so that nobody who may write to the tree can lead a caller out of it.

mod directory;
mod error;
mod filesystem;
mod limit;
mod name;
mod read;
mod restore;
mod stat;
mod xattr;

pub use directory::{Directory, ListBuffer};
pub use error::{FileError, Operation};
pub(crate) use filesystem::{EXT4_MAGIC, F2FS_MAGIC, filesystem_type};
pub use filesystem::{FilesystemId, filesystem_with_change_times};
pub use limit::raise_descriptor_limit;
pub use read::read_file_limited;
pub(crate) use restore::restore_child_attributes;
pub use restore::{Attributes, Owner, Special, restore_attributes};
pub use stat::{FileId, Stat, Timestamp, stat_file};
pub(crate) use stat::{device_number, has_verity, is_directory, is_regular};
pub use xattr::{Xattr, XattrBuffer, file_xattrs};
