use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::context::Context;
use super::loop_device::loop_device;
use super::{DetachedMount, MountError};
use crate::proc;

/// Mounts an EROFS image, a regular file or block device that is open for reading, for reading only.
///
/// The kernel reads a regular file itself where it can: since Linux 6.12, if built for it, and not on
/// tmpfs. Elsewhere a loop device stands between them, which goes away with the mount.
///
/// The kernel trusts the image. Verify it first, by this descriptor, and see to it that it cannot
/// change: with fs-verity, or in a sealed memory file
/// ([`seal_into_memfd`](crate::seal_into_memfd)).
pub fn mount_erofs(image: impl AsFd) -> Result<DetachedMount, MountError> {
    if !proc::is_there() {
        return Err(MountError::NoProc);
    }
    let image = image.as_fd();
    match mount(image) {
        Err(error) if error.errno() == Some(Errno::NOTBLK) => mount(loop_device(image)?.as_fd()),
        mounted => mounted,
    }
}

fn mount(source: BorrowedFd<'_>) -> Result<DetachedMount, MountError> {
    let context = Context::open("erofs")?;
    context.set_flag("ro")?;
    context.set_string("source", &proc::descriptor_path(source))?;
    context.mount(MountAttrFlags::MOUNT_ATTR_RDONLY)
}
