use core::fmt;
use std::io;

use treeseal_verity::{FileDigest, HashAlgorithm};

/// What the kernel was asked about fs-verity. Reads well after "cannot".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerityOperation {
    /// Enabling it.
    Enable,
    /// Measuring the file.
    Measure,
    /// Reading the Merkle tree, the descriptor or the signature.
    ReadMetadata,
}

impl fmt::Display for VerityOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enable => "enable fs-verity",
            Self::Measure => "measure the file",
            Self::ReadMetadata => "read fs-verity's metadata",
        })
    }
}

/// The kernel did not do what it was asked about a file's fs-verity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerityError {
    /// The file has no fs-verity, though it could have.
    #[error("fs-verity is not enabled on it")]
    NotEnabled,
    /// The file has fs-verity already.
    #[error("fs-verity is enabled on it already, with the digest {digest:?}")]
    AlreadyEnabled {
        /// What it is checked against.
        digest: FileDigest,
    },
    /// Somebody has the file open for writing, or the caller has.
    #[error("it is open for writing")]
    OpenForWriting,
    /// The kernel or the filesystem does not take the block size.
    #[error(
        "blocks of {found} bytes are not taken: the filesystem has blocks of {filesystem} bytes"
    )]
    BlockSize {
        /// Block size that was asked for, in bytes.
        found: usize,
        /// Block size of the filesystem, in bytes; 0 if it is not known.
        filesystem: u64,
    },
    /// The kernel lacks the hash algorithm.
    #[error("this kernel is built without {algorithm}")]
    Algorithm {
        /// The algorithm.
        algorithm: HashAlgorithm,
    },
    /// A directory, device or pipe.
    #[error("it is no regular file")]
    NotRegular,
    /// The kind of filesystem has no fs-verity.
    #[error("its filesystem has no fs-verity")]
    Filesystem,
    /// The filesystem answers for itself, as with FUSE: the kernel would not check what is read.
    #[error("its digest is its filesystem's own word, and the kernel does not check it")]
    NotByKernel,
    /// The kind of filesystem has fs-verity, but this one was made without.
    #[error("fs-verity is not turned on in its {filesystem} filesystem")]
    Feature {
        /// `ext4` or `f2fs`.
        filesystem: &'static str,
    },
    /// The kernel has no fs-verity.
    #[error("this kernel is built without fs-verity (CONFIG_FS_VERITY)")]
    Kernel,
    /// The kernel has fs-verity for the filesystem, but does not give out what it keeps.
    #[error("this kernel does not give out fs-verity's metadata of its filesystem")]
    NoMetadata,
    /// The kernel measures with an algorithm that has no name here.
    #[error("the kernel's digest is of an unknown kind: algorithm {number}, {size} bytes")]
    UnknownDigest {
        /// Number of the algorithm.
        number: u16,
        /// Bytes of the digest.
        size: u16,
    },
    /// The operating system refused.
    #[error("cannot {operation}")]
    Os {
        /// What was tried.
        operation: VerityOperation,
        /// Why it failed.
        source: io::Error,
    },
}

impl VerityError {
    /// Whether no file of the filesystem can have fs-verity with the parameters that were asked for,
    /// as opposed to a failure that concerns one file or one attempt.
    pub const fn is_unsupported(&self) -> bool {
        match self {
            Self::BlockSize { .. }
            | Self::Algorithm { .. }
            | Self::Filesystem
            | Self::NotByKernel
            | Self::Feature { .. }
            | Self::Kernel => true,
            Self::NotEnabled
            | Self::AlreadyEnabled { .. }
            | Self::OpenForWriting
            | Self::NotRegular
            | Self::NoMetadata
            | Self::UnknownDigest { .. }
            | Self::Os { .. } => false,
        }
    }

    /// What can be done about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::AlreadyEnabled { .. } => {
                "it stays so for as long as the file exists: a copy has no fs-verity, and can be given it"
            }
            Self::OpenForWriting => "close it everywhere, and open it for reading only",
            Self::BlockSize { .. } => {
                "use blocks no larger than the filesystem's and a page of memory; 4096 is usual"
            }
            Self::Filesystem | Self::NotByKernel => "ext4, btrfs and f2fs have it",
            Self::Feature { filesystem: "ext4" } => {
                "turn it on with `tune2fs -O verity DEVICE`: what is in the filesystem stays"
            }
            Self::Feature { .. } => "make the filesystem with `mkfs.f2fs -O verity DEVICE`",
            Self::Kernel => "boot a kernel that has it, as those of the distributions do",
            Self::NoMetadata => "newer kernels do: ext4 and f2fs since Linux 5.12, btrfs later",
            _ => return None,
        })
    }
}
