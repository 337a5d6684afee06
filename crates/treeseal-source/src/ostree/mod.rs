//! OSTree repositories: their objects, and commits as trees.
//!
//! Every byte is hostile until its checksum was found right, and what is then parsed must be in the one
//! form that it can have. A checksum says nothing about who made a commit: that is a signature's part.

mod checksum;
mod content;
mod create;
mod detached;
mod error;
pub(crate) mod gvariant;
mod keyfile;
mod new_objects;
mod new_tree;
mod object;
mod repository;
mod sysroot;
mod tree;

pub use checksum::Checksum;
pub use content::{ArchivedError, CommitContent, archived_checksum};
pub use detached::DetachedMetadata;
pub use error::{OstreeError, Unfit};
pub use gvariant::GvariantError;
pub use new_objects::{NewObjects, RepositoryWriter};
pub use new_tree::write_tree;
pub use object::{Commit, ObjectError, ObjectKind, check_object};
pub use repository::{Mode, Repository};
pub use sysroot::{BootEntry, Composefs, Deployment, PrepareRoot, Sysroot, SysrootError};
pub use tree::{CommitFile, ReadCommit, read_commit};
