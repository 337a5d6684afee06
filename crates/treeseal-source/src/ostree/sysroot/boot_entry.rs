use std::path::{Path, PathBuf};

use treeseal_sys::{Directory, ListBuffer, read_file_limited};

use super::{SysrootError, named};

/// An entry of the boot loader, by the Boot Loader Specification, as far as deployments are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootEntry {
    /// Its file.
    pub path: PathBuf,
    /// What people choose it by.
    pub title: Option<String>,
    /// `version`, by which OSTree puts entries in order.
    version: Option<u64>,
    /// The kernel's command line.
    pub options: String,
}

/// More than anybody has, in entries and in bytes of one.
const MAX_ENTRIES: usize = 512;
const MAX_SIZE: usize = 64 * 1024;

impl BootEntry {
    /// Reads the bytes of an entry: lines of a key, white space and a value.
    pub fn parse(path: PathBuf, bytes: &[u8]) -> Result<Self, SysrootError> {
        let Ok(text) = str::from_utf8(bytes) else {
            return Err(SysrootError::BootEntry { path, why: "it is no text" });
        };
        let values = |wanted: &'static str| {
            let lines = text.lines().filter_map(|line| line.trim().split_once([' ', '\t']));
            lines.filter(move |(key, _)| *key == wanted).map(|(_, value)| value.trim())
        };
        let title = values("title").next_back().map(str::to_owned);
        let version = values("version").next_back().and_then(|version| version.parse().ok());
        let options = values("options").collect::<Vec<_>>().join(" ");
        Ok(Self { path, title, version, options })
    }

    /// The value of the first `NAME=` on the command line, which is the one that OSTree goes by.
    pub fn option(&self, name: &str) -> Option<&str> {
        let words = self.options.split_ascii_whitespace();
        words.filter_map(|word| word.strip_prefix(name)?.strip_prefix('=')).next()
    }
}

/// Reads the entries in a directory, the first one first. `path` is for messages.
pub(super) fn read_all(directory: &Directory, path: &Path) -> Result<Vec<BootEntry>, SysrootError> {
    let mut names = Vec::new();
    directory.list(&mut ListBuffer::default(), |_, name| {
        if names.len() == MAX_ENTRIES {
            return Err(SysrootError::TooManyEntries { path: path.into(), limit: MAX_ENTRIES });
        }
        if name.ends_with(b".conf") {
            names.push(name.to_vec());
        }
        Ok(())
    })?;
    let read = |name: &Vec<u8>| {
        let path = path.join(String::from_utf8_lossy(name).as_ref());
        let file = directory.open_file(name).and_then(|file| read_file_limited(file, MAX_SIZE));
        BootEntry::parse(path.clone(), &file.map_err(|error| named(path, error))?)
    };
    let mut entries = names.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    entries.sort_by(|one, other| (other.version, &other.path).cmp(&(one.version, &one.path)));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_option_of_a_name_counts() {
        let text = b"title Acme 1\nversion 2\noptions root=x ostree=/a\noptions\tquiet ostree=/b\n";
        let entry = BootEntry::parse("e.conf".into(), text).unwrap();
        assert_eq!(entry.title.as_deref(), Some("Acme 1"));
        assert_eq!((entry.option("ostree"), entry.option("root")), (Some("/a"), Some("x")));
        assert_eq!((entry.option("quiet"), entry.option("ostre")), (None, None));
        assert!(BootEntry::parse("e.conf".into(), b"\xff").is_err());
    }
}
