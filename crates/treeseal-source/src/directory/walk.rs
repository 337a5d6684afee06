//! The walk: workers that open directories and read files.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use treeseal_sys::{
    Directory, FileError, FileId, ListBuffer, Operation, Stat, Xattr, XattrBuffer, file_xattrs,
    raise_descriptor_limit, stat_file,
};
use treeseal_tree::{FileType, TreeError};

use super::assemble::assemble;
use super::content::{BUFFER_BYTES, ContentSink, FileContent, Known, join};
use super::found::{Found, Held, number};
use super::names::{Listed, Names};
use super::outlook::Outlook;
use super::queue::{Queue, StopOnDrop};
use super::{ImportError, ImportOptions, Imported, Xattrs};
use crate::{Amount, Phase, Progress};

/// Largest content that becomes part of the image, in bytes: what `mkcomposefs` takes.
const INLINE_LIMIT: usize = 64;

/// A file of this many bytes takes so long that others should not wait for it.
const LARGE_FILE: u64 = 1 << 20;

/// The number of the directory that holds nothing but the root.
pub(super) const ABOVE_ROOT: u32 = 0;
const ROOT: u32 = 1;

/// Makes a tree of a directory, and gives the content of its larger files to a sink. The path may
/// lead over symlinks; what is below it is never followed.
///
/// Raises the limit of open files of this process, because a directory stays open until what is
/// below it has been found.
///
/// `progress` hears of every regular file. How much there is to read is known when every directory
/// was listed and every file seen, and as a rule not long before the end: files are read as they are
/// found.
///
/// ```
/// use treeseal_source::{ImportOptions, Measure, Progress, import_directory};
///
/// let options = ImportOptions { epoch: Some(0), ..ImportOptions::default() };
/// let (measure, progress) = (Measure::default(), Progress::default());
/// let imported = import_directory("src".as_ref(), &options, &measure, &progress)?;
/// assert!(imported.tree.lookup(b"lib.rs").is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn import_directory<S: ContentSink>(
    root: &Path,
    options: &ImportOptions,
    sink: &S,
    progress: &Progress,
) -> Result<Imported, ImportError<S::Error>> {
    raise_descriptor_limit();
    progress.begin(Phase::Read);
    let path = root.as_os_str().as_bytes();
    let shared = Shared {
        options,
        sink,
        progress,
        queue: Queue::new(Item::Root(Directory::open(root)?)),
        outlook: Outlook::new(),
        path,
        links: Mutex::default(),
        next_directory: AtomicU32::new(ROOT + 1),
        failure: Mutex::default(),
    };
    let found = shared.run();
    if let Some(failure) = shared.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(failure);
    }
    let directories = shared.next_directory.into_inner();
    let groups = shared.links.into_inner().unwrap_or_else(PoisonError::into_inner).len();
    assemble(found, directories, groups, options)
        .map_err(|error| ImportError::Tree { path: error.path_below(path), source: error.source })
}

/// What the workers share.
struct Shared<'a, S: ContentSink> {
    options: &'a ImportOptions,
    sink: &'a S,
    progress: &'a Progress,
    queue: Queue<Item>,
    outlook: Outlook,
    /// The path of the top directory, for messages.
    path: &'a [u8],
    /// The group of each inode that has several names.
    links: Mutex<HashMap<FileId, u32>>,
    next_directory: AtomicU32,
    /// The first failure.
    failure: Mutex<Option<ImportError<S::Error>>>,
}

/// Something to do.
enum Item {
    /// Find out what is in the top directory.
    Root(Directory),
    /// Open a directory and find out what is in it.
    Directory { parent: Arc<OpenDirectory>, name: Box<[u8]>, number: u32 },
    /// Look at files.
    Names(Arc<OpenDirectory>, Names),
}

/// A directory that stays open as long as something in it is to be opened.
struct OpenDirectory {
    directory: Directory,
    number: u32,
    /// For messages.
    path: Vec<u8>,
    /// The device it is on.
    device: u32,
    /// Whether it has any of the attributes that are wanted.
    has_xattrs: bool,
}

struct Worker<'a, S: ContentSink> {
    shared: &'a Shared<'a, S>,
    found: Found,
    /// The files that were seen for the item at hand; nothing once it leads to no more.
    seen: Option<Amount>,
    content: Vec<u8>,
    listing: ListBuffer,
    xattrs: XattrBuffer,
}

impl OpenDirectory {
    const fn new(directory: Directory, number: u32, path: Vec<u8>) -> Self {
        Self { directory, number, path, device: 0, has_xattrs: false }
    }
}

impl<S: ContentSink> Shared<'_, S> {
    /// Runs the workers, of which this thread is one, to their end.
    fn run(&self) -> Vec<Found> {
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..self.options.threads.get())
                // Where the system gives no more threads, fewer have to do.
                .map_while(|_| {
                    std::thread::Builder::new().spawn_scoped(scope, || Worker::new(self).run()).ok()
                })
                .collect();
            let mut found = vec![Worker::new(self).run()];
            for other in others {
                match other.join() {
                    Ok(others) => found.push(others),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            found
        })
    }

    fn push(&self, item: Item) {
        self.outlook.add_item();
        self.queue.push(item);
    }

    fn fail(&self, error: ImportError<S::Error>) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.queue.stop();
    }

    /// The group of an inode with several names, and whether this is the first of them.
    fn claim(&self, id: FileId) -> Result<(u32, bool), TreeError> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let next = number(links.len(), "hard links")?;
        Ok(match links.entry(id) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(new) => (*new.insert(next), true),
        })
    }

    fn number_directory(&self) -> Result<u32, TreeError> {
        let add_one = |number: u32| number.checked_add(1);
        self.next_directory
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add_one)
            .map_err(|_| TreeError::TooLarge("directories"))
    }
}

impl<'a, S: ContentSink> Worker<'a, S> {
    fn new(shared: &'a Shared<'a, S>) -> Self {
        Self {
            shared,
            found: Found::default(),
            seen: None,
            content: vec![0; BUFFER_BYTES],
            listing: ListBuffer::default(),
            xattrs: XattrBuffer::default(),
        }
    }

    fn run(mut self) -> Found {
        let _guard = StopOnDrop(&self.shared.queue);
        let mut has_finished_one = false;
        while let Some(item) = self.shared.queue.next(has_finished_one) {
            has_finished_one = true;
            self.seen = Some(Amount::default());
            match self.work_on(item) {
                Ok(()) => self.has_looked(),
                Err(error) => self.shared.fail(error),
            }
        }
        self.found
    }

    /// The item at hand leads to no more files than were seen by now.
    fn has_looked(&mut self) {
        if let Some(seen) = self.seen.take()
            && let Some(total) = self.shared.outlook.finish_item(seen)
        {
            self.shared.progress.expect(total);
        }
    }

    fn work_on(&mut self, item: Item) -> Result<(), ImportError<S::Error>> {
        match item {
            Item::Root(directory) => {
                let path = self.shared.path.to_vec();
                self.enter(ABOVE_ROOT, b"", OpenDirectory::new(directory, ROOT, path))
            }
            Item::Directory { parent, name, number } => {
                let path = join(&parent.path, &name);
                let directory = parent
                    .directory
                    .open_directory(&name)
                    .map_err(|error| error.with_path(path.clone()))?;
                let parent_number = parent.number;
                drop(parent);
                self.enter(parent_number, &name, OpenDirectory::new(directory, number, path))
            }
            Item::Names(directory, names) => self.look_at(&directory, &names),
        }
    }

    /// Notes a directory and looks at the last names in it; the others go into the queue.
    fn enter(
        &mut self,
        parent: u32,
        name: &[u8],
        mut open: OpenDirectory,
    ) -> Result<(), ImportError<S::Error>> {
        let at = |error: FileError| error.with_path(open.path.clone());
        let stat = open.directory.stat().map_err(at)?;
        if self.shared.options.exclude.contains(&stat.id) {
            return Err(ImportError::Overlap { path: open.path });
        }
        let xattrs = self.file_xattrs(&open.directory).map_err(at)?;
        open.device = stat.id.device;
        open.has_xattrs = !xattrs.is_empty();
        self.found
            .add_xattrs(xattrs)
            .and_then(|xattrs| {
                let held = Held::Directory(open.number);
                self.found.add_inode(&stat, FileType::Directory, xattrs, &held)
            })
            .and_then(|inode| self.found.add_name(parent, name, inode, false))
            .map_err(|source| ImportError::Tree { path: open.path.clone(), source })?;
        self.found.stats.directories += 1;

        let open = Arc::new(open);
        let names = self.list(&open)?;
        if open.directory.stat().map_err(|error| error.with_path(open.path.clone()))? != stat {
            return Err(ImportError::Changed { path: open.path.clone() });
        }
        self.look_at(&open, &names)
    }

    /// Puts the names in a directory into the queue, but for the last run, which it gives back.
    fn list(&mut self, open: &Arc<OpenDirectory>) -> Result<Names, FileError> {
        let mut names = Names::default();
        let shared = self.shared;
        open.directory
            .list(&mut self.listing, |type_bits, name| {
                if let Some(run) = names.push(type_bits, name) {
                    shared.push(Item::Names(Arc::clone(open), run));
                }
                Ok(())
            })
            .map_err(|error: FileError| error.with_path(open.path.clone()))?;
        Ok(names)
    }

    fn look_at(
        &mut self,
        open: &Arc<OpenDirectory>,
        names: &Names,
    ) -> Result<(), ImportError<S::Error>> {
        let mut position = 0;
        while let Some(Listed { type_bits, name, next }) = names.at(position) {
            if self.shared.queue.stopped().load(Ordering::Relaxed) {
                break;
            }
            position = next;
            if FileType::from_mode(type_bits) == Some(FileType::Directory) {
                self.defer(open, name)?;
                continue;
            }
            let stat = open
                .directory
                .stat_child(name)
                .map_err(|error| error.with_path(join(&open.path, name)))?;
            if stat.size >= LARGE_FILE {
                if let Some(rest) = names.rest(next) {
                    self.shared.push(Item::Names(Arc::clone(open), rest));
                }
                return self.look_at_one(open, name, &stat);
            }
            self.look_at_one(open, name, &stat)?;
        }
        Ok(())
    }

    /// Puts a directory into the queue.
    fn defer(&self, parent: &Arc<OpenDirectory>, name: &[u8]) -> Result<(), ImportError<S::Error>> {
        let number = self
            .shared
            .number_directory()
            .map_err(|source| ImportError::Tree { path: join(&parent.path, name), source })?;
        let parent = Arc::clone(parent);
        self.shared.push(Item::Directory { parent, name: name.into(), number });
        Ok(())
    }

    fn look_at_one(
        &mut self,
        open: &Arc<OpenDirectory>,
        name: &[u8],
        stat: &Stat,
    ) -> Result<(), ImportError<S::Error>> {
        let path = || join(&open.path, name);
        let tree_error = |source| ImportError::Tree { path: path(), source };
        let Some(file_type) = FileType::from_mode(stat.mode) else {
            return Err(ImportError::FileType { path: path(), mode: stat.mode });
        };
        match file_type {
            // The listing did not say so.
            FileType::Directory => return self.defer(open, name),
            FileType::BlockDevice | FileType::CharDevice if self.shared.options.skip_devices => {
                return Ok(());
            }
            _ => {}
        }
        if stat.nlink <= 1 {
            let inode = self.read(open, name, stat, file_type)?;
            return self.found.add_name(open.number, name, inode, false).map_err(tree_error);
        }
        let (group, is_first) = self.shared.claim(stat.id).map_err(tree_error)?;
        self.found.add_name(open.number, name, group, true).map_err(tree_error)?;
        if is_first {
            let inode = self.read(open, name, stat, file_type)?;
            self.found.group_inodes.push((group, inode));
        } else {
            self.found.stats.links += 1;
        }
        Ok(())
    }

    /// Reads what a file holds, and gives the number of its inode.
    fn read(
        &mut self,
        open: &OpenDirectory,
        name: &[u8],
        stat: &Stat,
        file_type: FileType,
    ) -> Result<u32, ImportError<S::Error>> {
        if file_type == FileType::Regular {
            self.found.stats.files += 1;
            self.found.stats.bytes += stat.size;
            if let Some(seen) = &mut self.seen {
                seen.files += 1;
                seen.bytes = seen.bytes.saturating_add(stat.size);
            }
            if stat.size >= LARGE_FILE {
                // It is the last of its item.
                self.has_looked();
            }
            let inode = if stat.size == 0 {
                self.read_unopened(open, name, stat, file_type)?
            } else {
                self.read_regular(open, name, stat)?
            };
            self.shared.progress.add_file();
            Ok(inode)
        } else {
            self.read_unopened(open, name, stat, file_type)
        }
    }

    /// Reads a file that has no content, or whose content is not reached by opening it.
    fn read_unopened(
        &mut self,
        open: &OpenDirectory,
        name: &[u8],
        stat: &Stat,
        file_type: FileType,
    ) -> Result<u32, ImportError<S::Error>> {
        let at = |error: FileError| error.with_path(join(&open.path, name));
        let target = match file_type {
            FileType::Symlink => open.directory.read_link(name).map_err(at)?,
            _ => Vec::new(),
        };
        let held = match file_type {
            FileType::Symlink => Held::Symlink(&target),
            FileType::BlockDevice | FileType::CharDevice => Held::Device(stat.device),
            _ => Held::Nothing,
        };
        let xattrs = match self.shared.options.xattrs {
            Xattrs::Ignore => Vec::new(),
            wish => open
                .directory
                .child_xattrs(name, |name| is_wanted(wish, name), &mut self.xattrs)
                .map_err(at)?,
        };
        if open.directory.stat_child(name).map_err(at)? != *stat {
            return Err(ImportError::Changed { path: join(&open.path, name) });
        }
        self.add_inode(open, name, stat, file_type, xattrs, &held)
    }

    fn read_regular(
        &mut self,
        open: &OpenDirectory,
        name: &[u8],
        stat: &Stat,
    ) -> Result<u32, ImportError<S::Error>> {
        let known = self.known(open, name, stat)?;
        if known.is_some() {
            self.shared.progress.add_known_bytes(stat.size);
        }
        if let Some(known) = known.filter(|known| self.shows_no_xattrs(open, known)) {
            let held = Held::External(stat.size, known.digest);
            self.found.stats.objects += 1;
            return self.add_inode(open, name, stat, FileType::Regular, Vec::new(), &held);
        }
        let at = |error: FileError| error.with_path(join(&open.path, name));
        let changed = || ImportError::Changed { path: join(&open.path, name) };
        let file = open.directory.open_file(name).map_err(at)?;
        if stat_file(&file).map_err(at)? != *stat {
            return Err(changed());
        }
        let xattrs = self.file_xattrs(&file).map_err(at)?;
        let sink = self.shared.sink;
        let mut content = self.content_of(&file, open, name, stat);
        let mut inline = [0; INLINE_LIMIT];
        let inline = usize::try_from(stat.size).ok().and_then(|size| inline.get_mut(..size));
        let held = match (known, inline) {
            (Some(known), _) => Ok(Held::External(stat.size, known.digest)),
            (None, Some(inline)) => {
                read_inline(&mut content, inline).map(|()| Held::Inline(inline))
            }
            (None, None) => put(sink, &mut content),
        };
        let is_short = content.is_short;
        // First, because a change explains whatever else went wrong.
        if is_short || stat_file(&file).map_err(at)? != *stat {
            return Err(changed());
        }
        let held = held?;
        if let Held::External(_, digest) = held {
            self.found.stats.objects += 1;
            if known.is_none() && stat.id.device == open.device {
                let without_xattrs = self.shared.options.xattrs == Xattrs::All && xattrs.is_empty();
                sink.learn(stat, open.directory.as_fd(), &Known { digest, without_xattrs });
            }
        }
        self.add_inode(open, name, stat, FileType::Regular, xattrs, &held)
    }

    /// What the sink knows of a file whose content would go to it.
    fn known(
        &self,
        open: &OpenDirectory,
        name: &[u8],
        stat: &Stat,
    ) -> Result<Option<Known>, ImportError<S::Error>> {
        if stat.size <= INLINE_LIMIT as u64 || stat.id.device != open.device {
            return Ok(None);
        }
        let known = self.shared.sink.known(stat, open.directory.as_fd());
        known.map_err(|source| ImportError::Sink { path: join(&open.path, name), source })
    }

    /// Whether a file that is known has none of the attributes that are wanted.
    ///
    /// A security module can begin to show labels on files that did not change. It shows one on
    /// every directory too, so then files are asked again.
    fn shows_no_xattrs(&self, open: &OpenDirectory, known: &Known) -> bool {
        let is_wanting = self.shared.options.xattrs != Xattrs::Ignore;
        !is_wanting || known.without_xattrs && !open.has_xattrs
    }

    fn content_of<'c>(
        &'c mut self,
        file: &'c File,
        open: &'c OpenDirectory,
        name: &'c [u8],
        stat: &Stat,
    ) -> FileContent<'c> {
        FileContent {
            file,
            directory: &open.path,
            name,
            size: stat.size,
            has_verity: stat.has_verity,
            remaining: stat.size,
            buffer: &mut self.content,
            start: 0,
            end: 0,
            is_short: false,
            progress: self.shared.progress,
            stopped: self.shared.queue.stopped(),
        }
    }

    fn add_inode(
        &mut self,
        open: &OpenDirectory,
        name: &[u8],
        stat: &Stat,
        file_type: FileType,
        xattrs: Vec<Xattr>,
        held: &Held<'_>,
    ) -> Result<u32, ImportError<S::Error>> {
        self.found
            .add_xattrs(xattrs)
            .and_then(|xattrs| self.found.add_inode(stat, file_type, xattrs, held))
            .map_err(|source| ImportError::Tree { path: join(&open.path, name), source })
    }

    fn file_xattrs(&mut self, file: impl std::os::fd::AsFd) -> Result<Vec<Xattr>, FileError> {
        match self.shared.options.xattrs {
            Xattrs::Ignore => Ok(Vec::new()),
            wish => file_xattrs(file, |name| is_wanted(wish, name), &mut self.xattrs),
        }
    }
}

fn is_wanted(wish: Xattrs, name: &[u8]) -> bool {
    match wish {
        Xattrs::All => true,
        Xattrs::UserOnly => name.starts_with(b"user."),
        Xattrs::Ignore => false,
    }
}

fn read_inline<E: std::error::Error>(
    content: &mut FileContent<'_>,
    inline: &mut [u8],
) -> Result<(), ImportError<E>> {
    content.read_exact(inline).map_err(|source| {
        FileError::Os { operation: Operation::Read, path: content.path(), source }.into()
    })
}

fn put<S: ContentSink>(
    sink: &S,
    content: &mut FileContent<'_>,
) -> Result<Held<'static>, ImportError<S::Error>> {
    match sink.put(content) {
        Ok(digest) => Ok(Held::External(content.size, digest)),
        Err(source) => Err(ImportError::Sink { path: content.path(), source }),
    }
}
