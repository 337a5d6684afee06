//! fs-verity in the kernel, on files by path.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use treeseal_sys::{VerityError, enable_verity, measure_verity};
use treeseal_verity::{FileDigest, Params};

use crate::{Error, digest_file};

/// Enables fs-verity on a regular file and gives the kernel's digest of it. Where that is enabled
/// already with the same digest nothing is left to do; with another one it is an error.
pub fn enable_file(path: &Path, params: &Params) -> Result<FileDigest, Error> {
    let file = open(path)?;
    match enable_verity(&file, params) {
        Ok(()) => measure_verity(&file).map_err(Error::verity("measure", path)),
        Err(VerityError::AlreadyEnabled { digest: found }) => {
            let expected = digest_file(path, params)?;
            if found == expected {
                return Ok(found);
            }
            Err(Error::OtherVerity { path: path.to_owned(), expected, found })
        }
        Err(error) => Err(Error::verity("enable fs-verity on", path)(error)),
    }
}

/// The digest by which the kernel checks a regular file that fs-verity is enabled on.
pub fn measure_file(path: &Path) -> Result<FileDigest, Error> {
    measure_verity(open(path)?).map_err(Error::verity("measure", path))
}

/// Opens a regular file.
pub(crate) fn open(path: &Path) -> Result<File, Error> {
    let failed = |error: io::Error| Error::io("open", path, error);
    // Opening a FIFO would wait for a writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::verity("open", path)(VerityError::NotRegular));
    }
    File::open(path).map_err(failed)
}

/// The digest by which the kernel checks an open file; nothing where it checks none of it. `path` is for
/// messages.
pub(crate) fn measure_if_enabled(file: &File, path: &Path) -> Result<Option<FileDigest>, Error> {
    match measure_verity(file) {
        Ok(digest) => Ok(Some(digest)),
        Err(error) if matches!(error, VerityError::NotEnabled) || error.is_unsupported() => {
            Ok(None)
        }
        Err(error) => Err(Error::verity("measure", path)(error)),
    }
}
