use std::io;
use std::time::Duration;

use super::code::TpmCode;
use super::connection::TpmAddress;
use super::wire::TpmCommand;

/// The TPM could not be asked, or refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TpmError {
    /// There is no such device or socket, or it may not be used.
    #[error("cannot open the TPM {address}")]
    Open {
        /// Where it was looked for.
        address: TpmAddress,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// A file of another type stands where the device belongs.
    #[error("{address} is no character device; a socket is named as unix:PATH")]
    NotADevice {
        /// The file.
        address: TpmAddress,
    },
    /// A command could not be sent, or its response not be read.
    #[error("cannot exchange {command} with the TPM {address}")]
    Exchange {
        /// The TPM.
        address: TpmAddress,
        /// What it was asked.
        command: TpmCommand,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// The connection was closed in place of a response.
    #[error("the TPM {address} closed the connection during {command}")]
    Closed {
        /// The TPM.
        address: TpmAddress,
        /// What it was asked.
        command: TpmCommand,
    },
    /// No whole response came in time.
    #[error("the TPM {address} did not answer {command} within {} ms", limit.as_millis())]
    Timeout {
        /// The TPM.
        address: TpmAddress,
        /// What it was asked.
        command: TpmCommand,
        /// How long was waited.
        limit: Duration,
    },
    /// After a response that did not come or could not be read, it is not known to which command
    /// the next one belongs.
    #[error("the connection to the TPM {address} failed before; open it again")]
    Unusable {
        /// The TPM.
        address: TpmAddress,
    },
    /// The response is not that of a TPM 2.0 to this command.
    #[error("the TPM's response to {command} is malformed: {fault}")]
    Response {
        /// What it was asked.
        command: TpmCommand,
        /// What is wrong with the response.
        fault: TpmResponseError,
    },
    /// The TPM refused.
    #[error("the TPM refused {command} for index {index:#010x}: {code}")]
    Refused {
        /// What it was asked.
        command: TpmCommand,
        /// The index that it was asked about.
        index: u32,
        /// Why it refused.
        code: TpmCode,
    },
    /// A password, or data to be written, is longer than any TPM takes.
    #[error("{what} has {found} bytes; a TPM takes at most {limit}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The longest that is taken.
        limit: usize,
    },
}

impl TpmError {
    /// What the TPM said, if it refused.
    pub fn code(&self) -> Option<TpmCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// What is wrong with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TpmResponseError {
    /// A field does not fit into what there is.
    #[error("a field of {expected} bytes, and {found} bytes are left")]
    Short {
        /// Length of the field.
        expected: usize,
        /// Bytes that are left.
        found: usize,
    },
    /// Something follows the last field.
    #[error("{found} bytes or more follow its end")]
    Trailing {
        /// Number of bytes, as far as they have come.
        found: usize,
    },
    /// The size that it announces is not its own, or not one that a response can have.
    #[error("it announces {found} bytes; a response has 10 to 4096, and as many as it announces")]
    Size {
        /// The announced size.
        found: u32,
    },
    /// The first field is not the one that belongs to the command.
    #[error("its tag is {found:#06x}, expected {expected:#06x}")]
    Tag {
        /// The tag that belongs to the command.
        expected: u16,
        /// The tag found.
        found: u16,
    },
    /// The response is that of the older standard.
    #[error("this is a TPM 1.2; a TPM 2.0 is needed")]
    OldTpm,
    /// It answers a session, where a password was sent.
    #[error("{found} bytes answer a session that was not opened")]
    Session {
        /// Length of the nonce or HMAC.
        found: usize,
    },
    /// It is about another index.
    #[error("it is about index {found:#010x}, expected {expected:#010x}")]
    Index {
        /// The index that was asked about.
        expected: u32,
        /// The index in the response.
        found: u32,
    },
    /// The data of an index has another length.
    #[error("it has {found} bytes of data, expected {expected}")]
    DataSize {
        /// How many bytes were asked for.
        expected: usize,
        /// How many came.
        found: usize,
    },
}
