//! Where trees come from: a directory, dump text, or a commit of an [OSTree repository](ostree).
//!
//! [`import_directory`] walks a directory on every core and gives the content of its files to a
//! [`ContentSink`], which stores it or, as [`Measure`] does, only computes its digest. The tree that
//! comes out depends on what is in the directory and on the options, and on nothing else: not on
//! the order in which the kernel lists names, the number of threads, or links from outside.

mod directory;
mod dump;
pub mod ostree;
mod parallel;
mod progress;

pub use directory::{
    ContentSink, FileContent, HardLinks, ImportError, ImportOptions, ImportStats, Imported, Known,
    Measure, Xattrs, import_directory,
};
pub use dump::{DumpReadError, read_dump};
pub use progress::{Amount, Phase, Progress, Reached};
