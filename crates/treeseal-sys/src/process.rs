//! What this process is allowed.

/// Whether this process runs as the superuser.
pub fn is_superuser() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user that this process acts as.
pub fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}
