//! SHA-256 and SHA-512 with the cryptographic extensions of ARMv8.
//!
//! As with the SHA extensions of x86-64, each step of a message waits for the one before it, so
//! independent messages are interleaved. Two lanes fit the 32 vector registers for either
//! algorithm. The choice of two comes from there; it has not been measured.

use core::arch::aarch64::{
    uint32x4_t, uint64x2_t, vaddq_u32, vaddq_u64, vdupq_n_u32, vdupq_n_u64, vextq_u64, vld1q_u8,
    vld1q_u32, vld1q_u64, vreinterpretq_u32_u8, vreinterpretq_u64_u8, vrev32q_u8, vrev64q_u8,
    vsha256h2q_u32, vsha256hq_u32, vsha256su0q_u32, vsha256su1q_u32, vsha512h2q_u64, vsha512hq_u64,
    vsha512su0q_u64, vsha512su1q_u64, vst1q_u32, vst1q_u64,
};
use std::arch::is_aarch64_feature_detected;

use super::portable::{SHA256_ROUND, SHA512_ROUND};

/// Proof that the processor has the instructions for SHA-256. Only [`Token::detect`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(());

/// Proof that the processor has the instructions for SHA-512, which came later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sha512Token(());

impl Token {
    pub(super) fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("sha2").then_some(Self(()))
    }
}

impl Sha512Token {
    pub(super) fn detect() -> Option<Self> {
        // This name stands for the instructions of SHA-512 and of SHA-3.
        is_aarch64_feature_detected!("sha3").then_some(Self(()))
    }
}

/// Works the 64-byte blocks of each lane's data into its state. All lanes are equally long.
pub(super) fn compress_sha256<const LANES: usize>(
    _proof: Token,
    states: [&mut [u32; 8]; LANES],
    data: [&[u8]; LANES],
) {
    // SAFETY: the token proves that the processor has `sha2`, the feature that `sha256_lanes` is
    // compiled for. It has no other requirement.
    unsafe { sha256_lanes(states, data) }
}

/// Works the 128-byte blocks of each lane's data into its state. All lanes are equally long.
pub(super) fn compress_sha512<const LANES: usize>(
    _proof: Sha512Token,
    states: [&mut [u64; 8]; LANES],
    data: [&[u8]; LANES],
) {
    // SAFETY: the token proves that the processor has `sha3`, the feature that `sha512_lanes` is
    // compiled for. It has no other requirement.
    unsafe { sha512_lanes(states, data) }
}

#[target_feature(enable = "sha2")]
fn sha256_lanes<const LANES: usize>(states: [&mut [u32; 8]; LANES], data: [&[u8]; LANES]) {
    let mut packed = [[vdupq_n_u32(0); 2]; LANES];
    for (vectors, state) in packed.iter_mut().zip(&states) {
        let (halves, _) = state.as_chunks::<4>();
        *vectors = [load_u32(&halves[0]), load_u32(&halves[1])];
    }
    let blocks = data.map(|lane| lane.as_chunks::<64>().0);
    for index in 0..blocks.iter().map(|lane| lane.len()).min().unwrap_or(0) {
        sha256_block(&mut packed, blocks.map(|lane| &lane[index]));
    }
    for (state, vectors) in states.into_iter().zip(packed) {
        let (halves, _) = state.as_chunks_mut::<4>();
        for (half, vector) in halves.iter_mut().zip(vectors) {
            store_u32(half, vector);
        }
    }
}

/// One input block in each lane: FIPS 180-4 section 6.2.2, four rounds a step. The two vectors of a
/// state are a to d and e to h.
#[target_feature(enable = "sha2")]
#[inline]
fn sha256_block<const LANES: usize>(
    states: &mut [[uint32x4_t; 2]; LANES],
    blocks: [&[u8; 64]; LANES],
) {
    let before = *states;
    // The last sixteen words of each lane's message schedule, as a ring of four vectors.
    let mut schedule = [[vdupq_n_u32(0); 4]; LANES];
    for (words, block) in schedule.iter_mut().zip(blocks) {
        for (vector, bytes) in words.iter_mut().zip(block.as_chunks::<16>().0) {
            *vector = message_u32(bytes);
        }
    }
    for (step, constants) in SHA256_ROUND.as_chunks::<4>().0.iter().enumerate() {
        let constants = load_u32(constants);
        for (words, [abcd, efgh]) in schedule.iter_mut().zip(states.iter_mut()) {
            let [oldest, next, middle, newest] = [0, 1, 2, 3].map(|age| words[(step + age) % 4]);
            let input = if step < 4 {
                oldest
            } else {
                vsha256su1q_u32(vsha256su0q_u32(oldest, next), middle, newest)
            };
            words[step % 4] = input;
            let input = vaddq_u32(input, constants);
            let abcd_before = *abcd;
            *abcd = vsha256hq_u32(*abcd, *efgh, input);
            *efgh = vsha256h2q_u32(*efgh, abcd_before, input);
        }
    }
    for (state, before) in states.iter_mut().zip(before) {
        for (vector, before) in state.iter_mut().zip(before) {
            *vector = vaddq_u32(*vector, before);
        }
    }
}

#[target_feature(enable = "sha3")]
fn sha512_lanes<const LANES: usize>(states: [&mut [u64; 8]; LANES], data: [&[u8]; LANES]) {
    let mut packed = [[vdupq_n_u64(0); 4]; LANES];
    for (vectors, state) in packed.iter_mut().zip(&states) {
        for (vector, pair) in vectors.iter_mut().zip(state.as_chunks::<2>().0) {
            *vector = load_u64(pair);
        }
    }
    let blocks = data.map(|lane| lane.as_chunks::<128>().0);
    for index in 0..blocks.iter().map(|lane| lane.len()).min().unwrap_or(0) {
        sha512_block(&mut packed, blocks.map(|lane| &lane[index]));
    }
    for (state, vectors) in states.into_iter().zip(packed) {
        let (pairs, _) = state.as_chunks_mut::<2>();
        for (pair, vector) in pairs.iter_mut().zip(vectors) {
            store_u64(pair, vector);
        }
    }
}

/// One input block in each lane: FIPS 180-4 section 6.4.2, two rounds a step. The four vectors of a
/// state are a and b, c and d, e and f, g and h.
#[target_feature(enable = "sha3")]
#[inline]
fn sha512_block<const LANES: usize>(
    states: &mut [[uint64x2_t; 4]; LANES],
    blocks: [&[u8; 128]; LANES],
) {
    let before = *states;
    // The last sixteen words of each lane's message schedule, as a ring of eight vectors.
    let mut schedule = [[vdupq_n_u64(0); 8]; LANES];
    for (words, block) in schedule.iter_mut().zip(blocks) {
        for (vector, bytes) in words.iter_mut().zip(block.as_chunks::<16>().0) {
            *vector = message_u64(bytes);
        }
    }
    for (step, constants) in SHA512_ROUND.as_chunks::<2>().0.iter().enumerate() {
        let constants = load_u64(constants);
        for (words, state) in schedule.iter_mut().zip(states.iter_mut()) {
            let at = |age: usize| words[(step + age) % 8];
            let input = if step < 8 {
                at(0)
            } else {
                // Words 9 and 10 after the oldest: they lie across two vectors.
                let middle = vextq_u64::<1>(at(4), at(5));
                vsha512su1q_u64(vsha512su0q_u64(at(0), at(1)), at(7), middle)
            };
            words[step % 8] = input;
            let input = vaddq_u64(input, constants);
            let [ab, cd, ef, gh] = *state;
            // The instructions want h's sum in the lower half.
            let sum = vaddq_u64(vextq_u64::<1>(input, input), gh);
            let t1 = vsha512hq_u64(sum, vextq_u64::<1>(ef, gh), vextq_u64::<1>(cd, ef));
            *state = [vsha512h2q_u64(t1, cd, ab), ab, vaddq_u64(cd, t1), ef];
        }
    }
    for (state, before) in states.iter_mut().zip(before) {
        for (vector, before) in state.iter_mut().zip(before) {
            *vector = vaddq_u64(*vector, before);
        }
    }
}

/// Four big-endian words of a message.
#[target_feature(enable = "neon")]
#[inline]
fn message_u32(bytes: &[u8; 16]) -> uint32x4_t {
    // SAFETY: `bytes` is sixteen readable bytes; the load needs no alignment.
    let raw = unsafe { vld1q_u8(bytes.as_ptr()) };
    vreinterpretq_u32_u8(vrev32q_u8(raw))
}

/// Two big-endian words of a message.
#[target_feature(enable = "neon")]
#[inline]
fn message_u64(bytes: &[u8; 16]) -> uint64x2_t {
    // SAFETY: `bytes` is sixteen readable bytes; the load needs no alignment.
    let raw = unsafe { vld1q_u8(bytes.as_ptr()) };
    vreinterpretq_u64_u8(vrev64q_u8(raw))
}

#[target_feature(enable = "neon")]
#[inline]
fn load_u32(words: &[u32; 4]) -> uint32x4_t {
    // SAFETY: `words` is four readable `u32`, aligned as such.
    unsafe { vld1q_u32(words.as_ptr()) }
}

#[target_feature(enable = "neon")]
#[inline]
fn load_u64(words: &[u64; 2]) -> uint64x2_t {
    // SAFETY: `words` is two readable `u64`, aligned as such.
    unsafe { vld1q_u64(words.as_ptr()) }
}

#[target_feature(enable = "neon")]
#[inline]
fn store_u32(words: &mut [u32; 4], vector: uint32x4_t) {
    // SAFETY: `words` is four writable `u32`, aligned as such.
    unsafe { vst1q_u32(words.as_mut_ptr(), vector) }
}

#[target_feature(enable = "neon")]
#[inline]
fn store_u64(words: &mut [u64; 2], vector: uint64x2_t) {
    // SAFETY: `words` is two writable `u64`, aligned as such.
    unsafe { vst1q_u64(words.as_mut_ptr(), vector) }
}
