use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, read};

use super::{FileError, Operation, stat_file};

/// Reads a file from where its descriptor stands to the end; more than `limit` bytes are an error.
/// An error names no path.
pub fn read_file_limited(file: impl AsFd, limit: usize) -> Result<Vec<u8>, FileError> {
    let file = file.as_fd();
    let size = usize::try_from(stat_file(file)?.size).unwrap_or(usize::MAX);
    // One byte more than there should be, so that the end is seen without growing.
    let mut content = Vec::with_capacity(size.min(limit).saturating_add(1));
    loop {
        content.reserve(1);
        match read(file, spare_capacity(&mut content)) {
            Ok(0) => return Ok(content),
            Ok(_) if content.len() > limit => {
                return Err(FileError::TooLarge { path: Vec::new(), limit });
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(FileError::os(Operation::Read, b"", errno)),
        }
    }
}
