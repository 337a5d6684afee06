use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use treeseal_sys::Stat;
use treeseal_verity::{Digester, FileDigest, Params};

use crate::Progress;

/// Takes the content of regular files; called from several threads at once.
pub trait ContentSink: Sync {
    /// Why content could not be taken.
    type Error: Error + Send + Sync + 'static;

    /// Reads the content to its end and gives its file digest.
    ///
    /// When the file turns out to have changed meanwhile the import fails, and what was taken in is
    /// content that no tree refers to.
    fn put(&self, content: &mut FileContent<'_>) -> Result<FileDigest, Self::Error>;

    /// What is known of a file that need not be read: the sink learnt it when the filesystem said
    /// the same of this file, and still has the content.
    ///
    /// `stat` is what the filesystem says of the file now. `beside` is open on the same filesystem.
    /// A file that lies on another filesystem than its directory is always read.
    fn known(&self, _stat: &Stat, _beside: BorrowedFd<'_>) -> Result<Option<Known>, Self::Error> {
        Ok(None)
    }

    /// Is told of a file that was put: the filesystem said the same of it before and after it was
    /// read. `beside` is open on the same filesystem.
    fn learn(&self, _stat: &Stat, _beside: BorrowedFd<'_>, _known: &Known) {}
}

/// What is known of a file whose metadata did not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The digest that [`ContentSink::put`] gave.
    pub digest: FileDigest,
    /// Whether the kernel showed no extended attribute at all. Otherwise there were some, or nobody
    /// looked for all of them.
    pub without_xattrs: bool,
}

/// Computes digests and keeps nothing.
#[derive(Clone, Debug, Default)]
pub struct Measure(
    /// What the digests are computed with.
    pub Params,
);

impl ContentSink for Measure {
    type Error = io::Error;

    fn put(&self, content: &mut FileContent<'_>) -> Result<FileDigest, io::Error> {
        let mut digester = Digester::new(self.0.clone());
        loop {
            let data = content.fill_buf()?;
            if data.is_empty() {
                return Ok(digester.finish().digest);
            }
            digester.update(data);
            let length = data.len();
            content.consume(length);
        }
    }
}

/// The content of a regular file that is being imported, from its start to the size that the tree
/// records; what is appended meanwhile does not show.
///
/// Reading through [`BufRead`] uses the import's own buffer, whose length is a multiple of every
/// block size.
pub struct FileContent<'a> {
    pub(super) file: &'a File,
    pub(super) directory: &'a [u8],
    pub(super) name: &'a [u8],
    pub(super) size: u64,
    pub(super) has_verity: bool,
    /// Bytes that the kernel has not given yet.
    pub(super) remaining: u64,
    pub(super) buffer: &'a mut [u8],
    /// The part of the buffer that is filled and not consumed.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The file ended before its size.
    pub(super) is_short: bool,
    /// Is told of every byte that the kernel gives.
    pub(super) progress: &'a Progress,
    /// Set when the import has failed elsewhere.
    pub(super) stopped: &'a AtomicBool,
}

/// Length of the buffer that files are read into, in bytes.
pub(super) const BUFFER_BYTES: usize = 128 * 1024;

impl FileContent<'_> {
    /// Size of the content in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Whether the file has fs-verity, so that the kernel knows a digest of it.
    pub const fn has_verity(&self) -> bool {
        self.has_verity
    }

    /// Says that what is left of the content is known, and leaves it unread.
    pub fn skip(&mut self) {
        self.progress.add_known_bytes(self.remaining);
        self.remaining = 0;
    }

    /// The path of the file, for messages.
    pub fn path(&self) -> Vec<u8> {
        join(self.directory, self.name)
    }

    fn read_file(
        file: &File,
        buffer: &mut [u8],
        remaining: &mut u64,
        is_short: &mut bool,
    ) -> io::Result<usize> {
        let most = usize::try_from(*remaining).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let mut file = file;
        let length = loop {
            match file.read(&mut buffer[..most]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        if length == 0 {
            *is_short = true;
            *remaining = 0;
        }
        *remaining = remaining.saturating_sub(length as u64);
        Ok(length)
    }

    fn check_stopped(&self) -> io::Result<()> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("the import of another file has failed"));
        }
        Ok(())
    }
}

impl Read for FileContent<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.start < self.end || into.len() < self.buffer.len() {
            let length = self.fill_buf()?.read(into)?;
            self.consume(length);
            return Ok(length);
        }
        self.check_stopped()?;
        let length = Self::read_file(self.file, into, &mut self.remaining, &mut self.is_short)?;
        self.progress.add_bytes(length as u64);
        Ok(length)
    }
}

impl BufRead for FileContent<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.check_stopped()?;
            self.start = 0;
            self.end =
                Self::read_file(self.file, self.buffer, &mut self.remaining, &mut self.is_short)?;
            self.progress.add_bytes(self.end as u64);
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, amount: usize) {
        self.start = self.end.min(self.start.saturating_add(amount));
    }
}

impl AsFd for FileContent<'_> {
    /// The file itself, for a sink that has the kernel copy it. Its position is the import's own.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The path of a name in a directory.
pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let separator: &[u8] = if directory.ends_with(b"/") { b"" } else { b"/" };
    [directory, separator, name].concat()
}
