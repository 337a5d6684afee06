use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{self, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{DurableDir, DurableError};

/// A lock on a file, held until it is dropped or the process ends.
///
/// It is `flock(2)`: it belongs to this opening of the file, so two of them exclude each other in
/// one process as well.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    mode: LockMode,
}

/// Who else may hold the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Others that share it.
    Shared,
    /// Nobody.
    Exclusive,
}

/// How long to wait for a lock.
#[derive(Clone, Copy)]
pub struct LockWait<'a> {
    /// After this time it is an error.
    pub limit: Duration,
    /// Is told once, with the holder if it is known, when the lock is not free at once.
    pub notice: Option<&'a LockNotice<'a>>,
}

/// Is told who holds a lock that is waited for.
pub type LockNotice<'a> = dyn Fn(Option<&LockHolder>) + 'a;

/// Who holds a lock, as it wrote into the file itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// The process, as numbered where it runs.
    pub process: u32,
    /// Name of its program.
    pub program: String,
}

/// A lock could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process holds it.
    #[error(
        "`{}` is held by {}; waited {} s",
        path.display(),
        describe(holder.as_ref()),
        waited.as_secs()
    )]
    Held {
        /// The file.
        path: PathBuf,
        /// Who holds it, if it said so.
        holder: Option<LockHolder>,
        /// How long was waited.
        waited: Duration,
    },
    /// The file could not be opened or locked.
    #[error(transparent)]
    Durable(#[from] DurableError),
}

/// How often a lock that is held is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// Longest text of a holder, in bytes. Program names have at most 15.
const MAX_HOLDER: usize = 64;

impl DurableDir {
    /// Locks a file in this directory, which is made if need be. `None` for a shared lock when
    /// there is no file and none can be made: then nobody can hold an exclusive one either.
    pub fn lock(
        &self,
        name: &str,
        mode: LockMode,
        wait: LockWait<'_>,
    ) -> Result<Option<FileLock>, LockError> {
        let Some(file) = self.open_lock(name, mode)? else { return Ok(None) };
        let start = Instant::now();
        let mut noticed = false;
        loop {
            match fs::flock(&file, mode.operation()) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(self.io("lock", name, errno).into()),
            }
            let holder = LockHolder::read(&file);
            if start.elapsed() >= wait.limit {
                let path = self.join(name);
                return Err(LockError::Held { path, holder, waited: start.elapsed() });
            }
            if let Some(notice) = wait.notice.filter(|_| !noticed) {
                notice(holder.as_ref());
                noticed = true;
            }
            std::thread::sleep(RETRY.min(wait.limit));
        }
        if mode == LockMode::Exclusive {
            LockHolder::this().write(&file);
        }
        Ok(Some(FileLock { file, mode }))
    }

    fn open_lock(&self, name: &str, mode: LockMode) -> Result<Option<File>, DurableError> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let writable = flags | OFlags::RDWR | OFlags::CREATE;
        let result = fs::openat(self, name, writable, Mode::from_raw_mode(0o644));
        match (result, mode) {
            (Ok(fd), _) => Ok(Some(File::from(fd))),
            (Err(Errno::ROFS | Errno::ACCESS | Errno::PERM), LockMode::Shared) => {
                match fs::openat(self, name, flags | OFlags::RDONLY, Mode::empty()) {
                    Ok(fd) => Ok(Some(File::from(fd))),
                    Err(Errno::NOENT) => Ok(None),
                    Err(errno) => Err(self.io("open", name, errno)),
                }
            }
            (Err(errno), _) => Err(self.io("open", name, errno)),
        }
    }
}

impl LockMode {
    fn operation(self) -> FlockOperation {
        match self {
            Self::Shared => FlockOperation::NonBlockingLockShared,
            Self::Exclusive => FlockOperation::NonBlockingLockExclusive,
        }
    }
}

impl Default for LockWait<'_> {
    /// Ten seconds, in silence.
    fn default() -> Self {
        Self { limit: Duration::from_secs(10), notice: None }
    }
}

impl fmt::Debug for LockWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockWait").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl LockHolder {
    fn this() -> Self {
        let program = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
        Self { process: std::process::id(), program: program.trim().to_owned() }
    }

    /// Tells those who wait. A courtesy: that it fails does no harm.
    fn write(&self, file: &File) {
        let text = format!("{} {}\n", self.process, self.program);
        let _ = file.set_len(0).and_then(|()| file.write_all_at(text.as_bytes(), 0));
    }

    fn read(file: &File) -> Option<Self> {
        let mut bytes = [0; MAX_HOLDER];
        let length = file.read_at(&mut bytes, 0).ok()?;
        let text = std::str::from_utf8(&bytes[..length]).ok()?;
        let (process, program) = text.strip_suffix('\n')?.split_once(' ')?;
        let printable = program.bytes().all(|byte| byte.is_ascii_graphic());
        printable.then_some(())?;
        Some(Self { process: process.parse().ok()?, program: program.to_owned() })
    }
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.process, self.program)
    }
}

fn describe(holder: Option<&LockHolder>) -> String {
    holder.map_or_else(|| "another process".to_owned(), ToString::to_string)
}

impl Drop for FileLock {
    fn drop(&mut self) {
        if self.mode == LockMode::Exclusive {
            // So that nobody is named who no longer holds it.
            let _: io::Result<()> = self.file.set_len(0);
        }
    }
}
