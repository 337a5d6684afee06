/// Lengths of content around every boundary of an fs-verity tree, by name: of blocks, and of hash
/// blocks that are full. `most` bounds what a test has to hash.
///
/// The vectors of `vectors/verity` have the same names and lengths.
pub fn boundary_lengths(
    block_size: usize,
    hashes_per_block: usize,
    most: usize,
) -> Vec<(String, usize)> {
    let steps = [
        ("block", 1),
        ("two-blocks", 2),
        ("full-hash-block", hashes_per_block),
        ("full-hash-block-and-a-block", hashes_per_block + 1),
        ("two-full-hash-blocks", 2 * hashes_per_block),
        ("full-second-level", hashes_per_block.pow(2)),
        ("full-third-level", hashes_per_block.pow(3)),
    ];
    let around = steps.into_iter().flat_map(|(name, blocks)| {
        let length = blocks * block_size;
        [
            (format!("{name}-less-one"), length - 1),
            (name.to_owned(), length),
            (format!("{name}-plus-one"), length + 1),
        ]
    });
    [("empty".to_owned(), 0), ("one-byte".to_owned(), 1)]
        .into_iter()
        .chain(around)
        .filter(|(_, length)| *length <= most)
        .collect()
}
