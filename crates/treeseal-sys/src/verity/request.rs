//! The three requests, with their structs.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::ioctl::{Opcode, opcode};
use treeseal_verity::Params;

use crate::ioctl::request;

/// What the kernel keeps of a file's fs-verity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerityMetadata {
    /// The hash blocks, root level first.
    MerkleTree,
    /// The descriptor that the file digest is the hash of, 256 bytes.
    Descriptor,
    /// The built-in signature, if one was given.
    Signature,
}

const ENABLE: Opcode = opcode::write::<EnableArgument>(b'f', 133);
/// The number counts the head alone, without the room for the digest behind it.
const MEASURE: Opcode = opcode::read_write::<[u16; 2]>(b'f', 134);
const READ_METADATA: Opcode = opcode::read_write::<MetadataArgument>(b'f', 135);

/// `struct fsverity_enable_arg`.
#[repr(C)]
#[derive(Default)]
struct EnableArgument {
    version: u32,
    hash_algorithm: u32,
    block_size: u32,
    salt_size: u32,
    salt_address: u64,
    signature_size: u32,
    reserved_1: u32,
    signature_address: u64,
    reserved_2: [u64; 11],
}

/// `struct fsverity_digest` with room for the longest digest.
#[repr(C)]
pub(super) struct Measured {
    /// Number of the algorithm.
    pub(super) algorithm: u16,
    /// Before the request the room, after it the bytes that are used.
    pub(super) size: u16,
    pub(super) digest: [u8; 64],
}

/// `struct fsverity_read_metadata_arg`.
#[repr(C)]
struct MetadataArgument {
    kind: u64,
    offset: u64,
    length: u64,
    buffer_address: u64,
    reserved: u64,
}

pub(super) fn enable(file: BorrowedFd<'_>, params: &Params) -> Result<(), Errno> {
    let number = |value: usize| u32::try_from(value).map_err(|_| Errno::INVAL);
    let mut argument = EnableArgument {
        version: 1,
        hash_algorithm: params.algorithm().kernel_number().into(),
        block_size: number(params.block_size())?,
        salt_size: number(params.salt().len())?,
        salt_address: params.salt().as_ptr().expose_provenance() as u64,
        ..EnableArgument::default()
    };
    // SAFETY: FS_IOC_ENABLE_VERITY reads this struct, and `salt_size` bytes of the salt, which `params`
    // holds until the call is over. There is no signature.
    unsafe { request(file, ENABLE, &mut argument) }.map(|_| ())
}

pub(super) fn measure(file: BorrowedFd<'_>) -> Result<Measured, Errno> {
    let mut measured = Measured { algorithm: 0, size: 64, digest: [0; 64] };
    // SAFETY: FS_IOC_MEASURE_VERITY reads the size, and writes this struct and at most that many bytes
    // of digest behind its head; it fails where the digest is longer.
    unsafe { request(file, MEASURE, &mut measured) }?;
    Ok(measured)
}

pub(super) fn read_metadata(
    file: BorrowedFd<'_>,
    kind: VerityMetadata,
    offset: u64,
    buffer: &mut [u8],
) -> Result<usize, Errno> {
    let mut argument = MetadataArgument {
        kind: match kind {
            VerityMetadata::MerkleTree => 1,
            VerityMetadata::Descriptor => 2,
            VerityMetadata::Signature => 3,
        },
        offset,
        length: buffer.len() as u64,
        buffer_address: buffer.as_mut_ptr().expose_provenance() as u64,
        reserved: 0,
    };
    // SAFETY: FS_IOC_READ_VERITY_METADATA reads this struct and writes at most `length` bytes at
    // `buffer_address`: `buffer`, which is borrowed until the call is over.
    let read = unsafe { request(file, READ_METADATA, &mut argument) }?;
    usize::try_from(read).ok().filter(|read| *read <= buffer.len()).ok_or(Errno::OVERFLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_kernels_numbers() {
        let numbers = [ENABLE, MEASURE, READ_METADATA].map(u64::from);
        assert_eq!(numbers, [0x4080_6685, 0xc004_6686, 0xc028_6687]);
    }
}
