//! The files that are read, spread over threads.
//!
//! One thread at a time lists the next of the 256 directories of a part; whoever is free takes the
//! next name. So no more names are held than one directory has, and a directory of large files is
//! shared by all threads.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use treeseal_source::Progress;
use treeseal_sys::EntryKind;
use treeseal_verity::FileDigest;

use super::content::{Content, Sidecar, read_content};
use super::names::{check_entry, directory};
use super::{Finding, FsckOptions, Problem, is_finding};
use crate::layout::{self, params, sidecar_size};
use crate::{Part, References, Store, StoreError};

/// What was read.
#[derive(Default)]
pub(super) struct Covered {
    pub(super) objects: u64,
    pub(super) images: u64,
    pub(super) bytes: u64,
}

/// Reads and checks every file that is named by a digest.
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
        references,
        progress: options.progress,
        names: Mutex::new(Names { part: 0, fanout: 0, ready: Vec::new() }),
        found: Mutex::new(found),
        stopped: AtomicBool::new(false),
        objects: AtomicU64::new(0),
        images: AtomicU64::new(0),
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
        bytes: check.bytes.into_inner(),
    })
}

struct Check<'c> {
    store: &'c Store,
    references: Option<&'c References>,
    progress: Option<&'c Progress>,
    names: Mutex<Names>,
    found: Mutex<&'c mut (dyn FnMut(Finding) + Send)>,
    /// Set when a thread gives up, so that the others do.
    stopped: AtomicBool,
    objects: AtomicU64,
    images: AtomicU64,
    bytes: AtomicU64,
}

/// Where the listing is.
struct Names {
    /// Index in [`PARTS`].
    part: usize,
    /// The next directory to list; 256 when the part is done.
    fanout: u16,
    /// Names that nobody has taken yet.
    ready: Vec<(Part, FileDigest)>,
}

const PARTS: [Part; 3] = [Part::Image, Part::Object, Part::Sidecar];

impl Check<'_> {
    fn work(&self) -> Result<(), StoreError> {
        let mut buffer = Vec::new();
        let result = self.work_on(&mut buffer);
        if result.is_err() {
            self.stopped.store(true, Ordering::Relaxed);
        }
        result
    }

    fn work_on(&self, buffer: &mut Vec<u8>) -> Result<(), StoreError> {
        while let Some((part, digest)) = self.next()? {
            match part {
                Part::Sidecar => self.check_sidecar_name(&digest)?,
                Part::Object | Part::Image => self.check_file(part, digest, buffer)?,
            }
        }
        Ok(())
    }

    fn next(&self) -> Result<Option<(Part, FileDigest)>, StoreError> {
        let mut names = lock(&self.names);
        while !self.stopped.load(Ordering::Relaxed) {
            if let Some(next) = names.ready.pop() {
                return Ok(Some(next));
            }
            let Some(part) = PARTS.get(names.part).copied() else { return Ok(None) };
            if names.fanout == 256 {
                names.part += 1;
                names.fanout = 0;
                continue;
            }
            names.ready = self.list(part, names.fanout)?;
            names.fanout += 1;
        }
        Ok(None)
    }

    /// The files in one directory, and findings about other things in it.
    fn list(&self, part: Part, fanout: u16) -> Result<Vec<(Part, FileDigest)>, StoreError> {
        let prefix = format!("{fanout:02x}");
        let path = format!("{}/{prefix}", part.dir());
        let mut ready = Vec::new();
        for entry in directory(self.store, &path)? {
            let name = entry.name.as_encoded_bytes();
            let digest = layout::digest_of_name(prefix.as_bytes(), name);
            check_entry(
                Path::new(&path),
                &entry,
                digest.is_some(),
                EntryKind::Regular,
                &mut |finding| self.report(finding.path, finding.problem),
            );
            if let Some(digest) = digest.filter(|_| entry.kind == EntryKind::Regular) {
                ready.push((part, digest));
            }
        }
        Ok(ready)
    }

    fn check_file(
        &self,
        part: Part,
        digest: FileDigest,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let content = match self.read(part, &digest, buffer) {
            Ok(content) => content,
            Err(error) if is_finding(&error) => {
                let path = part.path(&digest).into();
                self.report(path, Problem::Unreadable { part, digest, error });
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let count = if part == Part::Image { &self.images } else { &self.objects };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(progress) = self.progress {
            progress.add_file();
        }
        let path = PathBuf::from(part.path(&digest));
        if content.digest != digest {
            self.report(path, self.damage(part, digest, &content)?);
            return Ok(());
        }
        self.report_sidecar(digest, &content);
        if self.references.is_some_and(|references| !refers(references, part, &digest)) {
            self.report(path, Problem::Unreferenced { part, digest, size: content.size });
        }
        Ok(())
    }

    fn read(
        &self,
        part: Part,
        digest: &FileDigest,
        buffer: &mut Vec<u8>,
    ) -> Result<Content, StoreError> {
        let file = match part {
            Part::Image => self.store.open_image(digest)?,
            Part::Object | Part::Sidecar => self.store.open_object(digest)?,
        };
        let sidecar = match self.store.open_sidecar(digest) {
            _ if part == Part::Image => None,
            Ok(sidecar) => Some(Some(sidecar)),
            // Something else in its place is found by its name.
            Err(StoreError::Missing { .. } | StoreError::Io(_)) => Some(None),
            Err(error) => return Err(error),
        };
        let sidecar = sidecar.as_ref().map(Option::as_ref);
        let progress = |bytes| {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            if let Some(progress) = self.progress {
                progress.add_bytes(bytes);
            }
        };
        let path = self.store.dir().join(part.path(digest));
        read_content(&file, &params(digest), sidecar, buffer, &progress)
            .map_err(|error| StoreError::reading(&path, error))
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
        let size = self.references.and_then(|references| references.object_size(&digest));
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

    /// Whether there is an object for the sidecar, which is compared when that is read.
    fn check_sidecar_name(&self, digest: &FileDigest) -> Result<(), StoreError> {
        if self.store.look(Part::Object, digest)?.is_none() {
            self.report(Part::Sidecar.path(digest).into(), Problem::SidecarOrphan);
        }
        Ok(())
    }

    fn report(&self, path: PathBuf, problem: Problem) {
        lock(&self.found)(Finding { path, problem });
    }
}

fn refers(references: &References, part: Part, digest: &FileDigest) -> bool {
    match part {
        Part::Image => references.has_image(digest),
        Part::Object | Part::Sidecar => references.object_size(digest).is_some(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
