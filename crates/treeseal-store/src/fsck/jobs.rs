//! The files that are checked, spread over threads.
//!
//! One thread at a time lists the next of the 256 directories of a part; whoever is free takes the
//! next few names. So no more names are held than one directory has, and a directory of large files
//! is shared by all threads.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use treeseal_source::Progress;
use treeseal_sys::{DurableDir, EntryKind, measure_verity};
use treeseal_verity::FileDigest;

use super::content::{Content, ShortFiles, Sidecar, check_sidecar, read_content};
use super::names::check_entry;
use super::{Finding, FsckOptions, FsckReads, Problem, is_finding};
use crate::layout::{self, params, sidecar_size};
use crate::{Part, References, Store, StoreError};

/// What was checked.
#[derive(Default)]
pub(super) struct Covered {
    pub(super) objects: u64,
    pub(super) images: u64,
    pub(super) enforced: u64,
    pub(super) bytes: u64,
}

/// Checks every file that is named by a digest, and looks for those that are referred to.
pub(super) fn check_content(
    store: &Store,
    references: Option<&References>,
    options: FsckOptions<'_>,
    found: &mut (dyn FnMut(Finding) + Send),
) -> Result<Covered, StoreError> {
    let threads = options
        .threads
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, std::num::NonZero::get);
    let check = Check {
        store,
        reads: options.reads,
        takes_verity: store.verity_refusal()?.is_none(),
        expected: references.map(Expected::new),
        progress: options.progress,
        names: Mutex::new(Names { part: 0, fanout: 0, ready: Vec::new() }),
        found: Mutex::new(found),
        stopped: AtomicBool::new(false),
        objects: AtomicU64::new(0),
        images: AtomicU64::new(0),
        enforced: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| check.work())).collect();
        let results = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        // All of them, so that none goes unjoined; the first error counts.
        results.fold(Ok(()), Result::and)
    })?;
    Ok(Covered {
        objects: check.objects.into_inner(),
        images: check.images.into_inner(),
        enforced: check.enforced.into_inner(),
        bytes: check.bytes.into_inner(),
    })
}

struct Check<'c> {
    store: &'c Store,
    reads: FsckReads,
    /// Whether files of the store can have fs-verity.
    takes_verity: bool,
    expected: Option<Expected<'c>>,
    progress: Option<&'c Progress>,
    names: Mutex<Names>,
    found: Mutex<&'c mut (dyn FnMut(Finding) + Send)>,
    /// Set when a thread gives up, so that the others do.
    stopped: AtomicBool,
    objects: AtomicU64,
    images: AtomicU64,
    enforced: AtomicU64,
    bytes: AtomicU64,
}

/// What is referred to, and in which of a part's directories it lies.
struct Expected<'r> {
    references: &'r References,
    by_directory: HashMap<(Part, u8), Vec<ExpectedFile<'r>>>,
}

/// A file that is referred to, and its size if that is known.
type ExpectedFile<'r> = (&'r FileDigest, Option<u64>);

/// Where the listing is.
struct Names {
    /// Index in [`PARTS`].
    part: usize,
    /// The next directory to list; 256 when the part is done.
    fanout: u16,
    /// Names that nobody has taken yet.
    ready: Vec<Named>,
}

/// A file that is to be checked.
struct Named {
    part: Part,
    digest: FileDigest,
    /// Where the file lies.
    dir: Arc<DurableDir>,
    /// Where its sidecar lies, if there is one.
    sidecar_dir: Option<Arc<DurableDir>>,
    /// Whether the kernel checks it against its digest; found out when it is opened.
    is_enforced: bool,
}

/// What is in one of a part's directories under the name of a digest.
#[derive(Default)]
struct Listed {
    dir: Option<Arc<DurableDir>>,
    files: HashSet<FileDigest>,
    /// Names of something else than a file.
    others: HashSet<FileDigest>,
}

/// What a thread reads into.
struct Buffers {
    run: Vec<u8>,
    short: ShortFiles<Named>,
}

/// Sidecars are looked for with their objects.
const PARTS: [Part; 2] = [Part::Image, Part::Object];

/// Names that a thread takes at a time: enough to fill a batch of short files.
const TAKEN: usize = 64;

impl Check<'_> {
    fn work(&self) -> Result<(), StoreError> {
        let mut buffers = Buffers { run: Vec::new(), short: ShortFiles::new() };
        let result = self.work_on(&mut buffers);
        if result.is_err() {
            self.stopped.store(true, Ordering::Relaxed);
        }
        result
    }

    fn work_on(&self, buffers: &mut Buffers) -> Result<(), StoreError> {
        loop {
            let names = self.take_names()?;
            if names.is_empty() {
                return Ok(());
            }
            for named in names {
                self.check_file(named, buffers)?;
            }
            self.judge_short(&mut buffers.short)?;
        }
    }

    /// The next names; none when all were taken.
    fn take_names(&self) -> Result<Vec<Named>, StoreError> {
        let mut names = lock(&self.names);
        while !self.stopped.load(Ordering::Relaxed) {
            if !names.ready.is_empty() {
                let rest = names.ready.len().saturating_sub(TAKEN);
                return Ok(names.ready.split_off(rest));
            }
            let Some(part) = PARTS.get(names.part).copied() else { break };
            match u8::try_from(names.fanout) {
                Ok(fanout) => {
                    names.ready = self.list(part, fanout)?;
                    names.fanout += 1;
                }
                Err(_) => {
                    names.part += 1;
                    names.fanout = 0;
                }
            }
        }
        Ok(Vec::new())
    }

    /// The files in one directory, and findings about what else is in it, and what is not.
    fn list(&self, part: Part, fanout: u8) -> Result<Vec<Named>, StoreError> {
        let listed = self.list_directory(part, fanout)?;
        self.report_missing(part, fanout, &listed);
        let sidecars = match part {
            Part::Object => self.list_directory(Part::Sidecar, fanout)?,
            Part::Image | Part::Sidecar => Listed::default(),
        };
        for digest in sidecars.files.iter().filter(|digest| !listed.has(digest)) {
            self.report(Part::Sidecar.path(digest).into(), Problem::SidecarOrphan);
        }
        let Some(dir) = listed.dir else { return Ok(Vec::new()) };
        let named = |digest: FileDigest| {
            let sidecar_dir = sidecars.dir.clone().filter(|_| sidecars.files.contains(&digest));
            Named { part, digest, dir: Arc::clone(&dir), sidecar_dir, is_enforced: false }
        };
        Ok(listed.files.into_iter().map(named).collect())
    }

    fn list_directory(&self, part: Part, fanout: u8) -> Result<Listed, StoreError> {
        let prefix = format!("{fanout:02x}");
        let path = format!("{}/{prefix}", part.dir());
        let mut listed = Listed::default();
        let dir = match self.store.dir().open_dir(&path) {
            // Something else in its place is found by its name.
            Err(treeseal_sys::DurableError::Kind { .. }) => return Ok(listed),
            Err(error) if error.is_missing() => return Ok(listed),
            result => result?,
        };
        for entry in dir.entries()? {
            let name = entry.name.as_encoded_bytes();
            let digest = layout::digest_of_name(prefix.as_bytes(), name);
            check_entry(
                Path::new(&path),
                &entry,
                digest.is_some(),
                EntryKind::Regular,
                &mut |finding| self.report(finding.path, finding.problem),
            );
            let is_file = entry.kind == EntryKind::Regular;
            let names = if is_file { &mut listed.files } else { &mut listed.others };
            names.extend(digest);
        }
        listed.dir = Some(Arc::new(dir));
        Ok(listed)
    }

    fn report_missing(&self, part: Part, fanout: u8, listed: &Listed) {
        let Some(expected) = &self.expected else { return };
        for (digest, size) in expected.in_directory(part, fanout) {
            if !listed.has(digest) {
                let problem = Problem::Missing { part, digest: **digest, size: *size };
                self.report(part.path(digest).into(), problem);
            }
        }
    }

    /// Checks a file, and judges it unless it is short: short files wait for each other.
    fn check_file(&self, mut named: Named, buffers: &mut Buffers) -> Result<(), StoreError> {
        let (file, size) = match named.dir.open_file(&layout::file_name(&named.digest)) {
            Ok(opened) => opened,
            Err(error) => return self.unreadable(&named, error.into()),
        };
        named.is_enforced = self.is_enforced(&file, &named.digest);
        if named.is_enforced && self.reads == FsckReads::Unenforced {
            return self.check_enforced(&named, size, buffers);
        }
        let params = params(&named.digest);
        if !params.is_short(size) {
            return self.check_long(&named, &file, size, buffers);
        }
        let short = &mut buffers.short;
        if !short.has_room(&params, size) {
            self.judge_short(short)?;
        }
        match short.read(&file, &params, size) {
            Ok(true) => {
                self.advance(size);
                short.add(named, size);
                Ok(())
            }
            Ok(false) => self.check_long(&named, &file, size, buffers),
            Err(error) => self.unreadable(&named, self.reading(&named, error)),
        }
    }

    /// Whether the kernel checks an open file against a digest. One that it checks against another is
    /// read, which shows what is wrong with it.
    fn is_enforced(&self, file: &File, digest: &FileDigest) -> bool {
        self.takes_verity && measure_verity(file).is_ok_and(|measured| measured == *digest)
    }

    /// Judges a file that the kernel checks. Only its sidecar is read, because that is checked by
    /// nobody.
    fn check_enforced(
        &self,
        named: &Named,
        size: u64,
        buffers: &mut Buffers,
    ) -> Result<(), StoreError> {
        let (digest, params) = (named.digest, params(&named.digest));
        let sidecar = check_sidecar(&digest, size, &params, named.sidecar(), &mut buffers.run);
        match sidecar {
            Ok(sidecar) => {
                if let Some(progress) = self.progress {
                    progress.add_known_bytes(size);
                }
                self.judge(named, &Content { digest, size, sidecar })
            }
            Err(error) => self.unreadable(named, self.reading(named, error)),
        }
    }

    fn judge_short(&self, short: &mut ShortFiles<Named>) -> Result<(), StoreError> {
        for (named, digest, size) in short.finish() {
            let sidecar = match &named.sidecar_dir {
                None => Sidecar::Right,
                Some(_) => Sidecar::Needless,
            };
            self.judge(&named, &Content { digest, size, sidecar })?;
        }
        Ok(())
    }

    fn check_long(
        &self,
        named: &Named,
        file: &File,
        size: u64,
        buffers: &mut Buffers,
    ) -> Result<(), StoreError> {
        let progress = |bytes| self.advance(bytes);
        let params = params(&named.digest);
        match read_content(file, size, &params, named.sidecar(), &mut buffers.run, &progress) {
            Ok(content) => self.judge(named, &content),
            Err(error) => self.unreadable(named, self.reading(named, error)),
        }
    }

    /// Reports what the content of a file shows.
    fn judge(&self, named: &Named, content: &Content) -> Result<(), StoreError> {
        let Named { part, digest, .. } = *named;
        let count = if part == Part::Image { &self.images } else { &self.objects };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(progress) = self.progress {
            progress.add_file();
        }
        let path = PathBuf::from(part.path(&digest));
        if content.digest != digest {
            self.report(path, self.damage(part, digest, content)?);
            return Ok(());
        }
        if named.is_enforced {
            self.enforced.fetch_add(1, Ordering::Relaxed);
        } else if self.takes_verity {
            self.report(path.clone(), Problem::Unenforced { part, digest });
        }
        self.report_sidecar(digest, content);
        if self.expected.as_ref().is_some_and(|expected| !expected.has(part, &digest)) {
            self.report(path, Problem::Unreferenced { part, digest, size: content.size });
        }
        Ok(())
    }

    /// Reports a file that cannot be read, unless that is the fault of this process.
    fn unreadable(&self, named: &Named, error: StoreError) -> Result<(), StoreError> {
        if !is_finding(&error) {
            return Err(error);
        }
        let Named { part, digest, .. } = *named;
        self.report(part.path(&digest).into(), Problem::Unreadable { part, digest, error });
        Ok(())
    }

    fn reading(&self, named: &Named, error: io::Error) -> StoreError {
        let path = self.store.dir().join(named.part.path(&named.digest));
        StoreError::reading(&path, error)
    }

    fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(progress) = self.progress {
            progress.add_bytes(bytes);
        }
    }

    /// What is wrong with content that has another digest than its name.
    fn damage(
        &self,
        part: Part,
        digest: FileDigest,
        content: &Content,
    ) -> Result<Problem, StoreError> {
        let found = content.digest;
        if self.store.look(part, &found)?.is_some() {
            return Ok(Problem::Swapped { part, expected: digest, found });
        }
        let references = self.expected.as_ref().map(|expected| expected.references);
        let size = references.and_then(|references| references.object_size(&digest));
        Ok(match size.filter(|size| part == Part::Object && *size != content.size) {
            Some(expected) => Problem::WrongSize { digest, expected, found: content.size },
            None => Problem::Damaged { part, expected: digest, found },
        })
    }

    fn report_sidecar(&self, digest: FileDigest, content: &Content) {
        let problem = match content.sidecar {
            Sidecar::Right => return,
            Sidecar::Missing => Problem::SidecarMissing { digest },
            Sidecar::Needless => Problem::SidecarNeedless,
            Sidecar::Wrong { found } => {
                let expected = sidecar_size(&params(&digest), content.size);
                Problem::SidecarDamaged { digest, expected, found }
            }
        };
        self.report(Part::Sidecar.path(&digest).into(), problem);
    }

    fn report(&self, path: PathBuf, problem: Problem) {
        lock(&self.found)(Finding { path, problem });
    }
}

impl<'r> Expected<'r> {
    fn new(references: &'r References) -> Self {
        let mut by_directory = HashMap::<_, Vec<_>>::new();
        let images = references.images().map(|digest| (Part::Image, digest, None));
        let objects = references.objects().map(|(digest, size)| (Part::Object, digest, Some(size)));
        for (part, digest, size) in images.chain(objects) {
            by_directory.entry((part, layout::fanout(digest))).or_default().push((digest, size));
        }
        Self { references, by_directory }
    }

    fn in_directory(&self, part: Part, fanout: u8) -> &[ExpectedFile<'r>] {
        self.by_directory.get(&(part, fanout)).map_or(&[], Vec::as_slice)
    }

    fn has(&self, part: Part, digest: &FileDigest) -> bool {
        match part {
            Part::Image => self.references.has_image(digest),
            Part::Object | Part::Sidecar => self.references.object_size(digest).is_some(),
        }
    }
}

impl Named {
    /// Its sidecar with the size, as far as it is there; `None` if files of its part have none.
    fn sidecar(&self) -> Option<Option<(File, u64)>> {
        match (self.part, &self.sidecar_dir) {
            (Part::Image, _) => None,
            (_, None) => Some(None),
            // What cannot be opened is as good as missing.
            (_, Some(dir)) => Some(dir.open_file(&layout::file_name(&self.digest)).ok()),
        }
    }
}

impl Listed {
    fn has(&self, digest: &FileDigest) -> bool {
        self.files.contains(digest) || self.others.contains(digest)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
