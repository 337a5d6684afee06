//! Checks everything in a store, and repairs it from good copies.

use std::io;
use std::num::NonZeroUsize;

use treeseal_source::Progress;
use treeseal_sys::LockWait;

use crate::{References, Store, StoreError};

mod content;
mod finding;
mod jobs;
mod names;
mod repair;

pub use finding::{Finding, Problem, Severity};
pub use repair::{RepairReport, repair};

/// How a store is checked.
#[derive(Clone, Copy, Default)]
pub struct FsckOptions<'a> {
    /// Which objects and images are read.
    pub reads: FsckReads,
    /// Threads that hash; as many as there are processors if `None`.
    pub threads: Option<NonZeroUsize>,
    /// Is told of every file that is read.
    pub progress: Option<&'a Progress>,
    /// How long to wait for a writer.
    pub wait: LockWait<'a>,
}

/// Which objects and images a check reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FsckReads {
    /// Those that the kernel does not check itself. Of the others, to which it gives the right digest,
    /// every later reading gives the right bytes or an error; whether it gives an error is not found
    /// out.
    #[default]
    Unenforced,
    /// All of them.
    All,
}

/// What a check covered, and how much it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FsckReport {
    /// Objects that were checked.
    pub objects: u64,
    /// Images that were checked.
    pub images: u64,
    /// Objects and images that the kernel checks by fs-verity against the digest in their name.
    pub enforced: u64,
    /// Bytes of objects and images that were read.
    pub bytes: u64,
    /// Findings of each severity.
    pub damage: u64,
    /// Objects and images without the fs-verity that they could have.
    pub unenforced: u64,
    /// Files that do not belong there.
    pub strays: u64,
    /// Objects and images that nothing refers to.
    pub unreferenced: u64,
}

impl FsckReport {
    /// Whether every file that was looked at is what its name says, and none is missing.
    pub fn is_sound(&self) -> bool {
        self.damage == 0
    }

    fn count(&mut self, severity: Severity) {
        *match severity {
            Severity::Damage => &mut self.damage,
            Severity::Unenforced => &mut self.unenforced,
            Severity::Stray => &mut self.strays,
            Severity::Unreferenced => &mut self.unreferenced,
        } += 1;
    }
}

/// Checks every object, sidecar and image on all processors, and tells `found` of each problem as it
/// is found, in no order.
///
/// `references` are the images that seals name and the objects that these refer to; only with them
/// is it known what is missing or unreferenced. Seals and roots are for `treeseal-trust` to judge:
/// of them only names and pointers are checked. Writers wait until this is done.
pub fn fsck(
    store: &Store,
    references: Option<&References>,
    options: FsckOptions<'_>,
    found: &mut (dyn FnMut(Finding) + Send),
) -> Result<FsckReport, StoreError> {
    let _hold = store.hold(options.wait)?;
    check(store, references, options, found)
}

/// [`fsck`] for whoever has a lock.
fn check(
    store: &Store,
    references: Option<&References>,
    options: FsckOptions<'_>,
    found: &mut (dyn FnMut(Finding) + Send),
) -> Result<FsckReport, StoreError> {
    let mut report = FsckReport::default();
    {
        let mut found = |finding: Finding| {
            report.count(finding.problem.severity());
            found(finding);
        };
        names::check_names(store, &mut found)?;
    }
    let covered = jobs::check_content(store, references, options, &mut |finding: Finding| {
        report.count(finding.problem.severity());
        found(finding);
    })?;
    report.objects = covered.objects;
    report.images = covered.images;
    report.enforced = covered.enforced;
    report.bytes = covered.bytes;
    Ok(report)
}

/// Whether reading failed in a way that says something about the file and not about this process.
fn is_finding(error: &StoreError) -> bool {
    match error {
        StoreError::Io(error) => !matches!(
            error.io_kind(),
            Some(io::ErrorKind::PermissionDenied | io::ErrorKind::OutOfMemory)
        ),
        _ => false,
    }
}
