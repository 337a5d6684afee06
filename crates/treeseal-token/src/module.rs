//! Modules: the C libraries that know tokens.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use crate::error::{ModuleFault, TokenError};
use crate::uri::TokenUri;

/// Modules stay loaded until the process ends.
///
/// A module is initialised and finalised once for the whole process, so one key that is closed must
/// not take the module from another; and libraries with threads of their own do not survive being
/// unloaded.
static LOADED: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

/// The path of the module to use: the URI's, or else the caller's.
pub(crate) fn path<'a>(
    uri: &'a TokenUri,
    default: Option<&'a Path>,
) -> Result<&'a Path, TokenError> {
    let path = uri.module_path().or(default).ok_or(TokenError::NoModule)?;
    // A relative path is looked for in the working directory or, without a slash, wherever the
    // dynamic linker likes: another's library could run with our rights.
    if !path.is_absolute() {
        return Err(TokenError::ModuleNotAbsolute { path: path.to_owned() });
    }
    Ok(path)
}

/// Loads and initialises a module, if that was not done before.
pub(crate) fn load(path: &Path) -> Result<Pkcs11, TokenError> {
    let real = fs::canonicalize(path)
        .map_err(|source| TokenError::ModuleMissing { path: path.to_owned(), source })?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = loaded.get(&real) {
        return Ok(module.clone());
    }
    let not_a_module =
        |error| TokenError::NotAModule { path: path.to_owned(), source: ModuleFault(error) };
    let module = Pkcs11::new(&real).map_err(not_a_module)?;
    initialize(&module)?;
    loaded.insert(real, module.clone());
    Ok(module)
}

fn initialize(module: &Pkcs11) -> Result<(), TokenError> {
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // Someone else in this process uses the same library.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        Err(error) => Err(TokenError::module("initialising the module", error)),
    }
}
