use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use treeseal_sys::{DurableDir, DurableError, TempEntry, TempFile};
use treeseal_verity::{FileDigest, HashAlgorithm, Params};

use crate::StoreError;
use crate::layout::params;

/// A directory of temporary files. It is empty when this is made, and when it is dropped.
///
/// Threads that make files in one directory wait for each other, so each thread has a directory of
/// its own in here.
#[derive(Debug)]
pub(crate) struct Temporary {
    dir: DurableDir,
    workplaces: [OnceLock<DurableDir>; WORKPLACES],
    /// Whether the process masks mode bits that finished files have.
    masked: OnceLock<bool>,
    /// Whether files here can have fs-verity, with SHA-256 and with SHA-512.
    verity: [OnceLock<bool>; 2],
}

/// More threads than this share.
const WORKPLACES: usize = 64;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Tells the threads of this process apart.
    static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

impl Temporary {
    /// Removes what an interrupted writer left: nothing refers to it.
    pub(crate) fn new(dir: DurableDir) -> Result<Self, StoreError> {
        dir.empty()?;
        let workplaces = [const { OnceLock::new() }; WORKPLACES];
        Ok(Self { dir, workplaces, masked: OnceLock::new(), verity: Default::default() })
    }

    /// Removes everything; nothing is in use any more.
    pub(crate) fn empty(&self) -> Result<(), StoreError> {
        Ok(self.dir.empty()?)
    }

    /// Makes a temporary file that everyone may read.
    pub(crate) fn create(&self) -> Result<TempFile<'_>, StoreError> {
        let file = self.workplace()?.create_temp()?;
        // Whether the process masks bits is found out once, with the first file.
        if *self.masked.get().unwrap_or(&true) {
            let masked = file.make_readable()?;
            let _ = self.masked.set(masked);
        }
        Ok(file)
    }

    /// Closes a file whose content is complete and has this digest. Where files can have fs-verity the
    /// kernel checks it against the digest from now on.
    pub(crate) fn close<'t>(
        &self,
        file: TempFile<'t>,
        digest: &FileDigest,
    ) -> Result<TempEntry<'t>, StoreError> {
        let entry = file.close();
        if !self.has_verity(digest.algorithm())? {
            return Ok(entry);
        }
        let found = entry.enable_verity(&params(digest))?;
        if found != *digest {
            return Err(StoreError::WrittenDiffers { expected: *digest, found });
        }
        Ok(entry)
    }

    /// Whether files here can have fs-verity. It is tried once, with an empty file: nothing that a
    /// filesystem says of itself tells as much.
    pub(crate) fn has_verity(&self, algorithm: HashAlgorithm) -> Result<bool, StoreError> {
        let known = &self.verity[usize::from(algorithm == HashAlgorithm::Sha512)];
        if let Some(has_verity) = known.get() {
            return Ok(*has_verity);
        }
        let file = self.create()?.close();
        let has_verity = is_supported(file.enable_verity(&Params::with_algorithm(algorithm)))?;
        Ok(*known.get_or_init(|| has_verity))
    }

    fn workplace(&self) -> Result<&DurableDir, StoreError> {
        let index = THREAD.with(|number| number % WORKPLACES);
        let place = &self.workplaces[index];
        if let Some(dir) = place.get() {
            return Ok(dir);
        }
        let name = index.to_string();
        self.dir.ensure_dir(&name)?;
        let dir = self.dir.open_dir(&name)?;
        Ok(place.get_or_init(|| dir))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What stays is removed by the next writer.
        let _ = self.empty();
    }
}

/// What an attempt to enable fs-verity says of all files. A failure that says nothing of others is one.
fn is_supported(attempt: Result<FileDigest, DurableError>) -> Result<bool, DurableError> {
    match attempt {
        Ok(_) => Ok(true),
        Err(DurableError::Verity { source, .. }) if source.is_unsupported() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};

    use treeseal_sys::{VerityError, VerityOperation};

    use super::*;

    fn refused(source: VerityError) -> Result<bool, DurableError> {
        is_supported(Err(DurableError::Verity { path: "file".into(), source }))
    }

    #[test]
    fn only_what_concerns_all_files_turns_fs_verity_off() {
        let digest = FileDigest::from_bytes(HashAlgorithm::Sha256, &[7; 32]).unwrap();
        assert!(is_supported(Ok(digest)).unwrap());
        for none in [
            VerityError::Filesystem,
            VerityError::Feature { filesystem: "ext4" },
            VerityError::Kernel,
            VerityError::BlockSize { found: 4096, filesystem: 1024 },
            VerityError::Algorithm { algorithm: HashAlgorithm::Sha512 },
        ] {
            let what = none.to_string();
            assert!(!refused(none).unwrap(), "{what}");
        }
        let full = io::Error::from(ErrorKind::StorageFull);
        for failure in [
            VerityError::OpenForWriting,
            VerityError::NotEnabled,
            VerityError::AlreadyEnabled { digest },
            VerityError::Os { operation: VerityOperation::Enable, source: full },
        ] {
            let expected = failure.to_string();
            let error = refused(failure).unwrap_err();
            assert_eq!(error.to_string(), "cannot enable fs-verity on `file`", "{expected}");
        }
    }

    #[test]
    fn a_disk_that_is_full_of_hashes_is_full() {
        let source = VerityError::Os {
            operation: VerityOperation::Enable,
            source: io::Error::from(ErrorKind::StorageFull),
        };
        let error = StoreError::from(refused(source).unwrap_err());
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
    }
}
