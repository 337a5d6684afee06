use std::io::{self, Read};

use treeseal_tree::Tree;
use treeseal_tree::dump::{DumpError, DumpParser, Strictness};

/// Bytes of dump text to read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// A dump that could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpReadError {
    /// Reading the text failed.
    #[error("cannot read the dump")]
    Io(#[from] io::Error),
    /// The text is no dump.
    #[error(transparent)]
    Dump(#[from] DumpError),
}

/// Reads a tree from composefs dump text, in memory that the text itself does not count towards.
pub fn read_dump(mut reader: impl Read, strictness: Strictness) -> Result<Tree, DumpReadError> {
    let mut parser = DumpParser::new(strictness);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(parser.finish()?),
            Ok(length) => parser.feed(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
