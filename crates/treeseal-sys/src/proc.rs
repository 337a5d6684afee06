//! Paths in `/proc`, by which what is open is reached where a system call wants a path.

use std::os::fd::{AsRawFd as _, BorrowedFd};

/// A path that leads to an open file, also to one opened with `O_PATH`.
pub(crate) fn descriptor_path(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

pub(crate) fn is_there() -> bool {
    rustix::fs::stat(c"/proc/self/fd").is_ok()
}
