//! Known answers, agreement with a plain second computation, and the check of single blocks.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sha2::Digest as _;
use treeseal_testkit::{boundary_lengths, counter_words};
use treeseal_verity::{
    Batch, BlockError, BlockVerifier, Digester, FileDigest, Geometry, HashAlgorithm,
    Implementation, Leaves, Params, descriptor, formatted_digest,
};

fn plain_hash(params: &Params, block: &[u8]) -> Vec<u8> {
    let mut message = params.salt().to_vec();
    message.resize(message.len().next_multiple_of(params.algorithm().input_block_size()), 0);
    message.extend_from_slice(block);
    message.resize(message.len() + params.block_size() - block.len(), 0);
    raw_hash(params.algorithm(), &message)
}

fn raw_hash(algorithm: HashAlgorithm, message: &[u8]) -> Vec<u8> {
    match algorithm {
        HashAlgorithm::Sha256 => sha2::Sha256::digest(message).to_vec(),
        _ => sha2::Sha512::digest(message).to_vec(),
    }
}

/// The tree and the digest by the shortest possible code.
fn plain(params: &Params, content: &[u8]) -> (FileDigest, Vec<u8>) {
    let mut tree = Vec::new();
    let mut level = content.to_vec();
    let root = loop {
        if level.is_empty() {
            break vec![0; params.algorithm().digest_size()];
        }
        let hashes: Vec<u8> =
            level.chunks(params.block_size()).flat_map(|block| plain_hash(params, block)).collect();
        if hashes.len() == params.algorithm().digest_size() {
            break hashes;
        }
        let mut padded = hashes.clone();
        padded.resize(hashes.len().next_multiple_of(params.block_size()), 0);
        tree.splice(0..0, padded);
        level = hashes;
    };
    let bytes = raw_hash(params.algorithm(), &descriptor(params, content.len() as u64, &root));
    (FileDigest::from_bytes(params.algorithm(), &bytes).unwrap(), tree)
}

fn all_params() -> Vec<Params> {
    let mut all = Vec::new();
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
        for block_size in [1024, 4096, 65536] {
            for salt in [&b""[..], b"\x01\x02\x03", &[0xa5; 32]] {
                all.push(Params::new(algorithm, block_size, salt).unwrap());
            }
        }
    }
    all
}

#[test]
fn known_answers_hold() {
    let digest = |content: &[u8]| Digester::digest_of(&Params::default(), content).to_hex();
    assert_eq!(digest(b""), "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95");
    assert!(digest(b"hello world\n").starts_with("37061ef2"));
}

#[test]
fn digests_and_trees_agree_with_the_plain_computation() {
    for params in all_params() {
        let (block_size, fanout) = (params.block_size(), params.hashes_per_block());
        for (name, size) in boundary_lengths(block_size, fanout, 9_000_000) {
            let content = counter_words(size);
            let (digest, tree) = plain(&params, &content);
            let mut digester = Digester::with_tree(params.clone());
            content.chunks(100_003).for_each(|piece| digester.update(piece));
            let measured = digester.finish();
            assert_eq!(measured.digest, digest, "{params:?}, {name}");
            assert_eq!(measured.tree.unwrap(), tree, "{params:?}, {name}");
            assert_eq!(Digester::digest_of(&params, &content), digest);
            assert_eq!(Geometry::new(&params, size as u64).tree_size(), tree.len() as u64);
        }
    }
}

#[test]
fn pieces_of_any_size_give_one_digest() {
    let params = Params::new(HashAlgorithm::Sha256, 1024, b"salt").unwrap();
    let content = counter_words(40_000);
    let whole = Digester::digest_of(&params, &content);
    for piece in [1, 7, 1023, 1024, 1025, 4096, 39_999] {
        let mut digester = Digester::new(params.clone());
        content.chunks(piece).for_each(|part| digester.update(part));
        assert_eq!(digester.finish().digest, whole, "pieces of {piece}");
    }
}

#[test]
fn parts_hashed_elsewhere_give_the_same_digest_and_tree() {
    for params in all_params() {
        let (block_size, fanout) = (params.block_size(), params.hashes_per_block());
        for (name, size) in boundary_lengths(block_size, fanout, 3_000_000) {
            let content = counter_words(size);
            let mut whole = Digester::with_tree(params.clone());
            whole.update(&content);
            let whole = whole.finish();
            for blocks in [1, 3, 17] {
                let mut joined = Digester::with_tree(params.clone());
                for part in content.chunks(blocks * block_size) {
                    joined.update_leaves(&Leaves::of(&params, part));
                }
                let joined = joined.finish();
                assert_eq!(joined.digest, whole.digest, "{params:?}, {name}, parts of {blocks}");
                assert_eq!(joined.tree, whole.tree, "{params:?}, {name}, parts of {blocks}");
                assert_eq!(joined.size, size as u64);
            }
        }
    }
}

#[test]
#[should_panic(expected = "whole blocks")]
fn a_part_behind_half_a_block_is_a_mistake() {
    let params = Params::default();
    let mut digester = Digester::new(params.clone());
    digester.update(&[0; 100]);
    digester.update_leaves(&Leaves::of(&params, &[0; 4096]));
}

#[test]
fn short_contents_hashed_together_have_the_digests_that_they_have_alone() {
    for params in all_params() {
        let mut batch = Batch::new(params.clone());
        let (block, longest) = (params.block_size(), params.run_size());
        let lengths = [0, 1, block - 1, block, block + 1, 0, 7 * block, longest - 1, longest, 2, 3];
        let mut expected = Vec::new();
        let mut found = Vec::new();
        for (round, length) in lengths.into_iter().chain(lengths).enumerate() {
            let content = counter_words(length + round)[round..].to_vec();
            expected.push(Digester::digest_of(&params, &content));
            if batch.room(length + 1).is_none() {
                found.extend(batch.finish());
            }
            let room = batch.room(length + 1).unwrap();
            // What else was read there is not part of it.
            room[..=length].fill(0xa5);
            room[..length].copy_from_slice(&content);
            batch.add(length);
        }
        found.extend(batch.finish());
        assert_eq!(found, expected, "{params:?}");
        assert_eq!(batch.finish(), []);
    }
}

#[test]
#[should_panic(expected = "short content")]
fn long_content_in_a_batch_is_a_mistake() {
    let params = Params::default();
    let mut batch = Batch::new(params.clone());
    batch.add(params.run_size() + 1);
}

#[test]
fn every_block_is_vouched_for_and_every_change_is_noticed() {
    let params = Params::new(HashAlgorithm::Sha256, 1024, b"").unwrap();
    let content = counter_words(1024 * 33 * 32 + 5);
    let mut digester = Digester::with_tree(params.clone());
    digester.update(&content);
    let measured = digester.finish();
    let tree = measured.tree.unwrap();
    let verifier = BlockVerifier::new(params, measured.size, measured.digest);
    assert_eq!(verifier.geometry().levels(), 3);

    let slice = |bytes: &[u8], range: core::ops::Range<u64>| -> Vec<u8> {
        bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec()
    };
    for index in 0..verifier.geometry().data_blocks() {
        let mut data = slice(&content, verifier.geometry().data_range(index).unwrap());
        let mut path: Vec<Vec<u8>> =
            verifier.geometry().path(index).into_iter().map(|r| slice(&tree, r)).collect();
        let check = |data: &[u8], path: &[Vec<u8>]| {
            let path: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
            verifier.check(index, data, &path)
        };
        assert_eq!(check(&data, &path), Ok(()));

        data[0] ^= 1;
        assert_eq!(check(&data, &path), Err(BlockError::Data { index }));
        data[0] ^= 1;
        for level in 0..path.len() {
            path[level][1023] ^= 0x80;
            let error = check(&data, &path).unwrap_err();
            assert!(
                matches!(
                    error,
                    BlockError::Data { .. } | BlockError::Tree { .. } | BlockError::Root { .. }
                ),
                "{error}"
            );
            path[level][1023] ^= 0x80;
        }
    }
}

#[test]
fn wrong_lengths_are_refused_before_anything_is_hashed() {
    let params = Params::default();
    let content = counter_words(5000);
    let mut digester = Digester::with_tree(params.clone());
    digester.update(&content);
    let measured = digester.finish();
    let tree = measured.tree.unwrap();
    let verifier = BlockVerifier::new(params, 5000, measured.digest);
    assert_eq!(verifier.check(1, &content[4096..], &[&tree]), Ok(()));
    assert_eq!(
        verifier.check(2, &[], &[&tree]).unwrap_err().to_string(),
        "block 2 of a file with 2 blocks"
    );
    assert_eq!(
        verifier.check(1, &content[4095..], &[&tree]).unwrap_err().to_string(),
        "data block has 905 bytes, expected 904"
    );
    assert_eq!(
        verifier.check(0, &content[..4096], &[]).unwrap_err().to_string(),
        "0 hash blocks lead to the root, expected 1"
    );
    assert_eq!(
        verifier.check(0, &content[..4096], &[&tree[1..]]).unwrap_err().to_string(),
        "hash block has 4095 bytes, expected 4096"
    );
}

#[test]
fn parameters_outside_the_format_are_refused() {
    for size in [0, 512, 1000, 3000, 131_072] {
        assert!(Params::new(HashAlgorithm::Sha256, size, b"").is_err(), "{size}");
    }
    assert_eq!(
        Params::new(HashAlgorithm::Sha256, 4096, &[0; 33]).unwrap_err().to_string(),
        "salt of 33 bytes: at most 32 are allowed"
    );
}

#[test]
fn the_formatted_digest_has_the_kernels_layout() {
    let digest = FileDigest::from_bytes(HashAlgorithm::Sha512, &[7; 64]).unwrap();
    let formatted = formatted_digest(&digest);
    assert_eq!(&formatted[..12], b"FSVerity\x02\x00\x40\x00");
    assert_eq!(&formatted[12..], &[7; 64]);
}

/// A run that is to test an implementation says nothing of it unless the variable is heeded.
#[test]
fn the_implementation_that_the_environment_names_is_used() {
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
        let used = Implementation::fastest(algorithm);
        assert!(Implementation::available().contains(&used));
        if let Some(name) = std::env::var_os("TREESEAL_HASH") {
            let named = Implementation::named(name.to_str().unwrap()).unwrap();
            let hint = "run the tests with `--features treeseal-hash/test-environment`";
            assert_eq!(used, named.for_algorithm(algorithm), "{hint}");
        }
    }
}
