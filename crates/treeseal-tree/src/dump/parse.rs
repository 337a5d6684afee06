use std::borrow::Cow;

use treeseal_verity::{DigestParseError, FileDigest};

use super::escape::unescape;
use crate::{
    FileType, InodeId, Metadata, Mtime, Node, NodeContent, Tree, TreeBuilder, TreeError,
    display_path, limits,
};

/// Longest line, in bytes without its newline: a path and a payload of 4096 bytes, inline content
/// and attributes of at most 65535 bytes, all with every byte escaped as four, and the numbers.
const MAX_LINE: usize = 4 * (2 * 4096 + limits::INLINE_CONTENT + 65535) + 1024;

/// Longest text of attributes in a line, in bytes: what `mkcomposefs` reads.
const MAX_XATTR_TEXT: usize = 65535;

/// How much a dump may deviate from what the format says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// As `mkcomposefs` reads a dump by default.
    #[default]
    Lenient,
    /// As `mkcomposefs` does with `CFS_PARSE_STRICT`: the last line ends in a newline, only devices
    /// have a device number, and a symlink has its target's length and no content.
    Strict,
}

/// Reads dump text as it arrives, in pieces of any size, into a [`Tree`].
pub struct DumpParser {
    strictness: Strictness,
    builder: TreeBuilder,
    /// The start of a line whose end has not arrived.
    partial: Vec<u8>,
    /// Lines seen so far.
    line: u64,
    root: Option<InodeId>,
    /// The directory part of the last path and its inode: most files lie beside the one before.
    last_directory: Option<(Vec<u8>, InodeId)>,
}

/// A dump that cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {kind}", of_path(path))]
pub struct DumpError {
    /// Line number, from 1; for what is found at the end, the number of lines.
    pub line: u64,
    /// The path that the line names, as far as it could be read.
    pub path: Vec<u8>,
    /// What is wrong.
    #[source]
    pub kind: DumpErrorKind,
}

fn of_path(path: &[u8]) -> String {
    if path.is_empty() { String::new() } else { format!(" (`{}`)", display_path(path)) }
}

/// What is wrong with a line of dump text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DumpErrorKind {
    /// No line at all.
    #[error("the dump is empty")]
    EmptyDump,
    /// A line without a field.
    #[error("empty line")]
    EmptyLine,
    /// A line longer than any valid one.
    #[error("line of more than {MAX_LINE} bytes")]
    LongLine,
    /// A NUL byte in the text.
    #[error("NUL byte in the line")]
    NulByte,
    /// The last line has no newline.
    #[error("the last line does not end in a newline")]
    NoNewline,
    /// A field with an escape that the format does not have.
    #[error("field {field}: unknown or incomplete escape")]
    Escape {
        /// Name of the field.
        field: &'static str,
    },
    /// An escaped NUL byte where none can be meant.
    #[error("field {field}: NUL byte")]
    EscapedNul {
        /// Name of the field.
        field: &'static str,
    },
    /// A field that should be a number.
    #[error("field {field}: `{}` is not a number", display_path(text))]
    Number {
        /// Name of the field.
        field: &'static str,
        /// The field.
        text: Vec<u8>,
    },
    /// A time that is not `SECONDS.NANOSECONDS`.
    #[error("field MTIME: `{}` is not SECONDS.NANOSECONDS", display_path(text))]
    Mtime {
        /// The field.
        text: Vec<u8>,
    },
    /// A mode without a known file type.
    #[error("field MODE: {mode:o} has no known file type")]
    FileType {
        /// The mode.
        mode: u16,
    },
    /// The first path is not `/`, or `/` occurs again.
    #[error("the first line, and no other, has the path `/`")]
    RootPath,
    /// A path whose directory has not been named before.
    #[error("its directory does not come before it")]
    NoParent,
    /// A digest that is none.
    #[error("field DIGEST: {0}")]
    Digest(#[from] DigestParseError),
    /// A symlink without a target.
    #[error("symlink without a target")]
    NoTarget,
    /// A hard link of type directory, or without the path of its target.
    #[error("hard link without a target, or of a directory")]
    Link,
    /// The size is not the length of the content.
    #[error("{found} bytes of content, SIZE says {expected}")]
    ContentSize {
        /// The size that the line states.
        expected: u64,
        /// The length of the content.
        found: u64,
    },
    /// An attribute that is not NAME=VALUE.
    #[error("attribute without a name or without `=`")]
    Xattr,
    /// More attribute text than fits.
    #[error("attributes of {found} bytes of text: at most {MAX_XATTR_TEXT} are allowed")]
    XattrText {
        /// Length of the text in bytes.
        found: usize,
    },
    /// A device number on a file that is no device.
    #[error("field RDEV: {found} on a file that is no device")]
    Rdev {
        /// The number.
        found: u64,
    },
    /// Content on a symlink.
    #[error("content on a symlink")]
    SymlinkContent,
    /// The file cannot be part of a tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl DumpParser {
    /// A parser that has read nothing.
    pub fn new(strictness: Strictness) -> Self {
        Self {
            strictness,
            builder: TreeBuilder::new(),
            partial: Vec::new(),
            line: 0,
            root: None,
            last_directory: None,
        }
    }

    /// Reads the tree from a dump that is at hand as a whole.
    pub fn parse(text: &[u8], strictness: Strictness) -> Result<Tree, DumpError> {
        let mut parser = Self::new(strictness);
        parser.feed(text)?;
        parser.finish()
    }

    /// Takes in the next bytes of the text.
    pub fn feed(&mut self, mut text: &[u8]) -> Result<(), DumpError> {
        while let Some(end) = memchr::memchr(b'\n', text) {
            if self.partial.is_empty() {
                self.read_line(&text[..end])?;
            } else {
                self.append_partial(&text[..end])?;
                let line = core::mem::take(&mut self.partial);
                self.read_line(&line)?;
            }
            text = &text[end + 1..];
        }
        self.append_partial(text)
    }

    /// Takes the end of the text, checks what can only be checked then, and gives the tree.
    pub fn finish(mut self) -> Result<Tree, DumpError> {
        if !self.partial.is_empty() {
            if self.strictness == Strictness::Strict {
                self.line += 1;
                return Err(self.error(&[], DumpErrorKind::NoNewline));
            }
            let line = core::mem::take(&mut self.partial);
            self.read_line(&line)?;
        }
        let line = self.line;
        let error = |kind| DumpError { line, path: Vec::new(), kind };
        if self.root.is_none() {
            return Err(error(DumpErrorKind::EmptyDump));
        }
        self.builder.finish().map_err(|kind| error(kind.into()))
    }

    fn append_partial(&mut self, text: &[u8]) -> Result<(), DumpError> {
        if self.partial.len() + text.len() > MAX_LINE {
            self.line += 1;
            return Err(self.error(&[], DumpErrorKind::LongLine));
        }
        self.partial.extend_from_slice(text);
        Ok(())
    }

    fn read_line(&mut self, line: &[u8]) -> Result<(), DumpError> {
        self.line += 1;
        if line.is_empty() {
            return Err(self.error(&[], DumpErrorKind::EmptyLine));
        }
        if line.len() > MAX_LINE {
            return Err(self.error(&[], DumpErrorKind::LongLine));
        }
        if memchr::memchr(0, line).is_some() {
            return Err(self.error(&[], DumpErrorKind::NulByte));
        }
        let fields = Fields::split(line);
        self.read_fields(&fields).map_err(|kind| {
            let path = unescape(fields.path).unwrap_or(Cow::Borrowed(fields.path));
            self.error(&path, kind)
        })
    }

    fn error(&self, path: &[u8], kind: DumpErrorKind) -> DumpError {
        DumpError { line: self.line, path: path.to_vec(), kind }
    }

    fn read_fields(&mut self, fields: &Fields<'_>) -> Result<(), DumpErrorKind> {
        let path = text("PATH", fields.path)?;
        let (is_link, mode) = match fields.mode.strip_prefix(b"@") {
            Some(mode) => (true, mode),
            None => (false, fields.mode),
        };
        let mode = low16(octal("MODE", mode)?);
        let file_type = FileType::from_mode(mode).ok_or(DumpErrorKind::FileType { mode })?;
        if is_link {
            return self.read_link(fields, &path, file_type);
        }
        self.read_file(fields, &path, mode, file_type)
    }

    fn read_link(
        &mut self,
        fields: &Fields<'_>,
        path: &[u8],
        file_type: FileType,
    ) -> Result<(), DumpErrorKind> {
        let target = optional("PAYLOAD", fields.payload)?;
        let target = match target {
            Some(target) if file_type != FileType::Directory => target,
            _ => return Err(DumpErrorKind::Link),
        };
        let (parent, name) = self.place(path)?.ok_or(DumpErrorKind::RootPath)?;
        Ok(self.builder.add_link_to_path(parent, name, &target)?)
    }

    fn read_file(
        &mut self,
        fields: &Fields<'_>,
        path: &[u8],
        mode: u16,
        file_type: FileType,
    ) -> Result<(), DumpErrorKind> {
        let size = decimal("SIZE", fields.size)?;
        let metadata = Metadata {
            permissions: mode & 0o7777,
            nlink: low32(decimal("NLINK", fields.nlink)?),
            uid: low32(decimal("UID", fields.uid)?),
            gid: low32(decimal("GID", fields.gid)?),
            mtime: mtime(fields.mtime)?,
        };
        let rdev = decimal("RDEV", fields.rdev)?;
        let payload = optional("PAYLOAD", fields.payload)?;
        // Also where it is not used: `mkcomposefs` refuses it there as well.
        if let Some(payload) = payload.as_deref().filter(|path| path.len() > limits::PAYLOAD) {
            return Err(TreeError::Payload { found: payload.len() }.into());
        }
        let content = optional_bytes("CONTENT", fields.content)?;
        let digest = match optional("DIGEST", fields.digest)? {
            None => None,
            // A line may end early where no digest is wanted: only external files have one.
            Some(hex)
                if hex.is_empty()
                    && (size == 0
                        || file_type != FileType::Regular
                        || content.as_ref().is_some_and(|content| !content.is_empty())) =>
            {
                None
            }
            Some(hex) => Some(FileDigest::from_hex(&hex)?),
        };
        let content = FileContent { file_type, size, rdev, payload, content, digest };
        if self.strictness == Strictness::Strict {
            content.check_strictly()?;
        }
        let xattrs = self.read_xattrs(fields.xattrs)?;
        let node = Node {
            metadata,
            content: content.as_node()?,
            xattrs,
            stated_size: if file_type == FileType::Directory { 0 } else { size },
        };
        self.add(path, &node)
    }

    fn add(&mut self, path: &[u8], node: &Node<'_>) -> Result<(), DumpErrorKind> {
        match self.place(path)? {
            Some((parent, name)) => self.builder.add(parent, name, node).map(|_| ())?,
            None => self.root = Some(self.builder.set_root(node)?),
        }
        Ok(())
    }

    /// The directory and the name of a path; `None` for the root on the first line.
    fn place<'p>(&mut self, path: &'p [u8]) -> Result<Option<(InodeId, &'p [u8])>, DumpErrorKind> {
        let Some(root) = self.root else {
            return if path == b"/" { Ok(None) } else { Err(DumpErrorKind::RootPath) };
        };
        let split = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
        let (directory, name) = path.split_at(split);
        if path.iter().all(|byte| *byte == b'/') {
            return Err(DumpErrorKind::RootPath);
        }
        if let Some((last, inode)) = &self.last_directory
            && last == directory
        {
            return Ok(Some((*inode, name)));
        }
        let inode = directory
            .split(|byte| *byte == b'/')
            .filter(|component| !component.is_empty())
            .try_fold(root, |parent, component| self.builder.directory(parent, component))
            .ok_or(DumpErrorKind::NoParent)?;
        self.last_directory = Some((directory.to_vec(), inode));
        Ok(Some((inode, name)))
    }

    fn read_xattrs(&mut self, list: &[u8]) -> Result<crate::XattrSetId, DumpErrorKind> {
        if list.is_empty() {
            return Ok(crate::XattrSetId::default());
        }
        if list.len() > MAX_XATTR_TEXT {
            return Err(DumpErrorKind::XattrText { found: list.len() });
        }
        // One space after the last attribute is tolerated.
        let list = list.strip_suffix(b" ").unwrap_or(list);
        let pairs = list.split(|byte| *byte == b' ').map(xattr).collect::<Result<Vec<_>, _>>()?;
        let pairs: Vec<(&[u8], &[u8])> =
            pairs.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        Ok(self.builder.xattr_set(&pairs)?)
    }
}

/// The raw fields of a line. Fields that are missing at the end are empty.
struct Fields<'a> {
    path: &'a [u8],
    size: &'a [u8],
    mode: &'a [u8],
    nlink: &'a [u8],
    uid: &'a [u8],
    gid: &'a [u8],
    rdev: &'a [u8],
    mtime: &'a [u8],
    payload: &'a [u8],
    content: &'a [u8],
    digest: &'a [u8],
    xattrs: &'a [u8],
}

impl<'a> Fields<'a> {
    fn split(line: &'a [u8]) -> Self {
        let mut rest = line;
        let mut next = || match memchr::memchr(b' ', rest) {
            Some(end) => {
                let field = &rest[..end];
                rest = &rest[end + 1..];
                field
            }
            None => core::mem::take(&mut rest),
        };
        Self {
            path: next(),
            size: next(),
            mode: next(),
            nlink: next(),
            uid: next(),
            gid: next(),
            rdev: next(),
            mtime: next(),
            payload: next(),
            content: next(),
            digest: next(),
            xattrs: rest,
        }
    }
}

/// What decides a file's type and content.
struct FileContent<'a> {
    file_type: FileType,
    size: u64,
    rdev: u64,
    payload: Option<Cow<'a, [u8]>>,
    content: Option<Cow<'a, [u8]>>,
    digest: Option<FileDigest>,
}

impl FileContent<'_> {
    fn as_node(&self) -> Result<NodeContent<'_>, DumpErrorKind> {
        if self.file_type != FileType::Symlink {
            self.check_content()?;
        }
        let rdev = low32(self.rdev);
        Ok(match self.file_type {
            FileType::Directory => NodeContent::Directory,
            FileType::Symlink => {
                NodeContent::Symlink(self.payload.as_deref().ok_or(DumpErrorKind::NoTarget)?)
            }
            FileType::BlockDevice => NodeContent::BlockDevice(rdev),
            FileType::CharDevice => NodeContent::CharDevice(rdev),
            FileType::Fifo => NodeContent::Fifo,
            FileType::Socket => NodeContent::Socket,
            FileType::Regular => match self.content.as_deref() {
                Some(content) if !content.is_empty() => NodeContent::Inline(content),
                _ => NodeContent::External {
                    size: self.size,
                    digest: self.digest,
                    payload: self.payload.as_deref(),
                },
            },
        })
    }

    fn check_content(&self) -> Result<(), DumpErrorKind> {
        let Some(content) = &self.content else { return Ok(()) };
        let found = content.len() as u64;
        if found != self.size {
            return Err(DumpErrorKind::ContentSize { expected: self.size, found });
        }
        if content.len() > limits::INLINE_CONTENT {
            return Err(TreeError::InlineContent { found: content.len() }.into());
        }
        Ok(())
    }

    fn check_strictly(&self) -> Result<(), DumpErrorKind> {
        let is_device = matches!(self.file_type, FileType::BlockDevice | FileType::CharDevice);
        if self.rdev != 0 && !is_device {
            return Err(DumpErrorKind::Rdev { found: self.rdev });
        }
        if self.file_type == FileType::Symlink {
            if self.content.as_ref().is_some_and(|content| !content.is_empty()) {
                return Err(DumpErrorKind::SymlinkContent);
            }
            let found = self.payload.as_ref().map_or(0, |target| target.len() as u64);
            if found != self.size {
                return Err(DumpErrorKind::ContentSize { expected: self.size, found });
            }
        }
        Ok(())
    }
}

/// A field of text without NUL bytes.
fn text<'a>(field: &'static str, raw: &'a [u8]) -> Result<Cow<'a, [u8]>, DumpErrorKind> {
    let text = unescape(raw).ok_or(DumpErrorKind::Escape { field })?;
    match memchr::memchr(0, &text) {
        None => Ok(text),
        Some(_) => Err(DumpErrorKind::EscapedNul { field }),
    }
}

/// A field of text without NUL bytes that `-` leaves out.
fn optional<'a>(
    field: &'static str,
    raw: &'a [u8],
) -> Result<Option<Cow<'a, [u8]>>, DumpErrorKind> {
    if raw == b"-" { Ok(None) } else { text(field, raw).map(Some) }
}

/// A field of bytes that `-` leaves out.
fn optional_bytes<'a>(
    field: &'static str,
    raw: &'a [u8],
) -> Result<Option<Cow<'a, [u8]>>, DumpErrorKind> {
    if raw == b"-" {
        return Ok(None);
    }
    unescape(raw).map(Some).ok_or(DumpErrorKind::Escape { field })
}

type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// An attribute: the name ends at the first `=` that is not escaped, and an escaped one is `\x3d`.
fn xattr(raw: &[u8]) -> Result<Pair<'_>, DumpErrorKind> {
    let equals = memchr::memchr(b'=', raw).ok_or(DumpErrorKind::Xattr)?;
    let name = text("attribute name", &raw[..equals])?;
    if name.is_empty() {
        return Err(DumpErrorKind::Xattr);
    }
    let field = "attribute value";
    let value = unescape(&raw[equals + 1..]).ok_or(DumpErrorKind::Escape { field })?;
    Ok((name, value))
}

fn mtime(raw: &[u8]) -> Result<Mtime, DumpErrorKind> {
    let error = || DumpErrorKind::Mtime { text: raw.to_vec() };
    let point = memchr::memchr(b'.', raw).ok_or_else(error)?;
    let seconds = c_number(&raw[..point], 10).ok_or_else(error)?;
    let nanoseconds = c_number(&raw[point + 1..], 10).ok_or_else(error)?;
    Ok(Mtime { seconds: seconds.cast_signed(), nanoseconds: low32(nanoseconds) })
}

fn decimal(field: &'static str, raw: &[u8]) -> Result<u64, DumpErrorKind> {
    c_number(raw, 10).ok_or_else(|| DumpErrorKind::Number { field, text: raw.to_vec() })
}

fn octal(field: &'static str, raw: &[u8]) -> Result<u64, DumpErrorKind> {
    c_number(raw, 8).ok_or_else(|| DumpErrorKind::Number { field, text: raw.to_vec() })
}

/// A number as C's `strtoull` reads it, because existing dumps were written for that: leading
/// blanks and a sign are allowed, `-` negates modulo 2^64, and what is too large saturates.
fn c_number(raw: &[u8], radix: u32) -> Option<u64> {
    let blanks = raw.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | 0x0b..=b'\r')).count();
    let (negative, digits) = match &raw[blanks..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = Some(0u64);
    for digit in digits {
        let digit = char::from(*digit).to_digit(radix)?;
        value = value
            .and_then(|value| value.checked_mul(u64::from(radix)))
            .and_then(|value| value.checked_add(u64::from(digit)));
    }
    match value {
        None => Some(u64::MAX),
        Some(value) if negative => Some(value.wrapping_neg()),
        some => some,
    }
}

/// The low 32 bits: what the format keeps of the wider numbers that a dump may state.
const fn low32(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The low 16 bits: what the format keeps of a mode.
const fn low16(value: u64) -> u16 {
    let [a, b, ..] = value.to_le_bytes();
    u16::from_le_bytes([a, b])
}
