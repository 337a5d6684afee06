//! A composefs dump of a tree that could be an operating system, the same on every machine.
//!
//! Of the entries that are no directories, 80 % are files kept as objects, 8 % have their content
//! inline, 2 % are empty and 10 % are symlinks; there is one directory for each 14 of them. Every
//! entry has one of 40 SELinux labels; 0.5 % have an attribute of their own, 1 % a capability.
//! There are 500 different times. Floating point is avoided: its functions differ between C
//! libraries.

use crate::random::Random;
use std::fmt::Write as _;
use std::io::{self, Write};

const FILES_PER_DIRECTORY: u64 = 14;
const DEEPEST_DIRECTORY: usize = 10;
const LABELS: u64 = 40;
const TIMES: u64 = 500;

const SYLLABLES: [&str; 16] = [
    "lib", "core", "net", "mod", "py", "gtk", "data", "util", "test", "conf", "img", "fr", "en",
    "doc", "sys", "io",
];
const SUFFIXES: [&str; 7] = ["", ".so", ".py", ".h", ".mo", ".png", ".txt"];

/// `cap_net_raw` as revision 2 of the attribute.
const CAPABILITY: &str =
    r"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

/// Writes the dump of `files` entries and their directories, sorted by the components of the path.
pub(super) fn write(files: u64, out: &mut dyn Write) -> io::Result<()> {
    let mut tree = Tree::new();
    for index in 0..files {
        if index % FILES_PER_DIRECTORY == 0 {
            tree.add_directory(index);
        }
        tree.add_file(index);
    }
    tree.entries.sort_unstable_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
    for entry in &tree.entries {
        writeln!(
            out,
            "{} {}",
            if entry.path.is_empty() { "/" } else { &entry.path },
            entry.fields
        )?;
    }
    Ok(())
}

struct Tree {
    random: Random,
    times: Vec<String>,
    /// Paths without a slash at the end; the root's is empty.
    directories: Vec<String>,
    entries: Vec<Entry>,
}

struct Entry {
    path: String,
    fields: String,
}

impl Tree {
    fn new() -> Self {
        let mut random = Random::new(1);
        let times = (0..TIMES).map(|_| time(&mut random)).collect();
        let mut tree = Self { random, times, directories: Vec::new(), entries: Vec::new() };
        tree.push_directory(String::new());
        tree
    }

    fn add_directory(&mut self, index: u64) {
        // The smaller of two draws: older directories, which lie higher, get more of the new ones.
        let count = self.directories.len() as u64;
        let parent = self.random.below(count).min(self.random.below(count));
        let parent = self.directory(parent).to_owned();
        if parent.matches('/').count() < DEEPEST_DIRECTORY {
            let path = format!("{parent}/{}", self.name(index));
            self.push_directory(path);
        }
    }

    fn push_directory(&mut self, path: String) {
        let fields = format!("4096 40755 2 {} - - -{}", self.owner_and_time(), self.attributes());
        self.directories.push(path.clone());
        self.entries.push(Entry { path, fields });
    }

    /// Most files go to the newest directory, the others anywhere.
    fn add_file(&mut self, index: u64) {
        let count = self.directories.len() as u64;
        let parent = if self.random.per_mille(600) { count - 1 } else { self.random.below(count) };
        let name = self.name(index);
        let path = format!("{}/{name}~{index}", self.directory(parent));
        let fields = match self.random.below(100) {
            0..80 => self.object(),
            80..88 => self.inline_file(),
            88..90 => format!("0 100644 1 {} - - -", self.owner_and_time()),
            _ => self.symlink(index),
        };
        let fields = fields + &self.attributes();
        self.entries.push(Entry { path, fields });
    }

    fn object(&mut self) -> String {
        let permissions = *self.random.choose(&["644", "755"]);
        let size = self.object_size();
        let owner_and_time = self.owner_and_time();
        let mut digest = String::with_capacity(64);
        for _ in 0..4 {
            // Writing to a String cannot fail.
            let _ = write!(digest, "{:016x}", self.random.next());
        }
        let (dir, rest) = digest.split_at(2);
        format!("{size} 100{permissions} 1 {owner_and_time} {dir}/{rest} - {digest}")
    }

    /// From 80 bytes to 1 MiB, bell-shaped in the logarithm around 4 KiB; never small enough to be
    /// inline.
    fn object_size(&mut self) -> u64 {
        let exponent = 4 + self.random.below(6) + self.random.below(6) + self.random.below(6);
        64 + (1 << exponent) + self.random.below(1 << exponent)
    }

    fn inline_file(&mut self) -> String {
        let size = 1 + self.random.below(64);
        let letters = b"abcdefgh0123456789_".map(char::from);
        let content: String = (0..size).map(|_| *self.random.choose(&letters)).collect();
        format!("{size} 100644 1 {} - {content} -", self.owner_and_time())
    }

    fn symlink(&mut self, index: u64) -> String {
        let mut target = String::new();
        for _ in 0..self.random.below(4) {
            target.push_str("../");
        }
        target += &self.name(index);
        format!("{} 120777 1 {} {target} - -", target.len(), self.owner_and_time())
    }

    /// `uid gid rdev mtime`.
    fn owner_and_time(&mut self) -> String {
        let (uid, gid) = if self.random.per_mille(970) {
            (0, 0)
        } else {
            (1000 + self.random.below(69_000), 1000 + self.random.below(69_000))
        };
        format!("{uid} {gid} 0 {}", self.random.choose(&self.times))
    }

    fn attributes(&mut self) -> String {
        let label = self.label();
        let mut text = format!(r" security.selinux=system_u:object_r:t{label:02}_t:s0\x00");
        match self.random.below(1000) {
            0..5 => {
                let _ = write!(text, " user.id={:08x}", self.random.next() >> 32);
            }
            5..15 => {
                let _ = write!(text, " security.capability={CAPABILITY}");
            }
            _ => {}
        }
        text
    }

    /// Each label is a quarter rarer than the one before.
    fn label(&mut self) -> u64 {
        let mut label = 0;
        while label < LABELS - 1 && self.random.per_mille(750) {
            label += 1;
        }
        label
    }

    fn name(&mut self, index: u64) -> String {
        let mut name = String::new();
        for _ in 0..=self.random.below(3) {
            name.push_str(self.random.choose::<&str>(&SYLLABLES));
        }
        let _ = write!(name, "-{index:x}{}", self.random.choose(&SUFFIXES));
        name
    }

    fn directory(&self, index: u64) -> &str {
        &self.directories[usize::try_from(index).unwrap_or(0)]
    }
}

/// A third of all times have a fraction, as on a system that was installed from packages.
fn time(random: &mut Random) -> String {
    let seconds = 1_600_000_000 + random.below(100_000_000);
    let fraction = if random.below(3) == 0 { random.below(1_000_000_000) } else { 0 };
    format!("{seconds}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn lines(files: u64) -> Vec<String> {
        let mut out = Vec::new();
        write(files, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_dump_is_the_same_every_time() {
        assert_eq!(lines(1000), lines(1000));
    }

    #[test]
    fn parents_come_before_their_children_and_names_are_unique() {
        let mut seen = BTreeSet::new();
        for line in lines(2000) {
            let path = line.split(' ').next().unwrap().to_owned();
            let (parent, _) = path.rsplit_once('/').unwrap();
            assert!(path == "/" || parent.is_empty() || seen.contains(parent), "{path}");
            assert!(seen.insert(path));
        }
    }

    #[test]
    fn the_shares_are_as_described() {
        let lines = lines(20_000);
        let count = |wanted: &dyn Fn(&[&str]) -> bool| {
            let fields = lines.iter().map(|line| line.split(' ').collect::<Vec<_>>());
            fields.filter(|fields| wanted(fields)).count()
        };
        assert!((15_500..16_500).contains(&count(&|fields| fields[10] != "-")));
        assert!((1_400..1_800).contains(&count(&|fields| fields[9] != "-")));
        assert!((1_800..2_200).contains(&count(&|fields| fields[2] == "120777")));
        assert!((1_300..=1_430).contains(&count(&|fields| fields[2] == "40755")));
    }
}
