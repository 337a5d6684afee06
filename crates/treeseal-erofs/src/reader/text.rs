use treeseal_tree::dump::{Record, escape_field, escape_listed, write_record};

use super::file::{File, FileContent};
use super::links::FirstName;
use super::objects::objects;
use super::walk::{Walk, WalkEntry, WalkOptions};
use super::{ImageError, Index};

/// Size of the pieces in which text is handed out, in bytes; the last line may go beyond it.
const PIECE: usize = 64 << 10;

/// Takes in text.
type Sink<'s, E> = &'s mut dyn FnMut(&[u8]) -> Result<(), E>;

/// Writes the tree that an image was made from as dump text, in pieces of about 64 KiB.
///
/// This is the text of `composefs-info dump`, but for what that gets wrong:
///
/// - With [`FirstName::Written`], an inode that has several names and was not written under the
///   first of them is described under the one that it was written under. A line that says so may
///   follow those of the hard links. The reference's text would be read back as another image.
/// - Object paths have no stray bytes at their end.
/// - SHA-512 digests are given, with 128 digits.
/// - `trusted.overlay.whiteout`, `user.overlay.whiteout` and those of directories are left out only
///   where the writer puts them.
/// - An ACL attribute with an empty value is listed even where it is the last of an inode's own.
/// - A file of a type without a size has the SIZE 4294967296 where only that explains its inode.
pub fn write_dump<E: From<ImageError>>(
    index: &Index<'_>,
    options: &WalkOptions<'_>,
    sink: Sink<'_, E>,
) -> Result<(), E> {
    let mut line = DumpLine::default();
    let walk = Walk::new(index, options)?.describing_links();
    write_lines(walk, sink, |out, entry| line.write(out, entry))
}

/// Writes the names in an image, one a line, as `composefs-info ls` does: a directory with a slash
/// and a tab behind its path, a symlink with its target, an external file with its object's path.
/// Of an inode with several names only the first in the walk has them.
pub fn write_list<E: From<ImageError>>(
    index: &Index<'_>,
    only: &[&[u8]],
    sink: Sink<'_, E>,
) -> Result<(), E> {
    let options = WalkOptions { only, first_name: FirstName::Met };
    write_lines(Walk::new(index, &options)?, sink, |out, entry| {
        if entry.depth == 0 {
            return;
        }
        escape_listed(out, entry.path);
        match entry.file.map(File::content) {
            Some(FileContent::Directory) => out.extend_from_slice(b"/\t"),
            Some(FileContent::Symlink(target)) => write_payload(out, b"\t-> ", target),
            Some(FileContent::External { payload: Some(path), .. }) => {
                write_payload(out, b"\t@ ", path);
            }
            _ => {}
        }
        out.push(b'\n');
    })
}

/// Writes the paths of the objects that an image refers to, one a line, each once and in byte order,
/// as `composefs-info objects` does: without escapes, so a newline in a path cannot be told from one
/// behind it. [`objects`] has the paths themselves.
///
/// Keeps what [`objects`] keeps.
pub fn write_objects<E: From<ImageError>>(
    index: &Index<'_>,
    only: &[&[u8]],
    sink: Sink<'_, E>,
) -> Result<(), E> {
    let mut out = Vec::with_capacity(PIECE);
    for path in objects(index, only)?.iter() {
        out.extend_from_slice(path);
        out.push(b'\n');
        if out.len() >= PIECE {
            sink(&out)?;
            out.clear();
        }
    }
    if out.is_empty() { Ok(()) } else { sink(&out) }
}

fn write_lines<E: From<ImageError>>(
    mut walk: Walk<'_, '_>,
    sink: Sink<'_, E>,
    mut write: impl FnMut(&mut Vec<u8>, &WalkEntry<'_, '_>),
) -> Result<(), E> {
    let mut out = Vec::with_capacity(PIECE);
    while let Some(entry) = walk.next_entry()? {
        write(&mut out, &entry);
        if out.len() >= PIECE {
            sink(&out)?;
            out.clear();
        }
    }
    if out.is_empty() { Ok(()) } else { sink(&out) }
}

fn write_payload(out: &mut Vec<u8>, mark: &[u8], payload: &[u8]) {
    out.extend_from_slice(mark);
    escape_field(out, payload);
}

/// Room for what a line of dump text needs.
#[derive(Default)]
struct DumpLine {
    /// The attributes' names, one after another, and their lengths.
    names: Vec<u8>,
    name_lengths: Vec<usize>,
}

impl DumpLine {
    fn write(&mut self, out: &mut Vec<u8>, entry: &WalkEntry<'_, '_>) {
        let Some(file) = entry.file else { return };
        let metadata = file.metadata();
        self.collect_names(file);
        let (content, digest) = match file.content() {
            FileContent::Inline(content) => (Some(content), None),
            FileContent::External { digest, .. } => (None, digest),
            _ => (None, None),
        };
        let record = Record {
            path: entry.path,
            size: file.size(),
            mode: file.mode(),
            is_link: entry.link.is_some(),
            nlink: metadata.nlink,
            uid: metadata.uid,
            gid: metadata.gid,
            rdev: file.rdev(),
            mtime: metadata.mtime,
            payload: entry.link.or(file.payload()),
            content: content.filter(|content| !content.is_empty()),
            digest,
        };
        let mut rest = self.names.as_slice();
        let pairs = file.xattrs().zip(&self.name_lengths).map(|(xattr, length)| {
            let (name, after) = rest.split_at_checked(*length).unwrap_or_default();
            rest = after;
            (name, xattr.value)
        });
        write_record(out, &record, pairs);
    }

    fn collect_names(&mut self, file: &File<'_>) {
        self.names.clear();
        self.name_lengths.clear();
        for xattr in file.xattrs() {
            xattr.name.append_to(&mut self.names);
            self.name_lengths.push(xattr.name.len());
        }
    }
}
