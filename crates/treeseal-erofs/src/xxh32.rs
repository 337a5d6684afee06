//! XXH32, which places attribute names in the name filter of an inode. Not a cryptographic hash.
//! Source: the xxHash specification, section "XXH32 algorithm description".

const PRIME: [u32; 5] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f, 0x1656_67b1];

/// The hash of `data` under `seed`.
pub(crate) fn xxh32(data: &[u8], seed: u32) -> u32 {
    let (stripes, rest) = data.as_chunks::<16>();
    let mut hash =
        if stripes.is_empty() { seed.wrapping_add(PRIME[4]) } else { converge(stripes, seed) };
    // The length modulo 2^32, as the specification has it.
    hash = hash.wrapping_add(u32::try_from(data.len() & 0xffff_ffff).unwrap_or(0));
    let (words, bytes) = rest.as_chunks::<4>();
    for word in words {
        hash = hash.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(PRIME[2]));
        hash = hash.rotate_left(17).wrapping_mul(PRIME[3]);
    }
    for byte in bytes {
        hash = hash.wrapping_add(u32::from(*byte).wrapping_mul(PRIME[4]));
        hash = hash.rotate_left(11).wrapping_mul(PRIME[0]);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(PRIME[1]);
    hash = (hash ^ (hash >> 13)).wrapping_mul(PRIME[2]);
    hash ^ (hash >> 16)
}

/// Works whole stripes of four words into four accumulators, and joins them.
fn converge(stripes: &[[u8; 16]], seed: u32) -> u32 {
    let mut lanes = [
        seed.wrapping_add(PRIME[0]).wrapping_add(PRIME[1]),
        seed.wrapping_add(PRIME[1]),
        seed,
        seed.wrapping_sub(PRIME[0]),
    ];
    for stripe in stripes {
        for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<4>().0) {
            let input = u32::from_le_bytes(*word).wrapping_mul(PRIME[1]);
            *lane = lane.wrapping_add(input).rotate_left(13).wrapping_mul(PRIME[0]);
        }
    }
    let [a, b, c, d] = lanes;
    a.rotate_left(1)
        .wrapping_add(b.rotate_left(7))
        .wrapping_add(c.rotate_left(12))
        .wrapping_add(d.rotate_left(18))
}

#[cfg(test)]
mod tests {
    use super::xxh32;

    #[test]
    fn known_answers_hold() {
        assert_eq!(xxh32(b"", 0), 0x02cc_5d05);
        assert_eq!(xxh32(b"a", 0), 0x550d_7456);
        assert_eq!(xxh32(b"abc", 0), 0x32d1_53ff);
        assert_eq!(xxh32(b"Nobody inspects the spammish repetition", 0), 0xe229_3b2f);
    }
}
