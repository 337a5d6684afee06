use core::fmt;
use core::num::NonZeroU32;
use core::str::FromStr;

use crate::key::KeyId;

/// The name of a role: 1 to 64 bytes of `[a-z0-9-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(String);

/// A text is not a role's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not the name of a role: it has 1 to 64 characters of a-z, 0-9 and `-`")]
pub struct RoleNameError {
    /// The text, cut after 80 characters.
    pub found: String,
}

/// Who has a role: so many of these keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The keys, by their ids in the trust root.
    pub key_ids: Vec<KeyId>,
    /// How many of them must sign.
    pub threshold: NonZeroU32,
}

impl RoleName {
    /// The four roles that TUF requires.
    pub(crate) const TUF: [&str; 4] = ["root", "snapshot", "targets", "timestamp"];

    /// The role that signs trust roots.
    pub fn root() -> Self {
        Self("root".to_owned())
    }

    /// The role that signs releases.
    pub fn targets() -> Self {
        Self("targets".to_owned())
    }

    /// TUF's role that says which targets belong together. It cannot seal.
    pub fn snapshot() -> Self {
        Self("snapshot".to_owned())
    }

    /// TUF's role that says what is newest. It cannot seal.
    pub fn timestamp() -> Self {
        Self("timestamp".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of the four roles that TUF requires.
    pub(crate) fn is_tuf(&self) -> bool {
        Self::TUF.contains(&self.as_str())
    }
}

impl FromStr for RoleName {
    type Err = RoleNameError;

    fn from_str(text: &str) -> Result<Self, RoleNameError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RoleNameError { found: text.chars().take(80).collect() })
        }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
