use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{fgetxattr, flistxattr, lgetxattr, llistxattr};
use rustix::io::Errno;

use super::name::component;
use super::{Directory, FileError, Operation};
use crate::proc;

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xattr {
    /// Full name, `user.mime_type`.
    pub name: Vec<u8>,
    /// Value.
    pub value: Vec<u8>,
}

/// Room for what the kernel gives, kept from one file to the next.
#[derive(Debug)]
pub struct XattrBuffer {
    names: Vec<u8>,
    value: Vec<u8>,
}

/// What nearly every file's attributes fit in. The kernel allocates as much as it is asked for, so
/// asking for the most at once would cost every file more than asking the few again.
const USUAL_BYTES: usize = 1024;

/// The most that the kernel gives, for the list of names and for a value alike.
const MOST_BYTES: usize = 64 * 1024;

/// How often attributes are read again that went away between being listed and being read.
const ATTEMPTS: u32 = 8;

impl Default for XattrBuffer {
    fn default() -> Self {
        Self { names: vec![0; USUAL_BYTES], value: vec![0; USUAL_BYTES] }
    }
}

/// The extended attributes of a file that is open for reading, those whose names are `wanted`, in
/// byte order. A filesystem that has none is no error. An error names no path.
pub fn file_xattrs(
    file: impl AsFd,
    wanted: impl Fn(&[u8]) -> bool,
    buffer: &mut XattrBuffer,
) -> Result<Vec<Xattr>, FileError> {
    read(&Subject::Descriptor(file.as_fd()), b"", wanted, buffer)
}

impl Directory {
    /// The extended attributes of a file in this directory, as [`file_xattrs`] gives them. The file
    /// is not opened; a symlink is not followed.
    pub fn child_xattrs(
        &self,
        name: &[u8],
        wanted: impl Fn(&[u8]) -> bool,
        buffer: &mut XattrBuffer,
    ) -> Result<Vec<Xattr>, FileError> {
        let name = component(name)?;
        let mut path = proc::descriptor_path(self.as_fd()).into_bytes();
        path.push(b'/');
        path.extend_from_slice(name);
        read(&Subject::Path(&path), name, wanted, buffer).map_err(|error| {
            let missing = error.kind() == Some(std::io::ErrorKind::NotFound);
            if missing && !proc::is_there() {
                return FileError::NoProc { path: name.to_vec() };
            }
            error
        })
    }
}

/// The two ways by which attributes can be read.
enum Subject<'a> {
    Descriptor(BorrowedFd<'a>),
    Path(&'a [u8]),
}

impl Subject<'_> {
    fn list(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Descriptor(file) => flistxattr(file, buffer),
            Self::Path(path) => llistxattr(*path, buffer),
        }
    }

    fn value(&self, name: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Descriptor(file) => fgetxattr(file, name, buffer),
            Self::Path(path) => lgetxattr(*path, name, buffer),
        }
    }
}

fn read(
    subject: &Subject<'_>,
    path: &[u8],
    wanted: impl Fn(&[u8]) -> bool,
    buffer: &mut XattrBuffer,
) -> Result<Vec<Xattr>, FileError> {
    let XattrBuffer { names, value } = buffer;
    'attempt: for _ in 0..ATTEMPTS {
        let list = match fill(names, |buffer| subject.list(buffer)) {
            Ok(list) => list,
            // A filesystem without attributes. NOTSUP is the same number as OPNOTSUPP on Linux.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Vec::new()),
            Err(errno) => return Err(FileError::os(Operation::ReadXattrs, path, errno)),
        };
        let mut found = Vec::new();
        for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty() && wanted(name)) {
            match fill(value, |buffer| subject.value(name, buffer)) {
                Ok(value) => found.push(Xattr { name: name.to_vec(), value: value.to_vec() }),
                Err(Errno::NODATA) => continue 'attempt,
                Err(errno) => {
                    return Err(FileError::xattr(Operation::ReadXattrs, path, name, errno));
                }
            }
        }
        found.sort_unstable();
        return Ok(found);
    }
    Err(FileError::Unsettled { path: path.to_vec() })
}

/// Lets `get` fill the buffer, which grows once to the most that there can be. A size is never
/// asked for first, so none can change in between.
fn fill(
    buffer: &mut Vec<u8>,
    get: impl Fn(&mut [u8]) -> Result<usize, Errno>,
) -> Result<&[u8], Errno> {
    let length = match get(buffer) {
        Err(Errno::RANGE) if buffer.len() < MOST_BYTES => {
            buffer.resize(MOST_BYTES, 0);
            get(buffer)?
        }
        length => length?,
    };
    buffer.get(..length).ok_or(Errno::RANGE)
}
