use core::fmt;

/// Why the TPM refused a command: TPM_RC (Part 2, 6.6).
///
/// Its text has the number, and for the refusals that can be met here what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TpmCode(u32);

/// Format-one codes say which parameter, handle or session they are about (Part 2, 6.6.2): this
/// bit tells them, ...
const FORMAT_ONE: u32 = 1 << 7;
/// ... and these bits are the code itself, without that number.
const FORMAT_ONE_BASE: u32 = FORMAT_ONE | 0x3f;

/// The kernel puts its own layer above these bits where its resource manager refuses a command.
const BASE_BITS: u32 = 0xfff;

impl TpmCode {
    /// The number as it came.
    pub fn value(self) -> u32 {
        self.0
    }

    /// There is no such index.
    pub fn is_undefined(self) -> bool {
        self.base() == 0x08b
    }

    /// The password is wrong.
    pub fn is_wrong_password(self) -> bool {
        matches!(self.base(), 0x08e | 0x0a2)
    }

    /// The TPM could not begin, and will when asked again (Part 2, 6.6.3, warnings): self test under
    /// way, writes limited in rate, or any other reason.
    pub(super) fn is_temporary(self) -> bool {
        matches!(self.base(), 0x908 | 0x90a | 0x920 | 0x922)
    }

    fn base(self) -> u32 {
        let code = self.0 & BASE_BITS;
        if code & FORMAT_ONE == 0 { code } else { code & FORMAT_ONE_BASE }
    }

    /// Part 2, 6.6.3.
    fn meaning(self) -> Option<&'static str> {
        Some(match self.base() {
            0x082 => "TPM_RC_ATTRIBUTES: the TPM does not know these attributes of an index",
            0x085 => "TPM_RC_HIERARCHY: the owner hierarchy is disabled",
            0x08b => "TPM_RC_HANDLE: there is no such index",
            0x08e => "TPM_RC_AUTH_FAIL: the password is wrong",
            0x095 => "TPM_RC_SIZE: a size is not what the TPM expects",
            0x0a2 => "TPM_RC_BAD_AUTH: the password is wrong",
            0x100 => "TPM_RC_INITIALIZE: firmware or kernel have not started the TPM",
            0x101 => "TPM_RC_FAILURE: the TPM is out of order until the machine is restarted",
            0x120 => "TPM_RC_DISABLED: the TPM is disabled in the firmware",
            0x130 => "TPM_RC_REBOOT: the TPM wants the machine to be restarted",
            0x143 => "TPM_RC_COMMAND_CODE: the TPM does not know this command",
            0x146 => "TPM_RC_NV_RANGE: the index is shorter than that",
            0x148 => "TPM_RC_NV_LOCKED: the index is locked",
            0x149 => "TPM_RC_NV_AUTHORIZATION: the index may not be used in this way",
            0x14a => "TPM_RC_NV_UNINITIALIZED: the index has no value yet",
            0x14b => {
                "TPM_RC_NV_SPACE: the TPM's memory is full; remove an index that is not needed"
            }
            0x14c => "TPM_RC_NV_DEFINED: the index exists already",
            0x920 => "TPM_RC_NV_RATE: the TPM still limits the rate of writes; try again later",
            0x921 => {
                "TPM_RC_LOCKOUT: wrong passwords have locked the TPM; wait, or reset the lockout"
            }
            0x922 => "TPM_RC_RETRY: the TPM is still busy; try again later",
            0x923 => "TPM_RC_NV_UNAVAILABLE: the TPM's memory cannot be written now",
            _ => return None,
        })
    }
}

impl From<u32> for TpmCode {
    fn from(value: u32) -> Self {
        Self(value)
    }
}

impl fmt::Display for TpmCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.meaning() {
            Some(meaning) => write!(f, "{meaning} ({:#05x})", self.0),
            None => write!(f, "response code {:#05x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_known_whatever_it_is_about() {
        for undefined in [0x08b, 0x18b, 0x28b, 0x98b] {
            assert!(TpmCode(undefined).is_undefined(), "{undefined:#x}");
        }
        assert!(TpmCode(0x9a2).is_wrong_password());
        assert!(TpmCode(0x922).is_temporary());
        assert!(!TpmCode(0x921).is_temporary());
    }

    #[test]
    fn the_text_has_the_number() {
        let text = TpmCode(0x9a2).to_string();
        assert_eq!(text, "TPM_RC_BAD_AUTH: the password is wrong (0x9a2)");
        assert_eq!(TpmCode(0x155).to_string(), "response code 0x155");
        let from_kernel = TpmCode(0xb_0143).to_string();
        assert!(from_kernel.ends_with("does not know this command (0xb0143)"), "{from_kernel}");
    }
}
