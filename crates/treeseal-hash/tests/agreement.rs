//! Every implementation that this machine can run agrees with an independent one, with the plain
//! one, and with the examples of the standard.

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

fn digest(implementation: Implementation, algorithm: HashAlgorithm, message: &[u8]) -> Vec<u8> {
    let mut hasher = Hasher::with_implementation(algorithm, implementation);
    hasher.update(message);
    let mut digest = vec![0; algorithm.digest_size()];
    hasher.finish_into(&mut digest);
    digest
}

fn hash_blocks(hasher: &BlockHasher, data: &[u8], block_size: usize) -> Vec<u8> {
    let mut digests = vec![0; data.len() / block_size * hasher.algorithm().digest_size()];
    hasher.hash_blocks(data, block_size, &mut digests);
    digests
}

const ALGORITHMS: [HashAlgorithm; 2] = [HashAlgorithm::Sha256, HashAlgorithm::Sha512];

/// The examples of NIST, and the empty message: message, SHA-256, SHA-512.
const KNOWN_ANSWERS: [(&[u8], &str, &str); 3] = [
    (
        b"",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
         47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
    ),
    (
        b"abc",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
         2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ),
    (
        b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn\
          hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
        "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018\
         501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909",
    ),
];

#[test]
fn the_examples_of_the_standard_are_met() {
    for implementation in Implementation::available() {
        for (message, sha256, sha512) in KNOWN_ANSWERS {
            for (algorithm, answer) in ALGORITHMS.into_iter().zip([sha256, sha512]) {
                let found = digest(implementation, algorithm, message);
                let hex: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(hex, answer, "{algorithm} by {}", implementation.name());
            }
        }
    }
}

#[test]
fn messages_of_every_length_around_the_input_blocks_agree() {
    let data = filled(700);
    for implementation in Implementation::available() {
        for algorithm in ALGORITHMS {
            for length in 0..data.len() {
                let message = &data[..length];
                assert_eq!(
                    digest(implementation, algorithm, message),
                    expected(algorithm, message),
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
    for implementation in Implementation::available() {
        for algorithm in ALGORITHMS {
            for piece in [1, 3, 63, 64, 65, 127, 128, 129, 999] {
                let mut hasher = Hasher::with_implementation(algorithm, implementation);
                data.chunks(piece).for_each(|part| hasher.update(part));
                let mut digest = vec![0; algorithm.digest_size()];
                hasher.finish_into(&mut digest);
                assert_eq!(digest, expected(algorithm, &data), "{algorithm} in pieces of {piece}");
            }
        }
    }
}

/// Twice the widest lanes and one more, so that every remainder of every width occurs.
const MOST_BLOCKS: usize = 33;

#[test]
fn runs_of_every_number_of_blocks_agree() {
    for implementation in Implementation::available() {
        for algorithm in ALGORITHMS {
            for salt_length in [0, 1, 8, 32] {
                for block_size in [128, 1024, 4096] {
                    check_runs(implementation, algorithm, salt_length, block_size);
                }
            }
        }
    }
}

#[test]
fn runs_of_the_largest_blocks_agree() {
    for implementation in Implementation::available() {
        for algorithm in ALGORITHMS {
            check_runs(implementation, algorithm, 32, 65536);
        }
    }
}

/// Runs from an odd address, from none to [`MOST_BLOCKS`] blocks, against single messages by an
/// independent implementation and against the plain one.
fn check_runs(
    implementation: Implementation,
    algorithm: HashAlgorithm,
    salt_length: usize,
    block_size: usize,
) {
    let data = &filled(1 + block_size * MOST_BLOCKS)[1..];
    let salt = &filled(salt_length)[..];
    let mut prefix = salt.to_vec();
    prefix.resize(salt.len().next_multiple_of(algorithm.input_block_size()), 0);
    let messages = data.chunks(block_size).map(|block| [&prefix[..], block].concat());
    let all: Vec<u8> = messages.flat_map(|message| expected(algorithm, &message)).collect();
    let plain = BlockHasher::with_implementation(algorithm, salt, Implementation::Portable);
    assert_eq!(hash_blocks(&plain, data, block_size), all);

    let hasher = BlockHasher::with_implementation(algorithm, salt, implementation);
    for count in 0..=MOST_BLOCKS {
        assert_eq!(
            hash_blocks(&hasher, &data[..count * block_size], block_size),
            all[..count * algorithm.digest_size()],
            "{algorithm} of {count} blocks of {block_size} by {}",
            implementation.name()
        );
    }
}

#[test]
fn implementations_are_found_by_their_names() {
    for implementation in Implementation::available() {
        assert_eq!(Implementation::named(implementation.name()), Ok(implementation));
        for algorithm in ALGORITHMS {
            let used = implementation.for_algorithm(algorithm);
            assert!(used.width(algorithm) >= 1);
            assert_eq!(used.for_algorithm(algorithm), used);
        }
    }
    let unknown = Implementation::named("md5").map_err(|error| error.to_string());
    assert_eq!(
        unknown,
        Err("unknown hash implementation `md5`: expected one of portable, sha-ni, avx2, avx512, \
             avx512+sha-ni, armv8"
            .to_owned())
    );
    let elsewhere = if cfg!(target_arch = "aarch64") { "avx2" } else { "armv8" };
    let elsewhere = Implementation::named(elsewhere).map_err(|error| error.to_string());
    assert!(elsewhere.is_err_and(|text| text.starts_with("this processor cannot run the hash")));
}

#[test]
fn the_fastest_is_one_that_the_machine_has() {
    for algorithm in ALGORITHMS {
        assert!(Implementation::available().contains(&Implementation::fastest(algorithm)));
    }
}

/// A run that is to test an implementation names it, so that it cannot be missed in silence.
#[test]
fn what_the_environment_expects_is_there() {
    let expected = std::env::var("TREESEAL_EXPECT_HASH").unwrap_or_else(|_| "portable".to_owned());
    let found = Implementation::named(&expected).unwrap();
    for algorithm in ALGORITHMS {
        assert_eq!(found.for_algorithm(algorithm).name(), expected, "{algorithm}");
    }
}
