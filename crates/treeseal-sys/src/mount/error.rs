use core::fmt;
use std::io;

use rustix::io::Errno;

/// At which step the kernel refused a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountStep {
    /// It did not take an option: its name, and its value where that is text.
    Option(String),
    /// It took all options, and did not make the mount.
    Create,
}

impl fmt::Display for MountStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(option) => write!(f, "the option `{}`", option.escape_debug()),
            Self::Create => f.write_str("the mount"),
        }
    }
}

/// Something could not be mounted, or a mount not be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The kernel lacks the filesystem, or its module is not loaded.
    #[error("this kernel has no filesystem `{filesystem}`")]
    Filesystem {
        /// `erofs` or `overlay`.
        filesystem: &'static str,
    },
    /// The kernel lacks something.
    #[error("this kernel has no {lacks}: Linux {needed} or newer is needed")]
    Kernel {
        /// What it lacks.
        lacks: &'static str,
        /// The first version of Linux that has it.
        needed: &'static str,
    },
    /// The filesystem refused.
    #[error("{filesystem} refuses {step}{}", quoted(said))]
    Refused {
        /// `erofs` or `overlay`.
        filesystem: &'static str,
        /// At which step.
        step: MountStep,
        /// What the kernel said of it, a line each; often nothing.
        said: Vec<String>,
        /// Its answer.
        source: io::Error,
    },
    /// `/proc` is not there, by which filesystems reach what is given by descriptor.
    #[error("/proc is not mounted: it is needed to mount by descriptor")]
    NoProc,
    /// There are no loop devices.
    #[error("there is no loop device `{path}`, and the kernel cannot mount this file without one")]
    NoLoopDevice {
        /// The device that is missing.
        path: String,
    },
    /// Somebody uses what was to be unmounted.
    #[error("it is in use")]
    Busy,
    /// There is no mount at the path.
    #[error("nothing is mounted there")]
    NotMounted,
    /// The operating system refused.
    #[error("cannot {tried}")]
    Os {
        /// What was tried.
        tried: &'static str,
        /// Its answer.
        source: io::Error,
    },
}

fn quoted(said: &[String]) -> String {
    if said.is_empty() { String::new() } else { format!(": {}", said.join("; ")) }
}

impl MountError {
    pub(super) fn os(tried: &'static str, errno: Errno) -> Self {
        Self::Os { tried, source: errno.into() }
    }

    pub(super) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { source, .. } | Self::Os { source, .. } => Errno::from_io_error(source),
            _ => None,
        }
    }

    /// What can be done about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Filesystem { filesystem: "erofs" } => {
                "load it with `modprobe erofs`; kernels are built with it by CONFIG_EROFS_FS"
            }
            Self::Filesystem { .. } => {
                "load it with `modprobe overlay`; kernels are built with it by CONFIG_OVERLAY_FS"
            }
            Self::NoProc => "mount it: `mount -t proc proc /proc`",
            Self::NoLoopDevice { .. } => {
                "load them with `modprobe loop`, or keep the image on a disk's filesystem and use \
                 Linux 6.12 or newer with CONFIG_EROFS_FS_BACKED_BY_FILE"
            }
            Self::Busy => "end what uses it, or detach it",
            _ if self.errno() == Some(Errno::PERM) => {
                "only root may do that, and not in a container without CAP_SYS_ADMIN"
            }
            _ => return None,
        })
    }
}
