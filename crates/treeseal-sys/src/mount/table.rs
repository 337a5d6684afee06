use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, StatxFlags, statx};

use crate::file::device_number;
use crate::{FileError, read_file_limited};

/// A mount, as the mount table has it. Paths and texts are bytes, without the table's escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountEntry {
    /// Number of the mount, while it exists.
    pub id: u64,
    /// Number of the mount that it lies in.
    pub parent: u64,
    /// Number of the filesystem's device, as [`FileId::device`](crate::FileId::device) has it.
    pub device: u32,
    /// What of the filesystem is seen: `/`, or a directory in it.
    pub root: Vec<u8>,
    /// Where it lies.
    pub mount_point: Vec<u8>,
    /// `overlay`, `erofs`, ...
    pub filesystem: Vec<u8>,
    /// What the filesystem was made from, in its own words.
    pub source: Vec<u8>,
    /// Options of the mount, `ro,nosuid`; escaped as in the table, so that commas separate.
    options: Vec<u8>,
    /// Options of the filesystem, likewise.
    filesystem_options: Vec<u8>,
}

/// The mount table could not be read, or not be understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountTableError {
    /// The operating system refused.
    #[error("cannot {tried}")]
    Os {
        /// What was tried.
        tried: &'static str,
        /// Its answer.
        source: io::Error,
    },
    /// The table could not be read to its end.
    #[error("cannot read the mount table")]
    Read(#[source] FileError),
    /// The kernel does not number mounts.
    #[error("this kernel does not tell which mount a file is on: Linux 5.8 or newer is needed")]
    Kernel,
    /// A line is not as the kernel writes them.
    #[error("line {line} of the mount table has no {missing}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// The field that is not there, or malformed.
        missing: &'static str,
    },
    /// The mount is in another namespace, detached, or was unmounted meanwhile.
    #[error("the mount {id} is not in the mount table")]
    NotInTable {
        /// Number of the mount.
        id: u64,
    },
}

/// The largest table that is read. A mount takes some 200 bytes, and the kernel allows 100,000 of them
/// in a namespace.
const TABLE_BYTES: usize = 64 << 20;

/// What is mounted in the namespace of this process, in the order of the table.
pub fn mount_table() -> Result<Vec<MountEntry>, MountTableError> {
    let table = File::open("/proc/self/mountinfo")
        .map_err(|source| MountTableError::Os { tried: "open /proc/self/mountinfo", source })?;
    let text = read_file_limited(table, TABLE_BYTES).map_err(MountTableError::Read)?;
    parse_mount_table(&text)
}

/// The mount that an open file or directory is on.
pub fn mount_of(file: impl AsFd) -> Result<MountEntry, MountTableError> {
    let id = mount_id(file)?;
    let mut table = mount_table()?.into_iter();
    table.find(|entry| entry.id == id).ok_or(MountTableError::NotInTable { id })
}

fn mount_id(file: impl AsFd) -> Result<u64, MountTableError> {
    let found = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map_err(|errno| {
        MountTableError::Os { tried: "ask which mount a file is on", source: errno.into() }
    })?;
    if found.stx_mask & StatxFlags::MNT_ID.bits() == 0 {
        return Err(MountTableError::Kernel);
    }
    Ok(found.stx_mnt_id)
}

/// Parses the text of `/proc/self/mountinfo`, whose format is in the kernel's
/// `Documentation/filesystems/proc.rst`.
fn parse_mount_table(text: &[u8]) -> Result<Vec<MountEntry>, MountTableError> {
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(index, line)| {
            let error = |missing| MountTableError::Line { line: index + 1, missing };
            parse_line(line).map_err(error)
        })
        .collect()
}

/// One line: `36 35 98:0 /root /point rw,noatime shared:1 - ext3 /dev/root rw,errors=continue`, where
/// there may be any number of fields before the dash. Fails with the name of a field.
fn parse_line(line: &[u8]) -> Result<MountEntry, &'static str> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = number(fields.next()).ok_or("number")?;
    let parent = number(fields.next()).ok_or("number of the parent")?;
    let device = fields.next().and_then(device).ok_or("device")?;
    let root = unescape(fields.next().ok_or("root")?);
    let mount_point = unescape(fields.next().ok_or("mount point")?);
    let options = fields.next().ok_or("options")?.to_vec();
    fields.find(|field| *field == b"-").ok_or("dash")?;
    let filesystem = unescape(fields.next().ok_or("type of filesystem")?);
    let source = unescape(fields.next().ok_or("source")?);
    let filesystem_options = fields.next().ok_or("options of the filesystem")?.to_vec();
    Ok(MountEntry {
        id,
        parent,
        device,
        root,
        mount_point,
        filesystem,
        source,
        options,
        filesystem_options,
    })
}

fn number<T: core::str::FromStr>(field: Option<&[u8]>) -> Option<T> {
    core::str::from_utf8(field?).ok()?.parse().ok()
}

fn device(field: &[u8]) -> Option<u32> {
    let colon = field.iter().position(|byte| *byte == b':')?;
    Some(device_number(number(field.get(..colon))?, number(field.get(colon + 1..))?))
}

/// Puts back the bytes that the kernel writes as a backslash and three octal digits. Other backslashes
/// stay.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let (byte, next) = match rest {
            [b'\\', high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', next @ ..] => {
                ((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0'), next)
            }
            _ => (*first, after),
        };
        bytes.push(byte);
        rest = next;
    }
    bytes
}

impl MountEntry {
    /// Whether nothing can be written, because of the mount or of the filesystem.
    pub fn is_read_only(&self) -> bool {
        [&self.options, &self.filesystem_options]
            .into_iter()
            .any(|options| options.split(|byte| *byte == b',').any(|option| option == b"ro"))
    }

    /// The value of an option of the filesystem: of `verity` the value `require`. It is empty where
    /// the option has none; the last one counts.
    pub fn filesystem_option(&self, key: &[u8]) -> Option<Vec<u8>> {
        let options = self.filesystem_options.rsplit(|byte| *byte == b',');
        options.filter_map(|option| option.strip_prefix(key)).find_map(|rest| match rest {
            [] => Some(Vec::new()),
            [b'=', value @ ..] => Some(unescape(value)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> MountEntry {
        let entries = parse_mount_table(line.as_bytes()).unwrap();
        assert_eq!(entries.len(), 1);
        entries.into_iter().next().unwrap()
    }

    #[test]
    fn a_line_is_taken_apart() {
        let entry = one("41 27 0:32 /sub /mnt/a ro,nosuid shared:7 master:3 - overlay treeseal:x \
             rw,lowerdir+=/a,verity=require,metacopy=on\n");
        assert_eq!((entry.id, entry.parent, entry.device), (41, 27, 32));
        assert_eq!(entry.root, b"/sub");
        assert_eq!(entry.mount_point, b"/mnt/a");
        assert_eq!(entry.filesystem, b"overlay");
        assert_eq!(entry.source, b"treeseal:x");
        assert!(entry.is_read_only());
        assert_eq!(entry.filesystem_option(b"verity").as_deref(), Some(&b"require"[..]));
        assert_eq!(entry.filesystem_option(b"rw").as_deref(), Some(&b""[..]));
        assert_eq!(entry.filesystem_option(b"veri"), None);
    }

    #[test]
    fn escaped_bytes_come_back_and_commas_in_values_do_not_separate() {
        let entry = one(
            r"1 0 254:3 / /a\040b\011c\012d\134e\043\351\777\08 rw - t none\134040 rw,d=x\054verity=on,ro2",
        );
        assert_eq!(entry.mount_point, b"/a b\tc\nd\\e#\xe9\\777\\08");
        assert_eq!(entry.device, device_number(254, 3));
        assert_eq!(entry.source, br"none\040");
        assert_eq!(entry.filesystem_option(b"d").as_deref(), Some(&b"x,verity=on"[..]));
        assert_eq!(entry.filesystem_option(b"verity"), None);
        assert!(!entry.is_read_only());
    }

    #[test]
    fn malformed_lines_are_named_with_what_they_lack() {
        let good = "1 0 8:1 / / rw - ext4 /dev/sda1 rw";
        for (line, missing) in [
            ("x 0 8:1 / / rw - ext4 s rw", "number"),
            ("1", "number of the parent"),
            ("1 0 8 / / rw - ext4 s rw", "device"),
            ("1 0 8:99999999999 / / rw - ext4 s rw", "device"),
            ("1 0 8:1", "root"),
            ("1 0 8:1 /", "mount point"),
            ("1 0 8:1 / /", "options"),
            ("1 0 8:1 / / rw shared:1 ext4 s rw", "dash"),
            ("1 0 8:1 / / rw -", "type of filesystem"),
            ("1 0 8:1 / / rw - ext4", "source"),
            ("1 0 8:1 / / rw - ext4 s", "options of the filesystem"),
        ] {
            let text = format!("{good}\n{line}\n");
            let error = parse_mount_table(text.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), format!("line 2 of the mount table has no {missing}"));
        }
    }
}
