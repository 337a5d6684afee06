//! `ioctl` with a struct, for the requests that `rustix` does not wrap.

use std::ffi::{c_int, c_void};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};

/// Makes a request and gives the number that the kernel answers.
///
/// # Safety
///
/// `T` must be the struct that the kernel reads, and may write, for `opcode` whatever the file is;
/// addresses in it must be valid, for as long as the call lasts, for what the request does with them.
pub(crate) unsafe fn request<T>(
    file: BorrowedFd<'_>,
    opcode: Opcode,
    argument: &mut T,
) -> Result<c_int, Errno> {
    // SAFETY: the caller answers for the opcode and the struct that belongs to it; the address is that
    // of a `T` which nobody else uses during the call.
    unsafe { ioctl(file, Request { opcode, argument }) }
}

struct Request<'a, T> {
    opcode: Opcode,
    argument: &'a mut T,
}

// SAFETY: the opcode and the pointer are those that `request` was given, and its caller answers that
// they fit. The pointer is to a live `T`, and the kernel may write to it, as is said by IS_MUTATING.
// The answer is the return value alone; the pointer is not read.
unsafe impl<T> Ioctl for Request<'_, T> {
    type Output = c_int;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self.argument).cast()
    }

    unsafe fn output_from_ptr(answer: IoctlOutput, _: *mut c_void) -> Result<c_int, Errno> {
        Ok(answer)
    }
}
