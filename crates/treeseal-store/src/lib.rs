//! Objects, sidecars, images, seals and the root chain in a directory.
//!
//! A [`Store`] is read without a lock: every file in it is complete from the moment it has its
//! name. A [`Writer`] is the one process that may add to it or take from it. Content goes in
//! through an [`ObjectSink`], from any number of threads; then follow the image, the seal and the
//! pointer to the current seal, each durable before the next. `spec/store.md` has the layout and
//! the argument for every crash order.
//!
//! Nothing in a store is trusted because it lies there: what is read for its digest is checked
//! against it, and [`fsck()`] checks everything. A seal is for `treeseal-trust` to judge.

mod content_sink;
mod error;
mod format;
mod fsck;
mod gc;
mod kernel_digest;
mod layout;
mod object_directory;
mod references;
mod runs;
mod sink;
mod store;
mod writer;

pub use error::{ContentError, StoreError};
pub use format::{FEATURES, FORMAT_VERSION, FeatureClass};
pub use fsck::{
    Finding, FsckOptions, FsckReads, FsckReport, Problem, RepairReport, Severity, fsck, repair,
};
pub use gc::{GcOptions, GcReport, Removal, gc};
pub use layout::Part;
pub use object_directory::ObjectDirectory;
pub use references::{Reachable, References, SealFile};
pub use sink::{ObjectSink, SinkOptions, SinkStats};
pub use store::{Access, Hold, OpenOptions, Store, StreamSeals, Usage};
pub use writer::{ImageWriter, Writer};
