use std::convert::Infallible;
use std::env;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::mount::mount_move;
use rustix::process::{chdir, chroot};

use crate::Failure;

/// What the tree's init finds mounted as the initramfs had it.
const MOVED: [&str; 4] = ["dev", "proc", "sys", "run"];

/// Moves into a mounted tree and becomes its init, with the arguments of this process.
///
/// What was in the initramfs cannot be reached any more: its root lies below the tree's.
pub(crate) fn into(sysroot: &Path, init: &Path) -> Result<Infallible, Failure> {
    chdir(sysroot).map_err(Failure::os("enter", sysroot))?;
    for name in MOVED {
        if !Path::new(name).is_dir() {
            return Err(Failure::NoDirectory { name });
        }
        let path = Path::new("/").join(name);
        mount_move(&path, name).map_err(Failure::os("move", &path))?;
    }
    mount_move(".", "/").map_err(Failure::os("move", sysroot))?;
    chroot(".").map_err(Failure::os("change the root to", sysroot))?;
    chdir("/").map_err(Failure::os("enter", Path::new("/")))?;
    let source = Command::new(init).args(env::args_os().skip(1)).exec();
    Err(Failure::io("start", init)(source))
}
