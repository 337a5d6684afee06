//! The kernel's log from a moment on.

use anyhow::{Context, Result};
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// More than a record of the kernel's log can have.
const RECORD: usize = 8192;

/// The log from the moment on when this was made.
pub(crate) struct KernelLog {
    device: File,
}

impl KernelLog {
    pub(crate) fn from_now() -> Result<Self> {
        let nonblocking = i32::try_from(OFlags::NONBLOCK.bits())?;
        let mut options = File::options();
        options.read(true).custom_flags(nonblocking);
        let mut device = options.open("/dev/kmsg").context("opening /dev/kmsg")?;
        device.seek(SeekFrom::End(0)).context("going to the end of /dev/kmsg")?;
        Ok(Self { device })
    }

    /// The messages that were not read before.
    pub(crate) fn messages(&mut self) -> Result<Vec<String>> {
        let mut messages = Vec::new();
        let mut record = [0; RECORD];
        loop {
            match self.device.read(&mut record) {
                Ok(length) => messages.extend(message(record.get(..length).unwrap_or_default())),
                // Records were overwritten before they were read; the rest follows.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(messages),
                Err(error) => return Err(error).context("reading /dev/kmsg"),
            }
        }
    }
}

/// The text of a record, which is `priority,number,microseconds,flags;text`, and then lines with keys.
fn message(record: &[u8]) -> Option<String> {
    let record = String::from_utf8_lossy(record);
    let (_, text) = record.split_once(';')?;
    text.lines().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_record_is_its_first_line_after_the_semicolon() {
        let record = b"4,831,5120034,-;fs-verity: FILE CORRUPTED; pos=0\n SUBSYSTEM=block\n";
        assert_eq!(message(record).unwrap(), "fs-verity: FILE CORRUPTED; pos=0");
        assert_eq!(message(b"4,831,5120034,-"), None);
    }
}
