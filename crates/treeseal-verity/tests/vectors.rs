//! Every scenario in `vectors/verity`, which `reference/verity_model.py` wrote.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use core::ops::Range;

use serde_json::Value;
use treeseal_testkit::{
    VERITY_SCENARIOS, Vector, boundary_lengths, counter_words, load_vectors, repository, sha256_hex,
};
use treeseal_verity::{
    BlockError, BlockVerifier, Digester, FileDigest, Geometry, HashAlgorithm, Params, descriptor,
    formatted_digest,
};

/// The longest content that the vectors have.
const LONGEST: usize = 9_000_000;

#[test]
fn digests_are_those_of_the_vectors() {
    let content = counter_words(LONGEST);
    let mut compared = 0;
    for vector in with_prefix("digest-") {
        let params = params(&vector);
        let cases = vector.value["cases"].as_array().unwrap();
        for case in cases {
            check_digest(&vector.name, &params, case, &content);
            compared += 1;
        }
        let named: Vec<(String, usize)> =
            cases.iter().map(|case| (text(case, "name"), length(case, "length"))).collect();
        let boundaries = boundary_lengths(params.block_size(), params.hashes_per_block(), LONGEST);
        assert_eq!(named, boundaries, "{}: every boundary is there", vector.name);
    }
    assert!(compared > 300, "{compared}");
}

fn check_digest(vector: &str, params: &Params, case: &Value, content: &[u8]) {
    let context = format!("{vector}, {}", case["name"]);
    let content = &content[..length(case, "length")];
    let mut digester = Digester::with_tree(params.clone());
    // Pieces that fit no block size.
    content.chunks(100_003).for_each(|piece| digester.update(piece));
    let measured = digester.finish();
    let tree = measured.tree.unwrap();
    assert_eq!(measured.digest.to_hex(), case["digest"], "{context}: digest");
    assert_eq!(hex(&measured.root_hash), case["rootHash"], "{context}: root hash");
    assert_eq!(tree.len(), length(case, "treeSize"), "{context}: size of the tree");
    assert_eq!(sha256_hex(&tree), case["treeSha256"], "{context}: tree");
    assert_eq!(Geometry::new(params, content.len() as u64).tree_size(), tree.len() as u64);
    assert_eq!(Digester::digest_of(params, content), measured.digest, "{context}: without a tree");
}

#[test]
fn hash_blocks_lie_where_the_vectors_say() {
    for vector in with_prefix("geometry-") {
        let params = params(&vector);
        for case in vector.value["cases"].as_array().unwrap() {
            let geometry = Geometry::new(&params, case["length"].as_u64().unwrap());
            let level_blocks: Vec<u64> = numbers(&case["levelBlocks"]);
            assert_eq!(geometry.levels(), level_blocks.len(), "{}: {case}", vector.name);
            let blocks: u64 = level_blocks.iter().sum();
            assert_eq!(geometry.tree_size(), blocks * params.block_size() as u64);
            for (index, offsets) in case["paths"].as_object().unwrap() {
                let path = geometry.path(index.parse().unwrap());
                let starts: Vec<u64> = path.iter().map(|range| range.start).collect();
                assert_eq!(starts, numbers(offsets), "{}: block {index} of {case}", vector.name);
            }
        }
    }
}

#[test]
fn blocks_are_judged_as_the_vectors_say() {
    for vector in with_prefix("block-") {
        let found = match judge(&vector) {
            Ok(()) => "accept",
            Err(BlockError::OutOfRange { .. }) => "out-of-range",
            Err(BlockError::Length { .. }) => "length",
            Err(BlockError::PathLength { .. }) => "path-length",
            Err(BlockError::Data { .. }) => "data",
            Err(BlockError::Tree { .. }) => "tree",
            Err(BlockError::Root { .. }) => "root",
            Err(error) => panic!("{}: no class for {error:?}", vector.name),
        };
        assert_eq!(found, vector.text("expect"), "{}", vector.name);
    }
}

#[test]
fn the_worked_example_has_the_bytes_of_the_specification() {
    let vectors = with_prefix("worked-example");
    let (vector, params) = (&vectors[0], params(&vectors[0]));
    let mut digester = Digester::with_tree(params.clone());
    digester.update(&counter_words(length(&vector.value, "length")));
    let measured = digester.finish();
    let mut tree = unhex(vector.text("tree"));
    tree.resize(params.block_size(), 0);
    assert_eq!(measured.tree.unwrap(), tree);
    let descriptor = descriptor(&params, measured.size, &measured.root_hash);
    assert_eq!(descriptor.to_vec(), unhex(vector.text("descriptor")));
    assert_eq!(measured.digest.to_hex(), vector.text("digest"));
    assert_eq!(formatted_digest(&measured.digest), unhex(vector.text("formattedDigest")));
    let specification = repository().join("spec/verity.md");
    let specification = std::fs::read_to_string(specification).unwrap();
    assert!(specification.contains(vector.text("digest")), "the digest stands in the document");
}

/// Makes a file and its tree, takes a block and its proof, spoils them, and checks.
fn judge(vector: &Vector) -> Result<(), BlockError> {
    let params = params(vector);
    let content = counter_words(length(&vector.value, "made"));
    let mut digester = Digester::with_tree(params.clone());
    digester.update(&content);
    let made = digester.finish();
    let digest = match vector.value.get("digest") {
        Some(_) => Digester::digest_of(&params, &[&content[..], b"other"].concat()),
        None => made.digest,
    };

    let number = |name: &str| vector.value.get(name).map(|number| number.as_u64().unwrap());
    let index = vector.number("index");
    let geometry = Geometry::new(&params, made.size);
    // A block past the end has no content to take.
    let range = geometry.data_range(number("data").unwrap_or(index)).unwrap_or(0..0);
    let mut data = slice(&content, range);
    let extend = vector.value.get("extend").map_or(0, |extend| extend.as_i64().unwrap());
    data.resize(data.len().checked_add_signed(isize::try_from(extend).unwrap()).unwrap(), 0);
    let tree = made.tree.unwrap();
    let taken = geometry.path(number("path").unwrap_or(index));
    let in_tree = taken.into_iter().filter(|range| range.end <= tree.len() as u64);
    let mut path: Vec<Vec<u8>> = in_tree.map(|range| slice(&tree, range)).collect();
    if let Some(levels) = number("levels") {
        path.truncate(usize::try_from(levels).unwrap());
    }
    for edit in vector.value["edits"].as_array().into_iter().flatten() {
        let target = match edit[0].as_str().unwrap().strip_prefix("path ") {
            Some(level) => &mut path[level.parse::<usize>().unwrap()],
            None => &mut data,
        };
        let offset = usize::try_from(edit[1].as_u64().unwrap()).unwrap();
        target[offset] ^= u8::try_from(edit[2].as_u64().unwrap()).unwrap();
    }

    let salt = vector.value.get("salt").map_or(Vec::new(), |salt| unhex(salt.as_str().unwrap()));
    let block_size = u32::try_from(params.block_size()).unwrap();
    let asked = Params::new(params.algorithm(), block_size, &salt).unwrap();
    let path: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
    BlockVerifier::new(asked, vector.number("size"), digest).check(index, &data, &path)
}

fn with_prefix(prefix: &str) -> Vec<Vector> {
    let mut vectors = load_vectors("verity", VERITY_SCENARIOS);
    vectors.retain(|vector| vector.name.starts_with(prefix));
    assert!(!vectors.is_empty(), "no scenario `{prefix}...`");
    vectors
}

fn params(vector: &Vector) -> Params {
    let given = &vector.value["parameters"];
    let algorithm = match given["algorithm"].as_str().unwrap() {
        "sha256" => HashAlgorithm::Sha256,
        "sha512" => HashAlgorithm::Sha512,
        other => panic!("{}: algorithm {other}", vector.name),
    };
    let block_size = u32::try_from(given["blockSize"].as_u64().unwrap()).unwrap();
    Params::new(algorithm, block_size, &unhex(given["salt"].as_str().unwrap())).unwrap()
}

fn slice(bytes: &[u8], range: Range<u64>) -> Vec<u8> {
    bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec()
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap().to_owned()
}

fn length(value: &Value, field: &str) -> usize {
    usize::try_from(value[field].as_u64().unwrap()).unwrap()
}

fn numbers(list: &Value) -> Vec<u64> {
    list.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
}

/// A root hash in hex; a file digest has the same form.
fn hex(bytes: &[u8]) -> String {
    let algorithm = if bytes.len() == 32 { HashAlgorithm::Sha256 } else { HashAlgorithm::Sha512 };
    FileDigest::from_bytes(algorithm, bytes).unwrap().to_hex()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |index: usize| u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap();
    (0..text.len() / 2).map(digits).collect()
}
