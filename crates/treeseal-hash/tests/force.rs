//! A forced implementation is used from then on. A process of its own, because that lasts.

use treeseal_hash::{AlreadyForced, HashAlgorithm, Implementation, force};

#[test]
fn a_forced_implementation_stays() {
    assert_eq!(force(Implementation::Portable), Ok(()));
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
        assert_eq!(Implementation::fastest(algorithm), Implementation::Portable);
    }
    assert_eq!(force(Implementation::Portable), Ok(()), "the same again");
    for other in Implementation::available() {
        if other != Implementation::Portable {
            assert_eq!(force(other), Err(AlreadyForced));
        }
    }
}
