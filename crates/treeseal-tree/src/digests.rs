use treeseal_verity::FileDigest;

use crate::TreeError;
use crate::intern::{Store as _, Strings, index, number};
use crate::tree::DigestId;

/// The file digests of a tree that is being built, as they come.
///
/// Equal ones are found when all are there, by sorting. A hash table of ten million digests waits
/// for memory at every look; a sort goes through it in order, takes as long for digests that were
/// chosen to be alike, and needs room only at the end.
#[derive(Default)]
pub(crate) struct DigestList {
    all: Strings,
}

/// The number that each digest of a list has among the distinct ones.
pub(crate) struct Renumbering(Vec<u32>);

impl DigestList {
    /// Adds a digest. Its id is its place in the list until the tree is finished.
    pub(crate) fn push(&mut self, digest: &FileDigest) -> Result<DigestId, TreeError> {
        let id = number(self.all.len(), "file digests")?;
        self.all.push(digest.as_bytes())?;
        Ok(DigestId(id))
    }

    /// The distinct digests in order of first appearance.
    pub(crate) fn deduplicate(self) -> (Strings, Renumbering) {
        let mut digests = self.all;
        let mut numbers = first_equals(&digests);
        digests.retain(|digest| numbers[index(digest)] == digest);
        let mut distinct = 0;
        for digest in 0..numbers.len() {
            let first = index(numbers[digest]);
            if first == digest {
                numbers[digest] = distinct;
                distinct += 1;
            } else {
                // It comes earlier and has its number already.
                numbers[digest] = numbers[first];
            }
        }
        (digests, Renumbering(numbers))
    }
}

impl Renumbering {
    /// The id of a digest in the finished tree.
    pub(crate) fn new_id(&self, old: DigestId) -> DigestId {
        DigestId(self.0[old.index()])
    }
}

/// For each digest the first one that equals it, itself as a rule.
fn first_equals(digests: &Strings) -> Vec<u32> {
    let mut first = vec![0; digests.len()];
    // Four bytes tell nearly all apart, and the digests themselves lie further away.
    let mut sorted: Vec<(u32, u32)> =
        (0..).take(digests.len()).map(|digest| (start(digests.at(digest)), digest)).collect();
    sorted.sort_unstable_by_key(|(start, digest)| u64::from(*start) << 32 | u64::from(*digest));
    for alike in sorted.chunk_by_mut(|(a, _), (b, _)| a == b) {
        // Stable, so that of equal ones the first stays in front.
        alike.sort_by_key(|(_, digest)| digests.at(*digest));
        for equal in alike.chunk_by(|(_, a), (_, b)| digests.at(*a) == digests.at(*b)) {
            for (_, digest) in equal {
                first[index(*digest)] = equal[0].1;
            }
        }
    }
    first
}

/// The first bytes as a number.
fn start(digest: &[u8]) -> u32 {
    digest.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use treeseal_verity::HashAlgorithm;

    use super::*;

    fn sha256(bytes: [u8; 2]) -> FileDigest {
        let mut digest = [7; 32];
        [digest[0], digest[31]] = bytes;
        FileDigest::from_bytes(HashAlgorithm::Sha256, &digest).unwrap()
    }

    /// The numbers of the digests and the distinct ones.
    fn deduplicated(digests: &[FileDigest]) -> (Vec<u32>, Vec<Vec<u8>>) {
        let mut list = DigestList::default();
        for digest in digests {
            list.push(digest).unwrap();
        }
        let (distinct, Renumbering(numbers)) = list.deduplicate();
        let bytes = (0..).take(distinct.len()).map(|number| distinct.at(number).to_vec());
        (numbers, bytes.collect())
    }

    #[test]
    fn each_digest_is_numbered_where_it_first_appears() {
        let [a, b, c] = [sha256([3, 0]), sha256([1, 0]), sha256([2, 0])];
        let (numbers, distinct) = deduplicated(&[a, b, a, c, b, b, a]);
        assert_eq!(numbers, [0, 1, 0, 2, 1, 1, 0]);
        assert_eq!(distinct, [a, b, c].map(|digest| digest.as_bytes().to_vec()));
    }

    #[test]
    fn digests_that_begin_alike_are_told_apart() {
        let [a, b] = [sha256([1, 2]), sha256([1, 1])];
        let (numbers, distinct) = deduplicated(&[a, b, b, a, b]);
        assert_eq!(numbers, [0, 1, 1, 0, 1]);
        assert_eq!(distinct, [a, b].map(|digest| digest.as_bytes().to_vec()));
    }

    #[test]
    fn a_digest_is_not_the_longer_one_that_begins_with_it() {
        let short = FileDigest::from_bytes(HashAlgorithm::Sha256, &[5; 32]).unwrap();
        let long = FileDigest::from_bytes(HashAlgorithm::Sha512, &[5; 64]).unwrap();
        let (numbers, distinct) = deduplicated(&[long, short, long]);
        assert_eq!(numbers, [0, 1, 0]);
        assert_eq!(distinct, [vec![5; 64], vec![5; 32]]);
    }

    #[test]
    fn no_digests_are_fine() {
        assert_eq!(deduplicated(&[]), (vec![], vec![]));
    }
}
