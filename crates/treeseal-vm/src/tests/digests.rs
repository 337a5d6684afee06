//! The kernel's digests beside ours.

use crate::guest::{Filesystem, Guest, Verity, run};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::path::Path;
use treeseal::verity::{Digester, FileDigest, HashAlgorithm, Params};
use treeseal_sys::{enable_verity, measure_verity};
use treeseal_testkit::{boundary_lengths, counter_words};

const ALGORITHMS: [HashAlgorithm; 2] = [HashAlgorithm::Sha256, HashAlgorithm::Sha512];

/// No salt; one that is shorter than a word; and the longest one.
const SALTS: [&[u8]; 3] = [b"", b"\xa5\x5a\x01", b"0123456789abcdefghijklmnopqrstuv"];

/// Enough for a third level with the smallest blocks of either algorithm, and to hash in emulation.
const LONGEST: usize = 1024 * 1024 + 1;

/// What must at least be compared on a filesystem that takes all block sizes.
const MANY: usize = 100;

/// Of the files one out of so many is shown to the `fsverity` tool as well: each takes a process.
const SHOWN_TO_TOOL: usize = 24;

/// What the kernel measures of a file with fs-verity is what we compute of its content: on every
/// filesystem, for every block size that it takes, and for lengths around every boundary of a tree.
pub(super) fn kernel_digests_are_ours(guest: &Guest) -> Result<()> {
    let all = [1024, 2048, 4096];
    for (filesystem, block_sizes, least) in [
        (guest.ext4(4096, Verity::On)?, &all[..], MANY),
        (guest.ext4(1024, Verity::On)?, &all[..1], 1),
        (guest.btrfs()?, &all[..], MANY),
    ] {
        let compared = compare_on(&filesystem, block_sizes);
        let compared = compared.with_context(|| filesystem.path().display().to_string())?;
        println!("{}: {compared} files", filesystem.path().display());
        ensure!(compared >= least, "{compared} files were compared, and {least} are wanted");
    }
    Ok(())
}

/// Compares files of every length, and gives their number.
fn compare_on(filesystem: &Filesystem, block_sizes: &[usize]) -> Result<usize> {
    let mut number = 0;
    for block_size in block_sizes {
        for algorithm in ALGORITHMS {
            let hashes_per_block = block_size / algorithm.digest_size();
            let lengths = boundary_lengths(*block_size, hashes_per_block, LONGEST);
            // A salt concerns every hash alike, so each length has one of them.
            for ((name, length), salt) in lengths.iter().zip(SALTS.iter().cycle()) {
                let params = Params::new(algorithm, u32::try_from(*block_size)?, salt)?;
                let file = filesystem.write(&number.to_string(), &counter_words(*length))?;
                let digest =
                    compare(&file, &params).with_context(|| format!("{name}, {params:?}"))?;
                if number % SHOWN_TO_TOOL == 0 {
                    show_to_tool(&file, &params, &digest)?;
                }
                number += 1;
            }
        }
    }
    Ok(number)
}

/// Enables fs-verity on a file, and gives the digest that the kernel and we agree on.
fn compare(path: &Path, params: &Params) -> Result<FileDigest> {
    let file = File::open(path).context("opening the file")?;
    enable_verity(&file, params).context("enabling fs-verity")?;
    let measured = measure_verity(&file).context("measuring")?;
    let computed = Digester::digest_of(params, &fs::read(path).context("reading the file")?);
    ensure!(measured == computed, "the kernel measures {measured}, we compute {computed}");
    Ok(measured)
}

/// The tool computes and measures the same: who compares is not only we.
fn show_to_tool(file: &Path, params: &Params, digest: &FileDigest) -> Result<()> {
    let mut options = vec![
        format!("--hash-alg={}", params.algorithm()),
        format!("--block-size={}", params.block_size()),
    ];
    if !params.salt().is_empty() {
        let salt: String = params.salt().iter().map(|byte| format!("{byte:02x}")).collect();
        options.push(format!("--salt={salt}"));
    }
    let path = file.to_str().context("the path is text")?;
    let computed = [vec!["digest".to_owned(), path.to_owned()], options].concat();
    for words in [computed, vec!["measure".to_owned(), path.to_owned()]] {
        let said = run("fsverity", &words)?;
        let agrees = said.contains(&format!("{}:{}", params.algorithm(), digest.to_hex()));
        ensure!(agrees, "fsverity {}: {said}, expected {}", words.join(" "), digest.to_hex());
    }
    Ok(())
}
