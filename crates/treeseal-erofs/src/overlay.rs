//! The overlayfs attributes that tie an image to its objects, and how ordinary attributes are kept
//! out of their way. Source: the kernel's `Documentation/filesystems/overlayfs.rst`.

use treeseal_verity::{FileDigest, HashAlgorithm};

/// Attributes that overlayfs itself reads.
pub(crate) const PREFIX: &[u8] = b"trusted.overlay.";
/// What a tree's own `trusted.overlay.*` attributes become, so that overlayfs passes them through.
pub(crate) const ESCAPED_PREFIX: &[u8] = b"trusted.overlay.overlay.";
/// Marks a file whose content is in another layer; the value may hold its digest.
pub(crate) const METACOPY: &[u8] = b"trusted.overlay.metacopy";
/// Path of a file's content in the data layer.
pub(crate) const REDIRECT: &[u8] = b"trusted.overlay.redirect";
/// Hides what lower layers have under a directory.
pub(crate) const OPAQUE: &[u8] = b"trusted.overlay.opaque";
/// Marks a regular file that stands for a whiteout, for an overlayfs on top of the mount.
pub(crate) const WHITEOUT: [&[u8]; 2] =
    [b"trusted.overlay.overlay.whiteout", b"user.overlay.whiteout"];
/// Marks a directory that holds such files.
pub(crate) const WHITEOUTS: [&[u8]; 2] =
    [b"trusted.overlay.overlay.whiteouts", b"user.overlay.whiteouts"];
/// Marks such a directory since format version 1; the value is `x`.
pub(crate) const WHITEOUTS_OPAQUE: [&[u8]; 2] =
    [b"trusted.overlay.overlay.opaque", b"user.overlay.opaque"];

/// The value of the metacopy attribute: version 0, length of the whole, no flags, the algorithm's
/// number, the digest. Empty when no digest is known.
pub(crate) fn metacopy_value(digest: Option<&FileDigest>) -> Vec<u8> {
    let Some(digest) = digest else { return Vec::new() };
    let bytes = digest.as_bytes();
    let length = u8::try_from(4 + bytes.len()).unwrap_or(u8::MAX);
    [&[0, length, 0, digest.algorithm().kernel_number()], bytes].concat()
}

/// The digest in the value of a metacopy attribute, if it holds one.
pub(crate) fn metacopy_digest(value: &[u8]) -> Option<FileDigest> {
    let [0, length, 0, number, digest @ ..] = value else { return None };
    if usize::from(*length) != value.len() {
        return None;
    }
    FileDigest::from_bytes(HashAlgorithm::from_kernel_number(*number)?, digest)
}
