use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::{Errno, read};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use super::{DetachedMount, MountError, MountStep};

/// A mount in the making.
pub(super) struct Context {
    filesystem: &'static str,
    descriptor: OwnedFd,
}

/// How many messages are read at most. The kernel keeps the last eight.
const MESSAGES: usize = 8;

/// Room for one message, which is a line with perhaps a path in it.
const MESSAGE_BYTES: usize = 4096 + 256;

impl Context {
    pub(super) fn open(filesystem: &'static str) -> Result<Self, MountError> {
        let descriptor =
            fsopen(filesystem, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| match errno {
                Errno::NODEV => MountError::Filesystem { filesystem },
                Errno::NOSYS => MountError::Kernel { lacks: "fsopen", needed: "5.2" },
                errno => MountError::os("begin a mount", errno),
            })?;
        Ok(Self { filesystem, descriptor })
    }

    pub(super) fn set_flag(&self, key: &str) -> Result<(), MountError> {
        let set = fsconfig_set_flag(&self.descriptor, key);
        set.map_err(|errno| self.refused(MountStep::Option(key.to_owned()), errno))
    }

    pub(super) fn set_string(&self, key: &str, value: &str) -> Result<(), MountError> {
        fsconfig_set_string(&self.descriptor, key, value)
            .map_err(|errno| self.refused(MountStep::Option(format!("{key}={value}")), errno))
    }

    pub(super) fn set_descriptor(&self, key: &str, file: BorrowedFd<'_>) -> Result<(), MountError> {
        let set = fsconfig_set_fd(&self.descriptor, key, file);
        set.map_err(|errno| self.refused(MountStep::Option(key.to_owned()), errno))
    }

    pub(super) fn mount(self, attributes: MountAttrFlags) -> Result<DetachedMount, MountError> {
        fsconfig_create(&self.descriptor)
            .map_err(|errno| self.refused(MountStep::Create, errno))?;
        fsmount(&self.descriptor, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map(DetachedMount::from)
            .map_err(|errno| MountError::os("finish a mount", errno))
    }

    fn refused(&self, step: MountStep, errno: Errno) -> MountError {
        let said = self.messages();
        MountError::Refused { filesystem: self.filesystem, step, said, source: errno.into() }
    }

    /// What the kernel has said since it was last asked: one message a read, which begins with its
    /// class, `e overlay: `.
    fn messages(&self) -> Vec<String> {
        let mut buffer = [0; MESSAGE_BYTES];
        let mut messages = Vec::new();
        while messages.len() < MESSAGES {
            let Ok(length @ 1..) = read(&self.descriptor, &mut buffer[..]) else { break };
            let line = buffer.get(..length).unwrap_or_default().trim_ascii();
            messages.push(printable(self.without_prefix(line)));
        }
        messages
    }

    /// Without the message's class and the filesystem's name, where they are there.
    fn without_prefix<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        let text = line.strip_prefix(b"e ").unwrap_or(line);
        let name = text.strip_prefix(self.filesystem.as_bytes());
        name.and_then(|rest| rest.strip_prefix(b": ")).unwrap_or(text)
    }
}

/// Text for a terminal: a message may quote what somebody else has named.
fn printable(line: &[u8]) -> String {
    let mut text = String::new();
    for byte in line {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.extend(byte.escape_ascii().map(char::from)),
        }
    }
    text
}
