//! The compression functions of SHA-256 and SHA-512 behind one choice of implementation.
//!
//! A run of blocks is worked off piece by piece: [`State::hash_some`] looks how many blocks are
//! left and takes as many as one call of some code hashes best. Lanes that a piece does not fill
//! hash its first block once more, which is cheaper than many lanes' worth of code for one message
//! at a time; from how many blocks on was measured (`docs/architecture.md`, "How blocks are
//! hashed").

#[cfg(target_arch = "aarch64")]
mod armv8;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod implementation;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod portable;
#[cfg(target_arch = "x86_64")]
mod sha_ni;
mod sixteen_times;

use crate::HashAlgorithm;

pub use implementation::{AlreadyForced, Implementation, UnknownImplementation, force};

/// The chaining value of a hash function.
#[derive(Clone, Copy)]
pub(crate) enum State {
    Sha256([u32; 8]),
    Sha512([u64; 8]),
}

/// A run of equal-sized messages, and what is hashed behind each: its padding.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) data: &'a [u8],
    /// Whole input blocks.
    pub(crate) block_size: usize,
    /// Whole input blocks.
    pub(crate) tail: &'a [u8],
}

impl State {
    /// The initial hash value: FIPS 180-4 section 5.3.
    pub(crate) const fn initial(algorithm: HashAlgorithm) -> Self {
        match algorithm {
            HashAlgorithm::Sha256 => Self::Sha256(portable::SHA256_INITIAL),
            HashAlgorithm::Sha512 => Self::Sha512(portable::SHA512_INITIAL),
        }
    }

    /// Works whole input blocks into the state. `data` is a multiple of the input block size.
    pub(crate) fn compress(&mut self, implementation: Implementation, data: &[u8]) {
        match (self, implementation) {
            #[cfg(target_arch = "x86_64")]
            (
                Self::Sha256(state),
                Implementation::ShaNi(proof) | Implementation::Avx512ShaNi(_, proof),
            ) => sha_ni::compress(proof, [state], [data]),
            #[cfg(target_arch = "aarch64")]
            (Self::Sha256(state), Implementation::Armv8(proof, _)) => {
                armv8::compress_sha256(proof, [state], [data]);
            }
            #[cfg(target_arch = "aarch64")]
            (Self::Sha512(state), Implementation::Armv8(_, Some(proof))) => {
                armv8::compress_sha512(proof, [state], [data]);
            }
            (Self::Sha256(state), _) => portable::compress_sha256(state, data),
            (Self::Sha512(state), _) => portable::compress_sha512(state, data),
        }
    }

    /// From this state, hashes the first messages of a run that is not empty, as many as are best
    /// hashed at once. Writes their digests to `out` one after another and gives their number.
    pub(crate) fn hash_some(
        &self,
        implementation: Implementation,
        run: Run<'_>,
        out: &mut [u8],
    ) -> usize {
        #[cfg(target_arch = "x86_64")]
        let written = self.hash_some_x86_64(implementation, run, out);
        #[cfg(target_arch = "aarch64")]
        let written = self.hash_some_aarch64(implementation, run, out);
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let written = None;
        written.unwrap_or_else(|| self.hash_one(implementation, run, out))
    }

    #[cfg(target_arch = "x86_64")]
    fn hash_some_x86_64(
        &self,
        implementation: Implementation,
        run: Run<'_>,
        out: &mut [u8],
    ) -> Option<usize> {
        use Implementation::{Avx2, Avx512, Avx512ShaNi, ShaNi};

        let tail = run.tail;
        Some(match (self, implementation, run.count()) {
            (Self::Sha256(state), Avx512(proof), 9..)
            | (Self::Sha256(state), Avx512ShaNi(proof, _), 16..) => {
                write(&avx512::sha256_of_16(proof, state, run.lanes(), tail), out)
            }
            (Self::Sha256(state), Avx512(proof), _) => {
                write(&avx512::sha256_of_8(proof, state, run.lanes(), tail), out)
            }
            (Self::Sha256(state), Avx2(proof), 2..) => {
                write(&avx2::sha256_of_8(proof, state, run.lanes(), tail), out)
            }
            (Self::Sha256(state), ShaNi(proof) | Avx512ShaNi(_, proof), 3..) => {
                write(&sha_ni::sha256_of::<4>(proof, state, run.lanes(), tail), out)
            }
            (Self::Sha256(state), ShaNi(proof) | Avx512ShaNi(_, proof), 2) => {
                write(&sha_ni::sha256_of::<2>(proof, state, run.lanes(), tail), out)
            }
            (Self::Sha512(state), Avx512(proof) | Avx512ShaNi(proof, _), 5..) => {
                write(&avx512::sha512_of_8(proof, state, run.lanes(), tail), out)
            }
            (Self::Sha512(state), Avx512(proof) | Avx512ShaNi(proof, _), _) => {
                write(&avx512::sha512_of_4(proof, state, run.lanes(), tail), out)
            }
            (Self::Sha512(state), Avx2(proof), 2..) => {
                write(&avx2::sha512_of_4(proof, state, run.lanes(), tail), out)
            }
            _ => return None,
        })
    }

    #[cfg(target_arch = "aarch64")]
    fn hash_some_aarch64(
        &self,
        implementation: Implementation,
        run: Run<'_>,
        out: &mut [u8],
    ) -> Option<usize> {
        if run.count() < 2 {
            return None;
        }
        match (self, implementation) {
            (Self::Sha256(state), Implementation::Armv8(proof, _)) => {
                let mut states = [*state; 2];
                armv8::compress_sha256(proof, states.each_mut(), run.lanes());
                armv8::compress_sha256(proof, states.each_mut(), [run.tail; 2]);
                Some(write(&by_word(&states), out))
            }
            (Self::Sha512(state), Implementation::Armv8(_, Some(proof))) => {
                let mut states = [*state; 2];
                armv8::compress_sha512(proof, states.each_mut(), run.lanes());
                armv8::compress_sha512(proof, states.each_mut(), [run.tail; 2]);
                Some(write(&by_word(&states), out))
            }
            _ => None,
        }
    }

    fn hash_one(&self, implementation: Implementation, run: Run<'_>, out: &mut [u8]) -> usize {
        let mut state = *self;
        state.compress(implementation, &run.data[..run.block_size]);
        state.compress(implementation, run.tail);
        match state {
            Self::Sha256(words) => write(&words.map(|word| [word]), out),
            Self::Sha512(words) => write(&words.map(|word| [word]), out),
        }
    }

    /// Writes the digest. `out` is exactly as long as a digest of the state's algorithm.
    pub(crate) fn write_digest(&self, out: &mut [u8]) {
        match self {
            Self::Sha256(words) => write(&words.map(|word| [word]), out),
            Self::Sha512(words) => write(&words.map(|word| [word]), out),
        };
    }
}

impl<'a> Run<'a> {
    fn count(&self) -> usize {
        self.data.len() / self.block_size
    }

    /// The first messages; where there are fewer, the first again.
    fn lanes<const LANES: usize>(&self) -> [&'a [u8]; LANES] {
        let mut messages = self.data.chunks_exact(self.block_size);
        let mut lanes = [&self.data[..self.block_size]; LANES];
        for (lane, message) in lanes.iter_mut().zip(&mut messages) {
            *lane = message;
        }
        lanes
    }
}

/// A word of a state, written with its highest byte first.
trait Word: Copy {
    fn write(self, out: &mut [u8]);
}

impl Word for u32 {
    fn write(self, out: &mut [u8]) {
        out.copy_from_slice(&self.to_be_bytes());
    }
}

impl Word for u64 {
    fn write(self, out: &mut [u8]) {
        out.copy_from_slice(&self.to_be_bytes());
    }
}

/// Writes the digests of the first lanes, as many as `out` has room for; gives their number.
fn write<W: Word, const LANES: usize>(state: &[[W; LANES]; 8], out: &mut [u8]) -> usize {
    let word_size = size_of::<W>();
    let mut written = 0;
    for (lane, digest) in (0..LANES).zip(out.chunks_exact_mut(8 * word_size)) {
        for (word, bytes) in state.iter().zip(digest.chunks_exact_mut(word_size)) {
            word[lane].write(bytes);
        }
        written += 1;
    }
    written
}

/// From states one after another to what vectors hold: word by word, each of all lanes.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn by_word<W: Word, const LANES: usize>(states: &[[W; 8]; LANES]) -> [[W; LANES]; 8] {
    core::array::from_fn(|word| states.map(|state| state[word]))
}
