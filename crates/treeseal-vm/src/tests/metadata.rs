//! What the kernel tells of a file's fs-verity, beside what we compute.

use crate::guest::{Filesystem, Guest, Verity};
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use treeseal::verity::{Digester, Measured, Params, descriptor};
use treeseal_sys::{VerityError, VerityMetadata, enable_verity, read_verity_metadata};
use treeseal_testkit::counter_words;

/// Enough for a Merkle tree of two levels.
const SIZE: usize = 600_001;

/// Btrfs tells since this series.
const BTRFS_TELLS_SINCE: u32 = 7;

/// Merkle tree, descriptor and the missing signature are what we compute; btrfs tells nothing in older
/// kernels, and that has an error of its own.
pub(super) fn verity_metadata_is_ours(guest: &Guest) -> Result<()> {
    let (ext4, btrfs) = (guest.ext4(4096, Verity::On)?, guest.btrfs()?);
    metadata_is_ours(&ext4).context("ext4")?;
    match metadata_is_ours(&btrfs) {
        told if major_version()? >= BTRFS_TELLS_SINCE => told.context("btrfs"),
        Ok(()) => bail!("btrfs tells what it was not known to tell"),
        Err(error) => match error.downcast_ref() {
            Some(VerityError::NoMetadata) => Ok(()),
            _ => Err(error.context("btrfs")),
        },
    }
}

fn major_version() -> Result<u32> {
    let release = rustix::system::uname();
    let release = release.release().to_str().context("the release is text")?;
    let major = release.split('.').next().and_then(|major| major.parse().ok());
    major.with_context(|| format!("the kernel's release is {release}"))
}

fn metadata_is_ours(filesystem: &Filesystem) -> Result<()> {
    let (params, content) = (Params::default(), counter_words(SIZE));
    let path = filesystem.write("file", &content)?;
    let file = File::open(path).context("opening the file")?;
    enable_verity(&file, &params).context("enabling fs-verity")?;

    let mut digester = Digester::with_tree(params.clone());
    digester.update(&content);
    let Measured { size, root_hash, tree, .. } = digester.finish();
    let descriptor = descriptor(&params, size, &root_hash);
    let expected = [
        (VerityMetadata::MerkleTree, tree.context("the digester keeps the tree")?),
        (VerityMetadata::Descriptor, descriptor.to_vec()),
        (VerityMetadata::Signature, Vec::new()),
    ];
    for (kind, expected) in expected {
        let found = read_all(&file, kind)?;
        ensure!(found == expected, "{kind:?}: {} bytes, of {}", found.len(), expected.len());
    }
    Ok(())
}

fn read_all(file: &File, kind: VerityMetadata) -> Result<Vec<u8>> {
    let mut found = Vec::new();
    // Smaller than a block, so that offsets count.
    let mut buffer = [0; 1000];
    loop {
        let read = read_verity_metadata(file, kind, found.len() as u64, &mut buffer)?;
        found.extend_from_slice(buffer.get(..read).context("more than there is room for")?);
        if read == 0 {
            return Ok(found);
        }
    }
}
