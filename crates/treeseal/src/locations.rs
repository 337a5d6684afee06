use std::path::{Path, PathBuf};

use treeseal_sys::TpmAddress;
use treeseal_trust::Stream;

use crate::keys::SigningLog;

/// Where a machine keeps what belongs to Treeseal.
///
/// The trust root, the keys and the memory lie outside the store on purpose: nothing in a store is
/// trusted because it lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locations {
    /// The store: objects, images, seals.
    pub store: PathBuf,
    /// The pinned trust root, a `root.json`.
    pub root: PathBuf,
    /// Directory of the machine's own key.
    pub keys: PathBuf,
    /// Directory of what is remembered: floors, times seen.
    pub state: PathBuf,
    /// The TPM that keeps the floors of streams as well, if one is asked for.
    pub tpm: Option<TpmAddress>,
}

impl Locations {
    /// The log of the signatures that this machine made: a line of JSON each.
    pub fn signing_log(&self) -> SigningLog {
        SigningLog::at(&self.state.join("signing.log"))
    }

    /// The places for the superuser: below `/etc` and `/var/lib`.
    pub fn of_system() -> Self {
        let config = Path::new("/etc/treeseal");
        let data = Path::new("/var/lib/treeseal");
        Self {
            store: data.join("store"),
            root: config.join("root.json"),
            keys: config.join("keys"),
            state: data.join("state"),
            tpm: None,
        }
    }

    /// The places for a user, from the three directories of the XDG base directory specification.
    pub fn of_user(config_home: &Path, data_home: &Path, state_home: &Path) -> Self {
        let config = config_home.join("treeseal");
        Self {
            store: data_home.join("treeseal/store"),
            root: config.join("root.json"),
            keys: config.join("keys"),
            state: state_home.join("treeseal"),
            tpm: None,
        }
    }
}

/// Whether this process runs as the superuser, whose places are [`Locations::of_system`].
pub fn is_superuser() -> bool {
    treeseal_sys::is_superuser()
}

/// The stream that a directory is sealed under when none is named: `local/` and the components of
/// its absolute path. `None` when they do not make a stream.
pub fn default_stream(directory: &Path) -> Option<Stream> {
    let path = directory.to_str()?;
    let components = path.split('/').filter(|component| !component.is_empty());
    let name: Vec<&str> = core::iter::once("local").chain(components).collect();
    name.join("/").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_gives_a_stream_where_its_path_allows() {
        let stream = |path: &str| default_stream(Path::new(path)).map(|stream| stream.to_string());
        assert_eq!(stream("/usr/share"), Some("local/usr/share".to_owned()));
        assert_eq!(stream("/"), Some("local".to_owned()));
        assert_eq!(stream("/home/a b"), None);
    }
}
