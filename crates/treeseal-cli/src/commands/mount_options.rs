//! Options as mount(8) and its helpers have them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use treeseal::mount::{Changes, MountOptions, Restriction};

use crate::output::Failure;

/// `name` or `name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MountOption {
    name: String,
    value: Option<OsString>,
}

/// Takes a list apart: commas separate, and a backslash takes what follows it as it is.
pub(super) fn split(list: &OsStr) -> Vec<MountOption> {
    let pieces = split_escaped(list.as_bytes(), b',');
    pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| MountOption::new(piece)).collect()
}

/// Takes bytes apart at a separator without a backslash before it. Backslashes stay.
fn split_escaped(bytes: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut is_escaped = false;
    bytes
        .split(|byte| {
            let is_separator = *byte == separator && !is_escaped;
            is_escaped = *byte == b'\\' && !is_escaped;
            is_separator
        })
        .collect()
}

fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut is_escaped = false;
    let mut kept = bytes.to_vec();
    kept.retain(|byte| {
        is_escaped = *byte == b'\\' && !is_escaped;
        !is_escaped
    });
    kept
}

impl MountOption {
    fn new(piece: &[u8]) -> Self {
        let equals = piece.iter().position(|byte| *byte == b'=');
        let (name, value) = match equals.and_then(|at| piece.split_at_checked(at)) {
            Some((name, rest)) => (name, rest.get(1..)),
            None => (piece, None),
        };
        Self {
            name: String::from_utf8_lossy(name).into_owned(),
            value: value.map(|value| OsString::from_vec(value.to_vec())),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The value, as it is meant.
    pub(super) fn value(&self) -> Result<OsString, Failure> {
        self.raw().map(|value| OsString::from_vec(unescape(value.as_bytes())))
    }

    pub(super) fn path(&self) -> Result<PathBuf, Failure> {
        self.value().map(PathBuf::from)
    }

    /// The value as several paths, which colons separate.
    pub(super) fn paths(&self) -> Result<Vec<PathBuf>, Failure> {
        let pieces = split_escaped(self.raw()?.as_bytes(), b':');
        Ok(pieces.into_iter().map(|piece| OsString::from_vec(unescape(piece)).into()).collect())
    }

    fn raw(&self) -> Result<&OsStr, Failure> {
        self.value.as_deref().filter(|value| !value.is_empty()).ok_or_else(|| {
            let name = &self.name;
            Failure::usage(format!("the option `{name}` has no value"), format!("say {name}=VALUE"))
        })
    }

    pub(super) fn unknown(&self) -> Failure {
        Failure::usage(
            format!("the option `{}` is not known", self.name),
            "what was asked for and is not done would be missed: leave it out",
        )
    }
}

/// What can be said of every mount, from the options so far.
#[derive(Default)]
pub(super) struct Common {
    upper: Option<PathBuf>,
    work: Option<PathBuf>,
    id_map: Option<PathBuf>,
    restrictions: Vec<Restriction>,
}

/// Words that forbid something, and those that take it back.
const RESTRICTIONS: [(&str, &str, Restriction); 4] = [
    ("ro", "rw", Restriction::ReadOnly),
    ("nosuid", "suid", Restriction::NoSuid),
    ("nodev", "dev", Restriction::NoDevices),
    ("noexec", "exec", Restriction::NoPrograms),
];

/// Words that ask for nothing which a mount of a sealed tree does not do anyway.
const IDLE: [&str; 14] = [
    "defaults",
    "async",
    "atime",
    "noatime",
    "relatime",
    "norelatime",
    "nostrictatime",
    "diratime",
    "nodiratime",
    "auto",
    "noauto",
    "nofail",
    "_netdev",
    "nouser",
];

impl Common {
    /// Takes an option that every mount has; whether it was one.
    pub(super) fn take(&mut self, option: &MountOption) -> Result<bool, Failure> {
        match option.name() {
            "upperdir" => self.upper = Some(option.path()?),
            "workdir" => self.work = Some(option.path()?),
            "idmap" => self.id_map = Some(option.path()?),
            word => return Ok(self.restrict(word) || is_idle(word)),
        }
        Ok(true)
    }

    fn restrict(&mut self, word: &str) -> bool {
        let found = RESTRICTIONS.iter().find(|(on, off, _)| word == *on || word == *off);
        let Some((on, _, restriction)) = found else { return false };
        self.restrictions.retain(|present| present != restriction);
        if word == *on {
            self.restrictions.push(*restriction);
        }
        true
    }

    pub(super) fn finish(self) -> Result<MountOptions, Failure> {
        let changes = match (self.upper, self.work) {
            (Some(upper), Some(work)) => Some(Changes { upper, work }),
            (None, None) => None,
            _ => {
                return Err(Failure::usage(
                    "upperdir and workdir are not both there",
                    "give both, or neither",
                ));
            }
        };
        Ok(MountOptions { changes, id_map: self.id_map, restrictions: self.restrictions })
    }
}

fn is_idle(word: &str) -> bool {
    IDLE.contains(&word) || word.starts_with("x-") || word == "comment"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> MountOption {
        let options = split(OsStr::new(text));
        assert_eq!(options.len(), 1, "{options:?}");
        options.into_iter().next().unwrap()
    }

    #[test]
    fn commas_separate_unless_a_backslash_stands_before_them() {
        let options = split(OsStr::new("ro,,store=/a\\,b,x=1=2"));
        let names: Vec<&str> = options.iter().map(MountOption::name).collect();
        assert_eq!(names, ["ro", "store", "x"]);
        assert_eq!(options[1].value().unwrap(), "/a,b");
        assert_eq!(options[2].value().unwrap(), "1=2");
        assert_eq!(one("a=\\\\").value().unwrap(), "\\");
        assert!(one("store").value().is_err());
        assert!(one("store=").value().is_err());
    }

    #[test]
    fn colons_separate_paths_unless_a_backslash_stands_before_them() {
        let paths = one("basedir=/a\\:b:/c").paths().unwrap();
        assert_eq!(paths, [PathBuf::from("/a:b"), PathBuf::from("/c")]);
    }

    #[test]
    fn the_last_word_counts() {
        let mut common = Common::default();
        for option in split(OsStr::new("ro,nosuid,noexec,rw,exec,relatime,x-systemd.automount")) {
            assert!(common.take(&option).unwrap());
        }
        assert!(!common.take(&one("sync")).unwrap());
        assert_eq!(common.finish().unwrap().restrictions, [Restriction::NoSuid]);
    }

    #[test]
    fn one_directory_for_changes_is_not_enough() {
        let mut common = Common::default();
        assert!(common.take(&one("upperdir=/a")).unwrap());
        assert!(common.finish().is_err());
    }
}
