//! A SoftHSM of its own for each test, and the tools that fill it.

use std::any::type_name;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use treeseal_testkit::{program, run};
use treeseal_token::{AskPin, TokenError, TokenKey, TokenUri};
use zeroize::Zeroizing;

pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub(crate) const PIN: &str = "4711";

const SO_PIN: &str = "0815";

/// Where a test's own process finds its directory.
const DIRECTORY: &str = "TREESEAL_TOKEN_TEST";

/// The tokens of one test.
pub(crate) struct SoftHsm {
    directory: PathBuf,
}

/// Runs a test's body in a process of its own with an empty SoftHSM.
///
/// SoftHSM finds its tokens through an environment variable, and a process cannot safely change
/// its own. So the test starts this program again, for itself alone.
pub(crate) fn alone<Body: FnOnce(&SoftHsm)>(body: Body) {
    assert!(Path::new(MODULE).exists(), "{MODULE} is missing: install the Debian package softhsm2");
    if let Some(directory) = env::var_os(DIRECTORY) {
        let softhsm = SoftHsm { directory: directory.into() };
        body(&softhsm);
        fs::write(softhsm.file(DONE), "").unwrap();
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let softhsm = SoftHsm { directory: temporary.path().to_owned() };
    softhsm.configure();
    // The closure's type is named for the function that it stands in: `softhsm::NAME::{{closure}}`.
    let name = type_name::<Body>().rsplit("::").nth(1).unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(DIRECTORY, &softhsm.directory)
        .env("SOFTHSM2_CONF", softhsm.configuration())
        .output()
        .unwrap();
    assert!(
        output.status.success() && softhsm.file(DONE).exists(),
        "{name}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Made when a test's body came to its end.
const DONE: &str = "done";

impl SoftHsm {
    /// A file that goes away with the test.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Where the tokens lie.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.file("tokens")
    }

    fn configuration(&self) -> PathBuf {
        self.file("softhsm2.conf")
    }

    fn configure(&self) {
        fs::create_dir(self.tokens()).unwrap();
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            self.tokens().display()
        );
        fs::write(self.configuration(), text).unwrap();
    }

    /// Makes a token.
    pub(crate) fn token(&self, label: &str) {
        let mut command = Command::new(program("softhsm2-util", "softhsm2"));
        command.args(["--init-token", "--free", "--label", label, "--pin", PIN]);
        run(command.args(["--so-pin", SO_PIN]));
    }

    /// Makes a key pair on the token.
    pub(crate) fn key(&self, token: &str, key_type: &str, label: &str, id: &str) {
        self.key_with(token, key_type, label, id, &[]);
    }

    /// Makes a key pair with more options.
    pub(crate) fn key_with(
        &self,
        token: &str,
        key_type: &str,
        label: &str,
        id: &str,
        options: &[&str],
    ) {
        let pair = ["--keypairgen", "--key-type", key_type, "--label", label, "--id", id];
        self.pkcs11_tool(token, &[pair.as_slice(), options].concat());
    }

    pub(crate) fn pkcs11_tool(&self, token: &str, arguments: &[&str]) {
        let mut command = Command::new(program("pkcs11-tool", "opensc"));
        command.args(["--module", MODULE, "--token-label", token, "--login", "--pin", PIN]);
        run(command.args(arguments));
    }

    /// Takes the right to sign from a private key, for which pkcs11-tool has no option.
    pub(crate) fn forbid_signing(&self, id: &[u8]) {
        let module = Pkcs11::new(MODULE).unwrap();
        module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
        let slot = module.get_slots_with_initialized_token().unwrap()[0];
        let session = module.open_rw_session(slot).unwrap();
        session.login(UserType::User, Some(&AuthPin::from(PIN))).unwrap();
        let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(id.to_vec())];
        for key in session.find_objects(&template).unwrap() {
            session.update_attributes(key, &[Attribute::Sign(false)]).unwrap();
        }
    }

    /// Compiles SoftHSM with faults, and gives the module's path.
    pub(crate) fn faulty(&self, faults: &[String]) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/softhsm/faulty.c");
        self.compile(&source, faults)
    }

    pub(crate) fn compile(&self, source: &Path, defines: &[String]) -> PathBuf {
        let module = self.file("module.so");
        let mut command = Command::new(program("cc", "gcc"));
        command.args(["-shared", "-fPIC", &format!("-DSOFTHSM=\"{MODULE}\"")]);
        command.args(defines.iter().map(|define| format!("-D{define}")));
        run(command.arg("-o").arg(&module).arg(source));
        module
    }
}

/// Opens a key with the right PIN, through SoftHSM's module.
pub(crate) fn open(uri: &str) -> Result<TokenKey, TokenError> {
    open_through(Path::new(MODULE), uri)
}

/// Opens a key with the right PIN.
pub(crate) fn open_through(module: &Path, uri: &str) -> Result<TokenKey, TokenError> {
    open_with(module, uri, &mut |_| Ok(pin(PIN)))
}

/// Opens a key with what a test has in mind for the PIN.
pub(crate) fn open_with(
    module: &Path,
    uri: &str,
    ask_pin: &mut AskPin<'_>,
) -> Result<TokenKey, TokenError> {
    let uri: TokenUri = uri.parse().unwrap();
    TokenKey::open(&uri, Some(module), ask_pin)
}

pub(crate) fn pin(text: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.as_bytes().to_vec())
}
