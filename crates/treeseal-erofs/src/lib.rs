//! composefs EROFS images: layout, writer and budgeted reader.
//!
//! An image holds a tree's metadata; the content of larger files lies beside it as objects, named
//! by their file digests. `spec/image.md` has every byte.
//!
//! Pure: no I/O, no clock, no environment.

mod format;
mod overlay;
mod xxh32;

mod reader;
mod writer;

pub use reader::*;
pub use writer::*;
