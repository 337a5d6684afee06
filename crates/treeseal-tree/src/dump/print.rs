use treeseal_verity::FileDigest;

use super::escape::{Escape, escape_into};
use crate::Mtime;

/// The fields of one line of dump text.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Absolute path; `/` for the root.
    pub path: &'a [u8],
    /// Size in bytes.
    pub size: u64,
    /// Type and permission bits.
    pub mode: u16,
    /// Whether this is a further name of a file that an earlier line names.
    pub is_link: bool,
    /// Number of links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number.
    pub rdev: u32,
    /// Time of last modification.
    pub mtime: Mtime,
    /// Symlink target, object path, or path of the first name of a hard link.
    pub payload: Option<&'a [u8]>,
    /// Inline content.
    pub content: Option<&'a [u8]>,
    /// File digest.
    pub digest: Option<FileDigest>,
}

/// Appends the line of a record and its attributes, with the newline.
pub fn write_record<'a>(
    out: &mut Vec<u8>,
    record: &Record<'_>,
    xattrs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) {
    escape_into(out, record.path, Escape::Field);
    let link_mark = if record.is_link { "@" } else { "" };
    let numbers = format!(
        " {} {link_mark}{:o} {} {} {} {} {}",
        record.size, record.mode, record.nlink, record.uid, record.gid, record.rdev, record.mtime
    );
    out.extend_from_slice(numbers.as_bytes());
    write_optional(out, record.payload);
    write_optional(out, record.content);
    write_optional(out, record.digest.map(|digest| digest.to_hex()).as_deref().map(str::as_bytes));
    for (name, value) in xattrs {
        out.push(b' ');
        escape_into(out, name, Escape::Xattr);
        out.push(b'=');
        escape_into(out, value, Escape::Xattr);
    }
    out.push(b'\n');
}

/// A field that may be absent, which `-` stands for; a field that is a lone `-` is escaped.
fn write_optional(out: &mut Vec<u8>, field: Option<&[u8]>) {
    out.push(b' ');
    match field {
        None => out.push(b'-'),
        Some(b"-") => out.extend_from_slice(b"\\x2d"),
        Some(field) => escape_into(out, field, Escape::Field),
    }
}

/// Appends `bytes` with the escapes of dump text, but with spaces as they are.
pub fn escape_listed(out: &mut Vec<u8>, bytes: &[u8]) {
    escape_into(out, bytes, Escape::Listed);
}

/// Appends `bytes` with the escapes of a field of dump text.
pub fn escape_field(out: &mut Vec<u8>, bytes: &[u8]) {
    escape_into(out, bytes, Escape::Field);
}
