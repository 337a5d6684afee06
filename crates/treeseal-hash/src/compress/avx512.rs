//! The operations of AVX-512 for [`lane_kernel!`](super::lanes): vectors of 512 bits, and of 256
//! bits for fewer messages.
//!
//! AVX-512 has what SHA-2 wants: rotations, and any function of three bits in one instruction, so
//! that the two sums, choice and majority are one instruction each beyond their rotations.

use core::arch::x86_64::{
    __m256i, __m512i, _mm_set_epi64x, _mm256_add_epi32, _mm256_add_epi64, _mm256_ror_epi32,
    _mm256_ror_epi64, _mm256_srli_epi32, _mm256_srli_epi64, _mm256_ternarylogic_epi32,
    _mm512_add_epi32, _mm512_add_epi64, _mm512_broadcast_i32x4, _mm512_loadu_si512,
    _mm512_ror_epi32, _mm512_ror_epi64, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_setzero_si512,
    _mm512_shuffle_epi8, _mm512_shuffle_i32x4, _mm512_srli_epi32, _mm512_srli_epi64,
    _mm512_storeu_si512, _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::avx2;
use super::lanes::lane_kernel;
use super::sixteen_times::sixteen_times;

/// Proof that the processor has the instructions used here. Only [`Token::detect`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(());

impl Token {
    pub(super) fn detect() -> Option<Self> {
        let present = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        present.then_some(Self(()))
    }
}

/// From one state, works each lane's data and then the tail; see [`sixteen::hash_lanes`].
pub(super) fn sha256_of_16(
    _proof: Token,
    initial: &[u32; 8],
    data: [&[u8]; 16],
    tail: &[u8],
) -> [[u32; 16]; 8] {
    // SAFETY: the token proves that the processor has `avx512f`, `avx512bw` and `avx512vl`, the
    // features that `hash_lanes` is compiled for. It has no other requirement.
    unsafe { sixteen::hash_lanes(initial, data, tail) }
}

/// From one state, works each lane's data and then the tail; see [`eight::hash_lanes`].
pub(super) fn sha256_of_8(
    _proof: Token,
    initial: &[u32; 8],
    data: [&[u8]; 8],
    tail: &[u8],
) -> [[u32; 8]; 8] {
    // SAFETY: the token proves that the processor has `avx512f`, `avx512bw` and `avx512vl`, the
    // features that `hash_lanes` is compiled for. It has no other requirement.
    unsafe { eight::hash_lanes(initial, data, tail) }
}

/// From one state, works each lane's data and then the tail; see [`eight_wide::hash_lanes`].
pub(super) fn sha512_of_8(
    _proof: Token,
    initial: &[u64; 8],
    data: [&[u8]; 8],
    tail: &[u8],
) -> [[u64; 8]; 8] {
    // SAFETY: the token proves that the processor has `avx512f`, `avx512bw` and `avx512vl`, the
    // features that `hash_lanes` is compiled for. It has no other requirement.
    unsafe { eight_wide::hash_lanes(initial, data, tail) }
}

/// From one state, works each lane's data and then the tail; see [`four::hash_lanes`].
pub(super) fn sha512_of_4(
    _proof: Token,
    initial: &[u64; 8],
    data: [&[u8]; 4],
    tail: &[u8],
) -> [[u64; 4]; 8] {
    // SAFETY: the token proves that the processor has `avx512f`, `avx512bw` and `avx512vl`, the
    // features that `hash_lanes` is compiled for. It has no other requirement.
    unsafe { four::hash_lanes(initial, data, tail) }
}

// The truth tables of `vpternlog`: bit 4x + 2y + z is the function of the bits x, y and z.
const XOR3: i32 = 0b1001_0110;
const CHOICE: i32 = 0b1100_1010;
const MAJORITY: i32 = 0b1110_1000;

lane_kernel! {
    /// SHA-256 of sixteen messages.
    mod sixteen: sha256, features "avx512f,avx512bw,avx512vl",
    16 lanes of __m512i,
    add _mm512_add_epi32, rotate _mm512_ror_epi32, shift _mm512_srli_epi32,
    xor3 xor3, choice choice, majority majority,
    splat splat_u32, row row_u32, transposed transposed_u32, store store_u32,
}

lane_kernel! {
    /// SHA-512 of eight messages.
    mod eight_wide: sha512, features "avx512f,avx512bw,avx512vl",
    8 lanes of __m512i,
    add _mm512_add_epi64, rotate _mm512_ror_epi64, shift _mm512_srli_epi64,
    xor3 xor3, choice choice, majority majority,
    splat splat_u64, row row_u64, transposed transposed_u64, store store_u64,
}

lane_kernel! {
    /// SHA-256 of eight messages, in half as long vectors.
    mod eight: sha256, features "avx512f,avx512bw,avx512vl",
    8 lanes of __m256i,
    add _mm256_add_epi32, rotate _mm256_ror_epi32, shift _mm256_srli_epi32,
    xor3 xor3_short, choice choice_short, majority majority_short,
    splat avx2::splat_u32, row avx2::row_u32,
    transposed avx2::transposed_u32, store avx2::store_u32,
}

lane_kernel! {
    /// SHA-512 of four messages, in half as long vectors.
    mod four: sha512, features "avx512f,avx512bw,avx512vl",
    4 lanes of __m256i,
    add _mm256_add_epi64, rotate _mm256_ror_epi64, shift _mm256_srli_epi64,
    xor3 xor3_short, choice choice_short, majority majority_short,
    splat avx2::splat_u64, row avx2::row_u64,
    transposed avx2::transposed_u64, store avx2::store_u64,
}

#[target_feature(enable = "avx512f")]
#[inline]
fn xor3(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<XOR3>(x, y, z)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn choice(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<CHOICE>(x, y, z)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn majority(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<MAJORITY>(x, y, z)
}

#[target_feature(enable = "avx512f,avx512vl")]
#[inline]
fn xor3_short(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_ternarylogic_epi32::<XOR3>(x, y, z)
}

#[target_feature(enable = "avx512f,avx512vl")]
#[inline]
fn choice_short(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_ternarylogic_epi32::<CHOICE>(x, y, z)
}

#[target_feature(enable = "avx512f,avx512vl")]
#[inline]
fn majority_short(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_ternarylogic_epi32::<MAJORITY>(x, y, z)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn splat_u32(word: u32) -> __m512i {
    _mm512_set1_epi32(word.cast_signed())
}

#[target_feature(enable = "avx512f")]
#[inline]
fn splat_u64(word: u64) -> __m512i {
    _mm512_set1_epi64(word.cast_signed())
}

/// The words of an input block, which is one vector.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn row_u32(block: &[u8; 64], _part: usize) -> __m512i {
    let order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    _mm512_shuffle_epi8(load(block), _mm512_broadcast_i32x4(order))
}

/// Eight of the sixteen words of an input block.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn row_u64(block: &[u8; 128], part: usize) -> __m512i {
    let order = _mm_set_epi64x(0x0809_0a0b_0c0d_0e0f, 0x0001_0203_0405_0607);
    let (halves, _) = block.as_chunks::<64>();
    _mm512_shuffle_epi8(load(&halves[part]), _mm512_broadcast_i32x4(order))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: `bytes` is 64 readable bytes; the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store_u32(vector: __m512i) -> [u32; 16] {
    let mut words = [0; 16];
    // SAFETY: `words` is sixteen writable `u32`, 64 bytes; the store needs no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) };
    words
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store_u64(vector: __m512i) -> [u64; 8] {
    let mut words = [0; 8];
    // SAFETY: `words` is eight writable `u64`, 64 bytes; the store needs no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) };
    words
}

/// A square of sixteen by sixteen words with rows and columns exchanged: squares of two words,
/// then of four, then whole quarters of the vectors.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed_u32(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut words = [_mm512_setzero_si512(); 16];
    // Quarter q of `fours[c][j]` is column 4q + c of rows 4j to 4j + 3.
    let mut fours = [[_mm512_setzero_si512(); 4]; 4];
    for (j, &[r0, r1, r2, r3]) in rows.as_chunks::<4>().0.iter().enumerate() {
        let (low01, high01) = (_mm512_unpacklo_epi32(r0, r1), _mm512_unpackhi_epi32(r0, r1));
        let (low23, high23) = (_mm512_unpacklo_epi32(r2, r3), _mm512_unpackhi_epi32(r2, r3));
        fours[0][j] = _mm512_unpacklo_epi64(low01, low23);
        fours[1][j] = _mm512_unpackhi_epi64(low01, low23);
        fours[2][j] = _mm512_unpacklo_epi64(high01, high23);
        fours[3][j] = _mm512_unpackhi_epi64(high01, high23);
    }
    for (c, four) in fours.into_iter().enumerate() {
        for (q, vector) in transposed_quarters(four).into_iter().enumerate() {
            words[4 * q + c] = vector;
        }
    }
    words
}

/// As [`transposed_u32`], for eight by eight words.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed_u64(rows: [__m512i; 8]) -> [__m512i; 8] {
    let mut words = [_mm512_setzero_si512(); 8];
    // Quarter q of `twos[c][j]` is column 2q + c of rows 2j and 2j + 1.
    let mut twos = [[_mm512_setzero_si512(); 4]; 2];
    for (j, &[r0, r1]) in rows.as_chunks::<2>().0.iter().enumerate() {
        twos[0][j] = _mm512_unpacklo_epi64(r0, r1);
        twos[1][j] = _mm512_unpackhi_epi64(r0, r1);
    }
    for (c, two) in twos.into_iter().enumerate() {
        for (q, vector) in transposed_quarters(two).into_iter().enumerate() {
            words[2 * q + c] = vector;
        }
    }
    words
}

/// A square of four by four quarters of vectors with rows and columns exchanged.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed_quarters([r0, r1, r2, r3]: [__m512i; 4]) -> [__m512i; 4] {
    // Picks quarters 0 and 2, or 1 and 3, of each operand.
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    let even01 = _mm512_shuffle_i32x4::<EVEN>(r0, r1);
    let even23 = _mm512_shuffle_i32x4::<EVEN>(r2, r3);
    let odd01 = _mm512_shuffle_i32x4::<ODD>(r0, r1);
    let odd23 = _mm512_shuffle_i32x4::<ODD>(r2, r3);
    [
        _mm512_shuffle_i32x4::<EVEN>(even01, even23),
        _mm512_shuffle_i32x4::<EVEN>(odd01, odd23),
        _mm512_shuffle_i32x4::<ODD>(even01, even23),
        _mm512_shuffle_i32x4::<ODD>(odd01, odd23),
    ]
}
