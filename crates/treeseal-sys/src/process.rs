//! What this process is allowed.

/// Whether this process runs as the superuser.
pub fn is_superuser() -> bool {
    rustix::process::geteuid().is_root()
}
