//! The file digest of a file that has fs-verity, without reading the file.

use std::os::fd::BorrowedFd;

use treeseal_sys::{VerityMetadata, measure_verity, read_verity_metadata};
use treeseal_verity::{DESCRIPTOR_SIZE, FileDigest, Params, descriptor};

use crate::runs::digest_of_root;

/// The digest of an open file of `size` bytes, if the kernel checks every reading of it against
/// exactly that. `None` where this cannot be told, and the file is to be read.
///
/// What the kernel measures is not enough: it does not tell the block size and the salt. The
/// descriptor does, and its hash is what is measured.
pub(crate) fn kernel_digest(
    file: BorrowedFd<'_>,
    size: u64,
    params: &Params,
) -> Option<FileDigest> {
    let mut bytes = [0; DESCRIPTOR_SIZE];
    let read = read_verity_metadata(file, VerityMetadata::Descriptor, 0, &mut bytes);
    if read.ok()? != DESCRIPTOR_SIZE {
        return None;
    }
    let digest = digest_of_descriptor(&bytes, size, params)?;
    (measure_verity(file).ok()? == digest).then_some(digest)
}

/// The digest that a descriptor stands for, if it is one of these parameters and this size.
fn digest_of_descriptor(
    bytes: &[u8; DESCRIPTOR_SIZE],
    size: u64,
    params: &Params,
) -> Option<FileDigest> {
    let root_hash = bytes.get(16..16 + params.algorithm().digest_size())?;
    let is_ours = descriptor(params, size, root_hash) == *bytes;
    is_ours.then(|| digest_of_root(params, size, root_hash))
}

#[cfg(test)]
mod tests {
    use treeseal_verity::{Digester, HashAlgorithm};

    use super::*;

    /// The descriptor of this content with these parameters.
    fn described(content: &[u8], params: &Params) -> [u8; DESCRIPTOR_SIZE] {
        let mut digester = Digester::new(params.clone());
        digester.update(content);
        descriptor(params, content.len() as u64, &digester.finish().root_hash)
    }

    #[test]
    fn a_descriptor_stands_for_its_digest_only_with_the_same_parameters_and_size() {
        let content = [7; 9000];
        let size = content.len() as u64;
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
            let params = Params::with_algorithm(algorithm);
            let bytes = described(&content, &params);
            let expected = Digester::digest_of(&params, &content);
            assert_eq!(digest_of_descriptor(&bytes, size, &params), Some(expected), "{algorithm}");
            assert_eq!(digest_of_descriptor(&bytes, size - 1, &params), None, "{algorithm}");
            for other in [
                Params::new(algorithm, 1024, b"").unwrap(),
                Params::new(algorithm, 4096, b"salt").unwrap(),
            ] {
                let bytes = described(&content, &other);
                assert_eq!(digest_of_descriptor(&bytes, size, &params), None, "{other:?}");
            }
        }
        let [sha256, sha512] = [HashAlgorithm::Sha256, HashAlgorithm::Sha512];
        let bytes = described(&content, &Params::with_algorithm(sha512));
        assert_eq!(digest_of_descriptor(&bytes, size, &Params::with_algorithm(sha256)), None);
    }

    #[test]
    fn every_byte_of_a_descriptor_counts() {
        let params = Params::default();
        let bytes = described(&[7; 9000], &params);
        let right = digest_of_descriptor(&bytes, 9000, &params).unwrap();
        for position in 0..DESCRIPTOR_SIZE {
            let mut changed = bytes;
            changed[position] ^= 1;
            assert_ne!(digest_of_descriptor(&changed, 9000, &params), Some(right), "{position}");
        }
    }
}
