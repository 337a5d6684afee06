use std::os::fd::AsFd as _;
use std::thread;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::{DetachedMount, MountError};

/// Does something where `mounts` are attached and nobody else sees them: in a thread with a mount
/// namespace of its own, which ends with the thread. So no mount and no directory is left behind,
/// however this ends.
///
/// The mounts lie one over the other on the top directory. They can be used by their descriptors, and
/// paths still begin below them.
pub(super) fn with_attached<T: Send>(
    mounts: &[&DetachedMount],
    run: impl FnOnce() -> Result<T, MountError> + Send,
) -> Result<T, MountError> {
    thread::scope(|scope| {
        let in_thread = || {
            enter_namespace()?;
            attach_all(mounts)?;
            run()
        };
        let thread = thread::Builder::new()
            .spawn_scoped(scope, in_thread)
            .map_err(|source| MountError::Os { tried: "start a thread", source })?;
        thread.join().unwrap_or_else(|_| Err(MountError::os("finish a thread", Errno::CANCELED)))
    })
}

/// Gives the calling thread a mount namespace in which nothing that it mounts is passed on.
fn enter_namespace() -> Result<(), MountError> {
    // SAFETY: no descriptor or memory is unshared, only the mounts, and with them the root and the
    // working directory, of a thread that was started for this and ends soon.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }
        .map_err(|errno| MountError::os("make a mount namespace", errno))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|errno| MountError::os("keep mounts private", errno))
}

fn attach_all(mounts: &[&DetachedMount]) -> Result<(), MountError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, "/", flags, Mode::empty())
        .map_err(|errno| MountError::os("open the top directory", errno))?;
    mounts.iter().try_for_each(|mount| mount.attach_to(root.as_fd()))
}
