use std::path::{Path, PathBuf};

#[cfg(feature = "token")]
use treeseal_token::{PinPrompt, PinTries};
use zeroize::Zeroizing;

use super::MAX_KEY_FILE;
use crate::Error;
use crate::files;

/// Where passphrases come from: a terminal, a descriptor, a credential. The library asks for one
/// when it needs it, and never takes one from a command line.
pub trait Passphrases {
    /// The passphrase that is wanted, without a line end; [`Error::NoPassphrase`] if there is none.
    fn passphrase(&mut self, wanted: &Wanted) -> Result<Zeroizing<Vec<u8>>, Error>;
}

/// A passphrase that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wanted {
    /// What it opens, for a prompt.
    pub what: String,
    /// The key file that it opens, if it is one.
    pub key_file: Option<PathBuf>,
    /// Whether it is being chosen: a person should type it twice.
    pub is_new: bool,
}

impl Wanted {
    /// The passphrase that is meant by `what`, like `password of the TPM's owner`.
    pub fn new(what: &str) -> Self {
        Self { what: what.to_owned(), key_file: None, is_new: false }
    }

    pub(crate) fn key_file(path: &Path) -> Self {
        let what = format!("passphrase of the key file {}", path.display());
        Self { what, key_file: Some(path.to_owned()), is_new: false }
    }

    #[cfg(feature = "token")]
    pub(crate) fn pin(prompt: &PinPrompt<'_>) -> Self {
        let tries = match prompt.tries {
            PinTries::Last => " (the last try before it locks)",
            _ => "",
        };
        let what = format!("PIN of the token {}{tries}", prompt.token.label);
        Self { what, key_file: None, is_new: false }
    }

    pub(crate) fn new_key_file(path: &Path) -> Self {
        Self { is_new: true, ..Self::key_file(path) }
    }
}

/// The passphrase in the file beside a key file that ends in `.password`; `None` without one.
///
/// The machine's own key has its passphrase there. It protects a copy of the key file alone.
pub fn passphrase_beside(key_file: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let bytes = files::read(&password_file(key_file), MAX_KEY_FILE)?;
    Ok(bytes.map(|bytes| Zeroizing::new(without_line_end(bytes))))
}

pub(crate) fn password_file(key_file: &Path) -> PathBuf {
    key_file.with_extension("password")
}

/// Takes one line end away.
pub(crate) fn without_line_end(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    bytes
}
