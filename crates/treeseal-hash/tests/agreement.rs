//! Every implementation that this machine can run agrees with an independent one.

use sha2::Digest as _;
use treeseal_hash::{BlockHasher, HashAlgorithm, Hasher, Implementation};

/// Bytes in which every aligned 4-byte word differs, so that swapped blocks are noticed.
fn filled(length: usize) -> Vec<u8> {
    (0u32..).flat_map(|word| word.wrapping_mul(0x9e37_79b1).to_le_bytes()).take(length).collect()
}

fn expected(algorithm: HashAlgorithm, message: &[u8]) -> Vec<u8> {
    match algorithm {
        HashAlgorithm::Sha256 => sha2::Sha256::digest(message).to_vec(),
        HashAlgorithm::Sha512 => sha2::Sha512::digest(message).to_vec(),
        other => panic!("no oracle for {other}"),
    }
}

const ALGORITHMS: [HashAlgorithm; 2] = [HashAlgorithm::Sha256, HashAlgorithm::Sha512];

#[test]
fn messages_of_every_length_around_the_input_blocks_agree() {
    let data = filled(700);
    for implementation in Implementation::available() {
        for algorithm in ALGORITHMS {
            for length in 0..data.len() {
                let mut hasher = Hasher::with_implementation(algorithm, implementation);
                hasher.update(&data[..length]);
                let mut digest = vec![0; algorithm.digest_size()];
                hasher.finish_into(&mut digest);
                assert_eq!(
                    digest,
                    expected(algorithm, &data[..length]),
                    "{algorithm} of {length} bytes by {}",
                    implementation.name()
                );
            }
        }
    }
}

#[test]
fn a_message_in_pieces_hashes_as_in_one() {
    let data = filled(1000);
    for algorithm in ALGORITHMS {
        for piece in [1, 3, 63, 64, 65, 127, 128, 129, 999] {
            let mut hasher = Hasher::new(algorithm);
            data.chunks(piece).for_each(|part| hasher.update(part));
            let mut digest = vec![0; algorithm.digest_size()];
            hasher.finish_into(&mut digest);
            assert_eq!(digest, expected(algorithm, &data), "{algorithm} in pieces of {piece}");
        }
    }
}

#[test]
fn runs_of_blocks_agree_with_and_without_salt() {
    for implementation in Implementation::available() {
        for algorithm in ALGORITHMS {
            for salt_length in [0, 1, 8, 32] {
                for (block_size, count) in [(128, 9), (1024, 5), (4096, 1), (4096, 2), (65536, 3)] {
                    check_run(implementation, algorithm, salt_length, block_size, count);
                }
            }
        }
    }
}

fn check_run(
    implementation: Implementation,
    algorithm: HashAlgorithm,
    salt_length: usize,
    block_size: usize,
    count: usize,
) {
    let data = filled(block_size * count);
    let salt = &filled(salt_length)[..];
    let mut prefix = salt.to_vec();
    prefix.resize(salt.len().next_multiple_of(algorithm.input_block_size()), 0);

    let mut digests = vec![0; count * algorithm.digest_size()];
    BlockHasher::with_implementation(algorithm, salt, implementation).hash_blocks(
        &data,
        block_size,
        &mut digests,
    );
    for (block, digest) in data.chunks(block_size).zip(digests.chunks(algorithm.digest_size())) {
        let message = [&prefix[..], block].concat();
        assert_eq!(digest, expected(algorithm, &message), "{}", implementation.name());
    }
}
