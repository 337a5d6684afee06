use std::ffi::c_long;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree};

use super::MountError;

/// A mount without a place. It can be looked into by its descriptor, which is that of its top
/// directory, opened with `O_PATH`; when it is dropped, the mount is gone.
#[derive(Debug)]
pub struct DetachedMount(OwnedFd);

impl DetachedMount {
    /// Gives the mount a place: it covers the open directory, for everybody in this mount namespace.
    pub fn attach(self, directory: impl AsFd) -> Result<(), MountError> {
        self.attach_to(directory.as_fd())
    }

    /// Shows the owners in the mount as a user namespace maps them. Nobody must have mapped them yet.
    pub fn map_ids(self, user_namespace: impl AsFd) -> Result<Self, MountError> {
        match set_id_map(self.as_fd(), user_namespace.as_fd()) {
            Ok(()) => Ok(self),
            Err(Errno::NOSYS) => Err(MountError::Kernel { lacks: "mount_setattr", needed: "5.12" }),
            Err(errno) => Err(MountError::os("map the owners of a mount", errno)),
        }
    }

    /// A mount of what is below an open directory, without what is mounted there.
    pub(super) fn of_directory(directory: BorrowedFd<'_>) -> Result<Self, MountError> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        open_tree(directory, c"", flags)
            .map(Self)
            .map_err(|errno| MountError::os("mount a directory a second time", errno))
    }

    pub(super) fn attach_to(&self, directory: BorrowedFd<'_>) -> Result<(), MountError> {
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&self.0, c"", directory, c"", flags)
            .map_err(|errno| MountError::os("attach a mount", errno))
    }
}

impl From<OwnedFd> for DetachedMount {
    /// Takes a descriptor from `fsmount` or `open_tree`; with any other, every operation fails.
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }
}

impl AsFd for DetachedMount {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// `struct mount_attr`.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// `mount_setattr`, which `rustix` has not.
fn set_id_map(mount: BorrowedFd<'_>, user_namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    let user_namespace = u64::try_from(user_namespace.as_raw_fd()).map_err(|_| Errno::BADF)?;
    let attributes =
        MountAttributes { set: MOUNT_ATTR_IDMAP, clear: 0, propagation: 0, user_namespace };
    // SAFETY: the arguments are those of mount_setattr(2), each as wide as a register: an open
    // descriptor, an empty C string, a flag, and a struct that is read, with its size.
    // The kernel changes no memory of this process.
    let answer: c_long = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            c_long::from(mount.as_raw_fd()),
            c"".as_ptr(),
            c_long::from(libc::AT_EMPTY_PATH),
            std::ptr::from_ref(&attributes),
            size_of::<MountAttributes>(),
        )
    };
    if answer == 0 { Ok(()) } else { Err(last_error()) }
}

fn last_error() -> Errno {
    let error = std::io::Error::last_os_error();
    Errno::from_io_error(&error).unwrap_or(Errno::INVAL)
}

/// What to do with a mount that is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unmount {
    /// Leave it, with an error.
    #[default]
    IfUnused,
    /// Take it away from its place at once; it ends when nobody uses it any more.
    Detach,
}

/// Unmounts what is mounted at a path. The last component is not followed if it is a symlink.
pub fn unmount(path: &Path, how: Unmount) -> Result<(), MountError> {
    let flags = match how {
        Unmount::IfUnused => UnmountFlags::NOFOLLOW,
        Unmount::Detach => UnmountFlags::NOFOLLOW | UnmountFlags::DETACH,
    };
    rustix::mount::unmount(path, flags).map_err(|errno| match errno {
        Errno::BUSY => MountError::Busy,
        Errno::INVAL => MountError::NotMounted,
        errno => MountError::os("unmount it", errno),
    })
}
