use treeseal_sys::{Barrier, EntryKind, Seen};
use treeseal_verity::FileDigest;

use crate::{Part, Reachable, StoreError, Writer};

/// How [`gc`] goes about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcOptions {
    /// What would be removed is listed and not removed.
    pub dry_run: bool,
}

/// A file that no seal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// What it is.
    pub part: Part,
    /// Its digest; of a sidecar, that of its object.
    pub digest: FileDigest,
    /// Its size in bytes.
    pub size: u64,
}

/// What [`gc`] removed, or would have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Number of images.
    pub images: u64,
    /// Number of objects.
    pub objects: u64,
    /// Number of sidecars.
    pub sidecars: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// Removes images, objects and sidecars that no seal reaches, and tells `removed` of each.
///
/// Images go first and durably, so that after a crash no image is left without its objects. Seals
/// stay: [`Writer::remove_seal`] takes those away, before this. Files whose name is not that of a
/// digest stay too; [`fsck`](crate::fsck()) names them.
pub fn gc(
    writer: &mut Writer,
    reachable: &Reachable,
    options: GcOptions,
    removed: &mut dyn FnMut(Removal),
) -> Result<GcReport, StoreError> {
    let mut sweep = Sweep { writer, reachable, options, removed, report: GcReport::default() };
    for part in [Part::Image, Part::Sidecar, Part::Object] {
        sweep.part(part)?;
    }
    Ok(sweep.report)
}

struct Sweep<'s> {
    writer: &'s Writer,
    reachable: &'s Reachable,
    options: GcOptions,
    removed: &'s mut dyn FnMut(Removal),
    report: GcReport,
}

impl Sweep<'_> {
    fn part(&mut self, part: Part) -> Result<(), StoreError> {
        let mut any = false;
        for fanout in 0..=u8::MAX {
            any |= self.directory(part, fanout)?;
        }
        if any && self.writer.store().dir().barrier() == Barrier::Filesystem {
            self.writer.store().dir().sync_filesystem()?;
        }
        Ok(())
    }

    /// Whether anything was removed from one of a part's 256 directories.
    fn directory(&mut self, part: Part, fanout: u8) -> Result<bool, StoreError> {
        let store = self.writer.store();
        let mut any = false;
        for digest in store.digests(part, fanout)? {
            if self.reaches(part, &digest) {
                continue;
            }
            let seen = store.look(part, &digest)?;
            let Some(Seen { size, .. }) = seen.filter(|seen| seen.kind == EntryKind::Regular)
            else {
                continue;
            };
            if !self.options.dry_run {
                store.dir().remove(&part.path(&digest))?;
                any = true;
            }
            self.count(Removal { part, digest, size });
        }
        if any && store.dir().barrier() == Barrier::EachFile {
            store.dir().open_dir(&format!("{}/{fanout:02x}", part.dir()))?.sync()?;
        }
        Ok(any)
    }

    fn reaches(&self, part: Part, digest: &FileDigest) -> bool {
        let references = self.reachable.references();
        match part {
            Part::Image => references.has_image(digest),
            Part::Object | Part::Sidecar => references.object_size(digest).is_some(),
        }
    }

    fn count(&mut self, removal: Removal) {
        let number = match removal.part {
            Part::Image => &mut self.report.images,
            Part::Object => &mut self.report.objects,
            Part::Sidecar => &mut self.report.sidecars,
        };
        *number += 1;
        self.report.bytes += removal.size;
        (self.removed)(removal);
    }
}
