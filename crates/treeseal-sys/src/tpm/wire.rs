use core::fmt;

use super::error::TpmError;

/// Structure tags, TPM_ST (Part 2, 6.9).
pub(super) const TAG_NO_SESSIONS: u16 = 0x8001;
pub(super) const TAG_SESSIONS: u16 = 0x8002;

/// The handles TPM_RH_OWNER and TPM_RS_PW (Part 2, 7.4): the owner hierarchy, and in place of a
/// session the word that a password follows.
pub(super) const OWNER: u32 = 0x4000_0001;
const PASSWORD: u32 = 0x4000_0009;

/// TPM_ALG_SHA256 (Part 2, 6.3). It names the index; nothing here depends on which hash it is, and
/// every TPM has this one.
pub(super) const SHA256: u16 = 0x000b;

/// Attributes of an index, TPMA_NV (Part 2, 13.4).
pub(super) mod attribute {
    /// Its type is TPM_NT_COUNTER (Part 2, 13.2); without this it is TPM_NT_ORDINARY.
    pub(in super::super) const COUNTER: u32 = 1 << 4;
    /// The owner's password lets write.
    pub(in super::super) const OWNER_WRITE: u32 = 1 << 1;
    /// The index's own password lets write.
    pub(in super::super) const AUTH_WRITE: u32 = 1 << 2;
    /// Writing is locked, for good if it was defined with [`WRITE_DEFINE`] and is written.
    pub(in super::super) const WRITE_LOCKED: u32 = 1 << 11;
    /// The index can be locked for good.
    pub(in super::super) const WRITE_DEFINE: u32 = 1 << 13;
    /// The index's own password lets read.
    pub(in super::super) const AUTH_READ: u32 = 1 << 18;
    /// Wrong passwords for it lead to no lockout, and it can be used during one.
    pub(in super::super) const NO_LOCKOUT: u32 = 1 << 25;
    /// The index has a value.
    pub(in super::super) const WRITTEN: u32 = 1 << 29;
}

/// Longest password, in bytes: that of the longest digest a TPM is known to have, SHA-512. A
/// TPM2B_AUTH is no longer than the longest digest (Part 2, 10.4.5).
const MAX_PASSWORD: usize = 64;

/// Most data in one command; an index of ours has less.
const MAX_DATA: usize = 512;

/// Room for any command that is made here, so that bytes with a password in them do not move.
const MAX_COMMAND: usize = 1024;

/// A command to the TPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TpmCommand {
    /// Removes an index (Part 3, 31.4).
    NvUndefineSpace,
    /// Makes an index (Part 3, 31.3).
    NvDefineSpace,
    /// Raises a counter by one (Part 3, 31.8).
    NvIncrement,
    /// Writes an index (Part 3, 31.7).
    NvWrite,
    /// Locks an index against writing (Part 3, 31.11).
    NvWriteLock,
    /// Reads an index (Part 3, 31.13).
    NvRead,
    /// Reads what kind of index it is (Part 3, 31.6).
    NvReadPublic,
}

impl TpmCommand {
    /// TPM_CC (Part 2, 6.5.2).
    pub(super) fn code(self) -> u32 {
        match self {
            Self::NvUndefineSpace => 0x0122,
            Self::NvDefineSpace => 0x012a,
            Self::NvIncrement => 0x0134,
            Self::NvWrite => 0x0137,
            Self::NvWriteLock => 0x0138,
            Self::NvRead => 0x014e,
            Self::NvReadPublic => 0x0169,
        }
    }
}

impl fmt::Display for TpmCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NvUndefineSpace => "TPM2_NV_UndefineSpace",
            Self::NvDefineSpace => "TPM2_NV_DefineSpace",
            Self::NvIncrement => "TPM2_NV_Increment",
            Self::NvWrite => "TPM2_NV_Write",
            Self::NvWriteLock => "TPM2_NV_WriteLock",
            Self::NvRead => "TPM2_NV_Read",
            Self::NvReadPublic => "TPM2_NV_ReadPublic",
        })
    }
}

/// A command being put together: header, handles, password, parameters (Part 1,
/// "TPM Command/Response Structure").
pub(super) struct CommandBytes {
    pub(super) command: TpmCommand,
    pub(super) has_session: bool,
    bytes: Vec<u8>,
}

impl CommandBytes {
    /// A command without a password.
    pub(super) fn plain(command: TpmCommand, handles: &[u32]) -> Self {
        Self::start(command, handles, false)
    }

    /// A command with the password for its first handle. The session area holds one
    /// TPMS_AUTH_COMMAND (Part 2, 10.13.2) and is preceded by its size.
    pub(super) fn with_password(
        command: TpmCommand,
        handles: &[u32],
        password: &[u8],
    ) -> Result<Self, TpmError> {
        let length = length("the password", password, MAX_PASSWORD)?;
        // The handle, no nonce, attributes, and the password with its length.
        let area = 4 + 2 + 1 + 2 + u32::from(length);
        let start = Self::start(command, handles, true).u32(area).u32(PASSWORD).u16(0);
        // continueSession (Part 2, 8.4); a password has no session to end.
        Ok(start.append(&[1]).u16(length).append(password))
    }

    fn start(command: TpmCommand, handles: &[u32], has_session: bool) -> Self {
        let bytes = Vec::with_capacity(MAX_COMMAND);
        let tag = if has_session { TAG_SESSIONS } else { TAG_NO_SESSIONS };
        // The size is known at the end.
        let header = Self { command, has_session, bytes }.u16(tag).u32(0).u32(command.code());
        handles.iter().fold(header, |bytes, handle| bytes.u32(*handle))
    }

    pub(super) fn u16(self, value: u16) -> Self {
        self.append(&value.to_be_bytes())
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.append(&value.to_be_bytes())
    }

    /// Bytes with their length before them, a TPM2B (Part 2, 10.4).
    pub(super) fn sized(self, data: &[u8]) -> Result<Self, TpmError> {
        Ok(self.u16(length("the data", data, MAX_DATA)?).append(data))
    }

    fn append(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// The command with its size filled in.
    pub(super) fn finish(mut self) -> Self {
        // At most MAX_COMMAND, because what goes into it is bounded.
        let size = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.get_mut(2..6) {
            field.copy_from_slice(&size.to_be_bytes());
        }
        self
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The length of bytes that a caller gave, if it is not above `limit`.
fn length(what: &'static str, bytes: &[u8], limit: usize) -> Result<u16, TpmError> {
    let found = bytes.len();
    let length = u16::try_from(found).ok().filter(|_| found <= limit);
    length.ok_or(TpmError::TooLong { what, found, limit })
}

impl Drop for CommandBytes {
    /// The password of the owner may be in it. Safe code cannot promise that no copy stays; the
    /// `black_box` keeps the compiler from dropping these writes as useless.
    fn drop(&mut self) {
        self.bytes.fill(0);
        core::hint::black_box(&self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_the_layout_of_the_standard() {
        let command = CommandBytes::with_password(TpmCommand::NvRead, &[0x0180_0002; 2], b"pw");
        let command = command.unwrap().u16(8).u16(0).finish();
        let expected = [
            &[0x80, 0x02, 0, 0, 0, 37, 0, 0, 0x01, 0x4e][..], // tag, size, command
            &[0x01, 0x80, 0, 2, 0x01, 0x80, 0, 2],            // handles
            &[0, 0, 0, 11, 0x40, 0, 0, 9, 0, 0, 1, 0, 2, b'p', b'w'],
            &[0, 8, 0, 0], // size, offset
        ];
        assert_eq!(command.as_bytes(), expected.concat());
    }

    #[test]
    fn a_password_longer_than_any_tpm_takes_is_refused() {
        let result = CommandBytes::with_password(TpmCommand::NvRead, &[], &[b'x'; 65]);
        let error = result.err().unwrap();
        assert_eq!(error.to_string(), "the password has 65 bytes; a TPM takes at most 64");
        CommandBytes::with_password(TpmCommand::NvRead, &[], &[b'x'; 64]).unwrap();
    }
}
