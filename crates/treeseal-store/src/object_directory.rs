use std::fs;
use std::path::Path;

use treeseal_sys::{DurableDir, DurableError, DurableOptions};

use crate::writer::{Deposit, Fanout, Temporary};
use crate::{ObjectSink, Part, SinkOptions, StoreError};

/// Name of the directory of unfinished files, which is gone when the object directory is dropped.
const TEMPORARY: &str = ".treeseal-tmp";

/// A directory of objects and nothing else, as `mkcomposefs --digest-store` makes it: no sidecars,
/// images or seals, and no lock, so that it can be shared with programs that know only this layout.
#[derive(Debug)]
pub struct ObjectDirectory {
    dir: DurableDir,
    temporary: Temporary,
    objects: Fanout,
}

impl ObjectDirectory {
    /// Opens an object directory, and makes it if there is none.
    pub fn create_or_open(path: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(path).map_err(|source| DurableError::Io {
            action: "create",
            path: path.to_owned(),
            source,
        })?;
        let dir = DurableDir::open(path, DurableOptions::default())?;
        dir.ensure_dir(TEMPORARY)?;
        let temporary = Temporary::new(dir.open_dir(TEMPORARY)?)?;
        Ok(Self { temporary, objects: Fanout::new(dir.clone()), dir })
    }

    /// Takes in objects, from any number of threads.
    pub fn object_sink<'d>(&'d mut self, options: SinkOptions<'d>) -> ObjectSink<'d> {
        ObjectSink::new(self, options)
    }
}

impl Deposit for ObjectDirectory {
    fn dir(&self) -> &DurableDir {
        &self.dir
    }

    fn temporary(&self) -> &Temporary {
        &self.temporary
    }

    fn fanout(&self, part: Part) -> Option<&Fanout> {
        (part == Part::Object).then_some(&self.objects)
    }
}

impl Drop for ObjectDirectory {
    fn drop(&mut self) {
        // Left behind, it does no harm; the next run empties it.
        let _ = self.temporary.empty();
        let _ = fs::remove_dir(self.dir.join(TEMPORARY));
    }
}
