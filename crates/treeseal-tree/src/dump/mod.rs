//! The composefs dump text: one line a file, its fields separated by single spaces.
//!
//! `PATH SIZE MODE NLINK UID GID RDEV MTIME PAYLOAD CONTENT DIGEST [NAME=VALUE ...]`
//!
//! The format is composefs-dump(5); `spec/image.md` restates it. Unlike `mkcomposefs`, which reads
//! on past them, the parser refuses what cannot be meant: a digest that is no digest, NUL bytes in
//! paths and names, numbers that are none.

mod escape;
mod parse;
mod print;

pub use parse::{DumpError, DumpErrorKind, DumpParser, Strictness};
pub use print::{Record, escape_field, escape_listed, write_record};
