use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use treeseal_source::{Phase, Progress};
use treeseal_sys::{Directory, EntryKind, FileError, ListBuffer, Stat, stat_file};
use treeseal_verity::{Digester, FileDigest, HashAlgorithm, Params};

use super::content::read_content;
use super::{Finding, FsckOptions, FsckReport, Problem, check};
use crate::layout;
use crate::sink::Wanted;
use crate::writer::Deposit as _;
use crate::{ObjectSink, Part, References, SinkOptions, StoreError, Writer};

/// What [`repair`] found and did.
#[derive(Debug, Default)]
pub struct RepairReport {
    /// What the check before the repair covered and found.
    pub checked: FsckReport,
    /// Damage and strays that are no more.
    pub healed: Vec<Finding>,
    /// Damage and strays that are left.
    pub remaining: Vec<Finding>,
    /// Files and directories among the copies that could not be read.
    pub unreadable: u64,
}

/// Checks a store and heals what can be healed.
///
/// Damaged and missing objects and images are replaced by copies out of the directories `copies`:
/// another store, an object directory, or any tree of files. A copy counts when its content has the
/// digest, wherever it lies. Sidecars that are missing or wrong are computed from good objects, and
/// sidecars of objects that need none are removed. Good objects and images that lack fs-verity are
/// written anew, with it. Nothing else is removed; what cannot be replaced stays.
///
/// Findings are held until the end: this needs memory for the damage, not for the store.
pub fn repair(
    writer: &mut Writer,
    references: Option<&References>,
    copies: &[&Path],
    options: FsckOptions<'_>,
) -> Result<RepairReport, StoreError> {
    let mut findings = Vec::new();
    let checked = check(writer.store(), references, options, &mut |finding: Finding| {
        if !matches!(finding.problem, Problem::Unreferenced { .. }) {
            findings.push(finding);
        }
    })?;
    if let Some(progress) = options.progress {
        progress.begin(Phase::Heal);
    }
    let wanted = WantedFiles::new(&findings, references);
    let mut healed = Healed::default();
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
        let wanted = wanted.of(algorithm);
        if !wanted.is_empty() {
            let mut healer = Healer::new(writer, algorithm, &wanted, options.progress);
            healer.run(copies)?;
            healed.add(healer.finish()?);
        }
    }
    remove_needless_sidecars(writer, &findings, &mut healed)?;
    let is_healed =
        |finding: &Finding| finding.file().is_some_and(|file| healed.files.contains(&file));
    let (done, remaining) = findings.into_iter().partition(is_healed);
    Ok(RepairReport { checked, healed: done, remaining, unreadable: healed.unreadable })
}

/// What has to be found or computed.
#[derive(Default)]
struct WantedFiles {
    objects: HashSet<FileDigest>,
    images: HashSet<FileDigest>,
    /// Of objects that are good.
    sidecars: HashSet<FileDigest>,
    /// Good objects and images that lack fs-verity.
    unenforced: HashSet<(Part, FileDigest)>,
    /// Sizes of objects, as far as they are known.
    sizes: HashMap<FileDigest, u64>,
}

/// What was put right.
#[derive(Default)]
struct Healed {
    files: HashSet<(Part, FileDigest)>,
    unreadable: u64,
}

struct Healer<'w, 'f> {
    writer: &'w Writer,
    sink: ObjectSink<'w>,
    params: Params,
    wanted: &'f WantedFiles,
    healed: Healed,
    buffer: Vec<u8>,
    progress: Option<&'f Progress>,
}

impl Finding {
    /// The file that the finding is about, if it is one that is named by a digest.
    fn file(&self) -> Option<(Part, FileDigest)> {
        let mut components = self.path.iter().map(std::ffi::OsStr::as_encoded_bytes);
        let directory = components.next()?;
        let part = [Part::Object, Part::Sidecar, Part::Image]
            .into_iter()
            .find(|part| part.dir().as_bytes() == directory)?;
        let digest = layout::digest_of_name(components.next()?, components.next()?)?;
        components.next().is_none().then_some((part, digest))
    }
}

impl WantedFiles {
    fn new(findings: &[Finding], references: Option<&References>) -> Self {
        let mut wanted = Self::default();
        for finding in findings {
            let Some((part, digest)) = finding.file() else { continue };
            match (&finding.problem, part) {
                (Problem::SidecarOrphan | Problem::SidecarNeedless, _) => {}
                (Problem::Unenforced { .. }, _) => {
                    wanted.unenforced.insert((part, digest));
                }
                // No file can take a directory's place.
                (Problem::WrongKind { found: EntryKind::Directory, .. }, _) => {}
                (_, Part::Object) => {
                    wanted.objects.insert(digest);
                    let size = references.and_then(|references| references.object_size(&digest));
                    wanted.sizes.extend(size.map(|size| (digest, size)));
                }
                (_, Part::Image) => {
                    wanted.images.insert(digest);
                }
                (_, Part::Sidecar) => {
                    wanted.sidecars.insert(digest);
                }
            }
        }
        wanted
    }

    fn of(&self, algorithm: HashAlgorithm) -> Self {
        let of = |digests: &HashSet<FileDigest>| {
            digests.iter().filter(|digest| digest.algorithm() == algorithm).copied().collect()
        };
        Self {
            objects: of(&self.objects),
            images: of(&self.images),
            sidecars: of(&self.sidecars),
            unenforced: self
                .unenforced
                .iter()
                .filter(|(_, digest)| digest.algorithm() == algorithm)
                .copied()
                .collect(),
            sizes: self.sizes.clone(),
        }
    }

    fn is_empty(&self) -> bool {
        self.objects.is_empty()
            && self.images.is_empty()
            && self.sidecars.is_empty()
            && self.unenforced.is_empty()
    }

    /// Whether a file of this size can be one that is wanted.
    fn fits(&self, size: u64) -> bool {
        !self.images.is_empty()
            || self.objects.iter().any(|digest| *self.sizes.get(digest).unwrap_or(&size) == size)
    }
}

impl Healed {
    fn add(&mut self, other: Self) {
        self.files.extend(other.files);
        self.unreadable += other.unreadable;
    }
}

impl<'w, 'f> Healer<'w, 'f> {
    fn new(
        writer: &'w Writer,
        algorithm: HashAlgorithm,
        wanted: &'f WantedFiles,
        progress: Option<&'f Progress>,
    ) -> Self {
        let params = Params::with_algorithm(algorithm);
        let options = SinkOptions { algorithm, progress: None };
        Self {
            writer,
            sink: ObjectSink::new(writer, options),
            params,
            wanted,
            healed: Healed::default(),
            buffer: Vec::new(),
            progress,
        }
    }

    fn run(&mut self, copies: &[&Path]) -> Result<(), StoreError> {
        if self.writer.temporary().has_verity(self.params.algorithm())? {
            for (part, digest) in &self.wanted.unenforced {
                self.write_anew(*part, digest)?;
            }
        }
        for digest in &self.wanted.sidecars {
            if !self.healed.files.contains(&(Part::Sidecar, *digest)) {
                self.rewrite_sidecar(digest)?;
            }
        }
        // Where they would lie in a store or an object directory, before everything is read.
        for path in copies {
            match Directory::open(path) {
                Ok(directory) => self.offer_by_name(&directory)?,
                Err(_) => self.healed.unreadable += 1,
            }
        }
        for path in copies {
            if !self.is_done()
                && let Ok(directory) = Directory::open(path)
            {
                self.offer_tree(&directory)?;
            }
        }
        Ok(())
    }

    /// Makes everything durable.
    fn finish(self) -> Result<Healed, StoreError> {
        self.sink.commit()?;
        Ok(self.healed)
    }

    fn is_done(&self) -> bool {
        self.is_found(Part::Object, &self.wanted.objects)
            && self.is_found(Part::Image, &self.wanted.images)
    }

    fn is_found(&self, part: Part, digests: &HashSet<FileDigest>) -> bool {
        digests.iter().all(|digest| self.healed.files.contains(&(part, *digest)))
    }

    fn rewrite_sidecar(&mut self, digest: &FileDigest) -> Result<(), StoreError> {
        let mut object = self.writer.store().open_object(digest)?;
        let stored = self.sink.put(&mut object, None, None, Wanted::SidecarOf(*digest))?;
        if stored.digest == *digest {
            self.healed.files.insert((Part::Sidecar, *digest));
        }
        Ok(())
    }

    /// Puts a file in its own place, with its sidecar, because fs-verity comes with being written. So
    /// there is one way to get it, and another name of the same inode does not become read-only.
    fn write_anew(&mut self, part: Part, digest: &FileDigest) -> Result<(), StoreError> {
        let store = self.writer.store();
        if part == Part::Image {
            return self.put_image(&mut store.open_image(digest)?, digest);
        }
        let mut object = store.open_object(digest)?;
        match self.sink.put(&mut object, None, None, Wanted::Only(*digest)) {
            Ok(stored) if stored.digest == *digest => {
                self.healed.files.extend([(Part::Object, *digest), (Part::Sidecar, *digest)]);
                Ok(())
            }
            // It is no longer what the check has seen.
            Ok(_) | Err(StoreError::Content(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn offer_by_name(&mut self, directory: &Directory) -> Result<(), StoreError> {
        let wanted = self.wanted;
        let objects = wanted.objects.iter().map(|digest| (Part::Object, digest));
        let images = wanted.images.iter().map(|digest| (Part::Image, digest));
        for (part, digest) in objects.chain(images) {
            for path in [part.path(digest), digest.object_path()] {
                if !self.healed.files.contains(&(part, *digest))
                    && let Ok(file) = directory.open_beneath(path.as_bytes())
                {
                    self.offer(file)?;
                }
            }
        }
        Ok(())
    }

    /// Offers every regular file in a directory and below it.
    fn offer_tree(&mut self, directory: &Directory) -> Result<(), StoreError> {
        let mut names: Vec<(u16, Vec<u8>)> = Vec::new();
        let listed = directory.list(&mut ListBuffer::default(), |kind, name| {
            names.push((kind, name.to_vec()));
            Ok::<(), FileError>(())
        });
        if listed.is_err() {
            self.healed.unreadable += 1;
        }
        for (kind, name) in names {
            if self.is_done() {
                return Ok(());
            }
            let kind = match kind {
                0 => directory.stat_child(&name).map_or(0, |stat| stat.type_bits()),
                known => known,
            };
            match kind {
                REGULAR => match directory.open_file(&name) {
                    Ok(file) => self.offer(file)?,
                    Err(_) => self.healed.unreadable += 1,
                },
                DIRECTORY => match directory.open_directory(&name) {
                    Ok(below) => self.offer_tree(&below)?,
                    Err(_) => self.healed.unreadable += 1,
                },
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes a file if it is wanted: its digest is computed, and computed again while it is copied.
    fn offer(&mut self, mut file: File) -> Result<(), StoreError> {
        let fits = |stat: &Stat| stat.type_bits() == REGULAR && self.wanted.fits(stat.size);
        let Some(Stat { size, .. }) = stat_file(&file).ok().filter(fits) else { return Ok(()) };
        let count = |bytes| {
            if let Some(progress) = self.progress {
                progress.add_bytes(bytes);
            }
        };
        let read = read_content(&file, size, &self.params, None, &mut self.buffer, &count);
        let Ok(content) = read else {
            self.healed.unreadable += 1;
            return Ok(());
        };
        if let Some(progress) = self.progress {
            progress.add_file();
        }
        let digest = content.digest;
        if self.wanted.objects.contains(&digest) {
            match self.put_object(&mut file, &digest) {
                Err(StoreError::Content(_)) => self.healed.unreadable += 1,
                result => result?,
            }
        }
        if self.wanted.images.contains(&digest) {
            self.put_image(&mut file, &digest)?;
        }
        Ok(())
    }

    fn put_object(&mut self, file: &mut File, digest: &FileDigest) -> Result<(), StoreError> {
        if self.healed.files.contains(&(Part::Object, *digest)) || file.rewind().is_err() {
            return Ok(());
        }
        let stored = self.sink.put(file, None, None, Wanted::Replace(&self.wanted.objects))?;
        if self.wanted.objects.contains(&stored.digest) {
            self.healed.files.insert((Part::Object, stored.digest));
            self.healed.files.insert((Part::Sidecar, stored.digest));
        }
        Ok(())
    }

    fn put_image(&mut self, file: &mut File, digest: &FileDigest) -> Result<(), StoreError> {
        let mut temp = self.writer.temporary().create()?;
        let mut digester = Digester::new(self.params.clone());
        self.buffer.resize(self.params.run_size(), 0);
        if file.rewind().is_err() {
            return Ok(());
        }
        loop {
            match file.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(read) => {
                    digester.update(&self.buffer[..read]);
                    temp.append(&self.buffer[..read])?;
                }
                Err(_) => {
                    self.healed.unreadable += 1;
                    return Ok(());
                }
            }
        }
        if digester.finish().digest == *digest {
            self.writer.place_image(temp, digest)?;
            self.healed.files.insert((Part::Image, *digest));
        }
        Ok(())
    }
}

/// The `S_IFMT` bits of regular files and directories.
const REGULAR: u16 = 0o100_000;
const DIRECTORY: u16 = 0o040_000;

/// Removes the sidecars of objects that need none.
fn remove_needless_sidecars(
    writer: &Writer,
    findings: &[Finding],
    healed: &mut Healed,
) -> Result<(), StoreError> {
    for finding in findings {
        if let (Problem::SidecarNeedless, Some((part, digest))) = (&finding.problem, finding.file())
        {
            writer.store().dir().remove(&part.path(&digest))?;
            writer.part(part).sync(&digest)?;
            healed.files.insert((part, digest));
        }
    }
    Ok(())
}
