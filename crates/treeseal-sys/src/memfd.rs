//! Memory files whose content can no longer change.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::AsFd as _;

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, memfd_create, openat};
use rustix::io::Errno;

use crate::proc;

/// A sealed memory file could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemfdError {
    /// The content could not be read.
    #[error("cannot read the content")]
    Read(#[source] io::Error),
    /// There is more content than may be kept in memory.
    #[error("the content is larger than {limit} bytes")]
    TooLarge {
        /// The most that is taken, in bytes.
        limit: u64,
    },
    /// The kernel has no memory files that cannot be executed.
    #[error("this kernel has no MFD_NOEXEC_SEAL: Linux 6.3 or newer is needed")]
    Kernel,
    /// The operating system refused.
    #[error("cannot {tried} a memory file")]
    Os {
        /// What was tried.
        tried: &'static str,
        /// Its answer.
        source: io::Error,
    },
}

/// Copies content into a memory file that nobody can change any more, this process and root included.
/// More than `limit` bytes are an error.
///
/// So it can be verified and then mounted, where there is no fs-verity that would hold it fast. It
/// takes memory for as long as it is open or mounted. The descriptor stands at the beginning and is for
/// reading only.
pub fn seal_into_memfd(content: impl Read, limit: u64) -> Result<File, MemfdError> {
    let os = |tried| move |errno: Errno| MemfdError::Os { tried, source: errno.into() };
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::NOEXEC_SEAL;
    let file = memfd_create(c"treeseal", flags).map_err(|errno| match errno {
        Errno::INVAL => MemfdError::Kernel,
        errno => os("create")(errno),
    })?;
    let mut file = File::from(file);
    copy(content, &mut file, limit)?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(&file, seals).map_err(os("seal"))?;
    // Opened again, because fs-verity and loop devices look at how a file is open.
    let path = proc::descriptor_path(file.as_fd());
    openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map(File::from)
        .map_err(os("open"))
}

/// Bytes that are copied at once.
const PIECE: usize = 256 << 10;

fn copy(mut content: impl Read, file: &mut File, limit: u64) -> Result<(), MemfdError> {
    let mut buffer = vec![0; PIECE];
    let mut left = limit;
    loop {
        let read = match content.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(MemfdError::Read(error)),
        };
        left = left.checked_sub(read as u64).ok_or(MemfdError::TooLarge { limit })?;
        let piece = buffer.get(..read).unwrap_or_default();
        file.write_all(piece).map_err(|source| MemfdError::Os { tried: "write to", source })?;
    }
}
