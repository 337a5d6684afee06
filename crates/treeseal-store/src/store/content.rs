//! Content that is checked against its digest before it is given out.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use treeseal_verity::{Digester, FileDigest, Params};

use super::Store;
use crate::layout::{params, sidecar_size};
use crate::runs::{UpperLevels, leaf_block};
use crate::{Part, StoreError};

impl Store {
    /// Reads an image into memory and checks it there: what is returned is what was hashed.
    pub fn read_image(&self, digest: &FileDigest, limit: u64) -> Result<Vec<u8>, StoreError> {
        let file = self.open_image(digest)?;
        let path = self.dir.join(Part::Image.path(digest));
        let reading = |error| StoreError::reading(&path, error);
        let found = file.metadata().map_err(reading)?.len();
        let too_large = |found| StoreError::TooLarge { path: path.clone(), limit, found };
        if found > limit {
            return Err(too_large(found));
        }
        let mut content = Vec::with_capacity(usize::try_from(found).unwrap_or(0));
        file.take(limit.saturating_add(1)).read_to_end(&mut content).map_err(reading)?;
        if content.len() as u64 > limit {
            return Err(too_large(content.len() as u64));
        }
        let found = Digester::digest_of(&params(digest), &content);
        if found != *digest {
            return Err(StoreError::Damaged { path, expected: *digest, found });
        }
        Ok(content)
    }

    /// Writes an object's content to `output`, and nothing that its digest does not vouch for.
    ///
    /// `size` is the object's size from whoever vouches for the digest. What was written before an
    /// error is right, and is the beginning of the content.
    ///
    /// Needs memory of 1/128 of the size (1/64 for SHA-512).
    pub fn read_object_verified(
        &self,
        digest: &FileDigest,
        size: u64,
        output: &mut dyn Write,
    ) -> Result<(), StoreError> {
        let object = ObjectContent {
            file: self.open_object(digest)?,
            path: &self.dir.join(Part::Object.path(digest)),
            params: params(digest),
            digest: *digest,
            size,
        };
        object.check_size()?;
        if object.params.is_short(size) {
            return object.copy_run(output);
        }
        // A sidecar that is missing or wrong costs a second reading, and no more.
        let leaves = match self.stored_leaves(&object)? {
            Some(leaves) => leaves,
            None => object.computed_leaves()?,
        };
        object.copy_runs(&leaves, output)
    }

    /// The leaf level out of the object's sidecar, if it is there and leads to the digest.
    fn stored_leaves(&self, object: &ObjectContent<'_>) -> Result<Option<Vec<u8>>, StoreError> {
        let file = match self.open_sidecar(&object.digest) {
            Err(StoreError::Missing { .. }) => return Ok(None),
            result => result?,
        };
        let path = self.dir.join(Part::Sidecar.path(&object.digest));
        let reading = |error| StoreError::reading(&path, error);
        let tree_size = sidecar_size(&object.params, object.size);
        if file.metadata().map_err(reading)?.len() != tree_size {
            return Ok(None);
        }
        let leaves_size = leaf_level_size(&object.params, object.size);
        let mut leaves = vec![0; leaves_size];
        match file.read_exact_at(&mut leaves, tree_size - leaves_size as u64) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result.map_err(reading)?,
        }
        let mut upper = UpperLevels::new(object.params.clone());
        upper.update(&leaves);
        let (digest, _) = upper.finish(object.size);
        Ok((digest == object.digest).then_some(leaves))
    }
}

/// Bytes of the leaf level of content of more than one run.
pub(crate) fn leaf_level_size(params: &Params, size: u64) -> usize {
    let runs = size.div_ceil(params.run_size() as u64);
    // A level that does not fit the address space cannot be allocated either.
    usize::try_from(runs * params.block_size() as u64).unwrap_or(usize::MAX)
}

struct ObjectContent<'p> {
    file: File,
    path: &'p Path,
    params: Params,
    digest: FileDigest,
    size: u64,
}

impl ObjectContent<'_> {
    fn check_size(&self) -> Result<(), StoreError> {
        let found = self.file.metadata().map_err(|error| self.reading(error))?.len();
        if found == self.size {
            return Ok(());
        }
        Err(StoreError::Size { path: self.path.to_owned(), expected: self.size, found })
    }

    /// Content of a single run: its digest is computed where it lies.
    fn copy_run(&self, output: &mut dyn Write) -> Result<(), StoreError> {
        let mut run = vec![0; usize::try_from(self.size).unwrap_or(0)];
        self.read_run(&mut run, 0)?;
        let found = Digester::digest_of(&self.params, &run);
        if found != self.digest {
            return Err(self.damaged(found));
        }
        self.hand_on(&run, output)
    }

    /// The leaf level as the content gives it, when the content has the right digest.
    fn computed_leaves(&self) -> Result<Vec<u8>, StoreError> {
        let (found, leaves) = self.leaves_and_digest()?;
        if found == self.digest { Ok(leaves) } else { Err(self.damaged(found)) }
    }

    fn leaves_and_digest(&self) -> Result<(FileDigest, Vec<u8>), StoreError> {
        let mut leaves = Vec::with_capacity(leaf_level_size(&self.params, self.size));
        let mut upper = UpperLevels::new(self.params.clone());
        self.each_run(|_, run| {
            let block = leaf_block(&self.params, run);
            upper.update(&block);
            leaves.extend_from_slice(&block);
            Ok(())
        })?;
        let (digest, _) = upper.finish(self.size);
        Ok((digest, leaves))
    }

    fn copy_runs(&self, leaves: &[u8], output: &mut dyn Write) -> Result<(), StoreError> {
        let mut expected = leaves.chunks(self.params.block_size());
        self.each_run(|start, run| {
            if expected.next() != Some(&leaf_block(&self.params, run)[..]) {
                return Err(self.mismatch(start, run.len()));
            }
            self.hand_on(run, output)
        })
    }

    fn each_run(
        &self,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut buffer = vec![0; self.params.run_size()];
        let mut start = 0;
        while start < self.size {
            let rest = usize::try_from(self.size - start).unwrap_or(usize::MAX);
            let run = rest.min(buffer.len());
            self.read_run(&mut buffer[..run], start)?;
            each(start, &buffer[..run])?;
            start += run as u64;
        }
        Ok(())
    }

    fn read_run(&self, run: &mut [u8], start: u64) -> Result<(), StoreError> {
        match self.file.read_exact_at(run, start) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                // It became shorter just now; if it has its old size again, say what is wrong.
                self.check_size()?;
                Err(StoreError::Changed {
                    path: self.path.to_owned(),
                    start,
                    end: start + run.len() as u64,
                })
            }
            result => result.map_err(|error| self.reading(error)),
        }
    }

    fn hand_on(&self, bytes: &[u8], output: &mut dyn Write) -> Result<(), StoreError> {
        output
            .write_all(bytes)
            .map_err(|source| StoreError::Output { path: self.path.to_owned(), source })
    }

    /// Why a run does not match leaves that do lead to the digest.
    fn mismatch(&self, start: u64, length: usize) -> StoreError {
        match self.leaves_and_digest() {
            Ok((found, _)) if found != self.digest => self.damaged(found),
            Ok(_) => StoreError::Changed {
                path: self.path.to_owned(),
                start,
                end: start + length as u64,
            },
            Err(error) => error,
        }
    }

    fn damaged(&self, found: FileDigest) -> StoreError {
        StoreError::Damaged { path: self.path.to_owned(), expected: self.digest, found }
    }

    fn reading(&self, error: io::Error) -> StoreError {
        StoreError::reading(self.path, error)
    }
}
