use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use treeseal_verity::{FileDigest, Params};

use super::{DurableDir, DurableError, StepAction};
use crate::file::restore_child_attributes;
use crate::{Attributes, FileError, enable_verity, measure_verity, restore_attributes};

/// A file under a temporary name, open for writing. It is removed when dropped.
#[derive(Debug)]
pub struct TempFile<'d> {
    file: File,
    entry: TempEntry<'d>,
}

/// A file under a temporary name that nothing holds open. It is removed when dropped, unless it
/// was renamed.
#[derive(Debug)]
pub struct TempEntry<'d> {
    dir: &'d DurableDir,
    /// Empty once the file has its name.
    name: String,
}

impl DurableDir {
    /// Makes a file with a temporary name and mode 0644 in this directory.
    pub fn create_temp(&self) -> Result<TempFile<'_>, DurableError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let (fd, entry) = self.create_entry(|name| fs::openat(self, name, flags, mode))?;
        Ok(TempFile { file: File::from(fd), entry })
    }

    /// Makes a symlink with a temporary name in this directory.
    pub fn create_temp_symlink(&self, target: &[u8]) -> Result<TempEntry<'_>, DurableError> {
        let ((), entry) = self.create_entry(|name| fs::symlinkat(target, self, name))?;
        Ok(entry)
    }

    /// Lets `create` make something under a temporary name that is free.
    fn create_entry<T>(
        &self,
        create: impl Fn(&str) -> Result<T, Errno>,
    ) -> Result<(T, TempEntry<'_>), DurableError> {
        loop {
            let name = format!(".{:x}-{:x}.tmp", std::process::id(), self.next_temp());
            self.step(StepAction::CreateFile, &name)?;
            match create(&name) {
                Ok(made) => return Ok((made, TempEntry { dir: self, name })),
                // A process with this number left it behind.
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(self.io("create", &name, errno)),
            }
        }
    }

    /// Makes a file of these bytes durable under a name, in the place of one that had it.
    ///
    /// Its temporary name is in `temporary`, on the same filesystem.
    pub fn write_file(
        &self,
        name: &str,
        bytes: &[u8],
        temporary: &DurableDir,
    ) -> Result<(), DurableError> {
        let mut file = temporary.create_temp()?;
        file.append(bytes)?;
        file.finish(self, name)
    }
}

impl<'d> TempFile<'d> {
    /// Appends bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), DurableError> {
        self.entry.step(StepAction::Write)?;
        self.file.write_all(bytes).map_err(|source| self.entry.failed("write", source))
    }

    /// Takes over the content of another file by sharing its blocks. `false` when the filesystems
    /// cannot do that; then nothing has happened.
    pub fn clone_content(&mut self, source: BorrowedFd<'_>) -> Result<bool, DurableError> {
        self.entry.step(StepAction::Write)?;
        match fs::ioctl_ficlone(&self.file, source) {
            Ok(()) => Ok(true),
            Err(
                Errno::OPNOTSUPP
                | Errno::XDEV
                | Errno::INVAL
                | Errno::NOTTY
                | Errno::NOSYS
                | Errno::TXTBSY
                | Errno::PERM
                | Errno::BADF
                | Errno::ISDIR,
            ) => Ok(false),
            Err(errno) => Err(self.entry.failed("clone content into", errno.into())),
        }
    }

    /// Reads from the file at an offset; 0 at its end.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, DurableError> {
        loop {
            match self.file.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map_err(|source| self.entry.failed("read", source)),
            }
        }
    }

    /// Gives the file mode 0644 whatever the process masks. `false` when it has that already.
    pub fn make_readable(&self) -> Result<bool, DurableError> {
        let mode = Mode::from_raw_mode(0o644);
        let stat = fs::fstat(&self.file).map_err(|errno| self.entry.errno("look at", errno))?;
        if Mode::from_raw_mode(stat.st_mode) == mode {
            return Ok(false);
        }
        fs::fchmod(&self.file, mode).map_err(|errno| self.entry.errno("change mode of", errno))?;
        Ok(true)
    }

    /// Gives the file its attributes, after its content.
    pub fn restore_attributes(&self, attributes: &Attributes<'_>) -> Result<(), FileError> {
        restore_attributes(&self.file, attributes).map_err(|error| self.entry.named(error))
    }

    /// Makes the content durable.
    pub fn sync(&self) -> Result<(), DurableError> {
        self.entry.step(StepAction::SyncFile)?;
        fs::fsync(&self.file).map_err(|errno| self.entry.errno("sync", errno))
    }

    /// Closes the file, which keeps its temporary name.
    pub fn close(self) -> TempEntry<'d> {
        self.entry
    }

    /// Makes the content durable, gives the file its name, and makes that durable.
    pub fn finish(self, dir: &DurableDir, name: &str) -> Result<(), DurableError> {
        self.sync()?;
        self.close().rename(dir, name)?;
        dir.sync()
    }
}

impl Write for TempFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TempEntry<'_> {
    /// Gives the file its name, in the place of one that had it. Neither content nor name is made
    /// durable.
    pub fn rename(mut self, dir: &DurableDir, name: &str) -> Result<(), DurableError> {
        self.dir.rename_step(&self.name, dir, name)?;
        fs::renameat(self.dir, self.name.as_str(), dir, name)
            .map_err(|errno| dir.io("rename a temporary file to", name, errno))?;
        self.name.clear();
        Ok(())
    }

    /// Enables fs-verity on the file, and gives the digest that the kernel checks it against from now
    /// on. The content is flushed for it, but neither that nor fs-verity is made durable.
    pub fn enable_verity(&self, params: &Params) -> Result<FileDigest, DurableError> {
        self.step(StepAction::EnableVerity)?;
        let file = self.open().map_err(|errno| self.errno("open", errno))?;
        enable_verity(&file, params)
            .and_then(|()| measure_verity(&file))
            .map_err(|source| DurableError::Verity { path: self.dir.join(&self.name), source })
    }

    /// Makes the content durable, and fs-verity with it.
    pub fn sync(&self) -> Result<(), DurableError> {
        self.step(StepAction::SyncFile)?;
        self.open().and_then(fs::fsync).map_err(|errno| self.errno("sync", errno))
    }

    /// Gives the file its attributes without opening it: for a symlink.
    pub fn restore_attributes(&self, attributes: &Attributes<'_>) -> Result<(), FileError> {
        restore_child_attributes(self.dir.as_fd(), self.name.as_bytes(), attributes)
            .map_err(|error| self.named(error))
    }

    /// Puts the path into an error that knows only a name, or none.
    fn named(&self, error: FileError) -> FileError {
        error.with_path(self.dir.join(&self.name).into_os_string().into_encoded_bytes())
    }

    fn open(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(self.dir, self.name.as_str(), flags, Mode::empty())
    }

    fn step(&self, action: StepAction) -> Result<(), DurableError> {
        self.dir.step(action, &self.name)
    }

    fn errno(&self, action: &'static str, errno: Errno) -> DurableError {
        self.failed(action, errno.into())
    }

    fn failed(&self, action: &'static str, source: io::Error) -> DurableError {
        DurableError::Io { action, path: self.dir.join(&self.name), source }
    }
}

impl Drop for TempEntry<'_> {
    fn drop(&mut self) {
        if self.name.is_empty() {
            return;
        }
        // A file that stays is removed with the others when the directory is next written to.
        if self.dir.step(StepAction::Remove, &self.name).is_ok() {
            let _ = fs::unlinkat(self.dir.as_fd(), self.name.as_str(), AtFlags::empty());
        }
    }
}
