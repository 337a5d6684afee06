//! What this process is allowed, and what it runs on.

use std::fs::File;
use std::io::Read as _;

use rustix::thread::{CapabilitySet, capabilities};

/// Whether this process runs as the superuser.
pub fn is_superuser() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether this process is shown the extended attributes of the namespace `trusted`. Where that
/// cannot be found out, it is taken to be so for the superuser.
pub fn sees_trusted_xattrs() -> bool {
    match capabilities(None) {
        Ok(sets) => sets.effective.contains(CapabilitySet::SYS_ADMIN),
        Err(_) => is_superuser(),
    }
}

/// The user that this process acts as.
pub fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// What tells this start of the machine from every other: a random UUID as text. `None` where it
/// cannot be found out.
pub fn boot_id() -> Option<[u8; 36]> {
    let mut id = [0; 36];
    File::open("/proc/sys/kernel/random/boot_id").ok()?.read_exact(&mut id).ok()?;
    Some(id)
}
