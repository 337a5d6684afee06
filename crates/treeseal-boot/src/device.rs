use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use treeseal::boot::Device;

use crate::{Failure, superblock};

/// How often a device that is not there is looked for again.
const RETRY: Duration = Duration::from_millis(100);

/// Where the kernel lists block devices.
const BLOCK_DEVICES: &str = "/sys/class/block";

/// Finds a device, and waits for it if it is not there yet.
///
/// Two filesystems that call themselves the same are refused: which of them is meant is not for whoever
/// plugs in a disk to decide.
pub(crate) fn find(device: &Device, wait: Duration) -> Result<PathBuf, Failure> {
    let start = Instant::now();
    loop {
        let mut found = candidates(device);
        match (found.pop(), found.is_empty()) {
            (Some(path), true) => return Ok(path),
            (Some(path), false) => {
                found.push(path);
                let found = found.iter().map(|path| path.display().to_string()).collect();
                return Err(Failure::Ambiguous { what: describe(device), found });
            }
            (None, _) if start.elapsed() >= wait => {
                return Err(Failure::NoDevice { what: describe(device), waited: start.elapsed() });
            }
            (None, _) => thread::sleep(RETRY),
        }
    }
}

fn candidates(device: &Device) -> Vec<PathBuf> {
    match device {
        Device::Path(path) => {
            Some(path.clone()).filter(|path| is_block_device(path)).into_iter().collect()
        }
        Device::Uuid(uuid) => with_superblock(|found| found.uuid == *uuid),
        Device::Label(label) => with_superblock(|found| found.label == label.as_bytes()),
    }
}

fn is_block_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_block_device())
}

/// The devices with a superblock of which this is so. One that cannot be read is as one that is not
/// there.
fn with_superblock(is_wanted: impl Fn(&superblock::Superblock) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(BLOCK_DEVICES) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // The kernel writes `!` for a `/` in the name of a device.
    let paths = names.map(|name| Path::new("/dev").join(name.replace('!', "/")));
    let is_wanted = |path: &PathBuf| {
        open(path)
            .and_then(|device| superblock::read(&device))
            .is_some_and(|found| is_wanted(&found))
    };
    let mut found: Vec<PathBuf> = paths.filter(is_wanted).collect();
    found.sort_unstable();
    found
}

fn open(path: &Path) -> Option<File> {
    // Non-blocking, so that a drive without a medium does not wait for one.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).ok()?;
    OpenOptions::new().read(true).custom_flags(flags).open(path).ok()
}

fn describe(device: &Device) -> String {
    match device {
        Device::Path(path) => format!("block device `{}`", path.display()),
        Device::Uuid(uuid) => format!("filesystem with the UUID {uuid}"),
        Device::Label(label) => format!("filesystem with the label `{}`", label.escape_debug()),
    }
}
