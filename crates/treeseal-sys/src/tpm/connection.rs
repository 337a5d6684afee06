use core::fmt;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::error::{TpmError, TpmResponseError};
use super::response::{MAX_RESPONSE, announced_size};
use super::wire::CommandBytes;

/// Where a TPM is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TpmAddress {
    /// A character device of the kernel. The one to use is `/dev/tpmrm0`: it keeps programs that
    /// use the TPM at the same time apart.
    Device(PathBuf),
    /// A socket on which a program speaks TPM commands, as `swtpm` does.
    Unix(PathBuf),
}

/// The prefix of a socket's address.
const UNIX: &[u8] = b"unix:";

/// How often a socket whose queue is full is tried again.
const RETRY: Duration = Duration::from_millis(10);

impl From<&OsStr> for TpmAddress {
    /// `unix:PATH` is a socket, anything else a device.
    fn from(text: &OsStr) -> Self {
        match text.as_bytes().strip_prefix(UNIX) {
            Some(path) => Self::Unix(OsStr::from_bytes(path).into()),
            None => Self::Device(text.into()),
        }
    }
}

impl Default for TpmAddress {
    /// The first TPM, `/dev/tpmrm0`.
    fn default() -> Self {
        Self::Device("/dev/tpmrm0".into())
    }
}

impl fmt::Display for TpmAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(path) => write!(f, "`{}`", path.display()),
            Self::Unix(path) => write!(f, "`unix:{}`", path.display()),
        }
    }
}

/// An open device or socket. Neither blocks: every wait is a `poll` that ends.
#[derive(Debug)]
pub(super) struct Connection {
    address: TpmAddress,
    fd: OwnedFd,
    timeout: Duration,
}

impl Connection {
    /// `timeout` is the longest that connecting or one command may take.
    pub(super) fn open(address: &TpmAddress, timeout: Duration) -> Result<Self, TpmError> {
        let fd = match address {
            TpmAddress::Device(path) => open_device(path)?.into(),
            TpmAddress::Unix(path) => connect_socket(path, timeout).map_err(|errno| {
                TpmError::Open { address: address.clone(), source: errno.into() }
            })?,
        };
        Ok(Self { address: address.clone(), fd, timeout })
    }

    /// Sends a command and reads its whole response. After an error the connection is of no use.
    pub(super) fn exchange(&self, command: &CommandBytes) -> Result<Vec<u8>, TpmError> {
        self.refuse_left_over(command)?;
        // A timeout beyond what the clock can tell is none.
        let deadline = Instant::now().checked_add(self.timeout);
        self.send(command, deadline)?;
        self.receive(command, deadline)
    }

    /// What came after the end of the last response would be taken for the start of the next one.
    fn refuse_left_over(&self, command: &CommandBytes) -> Result<(), TpmError> {
        let mut buffer = [0; 64];
        match rustix::io::read(&self.fd, &mut buffer) {
            // A device that has no response gives nothing.
            Ok(0) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Ok(found) => Err(malformed(command, TpmResponseError::Trailing { found })),
            Err(errno) => Err(self.exchange_error(command, errno)),
        }
    }

    fn send(&self, command: &CommandBytes, deadline: Option<Instant>) -> Result<(), TpmError> {
        // A device takes a command in one piece or not at all; a socket may take a part.
        let mut rest = command.as_bytes();
        while !rest.is_empty() {
            self.wait(PollFlags::OUT, command, deadline)?;
            match rustix::io::write(&self.fd, rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::PIPE) => return Err(self.closed(command)),
                Err(errno) => return Err(self.exchange_error(command, errno)),
            }
        }
        Ok(())
    }

    fn receive(
        &self,
        command: &CommandBytes,
        deadline: Option<Instant>,
    ) -> Result<Vec<u8>, TpmError> {
        // One byte more than the longest response, so that there is always room to read into.
        let mut response = vec![0; MAX_RESPONSE + 1];
        let mut received = 0;
        loop {
            self.wait(PollFlags::IN, command, deadline)?;
            let room = response.get_mut(received..).unwrap_or_default();
            match rustix::io::read(&self.fd, room) {
                Ok(0) | Err(Errno::CONNRESET) => return Err(self.closed(command)),
                Ok(count) => received += count,
                Err(Errno::AGAIN | Errno::INTR) => continue,
                Err(errno) => return Err(self.exchange_error(command, errno)),
            }
            let start = response.get(..received).unwrap_or(&response);
            let size = announced_size(start).map_err(|fault| malformed(command, fault))?;
            match size.map(|size| received.checked_sub(size)) {
                Some(Some(0)) => break,
                Some(Some(found)) => {
                    return Err(malformed(command, TpmResponseError::Trailing { found }));
                }
                None | Some(None) => {}
            }
        }
        response.truncate(received);
        Ok(response)
    }

    fn wait(
        &self,
        wanted: PollFlags,
        command: &CommandBytes,
        deadline: Option<Instant>,
    ) -> Result<(), TpmError> {
        loop {
            let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let mut fds = [PollFd::from_borrowed_fd(self.fd.as_fd(), wanted)];
            match poll(&mut fds, left.as_ref()) {
                Ok(0) => {
                    let (address, command) = (self.address.clone(), command.command);
                    return Err(TpmError::Timeout { address, command, limit: self.timeout });
                }
                // An error or the other's end is told by the call that follows.
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.exchange_error(command, errno)),
            }
        }
    }

    fn closed(&self, command: &CommandBytes) -> TpmError {
        TpmError::Closed { address: self.address.clone(), command: command.command }
    }

    fn exchange_error(&self, command: &CommandBytes, errno: Errno) -> TpmError {
        let (address, command) = (self.address.clone(), command.command);
        TpmError::Exchange { address, command, source: errno.into() }
    }
}

fn malformed(command: &CommandBytes, fault: TpmResponseError) -> TpmError {
    TpmError::Response { command: command.command, fault }
}

/// Without blocking, the kernel's TPM devices carry a command out while their file is polled.
fn open_device(path: &Path) -> Result<File, TpmError> {
    let address = || TpmAddress::Device(path.to_owned());
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let open = || -> io::Result<(File, bool)> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        let is_device = file.metadata()?.file_type().is_char_device();
        Ok((file, is_device))
    };
    match open() {
        Ok((file, true)) => Ok(file),
        Ok((_, false)) => Err(TpmError::NotADevice { address: address() }),
        Err(source) => Err(TpmError::Open { address: address(), source }),
    }
}

fn connect_socket(path: &Path, timeout: Duration) -> Result<OwnedFd, Errno> {
    let target = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let start = Instant::now();
    loop {
        match connect(&socket, &target) {
            Ok(()) => return Ok(socket),
            // The server's queue is full. There is no event to wait for.
            Err(Errno::AGAIN) if start.elapsed() < timeout => thread::sleep(RETRY.min(timeout)),
            Err(Errno::AGAIN) => return Err(Errno::TIMEDOUT),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
