//! fs-verity in the kernel: enabling it on a file, and what the kernel then says of the file.
//!
//! A file with fs-verity can no longer be written, and every block is checked when it is read. The
//! requests and their structs are those of `linux/fsverity.h`.

mod error;
mod request;

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::fstatvfs;
use rustix::io::Errno;
use treeseal_verity::{FileDigest, HashAlgorithm, Params};

use crate::file::{EXT4_MAGIC, F2FS_MAGIC, filesystem_type, is_directory, is_regular, stat_file};
pub use error::{VerityError, VerityOperation};
pub use request::VerityMetadata;

/// Enables fs-verity on a file, which reads all of it. There is no way back but deleting the file.
///
/// The file must be open for reading only, and open for writing nowhere.
pub fn enable_verity(file: impl AsFd, params: &Params) -> Result<(), VerityError> {
    let file = file.as_fd();
    request::enable(file, params).map_err(|errno| match errno {
        Errno::EXIST => already_enabled(file),
        Errno::TXTBSY => VerityError::OpenForWriting,
        Errno::NOPKG => VerityError::Algorithm { algorithm: params.algorithm() },
        Errno::INVAL if is_regular(file) => VerityError::BlockSize {
            found: params.block_size(),
            filesystem: filesystem_block_size(file),
        },
        errno => refusal(file, VerityOperation::Enable, errno),
    })
}

/// The digest by which the kernel checks a file. It is looked up and not computed, so it says what
/// every later reading of this file is checked against, whatever the file holds.
pub fn measure_verity(file: impl AsFd) -> Result<FileDigest, VerityError> {
    let file = file.as_fd();
    let measured =
        request::measure(file).map_err(|errno| refusal(file, VerityOperation::Measure, errno))?;
    // A FUSE server is handed the request, and can answer what it likes. The attribute is set by
    // filesystems of the kernel alone.
    if !stat_file(file).is_ok_and(|stat| stat.has_verity) {
        return Err(VerityError::NotByKernel);
    }
    let (number, size) = (measured.algorithm, measured.size);
    u8::try_from(number)
        .ok()
        .and_then(HashAlgorithm::from_kernel_number)
        .and_then(|algorithm| {
            FileDigest::from_bytes(algorithm, measured.digest.get(..usize::from(size))?)
        })
        .ok_or(VerityError::UnknownDigest { number, size })
}

/// Whether fs-verity could be enabled on an open file, or on the files in an open directory, with these
/// parameters, as far as that shows without enabling it: that the kernel has the hash algorithm does
/// not.
pub fn check_verity_support(file: impl AsFd, params: &Params) -> Result<(), VerityError> {
    let file = file.as_fd();
    match measure_verity(file) {
        Ok(_) | Err(VerityError::NotEnabled | VerityError::UnknownDigest { .. }) => {}
        // That is how a filesystem without fs-verity answers for a directory.
        Err(VerityError::NotRegular) if is_directory(file) => return Err(VerityError::Filesystem),
        Err(error) => return Err(error),
    }
    let filesystem = filesystem_block_size(file);
    if params.block_size() as u64 > filesystem {
        return Err(VerityError::BlockSize { found: params.block_size(), filesystem });
    }
    Ok(())
}

/// Reads what the kernel keeps of a file's fs-verity, from an offset in bytes; 0 at its end.
///
/// The Merkle tree has its root level first. A tree of a single hash has no bytes, and a signature
/// that was not given has none either.
pub fn read_verity_metadata(
    file: impl AsFd,
    kind: VerityMetadata,
    offset: u64,
    buffer: &mut [u8],
) -> Result<usize, VerityError> {
    let file = file.as_fd();
    // What can be measured has fs-verity, and lacks no more than what is asked for here.
    let is_enabled = || request::measure(file).is_ok();
    match request::read_metadata(file, kind, offset, buffer) {
        Ok(read) => Ok(read),
        Err(Errno::NODATA) if kind == VerityMetadata::Signature && is_enabled() => Ok(0),
        Err(Errno::NOTTY) if is_enabled() => Err(VerityError::NoMetadata),
        Err(errno) => Err(refusal(file, VerityOperation::ReadMetadata, errno)),
    }
}

/// In bytes; 0 where the filesystem does not say.
fn filesystem_block_size(file: BorrowedFd<'_>) -> u64 {
    fstatvfs(file).map_or(0, |stat| stat.f_bsize)
}

fn already_enabled(file: BorrowedFd<'_>) -> VerityError {
    match measure_verity(file) {
        Ok(digest) => VerityError::AlreadyEnabled { digest },
        Err(error) => error,
    }
}

/// What any of the requests can fail with.
fn refusal(file: BorrowedFd<'_>, operation: VerityOperation, errno: Errno) -> VerityError {
    match errno {
        Errno::NOTTY | Errno::INVAL | Errno::ISDIR if !is_regular(file) => VerityError::NotRegular,
        Errno::NODATA => VerityError::NotEnabled,
        Errno::NOTTY => VerityError::Filesystem,
        Errno::OPNOTSUPP => not_supported(file),
        errno => VerityError::Os { operation, source: errno.into() },
    }
}

/// A filesystem that knows the request was made without the feature, or the kernel was.
fn not_supported(file: BorrowedFd<'_>) -> VerityError {
    let filesystem = match filesystem_type(file) {
        Ok(EXT4_MAGIC) => "ext4",
        Ok(F2FS_MAGIC) => "f2fs",
        _ => return VerityError::Kernel,
    };
    let features = format!("/sys/fs/{filesystem}/features");
    let is_there = |path: &str| rustix::fs::stat(path).is_ok();
    if is_there(&features) && !is_there(&format!("{features}/verity")) {
        return VerityError::Kernel;
    }
    VerityError::Feature { filesystem }
}
