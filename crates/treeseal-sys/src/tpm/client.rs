use std::thread;
use std::time::{Duration, Instant};

use super::code::TpmCode;
use super::connection::{Connection, TpmAddress};
use super::error::{TpmError, TpmResponseError};
use super::response::{NvPublic, Reader, parameters};
use super::wire::{CommandBytes, OWNER, TpmCommand};

/// A connection to a TPM 2.0.
///
/// Where several programs use a TPM at once, it must be one that keeps them apart, as
/// `/dev/tpmrm0` does; `swtpm` serves one connection after the other. So open it for one task and
/// then drop it.
#[derive(Debug)]
pub struct Tpm {
    address: TpmAddress,
    timeout: Duration,
    /// None after an error that leaves unknown what the next bytes belong to.
    connection: Option<Connection>,
}

/// How long a command may take. The kernel gives commands whose duration the standard does not
/// bound two minutes; of ours, the slowest are a few writes to flash memory.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often a TPM that is busy is asked again.
const RETRY: Duration = Duration::from_millis(20);

/// The password of our own indices.
const NO_PASSWORD: &[u8] = b"";

impl Tpm {
    /// Connects, and lets each command take up to 30 seconds.
    pub fn open(address: &TpmAddress) -> Result<Self, TpmError> {
        Self::open_with_timeout(address, TIMEOUT)
    }

    /// Connects, and lets connecting and each command take so long. A command that the TPM puts off
    /// is repeated for as long at most, so that it may take twice the time.
    pub fn open_with_timeout(address: &TpmAddress, timeout: Duration) -> Result<Self, TpmError> {
        let connection = Connection::open(address, timeout)?;
        Ok(Self { address: address.clone(), timeout, connection: Some(connection) })
    }

    /// What kind of index it is; `None` if there is no such index.
    pub(super) fn read_public(&mut self, index: u32) -> Result<Option<NvPublic>, TpmError> {
        let command = CommandBytes::plain(TpmCommand::NvReadPublic, &[index]).finish();
        let found = match self.run(index, &command, NvPublic::read) {
            Err(TpmError::Refused { code, .. }) if code.is_undefined() => return Ok(None),
            result => result?,
        };
        if found.index != index {
            let fault = TpmResponseError::Index { expected: index, found: found.index };
            return Err(self.malformed(&command, fault));
        }
        Ok(Some(found))
    }

    /// Makes an index without a password of its own.
    pub(super) fn define(&mut self, public: &NvPublic, owner: &[u8]) -> Result<(), TpmError> {
        let command = CommandBytes::with_password(TpmCommand::NvDefineSpace, &[OWNER], owner)?
            .sized(NO_PASSWORD)?
            // TPM2B_NV_PUBLIC (Part 2, 13.6) with an empty policy.
            .u16(4 + 2 + 4 + 2 + 2)
            .u32(public.index)
            .u16(public.name_algorithm)
            .u32(public.attributes)
            .sized(b"")?
            .u16(public.data_size)
            .finish();
        self.run(public.index, &command, nothing)
    }

    pub(super) fn undefine(&mut self, index: u32, owner: &[u8]) -> Result<(), TpmError> {
        let handles = [OWNER, index];
        let command = CommandBytes::with_password(TpmCommand::NvUndefineSpace, &handles, owner)?;
        self.run(index, &command.finish(), nothing)
    }

    /// Raises a counter by one. One without a value gets the highest that any counter of this TPM
    /// ever had, and is then raised (Part 3, 31.8).
    pub(super) fn increment(&mut self, index: u32) -> Result<(), TpmError> {
        let handles = [index, index];
        let command = CommandBytes::with_password(TpmCommand::NvIncrement, &handles, NO_PASSWORD)?;
        self.run(index, &command.finish(), nothing)
    }

    /// Writes an index from its beginning.
    pub(super) fn write(&mut self, index: u32, data: &[u8], owner: &[u8]) -> Result<(), TpmError> {
        let command = CommandBytes::with_password(TpmCommand::NvWrite, &[OWNER, index], owner)?;
        self.run(index, &command.sized(data)?.u16(0).finish(), nothing)
    }

    pub(super) fn write_lock(&mut self, index: u32, owner: &[u8]) -> Result<(), TpmError> {
        let handles = [OWNER, index];
        let command = CommandBytes::with_password(TpmCommand::NvWriteLock, &handles, owner)?;
        self.run(index, &command.finish(), nothing)
    }

    /// The first `N` bytes of an index, 65535 at most.
    pub(super) fn read<const N: usize>(&mut self, index: u32) -> Result<[u8; N], TpmError> {
        let (what, found, limit) = ("what is to be read", N, u16::MAX.into());
        let size = u16::try_from(N).map_err(|_| TpmError::TooLong { what, found, limit })?;
        let handles = [index, index];
        let command = CommandBytes::with_password(TpmCommand::NvRead, &handles, NO_PASSWORD)?;
        self.run(index, &command.u16(size).u16(0).finish(), |mut reader| {
            let data = reader.sized()?;
            reader.finish()?;
            let found = data.len();
            data.try_into().map_err(|_| TpmResponseError::DataSize { expected: N, found })
        })
    }

    /// Has a command carried out, again while the TPM puts it off, and reads its parameters.
    fn run<T>(
        &mut self,
        index: u32,
        command: &CommandBytes,
        read: impl Fn(Reader<'_>) -> Result<T, TpmResponseError>,
    ) -> Result<T, TpmError> {
        let start = Instant::now();
        loop {
            match self.run_once(command, &read)? {
                Ok(value) => return Ok(value),
                Err(code) if code.is_temporary() && start.elapsed() < self.timeout => {
                    thread::sleep(RETRY);
                }
                Err(code) => {
                    return Err(TpmError::Refused { command: command.command, index, code });
                }
            }
        }
    }

    fn run_once<T>(
        &mut self,
        command: &CommandBytes,
        read: impl Fn(Reader<'_>) -> Result<T, TpmResponseError>,
    ) -> Result<Result<T, TpmCode>, TpmError> {
        let unusable = || TpmError::Unusable { address: self.address.clone() };
        // It is put back only when the whole response was understood.
        let connection = self.connection.take().ok_or_else(unusable)?;
        let response = connection.exchange(command)?;
        let result = match parameters(&response, command.has_session) {
            Ok(Ok(reader)) => read(reader).map(Ok),
            Ok(Err(code)) => Ok(Err(code)),
            Err(fault) => Err(fault),
        };
        let result = result.map_err(|fault| self.malformed(command, fault))?;
        self.connection = Some(connection);
        Ok(result)
    }

    fn malformed(&mut self, command: &CommandBytes, fault: TpmResponseError) -> TpmError {
        self.connection = None;
        TpmError::Response { command: command.command, fault }
    }
}

/// The parameters of a response that has none.
fn nothing(reader: Reader<'_>) -> Result<(), TpmResponseError> {
    reader.finish()
}
