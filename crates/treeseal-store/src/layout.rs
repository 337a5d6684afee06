//! Names within a store. `spec/store.md` has the same in prose.

use core::fmt;

use treeseal_trust::{Sequence, Stream};
use treeseal_verity::{FileDigest, Geometry, Params};

/// A kind of file that is named by a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// A file's content
    Object,
    /// An object's Merkle tree, named by the object's digest
    Sidecar,
    /// A tree's metadata
    Image,
}

pub(crate) const LOCK: &str = "lock";
pub(crate) const TEMPORARY: &str = "tmp";
pub(crate) const SEALS: &str = "seals";
pub(crate) const ROOTS: &str = "roots";
pub(crate) const CURRENT: &str = "@current";
pub(crate) const FRESH: &str = "@fresh.json";
/// Longest text of a pointer, in bytes; a sequence has at most 16 digits.
pub(crate) const MAX_POINTER: u64 = 64;
const SEAL_SUFFIX: &str = ".seal.json";
const ROOT_SUFFIX: &str = ".root.json";

/// Everything that may lie in the store's directory itself.
pub(crate) const TOP: [&str; 8] = [
    crate::format::FORMAT_FILE,
    LOCK,
    TEMPORARY,
    SEALS,
    ROOTS,
    Part::Object.dir(),
    Part::Sidecar.dir(),
    Part::Image.dir(),
];

/// The directories in it.
pub(crate) const DIRECTORIES: [&str; 6] =
    [TEMPORARY, SEALS, ROOTS, Part::Object.dir(), Part::Sidecar.dir(), Part::Image.dir()];

impl Part {
    pub(crate) const fn dir(self) -> &'static str {
        match self {
            Self::Object => "objects",
            Self::Sidecar => "trees",
            Self::Image => "images",
        }
    }

    /// Where the file lies in the store.
    pub(crate) fn path(self, digest: &FileDigest) -> String {
        format!("{}/{}", self.dir(), digest.object_path())
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object => "object",
            Self::Sidecar => "sidecar of object",
            Self::Image => "image",
        })
    }
}

/// The parameters of the digests in a store: blocks of 4096 bytes and no salt.
pub(crate) fn params(digest: &FileDigest) -> Params {
    Params::with_algorithm(digest.algorithm())
}

/// Size of the sidecar of an object of this size; 0 when it has none. Content of one run is read
/// and hashed at once by whoever needs any of it, so a tree of a single hash block saves nothing.
pub(crate) fn sidecar_size(params: &Params, size: u64) -> u64 {
    if params.is_short(size) {
        return 0;
    }
    Geometry::new(params, size).tree_size()
}

/// Which of a part's 256 directories a digest's file lies in.
pub(crate) fn fanout(digest: &FileDigest) -> u8 {
    digest.as_bytes().first().copied().unwrap_or(0)
}

/// The name of a digest's file in that directory.
pub(crate) fn file_name(digest: &FileDigest) -> String {
    digest.object_path().split_off("aa/".len())
}

/// The digest whose file would lie at `fanout/rest`, if that is exactly its name.
pub(crate) fn digest_of_name(fanout: &[u8], rest: &[u8]) -> Option<FileDigest> {
    let digest = FileDigest::from_hex(&[fanout, rest].concat()).ok()?;
    let canonical = digest.object_path();
    (canonical.as_bytes() == [fanout, b"/", rest].concat()).then_some(digest)
}

/// Whether a name is that of one of the 256 directories that files are spread over.
pub(crate) fn is_fanout(name: &[u8]) -> bool {
    name.len() == 2 && name.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

pub(crate) fn seal_name(sequence: Sequence) -> String {
    format!("@{}{SEAL_SUFFIX}", sequence.number())
}

pub(crate) fn seal_path(stream: &Stream, sequence: Sequence) -> String {
    format!("{SEALS}/{stream}/{}", seal_name(sequence))
}

pub(crate) fn current_path(stream: &Stream) -> String {
    format!("{SEALS}/{stream}/{CURRENT}")
}

pub(crate) fn fresh_path(stream: &Stream) -> String {
    format!("{SEALS}/{stream}/{FRESH}")
}

pub(crate) fn sequence_of_name(name: &str) -> Option<Sequence> {
    Sequence::new(decimal(name.strip_prefix('@')?.strip_suffix(SEAL_SUFFIX)?)?)
}

/// The text of a pointer.
pub(crate) fn pointer(sequence: Sequence) -> String {
    format!("{}\n", sequence.number())
}

pub(crate) fn sequence_of_pointer(bytes: &[u8]) -> Option<Sequence> {
    let text = core::str::from_utf8(bytes).ok()?;
    Sequence::new(decimal(text.strip_suffix('\n')?)?)
}

pub(crate) fn root_name(version: u64) -> String {
    format!("{version}{ROOT_SUFFIX}")
}

pub(crate) fn version_of_name(name: &str) -> Option<u64> {
    decimal(name.strip_suffix(ROOT_SUFFIX)?)
}

/// A number written in the one way it is written here: digits without a zero in front.
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_only_as_they_are_written() {
        assert_eq!(sequence_of_name("@7.seal.json"), Sequence::new(7));
        assert_eq!(sequence_of_pointer(b"12\n"), Sequence::new(12));
        assert_eq!(version_of_name("3.root.json"), Some(3));
        for name in ["@07.seal.json", "@+7.seal.json", "7.seal.json", "@.seal.json", "@0.seal.json"]
        {
            assert_eq!(sequence_of_name(name), None, "{name}");
        }
        for text in ["12", "12\n\n", " 12\n", "0\n", "-1\n", "18446744073709551616\n", "\n"] {
            assert_eq!(sequence_of_pointer(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn only_lower_case_names_of_the_right_length_are_digests() {
        let rest = "c".repeat(62);
        assert!(digest_of_name(b"ab", rest.as_bytes()).is_some());
        assert!(digest_of_name(b"AB", rest.as_bytes()).is_none());
        assert!(digest_of_name(b"ab", &rest.as_bytes()[1..]).is_none());
        assert!(digest_of_name(b"abc", &rest.as_bytes()[1..]).is_none());
        assert!(is_fanout(b"0f") && !is_fanout(b"0F") && !is_fanout(b"0") && !is_fanout(b"g0"));
    }
}
