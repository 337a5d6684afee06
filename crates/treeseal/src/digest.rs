//! File digests of files, on all cores.
//!
//! What is to be done is one queue: spans of large files, whole small files. A thread that has
//! nothing to do takes the next of it, so that one large file keeps every core busy, and so do many
//! small ones, and one large one among them. A span is read with `pread` into the thread's own
//! buffer and hashed there; it is never mapped, because a mapped file can change between two looks
//! at it, and end under the reader. The hashes of the spans are joined in the order of the file.
//!
//! In use are a buffer of 1 MiB for each thread, and the hashes of a few spans.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZero;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use treeseal_source::{Amount, Phase, Progress};
use treeseal_verity::{Digester, FileDigest, Leaves, Params};

use crate::Error;

/// Bytes that are read at once, a multiple of every block size: sixteen of the largest blocks, which
/// is what the widest implementation hashes at once. The kernel copies pieces of this length in two
/// thirds of the time that it takes for a quarter of it, and larger ones no faster.
const SPAN: usize = 1 << 20;

/// Content below this many bytes is hashed sooner than a thread is started.
const LARGE: u64 = 2 << 20;

/// Spans that may be hashed before an earlier one is.
const AHEAD: u64 = 64;

/// Where a cache line begins; loads that cross one cost a twentieth of the time.
const LINE: usize = 64;

/// The digest of a file's content.
pub fn digest_file(path: &Path, params: &Params) -> Result<FileDigest, Error> {
    let mut found = None;
    digest_files(&[path], params, &Progress::default(), &mut |_, digest| -> Result<(), Error> {
        found = Some(digest);
        Ok(())
    })?;
    found.ok_or_else(|| Error::io("read", path, io::ErrorKind::UnexpectedEof.into()))
}

/// The digests of files, in order: `each` is told of one as soon as all before it are known. The
/// first error ends it.
///
/// The content of a regular file is as much as it had when it was opened. One that gets shorter
/// meanwhile is an error.
pub fn digest_files<P, E>(
    paths: &[P],
    params: &Params,
    progress: &Progress,
    each: &mut dyn FnMut(&Path, FileDigest) -> Result<(), E>,
) -> Result<(), E>
where
    P: AsRef<Path> + Sync,
    E: From<Error>,
{
    progress.begin(Phase::Read);
    if progress.is_watched()
        && let Some(bytes) = size_of_all(paths)
    {
        progress.expect(Amount { files: paths.len() as u64, bytes });
    }
    let threads = worthwhile_threads(paths);
    if threads == 1 {
        let mut buffer = Buffer::new();
        return paths.iter().map(AsRef::as_ref).try_for_each(|path| {
            let digest = open(path)
                .and_then(|(file, _)| digest_stream(file, params, progress, &mut buffer))
                .map_err(|error| Error::io("read", path, error))?;
            progress.add_file();
            each(path, digest)
        });
    }
    let work = Work::new(paths, params, progress);
    thread::scope(|scope| {
        // Whatever ends this, the threads end.
        let _stop = StopOnDrop(&work);
        for _ in 0..threads {
            scope.spawn(|| {
                let _stop = StopOnPanic(&work);
                work.run();
            });
        }
        paths.iter().enumerate().try_for_each(|(index, path)| {
            let path = path.as_ref();
            let digest = work.wait_for(index).map_err(|error| Error::io("read", path, error))?;
            each(path, digest)
        })
    })
}

/// Bytes in all files; `None` if one is no regular file, or cannot be looked at.
fn size_of_all<P: AsRef<Path>>(paths: &[P]) -> Option<u64> {
    paths.iter().try_fold(0_u64, |bytes, path| {
        let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        bytes.checked_add(found.len())
    })
}

/// How many threads large files and many files are spread over.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// One where there is too little to do for more.
fn worthwhile_threads<P: AsRef<Path>>(paths: &[P]) -> usize {
    let most = threads();
    let enough = LARGE.saturating_mul(most as u64);
    let mut bytes = 0_u64;
    for path in paths {
        // What cannot be looked at is reported when it is read.
        bytes = bytes.saturating_add(fs::metadata(path).map_or(0, |found| found.len()));
        if bytes >= enough {
            return most;
        }
    }
    usize::try_from(bytes / SPAN as u64).map_or(most, |threads| threads.clamp(1, most))
}

/// What the threads share.
struct Work<'a, P> {
    paths: &'a [P],
    params: &'a Params,
    progress: &'a Progress,
    queue: Mutex<Queue>,
    /// A digest was found, a large file was opened, or something failed.
    changed: Condvar,
}

struct Queue {
    /// The next file that nobody has opened.
    next_file: usize,
    /// Files that may turn out to be large, and thus more to do.
    being_opened: usize,
    /// Large files without a digest yet, and the next span of each.
    large: Vec<(Arc<LargeFile>, u64)>,
    results: Vec<Option<io::Result<FileDigest>>>,
    is_stopped: bool,
}

enum Task {
    File(usize),
    Span(Arc<LargeFile>, u64),
}

/// A file that several threads hash.
struct LargeFile {
    index: usize,
    file: File,
    size: u64,
    spans: u64,
    joined: Mutex<Joined>,
    /// A span was joined, or one has failed.
    changed: Condvar,
}

/// The spans of a large file, put together.
struct Joined {
    /// `None` when the digest is known or something failed.
    digester: Option<Digester>,
    /// Spans that the digester has.
    count: u64,
    /// Later spans that are hashed already.
    waiting: BTreeMap<u64, Leaves>,
}

impl<'a, P: AsRef<Path>> Work<'a, P> {
    fn new(paths: &'a [P], params: &'a Params, progress: &'a Progress) -> Self {
        let queue = Queue {
            next_file: 0,
            being_opened: 0,
            large: Vec::new(),
            results: paths.iter().map(|_| None).collect(),
            is_stopped: false,
        };
        Self { paths, params, progress, queue: Mutex::new(queue), changed: Condvar::new() }
    }

    /// What each thread does.
    fn run(&self) {
        let mut buffer = Buffer::new();
        while let Some(task) = self.next_task() {
            match task {
                Task::File(index) => self.start_file(index, &mut buffer),
                Task::Span(large, span) => {
                    let hashed = large.hash_span(span, self.params, self.progress, &mut buffer);
                    if let Some(result) = large.join(span, hashed) {
                        self.finish(large.index, result);
                    }
                }
            }
        }
    }

    /// Spans before files: what was begun is ended first.
    fn next_task(&self) -> Option<Task> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.is_stopped {
                return None;
            }
            let mut large = queue.large.iter_mut();
            if let Some((large, next)) = large.find(|(large, next)| *next < large.spans) {
                *next += 1;
                return Some(Task::Span(Arc::clone(large), *next - 1));
            }
            if queue.next_file < self.paths.len() {
                queue.next_file += 1;
                queue.being_opened += 1;
                return Some(Task::File(queue.next_file - 1));
            }
            if queue.being_opened == 0 {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Hashes a small file; a large one is shared with the other threads.
    fn start_file(&self, index: usize, buffer: &mut Buffer) {
        let opened = self.paths.get(index).map(|path| open(path.as_ref()));
        let mut queue = lock(&self.queue);
        queue.being_opened -= 1;
        let small = match opened {
            Some(Ok((file, Some(size)))) if size >= LARGE => {
                let large = Arc::new(LargeFile::new(index, file, size, self.params));
                queue.large.push((large, 0));
                None
            }
            other => other,
        };
        drop(queue);
        self.changed.notify_all();
        match small {
            Some(Ok((file, _))) => {
                self.finish(index, digest_stream(file, self.params, self.progress, buffer));
            }
            Some(Err(error)) => self.finish(index, Err(error)),
            None => {}
        }
    }

    fn finish(&self, index: usize, result: io::Result<FileDigest>) {
        if result.is_ok() {
            self.progress.add_file();
        }
        let mut queue = lock(&self.queue);
        queue.large.retain(|(large, _)| large.index != index);
        if let Some(place) = queue.results.get_mut(index) {
            *place = Some(result);
        }
        drop(queue);
        self.changed.notify_all();
    }

    /// The digest of a file, once it is known.
    fn wait_for(&self, index: usize) -> io::Result<FileDigest> {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(result) = queue.results.get_mut(index).and_then(Option::take) {
                return result;
            }
            if queue.is_stopped {
                return Err(io::Error::other("a thread has failed"));
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn stop(&self) {
        let mut queue = lock(&self.queue);
        queue.is_stopped = true;
        for (large, _) in queue.large.drain(..) {
            large.give_up();
        }
        drop(queue);
        self.changed.notify_all();
    }
}

impl LargeFile {
    fn new(index: usize, file: File, size: u64, params: &Params) -> Self {
        let digester = Some(Digester::new(params.clone()));
        let joined = Mutex::new(Joined { digester, count: 0, waiting: BTreeMap::new() });
        let spans = size.div_ceil(SPAN as u64);
        Self { index, file, size, spans, joined, changed: Condvar::new() }
    }

    fn hash_span(
        &self,
        span: u64,
        params: &Params,
        progress: &Progress,
        buffer: &mut Buffer,
    ) -> io::Result<Leaves> {
        let buffer = buffer.bytes();
        let start = span * buffer.len() as u64;
        let length = usize::try_from(self.size - start).unwrap_or(usize::MAX).min(buffer.len());
        self.file.read_exact_at(&mut buffer[..length], start).map_err(|error| {
            match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    io::Error::new(error.kind(), "it got shorter meanwhile")
                }
                _ => error,
            }
        })?;
        progress.add_bytes(length as u64);
        Ok(Leaves::of(params, &buffer[..length]))
    }

    /// Puts a span to those before it. Gives the file's digest with the last one, and the first
    /// error; waits while too many spans before it are missing.
    fn join(&self, span: u64, hashed: io::Result<Leaves>) -> Option<io::Result<FileDigest>> {
        let mut joined = lock(&self.joined);
        let leaves = match hashed {
            Ok(leaves) => leaves,
            Err(error) => {
                drop(joined);
                return self.give_up().then_some(Err(error));
            }
        };
        // The thread that has the next span never waits here, so the others do not for ever.
        while joined.digester.is_some() && span >= joined.count + AHEAD {
            joined = self.changed.wait(joined).unwrap_or_else(PoisonError::into_inner);
        }
        joined.waiting.insert(span, leaves);
        joined.take_in();
        let digester = if joined.count == self.spans { joined.digester.take() } else { None };
        self.changed.notify_all();
        digester.map(|digester| Ok(digester.finish().digest))
    }

    /// Makes nobody wait for a digest any more; says whether one was still expected.
    fn give_up(&self) -> bool {
        let was_expected = lock(&self.joined).digester.take().is_some();
        self.changed.notify_all();
        was_expected
    }
}

impl Joined {
    /// Gives the digester what it can have by now.
    fn take_in(&mut self) {
        let Some(digester) = &mut self.digester else { return };
        while let Some(leaves) = self.waiting.remove(&self.count) {
            digester.update_leaves(&leaves);
            self.count += 1;
        }
    }
}

/// What a thread reads into; begins at a cache line.
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    fn new() -> Self {
        let bytes = vec![0; SPAN + LINE];
        let start = bytes.as_ptr().align_offset(LINE).min(LINE);
        Self { bytes, start }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + SPAN]
    }
}

/// A file and, if it is a regular one, its size.
fn open(path: &Path) -> io::Result<(File, Option<u64>)> {
    let file = File::open(path)?;
    let found = file.metadata()?;
    Ok((file, found.is_file().then_some(found.len())))
}

/// Reads to the end, whatever size the file is said to have.
fn digest_stream(
    mut file: File,
    params: &Params,
    progress: &Progress,
    buffer: &mut Buffer,
) -> io::Result<FileDigest> {
    let mut digester = Digester::new(params.clone());
    let buffer = buffer.bytes();
    loop {
        let mut filled = 0;
        // Whole spans, because a pipe gives less at a time than can be hashed at once.
        while filled < buffer.len() {
            match file.read(&mut buffer[filled..]) {
                Ok(0) => {
                    digester.update(&buffer[..filled]);
                    return Ok(digester.finish().digest);
                }
                Ok(count) => {
                    filled += count;
                    progress.add_bytes(count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        digester.update(buffer);
    }
}

/// Ends the threads when the one that waits for them is done, by whatever way.
struct StopOnDrop<'a, P: AsRef<Path>>(&'a Work<'a, P>);

impl<P: AsRef<Path>> Drop for StopOnDrop<'_, P> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Ends everything when a thread panics: nobody shall wait for what it had taken.
struct StopOnPanic<'a, P: AsRef<Path>>(&'a Work<'a, P>);

impl<P: AsRef<Path>> Drop for StopOnPanic<'_, P> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

/// What a mutex guards here is whole at every moment, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A file of this size, which is said to be larger.
    fn large_file(size: usize, said: u64) -> LargeFile {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..=250).cycle().take(size).collect();
        file.write_all(&content).unwrap();
        LargeFile::new(0, file, said, &Params::default())
    }

    #[test]
    fn spans_are_joined_in_the_order_of_the_file() {
        let size = 3 * SPAN + 5000;
        let (params, progress) = (Params::default(), Progress::default());
        let mut buffer = Buffer::new();
        let content: Vec<u8> = (0..=250).cycle().take(size).collect();
        let large = large_file(size, size as u64);
        assert_eq!(large.spans, 4);
        for span in [3, 1, 0] {
            let hashed = large.hash_span(span, &params, &progress, &mut buffer);
            assert!(large.join(span, hashed).is_none(), "span {span} is not the last");
        }
        let hashed = large.hash_span(2, &params, &progress, &mut buffer);
        let digest = large.join(2, hashed).unwrap().unwrap();
        assert_eq!(digest, Digester::digest_of(&params, &content));
    }

    #[test]
    fn a_file_that_gets_shorter_fails_once_and_holds_nobody_up() {
        let large = large_file(SPAN + 1, 200 * SPAN as u64);
        let (params, progress) = (Params::default(), Progress::default());
        let mut buffer = Buffer::new();
        let first = large.hash_span(0, &params, &progress, &mut buffer);
        assert!(first.is_ok());
        thread::scope(|scope| {
            // So far ahead that it waits for those before it.
            let ahead = scope.spawn(|| large.join(150, Ok(Leaves::of(&params, &[]))).is_none());
            let failed = large.hash_span(1, &params, &progress, &mut buffer);
            let error = large.join(1, failed).unwrap().unwrap_err();
            assert_eq!(error.to_string(), "it got shorter meanwhile");
            assert!(ahead.join().unwrap(), "the file's result was given before");
        });
        assert!(large.join(2, Err(io::ErrorKind::UnexpectedEof.into())).is_none());
        assert!(large.join(0, first).is_none());
    }
}
