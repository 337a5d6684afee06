//! Nanoseconds a byte for runs of so many blocks of 4096 bytes, with each implementation that this
//! processor has. The least of many rounds: what else runs on the machine only adds.
//!
//! `cargo run --release -p treeseal-hash --example hash_speed`

#![allow(clippy::print_stdout, reason = "its result is what it prints")]

use std::time::{Duration, Instant};

use treeseal_hash::{BlockHasher, HashAlgorithm, Implementation};

const BLOCK: usize = 4096;
const RUNS: [usize; 10] = [1, 2, 3, 4, 6, 8, 10, 12, 16, 128];
const ROUNDS: usize = 2000;

fn main() {
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
        print!("{:>16}", algorithm.to_string());
        RUNS.iter().for_each(|run| print!("{run:>7}"));
        println!(" blocks");
        for implementation in Implementation::available() {
            let hasher = BlockHasher::with_implementation(algorithm, &[], implementation);
            print!("{:>16}", implementation.name());
            RUNS.iter().for_each(|&run| print!("{:>7.3}", nanoseconds_a_byte(&hasher, run)));
            println!();
        }
    }
}

fn nanoseconds_a_byte(hasher: &BlockHasher, run: usize) -> f64 {
    let data: Vec<u8> = (0..=u8::MAX).cycle().take(run * BLOCK).collect();
    let mut out = vec![0; run * hasher.algorithm().digest_size()];
    let mut least = Duration::MAX;
    for _ in 0..ROUNDS / run.min(20) {
        let start = Instant::now();
        hasher.hash_blocks(&data, BLOCK, &mut out);
        least = least.min(start.elapsed());
    }
    std::hint::black_box(out);
    least.as_secs_f64() * 1e9 / (run * BLOCK) as f64
}
