//! The operations of AVX2 for [`lane_kernel!`](super::lanes): vectors of 256 bits.
//!
//! There are no rotations and no functions of three operands, so a round takes twice as many
//! instructions as with AVX-512, and the sixteen registers do not hold the schedule.

use core::arch::x86_64::{
    __m256i, _mm_cvtsi32_si128, _mm_set_epi64x, _mm256_add_epi32, _mm256_add_epi64,
    _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_loadu_si256, _mm256_or_si256,
    _mm256_permute2x128_si256, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_sll_epi32, _mm256_sll_epi64, _mm256_srli_epi32, _mm256_srli_epi64,
    _mm256_storeu_si256, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32,
    _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use super::lanes::lane_kernel;
use super::sixteen_times::sixteen_times;

/// Proof that the processor has the instructions used here. Only [`Token::detect`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(());

impl Token {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

/// From one state, works each lane's data and then the tail; see [`eight::hash_lanes`].
pub(super) fn sha256_of_8(
    _proof: Token,
    initial: &[u32; 8],
    data: [&[u8]; 8],
    tail: &[u8],
) -> [[u32; 8]; 8] {
    // SAFETY: the token proves that the processor has `avx2`, the feature that `hash_lanes` is compiled for. It has no other requirement.
    unsafe { eight::hash_lanes(initial, data, tail) }
}

/// From one state, works each lane's data and then the tail; see [`four::hash_lanes`].
pub(super) fn sha512_of_4(
    _proof: Token,
    initial: &[u64; 8],
    data: [&[u8]; 4],
    tail: &[u8],
) -> [[u64; 4]; 8] {
    // SAFETY: the token proves that the processor has `avx2`, the feature that `hash_lanes` is compiled for. It has no other requirement.
    unsafe { four::hash_lanes(initial, data, tail) }
}

lane_kernel! {
    /// SHA-256 of eight messages.
    mod eight: sha256, features "avx2",
    8 lanes of __m256i,
    add _mm256_add_epi32, rotate rotate_u32, shift _mm256_srli_epi32,
    xor3 xor3, choice choice, majority majority,
    splat splat_u32, row row_u32, transposed transposed_u32, store store_u32,
}

lane_kernel! {
    /// SHA-512 of four messages.
    mod four: sha512, features "avx2",
    4 lanes of __m256i,
    add _mm256_add_epi64, rotate rotate_u64, shift _mm256_srli_epi64,
    xor3 xor3, choice choice, majority majority,
    splat splat_u64, row row_u64, transposed transposed_u64, store store_u64,
}

/// A rotation to the right. The count of the shift to the left is an operand and no constant for
/// the type system only; the compiler sees that it is one.
#[target_feature(enable = "avx2")]
#[inline]
fn rotate_u32<const COUNT: i32>(x: __m256i) -> __m256i {
    let left = _mm256_sll_epi32(x, _mm_cvtsi32_si128(32 - COUNT));
    _mm256_or_si256(_mm256_srli_epi32::<COUNT>(x), left)
}

#[target_feature(enable = "avx2")]
#[inline]
fn rotate_u64<const COUNT: i32>(x: __m256i) -> __m256i {
    let left = _mm256_sll_epi64(x, _mm_cvtsi32_si128(64 - COUNT));
    _mm256_or_si256(_mm256_srli_epi64::<COUNT>(x), left)
}

#[target_feature(enable = "avx2")]
#[inline]
fn xor3(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_xor_si256(_mm256_xor_si256(x, y), z)
}

#[target_feature(enable = "avx2")]
#[inline]
fn choice(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_xor_si256(z, _mm256_and_si256(x, _mm256_xor_si256(y, z)))
}

#[target_feature(enable = "avx2")]
#[inline]
fn majority(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_or_si256(_mm256_and_si256(x, y), _mm256_and_si256(z, _mm256_or_si256(x, y)))
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn splat_u32(word: u32) -> __m256i {
    _mm256_set1_epi32(word.cast_signed())
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn splat_u64(word: u64) -> __m256i {
    _mm256_set1_epi64x(word.cast_signed())
}

/// Eight of the sixteen words of an input block.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn row_u32(block: &[u8; 64], part: usize) -> __m256i {
    let order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let (parts, _) = block.as_chunks::<32>();
    _mm256_shuffle_epi8(load(&parts[part]), _mm256_broadcastsi128_si256(order))
}

/// Four of the sixteen words of an input block.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn row_u64(block: &[u8; 128], part: usize) -> __m256i {
    let order = _mm_set_epi64x(0x0809_0a0b_0c0d_0e0f, 0x0001_0203_0405_0607);
    let (parts, _) = block.as_chunks::<32>();
    _mm256_shuffle_epi8(load(&parts[part]), _mm256_broadcastsi128_si256(order))
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: `bytes` is 32 readable bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn store_u32(vector: __m256i) -> [u32; 8] {
    let mut words = [0; 8];
    // SAFETY: `words` is eight writable `u32`, 32 bytes; the store needs no alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) };
    words
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn store_u64(vector: __m256i) -> [u64; 4] {
    let mut words = [0; 4];
    // SAFETY: `words` is four writable `u64`, 32 bytes; the store needs no alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) };
    words
}

/// A square of eight by eight words with rows and columns exchanged: squares of two words, then of
/// four, then whole halves of the vectors.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn transposed_u32(rows: [__m256i; 8]) -> [__m256i; 8] {
    let mut words = [_mm256_setzero_si256(); 8];
    // Half h of `fours[c][j]` is column 4h + c of rows 4j to 4j + 3.
    let mut fours = [[_mm256_setzero_si256(); 2]; 4];
    for (j, &[r0, r1, r2, r3]) in rows.as_chunks::<4>().0.iter().enumerate() {
        let (low01, high01) = (_mm256_unpacklo_epi32(r0, r1), _mm256_unpackhi_epi32(r0, r1));
        let (low23, high23) = (_mm256_unpacklo_epi32(r2, r3), _mm256_unpackhi_epi32(r2, r3));
        fours[0][j] = _mm256_unpacklo_epi64(low01, low23);
        fours[1][j] = _mm256_unpackhi_epi64(low01, low23);
        fours[2][j] = _mm256_unpacklo_epi64(high01, high23);
        fours[3][j] = _mm256_unpackhi_epi64(high01, high23);
    }
    for (c, four) in fours.into_iter().enumerate() {
        [words[c], words[4 + c]] = transposed_halves(four);
    }
    words
}

/// As [`transposed_u32`], for four by four words.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn transposed_u64([r0, r1, r2, r3]: [__m256i; 4]) -> [__m256i; 4] {
    let even = [_mm256_unpacklo_epi64(r0, r1), _mm256_unpacklo_epi64(r2, r3)];
    let odd = [_mm256_unpackhi_epi64(r0, r1), _mm256_unpackhi_epi64(r2, r3)];
    let ([word0, word2], [word1, word3]) = (transposed_halves(even), transposed_halves(odd));
    [word0, word1, word2, word3]
}

/// The first halves of two vectors, and the second halves.
#[target_feature(enable = "avx2")]
#[inline]
fn transposed_halves([r0, r1]: [__m256i; 2]) -> [__m256i; 2] {
    [_mm256_permute2x128_si256::<0x20>(r0, r1), _mm256_permute2x128_si256::<0x31>(r0, r1)]
}
