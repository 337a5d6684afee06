use core::fmt;
use std::sync::OnceLock;

use crate::HashAlgorithm;
#[cfg(target_arch = "aarch64")]
use crate::compress::armv8;
#[cfg(target_arch = "x86_64")]
use crate::compress::{avx2, avx512, sha_ni};

/// Code that computes the compression functions. Every implementation gives the same digests.
///
/// A variant holds the proof that the processor can run it, which only the detection makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Implementation {
    /// Plain Rust, one block at a time, on any processor.
    Portable,
    /// The SHA extensions of x86-64 for SHA-256, up to four blocks interleaved; SHA-512 is
    /// portable.
    #[cfg(target_arch = "x86_64")]
    ShaNi(sha_ni::Token),
    /// AVX2: eight blocks at once for SHA-256, four for SHA-512.
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Token),
    /// AVX-512: sixteen blocks at once for SHA-256, eight for SHA-512; half as many of shorter runs.
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Token),
    /// AVX-512, with the SHA extensions for fewer than sixteen blocks of SHA-256.
    #[cfg(target_arch = "x86_64")]
    Avx512ShaNi(avx512::Token, sha_ni::Token),
    /// The SHA-2 instructions of ARMv8, two blocks interleaved; SHA-512 is portable on processors
    /// that have those for SHA-256 alone.
    #[cfg(target_arch = "aarch64")]
    Armv8(armv8::Token, Option<armv8::Sha512Token>),
}

static FORCED: OnceLock<Implementation> = OnceLock::new();

/// Makes [`Implementation::fastest`] this one, for the rest of the process. What was made before
/// keeps its implementation.
pub fn force(implementation: Implementation) -> Result<(), AlreadyForced> {
    FORCED.set(implementation).or_else(|_| match FORCED.get() {
        Some(forced) if *forced == implementation => Ok(()),
        _ => Err(AlreadyForced),
    })
}

/// The implementation that was [forced](force).
#[cfg(not(feature = "test-environment"))]
fn forced() -> Option<Implementation> {
    FORCED.get().copied()
}

/// The implementation that was [forced](force), or else the one that `TREESEAL_HASH` names. A wrong name ends the test program.
#[cfg(feature = "test-environment")]
fn forced() -> Option<Implementation> {
    static NAMED: OnceLock<Option<Implementation>> = OnceLock::new();
    let named = || {
        let name = std::env::var_os("TREESEAL_HASH")?;
        let found = Implementation::named(&name.to_string_lossy());
        Some(found.unwrap_or_else(|error| panic!("TREESEAL_HASH: {error}")))
    };
    FORCED.get().copied().or_else(|| *NAMED.get_or_init(named))
}

impl Implementation {
    /// The names of all implementations, those of other processors included.
    pub const NAMES: [&str; 6] = ["portable", "sha-ni", "avx2", "avx512", "avx512+sha-ni", "armv8"];

    /// Every implementation that this processor can run, the plainest first.
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let (avx512, sha_ni) = (avx512::Token::detect(), sha_ni::Token::detect());
            all.extend(sha_ni.map(Self::ShaNi));
            all.extend(avx2::Token::detect().map(Self::Avx2));
            all.extend(avx512.map(Self::Avx512));
            all.extend(
                avx512.zip(sha_ni).map(|(avx512, sha_ni)| Self::Avx512ShaNi(avx512, sha_ni)),
            );
        }
        #[cfg(target_arch = "aarch64")]
        all.extend(Self::detect_armv8());
        all
    }

    /// The implementation that runs of blocks are hashed with: the one that was [forced](force), or
    /// the fastest that this processor can run.
    pub fn fastest(algorithm: HashAlgorithm) -> Self {
        forced().map_or_else(|| Self::detect(algorithm), |forced| forced.for_algorithm(algorithm))
    }

    /// The order is fixed: a processor that has AVX-512 has it faster than anything below it, and
    /// one with SHA extensions has them at least as fast as AVX2. Measuring at the start would cost
    /// more than most commands, and differ from run to run.
    #[cfg(target_arch = "x86_64")]
    fn detect(algorithm: HashAlgorithm) -> Self {
        let sha_ni = match algorithm {
            HashAlgorithm::Sha256 => sha_ni::Token::detect(),
            HashAlgorithm::Sha512 => None,
        };
        match (avx512::Token::detect(), sha_ni) {
            (Some(avx512), Some(sha_ni)) => Self::Avx512ShaNi(avx512, sha_ni),
            (Some(avx512), None) => Self::Avx512(avx512),
            (None, Some(sha_ni)) => Self::ShaNi(sha_ni),
            (None, None) => avx2::Token::detect().map_or(Self::Portable, Self::Avx2),
        }
    }

    #[cfg(target_arch = "aarch64")]
    fn detect(algorithm: HashAlgorithm) -> Self {
        Self::detect_armv8().unwrap_or(Self::Portable).for_algorithm(algorithm)
    }

    #[cfg(target_arch = "aarch64")]
    fn detect_armv8() -> Option<Self> {
        armv8::Token::detect().map(|token| Self::Armv8(token, armv8::Sha512Token::detect()))
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn detect(_: HashAlgorithm) -> Self {
        Self::Portable
    }

    /// The implementation of this name, if this processor can run it.
    pub fn named(name: &str) -> Result<Self, UnknownImplementation> {
        Self::available()
            .into_iter()
            .find(|implementation| implementation.name() == name)
            .ok_or_else(|| UnknownImplementation { name: name.to_owned() })
    }

    /// A short name: `portable`, `sha-ni`, `avx2`, `avx512`, `avx512+sha-ni`, `armv8`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::ShaNi(_) => "sha-ni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512ShaNi(..) => "avx512+sha-ni",
            #[cfg(target_arch = "aarch64")]
            Self::Armv8(..) => "armv8",
        }
    }

    /// What remains of the implementation for one algorithm: instructions for SHA-256 alone do
    /// nothing for SHA-512.
    #[must_use]
    pub const fn for_algorithm(self, algorithm: HashAlgorithm) -> Self {
        match (algorithm, self) {
            #[cfg(target_arch = "x86_64")]
            (HashAlgorithm::Sha512, Self::ShaNi(_)) => Self::Portable,
            #[cfg(target_arch = "x86_64")]
            (HashAlgorithm::Sha512, Self::Avx512ShaNi(avx512, _)) => Self::Avx512(avx512),
            #[cfg(target_arch = "aarch64")]
            (HashAlgorithm::Sha512, Self::Armv8(_, None)) => Self::Portable,
            _ => self,
        }
    }

    /// The most blocks that are hashed at once.
    pub const fn width(self, algorithm: HashAlgorithm) -> usize {
        match (algorithm, self.for_algorithm(algorithm)) {
            (_, Self::Portable) => 1,
            #[cfg(target_arch = "x86_64")]
            (_, Self::ShaNi(_)) => 4,
            #[cfg(target_arch = "x86_64")]
            (HashAlgorithm::Sha256, Self::Avx2(_)) => 8,
            #[cfg(target_arch = "x86_64")]
            (HashAlgorithm::Sha512, Self::Avx2(_)) => 4,
            #[cfg(target_arch = "x86_64")]
            (HashAlgorithm::Sha256, Self::Avx512(_) | Self::Avx512ShaNi(..)) => 16,
            #[cfg(target_arch = "x86_64")]
            (HashAlgorithm::Sha512, Self::Avx512(_) | Self::Avx512ShaNi(..)) => 8,
            #[cfg(target_arch = "aarch64")]
            (_, Self::Armv8(..)) => 2,
        }
    }
}

/// This processor has no implementation of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownImplementation {
    name: String,
}

impl fmt::Display for UnknownImplementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name } = self;
        if Implementation::NAMES.contains(&name.as_str()) {
            write!(f, "this processor cannot run the hash implementation `{name}`")
        } else {
            let names = Implementation::NAMES.join(", ");
            write!(f, "unknown hash implementation `{name}`: expected one of {names}")
        }
    }
}

impl core::error::Error for UnknownImplementation {}

/// Another implementation was forced before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyForced;

impl fmt::Display for AlreadyForced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another hash implementation was forced before")
    }
}

impl core::error::Error for AlreadyForced {}
