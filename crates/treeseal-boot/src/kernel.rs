//! What the kernel must give before anything else: its filesystems, and its modules.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::MountFlags;
use rustix::system::finit_module;

use crate::Failure;

/// Filesystems of the kernel: type, place, flags, options.
const INTERFACES: [(&str, &str, MountFlags, &std::ffi::CStr); 4] = [
    ("proc", "/proc", LOCKED, c""),
    ("sysfs", "/sys", LOCKED, c""),
    ("devtmpfs", "/dev", MountFlags::NOSUID, c"mode=0755"),
    ("tmpfs", "/run", MountFlags::NOSUID.union(MountFlags::NODEV), c"mode=0755"),
];

const LOCKED: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

pub(crate) fn mount_interfaces() -> Result<(), Failure> {
    for (kind, place, flags, options) in INTERFACES {
        let path = Path::new(place);
        fs::create_dir_all(path).map_err(Failure::io("create", path))?;
        match rustix::mount::mount(kind, place, kind, flags, options) {
            // It is there already.
            Ok(()) | Err(Errno::BUSY) => {}
            Err(errno) => return Err(Failure::os("mount", path)(errno)),
        }
    }
    Ok(())
}

/// `MODULE_INIT_COMPRESSED_FILE`: the kernel decompresses.
const COMPRESSED: i32 = 4;

pub(crate) fn load_modules(modules: &[PathBuf]) -> Result<(), Failure> {
    for path in modules {
        let file = File::open(path).map_err(Failure::io("open", path))?;
        let flags = if path.extension() == Some("ko".as_ref()) { 0 } else { COMPRESSED };
        match finit_module(file, c"", flags) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Failure::os("load", path)(errno)),
        }
    }
    Ok(())
}
