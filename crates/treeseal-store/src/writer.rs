use std::io;

use treeseal_sys::{DurableDir, FileLock, TempFile};
use treeseal_trust::{MAX_ENVELOPE_SIZE, MAX_ROOT_SIZE, Sequence, Stream};
use treeseal_verity::{Digester, FileDigest, HashAlgorithm, Params};

use crate::layout::{self, CURRENT, DIRECTORIES, FRESH, ROOTS, SEALS, TEMPORARY};
use crate::{ObjectSink, Part, SinkOptions, Store, StoreError};

mod fanout;
mod temporary;

pub(crate) use fanout::Fanout;
pub(crate) use temporary::Temporary;

/// The one process that may change a store, for as long as this lives.
///
/// Order is the caller's part: objects, then the image that refers to them, then the seal that
/// refers to the image, then the pointer. Each is durable when its function returns, so that after
/// a crash nothing refers to what is not there.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    temporary: Temporary,
    objects: Fanout,
    sidecars: Fanout,
    images: Fanout,
    seals: DurableDir,
    roots: DurableDir,
    _lock: FileLock,
}

/// Where a sink puts objects: a store, or an object directory without one.
pub(crate) trait Deposit: Sync {
    /// The directory of all.
    fn dir(&self) -> &DurableDir;
    /// Where files lie before they have their names.
    fn temporary(&self) -> &Temporary;
    /// The place of a part; `None` where such parts are not kept.
    fn fanout(&self, part: Part) -> Option<&Fanout>;
}

impl Deposit for Writer {
    fn dir(&self) -> &DurableDir {
        self.store.dir()
    }

    fn temporary(&self) -> &Temporary {
        &self.temporary
    }

    fn fanout(&self, part: Part) -> Option<&Fanout> {
        Some(self.part(part))
    }
}

/// An image on its way into the store, in pieces of any size. Dropped unfinished, it is gone.
pub struct ImageWriter<'w> {
    writer: &'w Writer,
    file: TempFile<'w>,
    digester: Digester,
}

impl Writer {
    pub(crate) fn new(store: Store, lock: FileLock) -> Result<Self, StoreError> {
        let dir = store.dir();
        for name in DIRECTORIES {
            dir.ensure_dir(name)?;
        }
        dir.sync()?;
        Ok(Self {
            objects: Fanout::new(dir.open_dir(Part::Object.dir())?),
            sidecars: Fanout::new(dir.open_dir(Part::Sidecar.dir())?),
            images: Fanout::new(dir.open_dir(Part::Image.dir())?),
            seals: dir.open_dir(SEALS)?,
            roots: dir.open_dir(ROOTS)?,
            temporary: Temporary::new(dir.open_dir(TEMPORARY)?)?,
            store,
            _lock: lock,
        })
    }

    /// The store, to read from.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Takes in objects, from any number of threads. What was not committed when the sink is
    /// dropped is not part of the store, or an object that nothing refers to.
    pub fn object_sink<'w>(&'w mut self, options: SinkOptions<'w>) -> ObjectSink<'w> {
        ObjectSink::new(self, options)
    }

    /// Stores an image and makes it durable. Its objects are in the store already.
    pub fn put_image(
        &mut self,
        algorithm: HashAlgorithm,
        bytes: &[u8],
    ) -> Result<FileDigest, StoreError> {
        let digest = Digester::digest_of(&Params::with_algorithm(algorithm), bytes);
        let present = self.store.read_image(&digest, bytes.len() as u64);
        if present.is_ok() && self.is_enforced(Part::Image, &digest)? {
            // Its name may not be durable yet.
            self.images.sync(&digest)?;
            return Ok(digest);
        }
        let mut file = self.temporary.create()?;
        file.append(bytes)?;
        self.place_image(file, &digest)?;
        Ok(digest)
    }

    /// Stores an image that arrives in pieces.
    pub fn image_writer(
        &mut self,
        algorithm: HashAlgorithm,
    ) -> Result<ImageWriter<'_>, StoreError> {
        let digester = Digester::new(Params::with_algorithm(algorithm));
        Ok(ImageWriter { file: self.temporary.create()?, writer: self, digester })
    }

    /// Stores a seal and makes it durable. Its image is in the store already.
    ///
    /// Another seal of the same stream and sequence is an error; the same one is not.
    pub fn put_seal(
        &mut self,
        stream: &Stream,
        sequence: Sequence,
        envelope: &[u8],
    ) -> Result<(), StoreError> {
        let path = layout::seal_path(stream, sequence);
        match self.store.seal(stream, sequence) {
            Ok(present) if present != envelope => {
                return Err(StoreError::Conflict { path: self.store.dir().join(path) });
            }
            Ok(_) | Err(StoreError::NoSeal { .. }) => {}
            Err(error) => return Err(error),
        }
        self.write_seal(stream, sequence, envelope)
    }

    /// Puts a seal in the place of one that has exactly the bytes `present`: for a signature that
    /// is attached later. That both are for the same statement is for the caller to check.
    pub fn replace_seal(
        &mut self,
        stream: &Stream,
        sequence: Sequence,
        present: &[u8],
        envelope: &[u8],
    ) -> Result<(), StoreError> {
        let found = self.store.seal(stream, sequence)?;
        if found != present && found != envelope {
            let path = self.store.dir().join(layout::seal_path(stream, sequence));
            return Err(StoreError::Conflict { path });
        }
        self.write_seal(stream, sequence, envelope)
    }

    /// Points to a seal as the stream's current one. It is in the store already, and the pointer
    /// never goes back.
    pub fn set_current(&mut self, stream: &Stream, sequence: Sequence) -> Result<(), StoreError> {
        self.store.seal(stream, sequence)?;
        let present = match self.store.current(stream) {
            Ok(present) => present,
            // A pointer that cannot be read stood for one of the seals: the newest at most.
            Err(StoreError::Pointer { .. } | StoreError::TooLarge { .. }) => {
                self.store.sequences(stream)?.last().copied()
            }
            Err(error) => return Err(error),
        };
        if let Some(present) = present.filter(|present| *present > sequence) {
            return Err(StoreError::Lowered {
                path: self.store.dir().join(layout::current_path(stream)),
                present: present.number(),
                asked: sequence.number(),
            });
        }
        let dir = self.seals.open_dir(stream.as_str())?;
        self.write_file(&dir, CURRENT, layout::pointer(sequence).as_bytes())
    }

    /// Stores the stream's freshness statement in place of an older one, and makes it durable.
    pub fn put_freshness(&mut self, stream: &Stream, envelope: &[u8]) -> Result<(), StoreError> {
        let path = self.store.dir().join(layout::fresh_path(stream));
        refuse_larger(&path, envelope, MAX_ENVELOPE_SIZE)?;
        let dir = self.stream_dir(stream)?;
        self.write_file(&dir, FRESH, envelope)
    }

    /// Removes a seal, and makes that durable. What only it reached stays until the next [`gc`].
    /// The current seal is not removed.
    ///
    /// [`gc`]: crate::gc()
    pub fn remove_seal(&mut self, stream: &Stream, sequence: Sequence) -> Result<(), StoreError> {
        let path = self.store.dir().join(layout::seal_path(stream, sequence));
        if self.store.current(stream)? == Some(sequence) {
            return Err(StoreError::CurrentSeal { path });
        }
        let dir = match self.seals.open_dir(stream.as_str()) {
            Err(error) if error.is_missing() => return Err(StoreError::NoSeal { path }),
            result => result?,
        };
        match dir.remove(&layout::seal_name(sequence)) {
            Err(error) if error.is_missing() => return Err(StoreError::NoSeal { path }),
            result => result?,
        }
        Ok(dir.sync()?)
    }

    /// Stores a copy of a root of the chain and makes it durable. Another root of the same version
    /// is an error; the same one is not.
    pub fn put_root(&mut self, version: u64, root: &[u8]) -> Result<(), StoreError> {
        let name = layout::root_name(version);
        let path = self.roots.join(&name);
        refuse_larger(&path, root, MAX_ROOT_SIZE)?;
        if self.store.root(version)?.is_some_and(|present| present != root) {
            return Err(StoreError::Conflict { path });
        }
        self.write_file(&self.roots, &name, root)
    }

    pub(crate) fn part(&self, part: Part) -> &Fanout {
        match part {
            Part::Object => &self.objects,
            Part::Sidecar => &self.sidecars,
            Part::Image => &self.images,
        }
    }

    /// Whether the kernel checks a file that is there, as far as it can.
    fn is_enforced(&self, part: Part, digest: &FileDigest) -> Result<bool, StoreError> {
        let has_verity = self.store.look(part, digest)?.is_some_and(|seen| seen.has_verity);
        Ok(has_verity || !self.temporary.has_verity(digest.algorithm())?)
    }

    /// Makes an image durable under its digest.
    pub(crate) fn place_image(
        &self,
        file: TempFile<'_>,
        digest: &FileDigest,
    ) -> Result<(), StoreError> {
        self.images.place(self.temporary.close(file, digest)?, digest)
    }

    fn write_seal(
        &self,
        stream: &Stream,
        sequence: Sequence,
        envelope: &[u8],
    ) -> Result<(), StoreError> {
        let path = self.store.dir().join(layout::seal_path(stream, sequence));
        refuse_larger(&path, envelope, MAX_ENVELOPE_SIZE)?;
        let dir = self.stream_dir(stream)?;
        self.write_file(&dir, &layout::seal_name(sequence), envelope)
    }

    /// The stream's directory. It and those above it are made, and their names made durable.
    fn stream_dir(&self, stream: &Stream) -> Result<DurableDir, StoreError> {
        let mut dir = self.seals.clone();
        for component in stream.components() {
            dir.ensure_dir(component)?;
            // Also when it was there: whoever made it may have been stopped right after.
            dir.sync()?;
            dir = dir.open_dir(component)?;
        }
        Ok(dir)
    }

    fn write_file(&self, dir: &DurableDir, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut file = self.temporary.create()?;
        file.append(bytes)?;
        Ok(file.finish(dir, name)?)
    }
}

impl ImageWriter<'_> {
    /// Appends the next bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.digester.update(bytes);
        Ok(self.file.append(bytes)?)
    }

    /// Makes the image durable under its digest. Gives that and the size in bytes.
    pub fn finish(self) -> Result<(FileDigest, u64), StoreError> {
        let measured = self.digester.finish();
        self.writer.place_image(self.file, &measured.digest)?;
        Ok((measured.digest, measured.size))
    }
}

impl io::Write for ImageWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn refuse_larger(path: &std::path::Path, bytes: &[u8], limit: usize) -> Result<(), StoreError> {
    if bytes.len() <= limit {
        return Ok(());
    }
    Err(StoreError::TooLarge {
        path: path.to_owned(),
        limit: limit as u64,
        found: bytes.len() as u64,
    })
}
