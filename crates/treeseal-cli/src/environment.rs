//! What the environment says: where things lie, where flags do not say it, and what is hashed with.

use std::env;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use treeseal::ostree::store_of_repository;
use treeseal::verity::{Implementation, force_implementation};
use treeseal::{Locations, TpmAddress};

use crate::args::Places;
use crate::output::Failure;

/// Where things lie, by the flags, the environment, and the user who runs the command.
pub(crate) fn locations(places: &Places) -> Result<Locations, Failure> {
    let tpm = places.tpm.as_deref().map(TpmAddress::from);
    // Where all is named, nothing need be known of the user.
    if let (Some(store), Some(root), Some(state)) = (&places.store, &places.root, &places.state) {
        let (keys, root) = (keys_beside(root), root.clone());
        return Ok(Locations { store: store.clone(), root, keys, state: state.clone(), tpm });
    }
    let mut locations = Locations { tpm, ..default_locations()? };
    if let Some(store) = &places.store {
        locations.store.clone_from(store);
    }
    if let Some(root) = &places.root {
        locations.root.clone_from(root);
        locations.keys = keys_beside(root);
    }
    if let Some(state) = &places.state {
        locations.state.clone_from(state);
    }
    Ok(locations)
}

/// Where things lie, with the store of a repository where no other is named.
pub(crate) fn locations_beside(places: &Places, repository: &Path) -> Result<Locations, Failure> {
    let store = places.store.clone().unwrap_or_else(|| store_of_repository(repository));
    locations(&Places { store: Some(store), ..places.clone() })
}

/// Keys lie beside the root that knows them.
fn keys_beside(root: &Path) -> PathBuf {
    root.with_file_name("keys")
}

fn default_locations() -> Result<Locations, Failure> {
    if treeseal::is_superuser() {
        return Ok(Locations::of_system());
    }
    let home = env::var_os("HOME").map(PathBuf::from);
    let directory = |variable: &str, below_home: &str| {
        let set = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        set.or_else(|| Some(home.as_ref()?.join(below_home))).ok_or_else(|| {
            Failure::usage(
                format!("neither {variable} nor HOME is set, so there is no place for the store"),
                "set HOME, or give --store, --root and --state",
            )
        })
    };
    Ok(Locations::of_user(
        &directory("XDG_CONFIG_HOME", ".config")?,
        &directory("XDG_DATA_HOME", ".local/share")?,
        &directory("XDG_STATE_HOME", ".local/state")?,
    ))
}

/// The directory of the credentials that systemd gives to a service.
pub(crate) fn credentials() -> Option<PathBuf> {
    env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The time that every file is to get, from `SOURCE_DATE_EPOCH`.
pub(crate) fn source_date_epoch() -> Result<Option<i64>, Failure> {
    let Some(value) = env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| {
        Failure::usage(
            format!("SOURCE_DATE_EPOCH is `{}`, which is not a number", value.display()),
            "set it to seconds since 1970, or unset it",
        )
    })
}

/// Makes everything hash with the implementation that `TREESEAL_HASH` names: for tests, and for
/// processors whose fastest way is not the one that is chosen.
pub(crate) fn force_hash() -> Result<(), Failure> {
    let Some(name) = env::var_os("TREESEAL_HASH") else { return Ok(()) };
    let found = Implementation::named(&name.to_string_lossy());
    let forced = found.map_err(|error| error.to_string()).and_then(|implementation| {
        force_implementation(implementation).map_err(|error| error.to_string())
    });
    forced.map_err(|error| {
        Failure::usage(
            format!("TREESEAL_HASH: {error}"),
            format!("this machine has {}; or unset it", hash_names().join(", ")),
        )
    })
}

/// The names that `TREESEAL_HASH` can have on this machine.
pub(crate) fn hash_names() -> Vec<&'static str> {
    Implementation::available().into_iter().map(Implementation::name).collect()
}

/// Whether stderr is a terminal on which a line can be written anew.
pub(crate) fn can_rewrite_lines() -> bool {
    let is_able = env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb");
    is_able && io::stderr().is_terminal()
}
