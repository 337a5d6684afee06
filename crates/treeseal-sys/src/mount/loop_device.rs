use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::ioctl::Opcode;

use super::MountError;
use crate::ioctl::request;

const LOOP_CTL_GET_FREE: Opcode = 0x4c82;
const LOOP_CONFIGURE: Opcode = 0x4c0a;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// How often another device is asked for because somebody else was faster.
const ATTEMPTS: u32 = 64;

/// `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    file: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// `struct loop_info64`.
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    real_device: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// A block device of a file's content, for reading only. It is free again when the descriptor is
/// closed and nothing is mounted from it.
pub(super) fn loop_device(file: BorrowedFd<'_>) -> Result<OwnedFd, MountError> {
    let control = open("/dev/loop-control", OFlags::RDWR)?;
    for _ in 0..ATTEMPTS {
        // SAFETY: LOOP_CTL_GET_FREE takes no argument; the kernel does not look at it.
        let number = unsafe { request(control.as_fd(), LOOP_CTL_GET_FREE, &mut ()) }
            .map_err(|errno| MountError::os("get a loop device", errno))?;
        let device = open(&format!("/dev/loop{number}"), OFlags::RDONLY)?;
        match configure(device.as_fd(), file) {
            Ok(()) => return Ok(device),
            Err(Errno::BUSY) => {}
            Err(Errno::NOTTY | Errno::INVAL) => {
                return Err(MountError::Kernel { lacks: "LOOP_CONFIGURE", needed: "5.8" });
            }
            Err(errno) => return Err(MountError::os("set up a loop device", errno)),
        }
    }
    Err(MountError::os("get a loop device", Errno::BUSY))
}

fn open(path: &str, access: OFlags) -> Result<OwnedFd, MountError> {
    openat(CWD, path, access | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT | Errno::NODEV | Errno::NXIO => {
            MountError::NoLoopDevice { path: path.to_owned() }
        }
        errno => MountError::os("open a loop device", errno),
    })
}

fn configure(device: BorrowedFd<'_>, file: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut config = LoopConfig {
        file: u32::try_from(file.as_raw_fd()).map_err(|_| Errno::BADF)?,
        block_size: 0,
        info: LoopInfo {
            device: 0,
            inode: 0,
            real_device: 0,
            offset: 0,
            size_limit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR,
            file_name: [0; 64],
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: LOOP_CONFIGURE reads this struct, and takes a reference to the file of its own.
    unsafe { request(device, LOOP_CONFIGURE, &mut config) }.map(|_| ())
}

const _: () = assert!(size_of::<LoopConfig>() == 304, "the kernel's struct has 304 bytes");
