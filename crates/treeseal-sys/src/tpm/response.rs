use super::code::TpmCode;
use super::error::TpmResponseError;
use super::wire::{SHA256, TAG_NO_SESSIONS, TAG_SESSIONS};

/// Longest response. The interfaces that carry TPM commands have buffers of 4096 bytes, among them
/// the one of the kernel.
pub(super) const MAX_RESPONSE: usize = 4096;

/// Tag, size and code.
pub(super) const HEADER: usize = 10;

/// The tag of an error of a TPM 1.2, TPM_ST_RSP_COMMAND (Part 2, 6.9).
const TAG_TPM_1_2: u16 = 0x00c4;

/// The size that the first bytes of a response announce; `None` before it is there.
pub(super) fn announced_size(bytes: &[u8]) -> Result<Option<usize>, TpmResponseError> {
    let Some(field) = bytes.get(2..6) else { return Ok(None) };
    let found = Reader { rest: field }.u32()?;
    let size = usize::try_from(found).ok().filter(|size| (HEADER..=MAX_RESPONSE).contains(size));
    size.map(Some).ok_or(TpmResponseError::Size { found })
}

/// The parameters of a whole response, or the TPM's refusal (Part 1, "TPM
/// Command/Response Structure").
pub(super) fn parameters(
    bytes: &[u8],
    has_session: bool,
) -> Result<Result<Reader<'_>, TpmCode>, TpmResponseError> {
    let mut reader = Reader { rest: bytes };
    let (tag, size, code) = (reader.u16()?, reader.u32()?, reader.u32()?);
    if usize::try_from(size).ok() != Some(bytes.len()) {
        return Err(TpmResponseError::Size { found: size });
    }
    if tag == TAG_TPM_1_2 {
        return Err(TpmResponseError::OldTpm);
    }
    let is_error = code != 0;
    let expected = if has_session && !is_error { TAG_SESSIONS } else { TAG_NO_SESSIONS };
    if tag != expected {
        return Err(TpmResponseError::Tag { expected, found: tag });
    }
    if is_error {
        reader.finish()?;
        return Ok(Err(TpmCode::from(code)));
    }
    Ok(Ok(if has_session { reader.before_session()? } else { reader }))
}

/// The kind of an index: TPMS_NV_PUBLIC (Part 2, 13.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NvPublic {
    pub(super) index: u32,
    pub(super) name_algorithm: u16,
    pub(super) attributes: u32,
    /// Length of the policy by which it can be used; 0 if by passwords only.
    pub(super) policy_size: usize,
    pub(super) data_size: u16,
}

impl NvPublic {
    /// An index that is used by passwords.
    pub(super) fn new(index: u32, attributes: u32, data_size: u16) -> Self {
        Self { index, name_algorithm: SHA256, attributes, policy_size: 0, data_size }
    }

    /// The response to TPM2_NV_ReadPublic. The name that comes with it is a hash of the rest for
    /// sessions that use one.
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, TpmResponseError> {
        let mut public = Reader { rest: reader.sized()? };
        reader.sized()?;
        reader.finish()?;
        let found = Self {
            index: public.u32()?,
            name_algorithm: public.u16()?,
            attributes: public.u32()?,
            policy_size: public.sized()?.len(),
            data_size: public.u16()?,
        };
        public.finish()?;
        Ok(found)
    }
}

/// Bytes that are read from the front and from nowhere else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], TpmResponseError> {
        let short = TpmResponseError::Short { expected: length, found: self.rest.len() };
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TpmResponseError> {
        let short = TpmResponseError::Short { expected: N, found: self.rest.len() };
        let (taken, rest) = self.rest.split_first_chunk().ok_or(short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u16(&mut self) -> Result<u16, TpmResponseError> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, TpmResponseError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Bytes with their length before them, a TPM2B (Part 2, 10.4).
    pub(super) fn sized(&mut self) -> Result<&'a [u8], TpmResponseError> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// That nothing is left.
    pub(super) fn finish(self) -> Result<(), TpmResponseError> {
        match self.rest.len() {
            0 => Ok(()),
            found => Err(TpmResponseError::Trailing { found }),
        }
    }

    /// The parameters that stand before the answer of a password session, which is a
    /// TPMS_AUTH_RESPONSE (Part 2, 10.13.3) without nonce and without HMAC.
    fn before_session(mut self) -> Result<Self, TpmResponseError> {
        let length = self.u32()?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let parameters = Self { rest: self.take(length)? };
        self.empty()?;
        // The attributes, which say nothing about a password.
        self.take(1)?;
        self.empty()?;
        self.finish()?;
        Ok(parameters)
    }

    fn empty(&mut self) -> Result<(), TpmResponseError> {
        match self.sized()?.len() {
            0 => Ok(()),
            found => Err(TpmResponseError::Session { found }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A response to TPM2_NV_Read with the data "abc".
    const READ: &[u8] =
        &[0x80, 0x02, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 5, 0, 3, b'a', b'b', b'c', 0, 0, 1, 0, 0];

    /// A refusal.
    const REFUSAL: &[u8] = &[0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x8b];

    fn with_size(mut bytes: Vec<u8>) -> Vec<u8> {
        let size = u32::try_from(bytes.len()).unwrap();
        bytes[2..6].copy_from_slice(&size.to_be_bytes());
        bytes
    }

    #[test]
    fn parameters_and_refusals_are_read() {
        let mut reader = parameters(READ, true).unwrap().unwrap();
        assert_eq!(reader.sized().unwrap(), b"abc");
        reader.finish().unwrap();
        let code = parameters(REFUSAL, true).unwrap().unwrap_err();
        assert!(code.is_undefined());
    }

    #[test]
    fn a_response_cut_anywhere_is_refused() {
        for length in 0..READ.len() {
            let cut = &READ[..length];
            assert!(parameters(cut, true).is_err(), "{length}");
            if length >= HEADER {
                let error = parameters(&with_size(cut.to_vec()), true).unwrap_err();
                assert!(matches!(error, TpmResponseError::Short { .. }), "{length}: {error}");
            }
        }
    }

    #[test]
    fn trailing_bytes_are_refused() {
        for response in [READ, REFUSAL] {
            let long = with_size([response, &[0]].concat());
            let error = parameters(&long, true).unwrap_err();
            assert_eq!(error, TpmResponseError::Trailing { found: 1 });
        }
    }

    #[test]
    fn sizes_outside_the_limits_are_refused_before_anything_is_read() {
        for (size, fits) in [(0_u32, false), (9, false), (10, true), (4096, true), (4097, false)] {
            let start = [&[0x80, 0x01][..], &size.to_be_bytes()].concat();
            assert_eq!(announced_size(&start).is_ok(), fits, "{size}");
            assert_eq!(announced_size(&start[..5]), Ok(None));
        }
    }

    #[test]
    fn the_tag_must_be_that_of_the_command() {
        let error = parameters(READ, false).unwrap_err();
        assert_eq!(error, TpmResponseError::Tag { expected: 0x8001, found: 0x8002 });
        let old = parameters(&[0, 0xc4, 0, 0, 0, 10, 0, 0, 0, 30], false).unwrap_err();
        assert_eq!(old.to_string(), "this is a TPM 1.2; a TPM 2.0 is needed");
    }

    #[test]
    fn the_answer_to_a_password_has_no_nonce_and_no_hmac() {
        for session in [[0, 1, 9, 1, 0, 0], [0, 0, 1, 0, 1, 9]] {
            let odd = with_size([&READ[..19], &session].concat());
            let error = parameters(&odd, true).unwrap_err();
            assert_eq!(error, TpmResponseError::Session { found: 1 });
        }
    }
}
