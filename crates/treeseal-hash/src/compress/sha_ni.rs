//! SHA-256 with the SHA extensions of x86-64.
//!
//! `sha256rnds2` has a latency of four cycles or more and each needs the one before it, so a single
//! message leaves the unit idle most of the time. Independent messages fill the gaps: every step
//! below is a short loop over lanes, which the compiler unrolls. Two lanes fit the sixteen vector
//! registers. Four do not, and still take a third less time: what is spilled is the schedule,
//! which is not waited for.

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_loadu_si128, _mm_set_epi64x,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32, _mm_storeu_si128,
};

use super::by_word;
use super::portable::SHA256_ROUND;

/// Proof that the processor has the instructions used here. Only [`Token::detect`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(());

impl Token {
    pub(super) fn detect() -> Option<Self> {
        let present = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        present.then_some(Self(()))
    }
}

/// Works the 64-byte blocks of each lane's data into its state. All lanes are equally long.
pub(super) fn compress<const LANES: usize>(
    _proof: Token,
    states: [&mut [u32; 8]; LANES],
    data: [&[u8]; LANES],
) {
    debug_assert!(data.iter().all(|lane| lane.len() == data[0].len()));
    // SAFETY: the token proves that the processor has `sha`, `ssse3` and `sse4.1`, the features
    // that `compress_lanes` is compiled for. It has no other requirement.
    unsafe { compress_lanes(states, data) }
}

/// From one state, works each lane's data and then the tail, which is the same for all, and gives
/// the states: word by word, each of all lanes.
pub(super) fn sha256_of<const LANES: usize>(
    proof: Token,
    initial: &[u32; 8],
    data: [&[u8]; LANES],
    tail: &[u8],
) -> [[u32; LANES]; 8] {
    let mut states = [*initial; LANES];
    compress(proof, states.each_mut(), data);
    compress(proof, states.each_mut(), [tail; LANES]);
    by_word(&states)
}

#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn compress_lanes<const LANES: usize>(states: [&mut [u32; 8]; LANES], data: [&[u8]; LANES]) {
    let mut packed = [[_mm_set_epi64x(0, 0); 2]; LANES];
    for lane in 0..LANES {
        packed[lane] = pack(states[lane]);
    }
    // Loops and no `map`: its closure is compiled for the feature and the function that calls it is
    // not, so neither is inlined.
    let mut lanes = [&[[0; 64]][..0]; LANES];
    for (lane, data) in lanes.iter_mut().zip(data) {
        *lane = data.as_chunks().0;
    }
    for index in 0..lanes.iter().map(|lane| lane.len()).min().unwrap_or(0) {
        let mut blocks = [&lanes[0][index]; LANES];
        for (block, lane) in blocks.iter_mut().zip(lanes) {
            *block = &lane[index];
        }
        compress_one(&mut packed, blocks);
    }
    for (state, words) in states.into_iter().zip(packed) {
        *state = unpack(words);
    }
}

/// One input block in each lane: FIPS 180-4 section 6.2.2, four rounds a step.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
#[inline]
fn compress_one<const LANES: usize>(state: &mut [[__m128i; 2]; LANES], blocks: [&[u8; 64]; LANES]) {
    let before = *state;
    // The last sixteen words of each lane's message schedule, as a ring of four vectors.
    let mut schedule = [[_mm_set_epi64x(0, 0); 4]; LANES];
    for (words, block) in schedule.iter_mut().zip(blocks) {
        *words = load_block(block);
    }
    for step in 0..16 {
        let constants = load_constants(step);
        for lane in 0..LANES {
            let words = &mut schedule[lane];
            if step >= 4 {
                let (oldest, next) = (words[step % 4], words[(step + 1) % 4]);
                let (middle, newest) = (words[(step + 2) % 4], words[(step + 3) % 4]);
                let sum = _mm_add_epi32(
                    _mm_sha256msg1_epu32(oldest, next),
                    _mm_alignr_epi8(newest, middle, 4),
                );
                words[step % 4] = _mm_sha256msg2_epu32(sum, newest);
            }
            let input = _mm_add_epi32(words[step % 4], constants);
            let [abef, cdgh] = &mut state[lane];
            *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, input);
            *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(input, 0x0e));
        }
    }
    for lane in 0..LANES {
        for half in 0..2 {
            state[lane][half] = _mm_add_epi32(state[lane][half], before[lane][half]);
        }
    }
}

#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
#[inline]
fn load_block(block: &[u8; 64]) -> [__m128i; 4] {
    // Bytes to big-endian words.
    let order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut words = [order; 4];
    for (word, part) in words.iter_mut().zip(block.as_chunks::<16>().0) {
        // SAFETY: `part` is sixteen readable bytes; the load needs no alignment.
        let raw = unsafe { _mm_loadu_si128(part.as_ptr().cast()) };
        *word = _mm_shuffle_epi8(raw, order);
    }
    words
}

#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
#[inline]
fn load_constants(step: usize) -> __m128i {
    let words = &SHA256_ROUND[4 * step..4 * step + 4];
    // SAFETY: `words` is four readable `u32`, sixteen bytes; the load needs no alignment.
    unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
}

/// From a..h to the two vectors that the instructions want, named by their lanes: ABEF and CDGH.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
#[inline]
fn pack(state: &[u32; 8]) -> [__m128i; 2] {
    // SAFETY: `state` is eight readable `u32`: two loads of sixteen bytes, without alignment.
    let (dcba, hgfe) = unsafe {
        (_mm_loadu_si128(state.as_ptr().cast()), _mm_loadu_si128(state[4..].as_ptr().cast()))
    };
    let cdab = _mm_shuffle_epi32(dcba, 0xb1);
    let efgh = _mm_shuffle_epi32(hgfe, 0x1b);
    [_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)]
}

/// The inverse of [`pack`].
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
#[inline]
fn unpack([abef, cdgh]: [__m128i; 2]) -> [u32; 8] {
    let feba = _mm_shuffle_epi32(abef, 0x1b);
    let dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    let mut state = [0; 8];
    let (low, high) = state.split_at_mut(4);
    // SAFETY: `low` and `high` are four writable `u32` each, sixteen bytes; the stores need no
    // alignment.
    unsafe {
        _mm_storeu_si128(low.as_mut_ptr().cast(), _mm_blend_epi16(feba, dchg, 0xf0));
        _mm_storeu_si128(high.as_mut_ptr().cast(), _mm_alignr_epi8(dchg, feba, 8));
    }
    state
}
