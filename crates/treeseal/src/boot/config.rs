use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use treeseal_sys::TpmAddress;
use treeseal_trust::json::{self, JsonError};
use treeseal_trust::schema::{Fields, Node};
use treeseal_trust::{SchemaError, Stream, StreamError};

use crate::{Error, files};

/// What the initramfs says of the boot: `boot.json` in it. Trusted as the initramfs is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The stream whose trees are booted.
    pub stream: Stream,
    /// Where the trees are.
    pub source: Source,
    /// The filesystem that the boot state is on; `None` for that of the trees.
    pub state: Option<Filesystem>,
    /// The state's directory on it.
    pub state_directory: String,
    /// What happens with `/etc`.
    pub etc: Writable,
    /// What happens with `/var`.
    pub var: Writable,
    /// How often a tree of a store is tried that was not marked good.
    pub tries: u32,
    /// What happens when a seal or the trust root has expired by the machine's clock.
    pub expired: Expired,
    /// The TPM that keeps the stream's floor as well.
    pub tpm: Option<TpmAddress>,
    /// What happens when nothing can be booted.
    pub failure: Failure,
    /// How long devices are waited for.
    pub wait: Duration,
    /// The program that is started in the tree; where the caller moves into the tree, it is not used.
    pub init: PathBuf,
    /// Kernel modules, files in the initramfs, in the order in which they are loaded.
    pub modules: Vec<PathBuf>,
}

/// Where the trees are that are booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In a store.
    Store {
        /// The filesystem that it is on.
        filesystem: Filesystem,
        /// Its directory on that.
        directory: String,
    },
    /// In what OSTree has deployed on a filesystem. The boot loader says which of them is booted.
    Sysroot(Filesystem),
}

impl Source {
    /// The filesystem that it is on.
    pub const fn filesystem(&self) -> &Filesystem {
        match self {
            Self::Store { filesystem, .. } | Self::Sysroot(filesystem) => filesystem,
        }
    }
}

/// A filesystem on a block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// Where it is.
    pub device: Device,
    /// Its type, as the kernel calls it.
    pub kind: String,
}

/// How a block device is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// By its path in `/dev`.
    Path(PathBuf),
    /// By the identifier of the filesystem on it, in lower-case hex without hyphens.
    Uuid(String),
    /// By the label of the filesystem on it.
    Label(String),
}

/// What happens with a directory of the tree that a system wants to write to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writable {
    /// It is as it was sealed, and for reading only.
    #[default]
    Sealed,
    /// Changes are kept in memory, and are gone with the next boot.
    Transient,
    /// Changes are kept on the state's filesystem, or where OSTree keeps them, **and no seal vouches for
    /// them**.
    Persistent,
}

/// What happens when a seal or the trust root has expired by the machine's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expired {
    /// It is reported, unless the trust root says `refuse`: at boot no clock is to be trusted.
    #[default]
    Warn,
    /// It is refused: this machine's clock is to be trusted at boot.
    Refuse,
}

/// What happens when nothing can be booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The end.
    pub ending: Ending,
    /// How long the message stands there before.
    pub delay: Duration,
}

impl Default for Failure {
    /// The machine stands still.
    fn default() -> Self {
        Self { ending: Ending::default(), delay: Duration::from_secs(SECONDS) }
    }
}

/// How a boot ends that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// The machine stands still.
    #[default]
    Stop,
    /// It starts again.
    Reboot,
    /// It is switched off.
    PowerOff,
}

/// The configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is not the strict JSON that is read here.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A field is missing, unknown, or of the wrong kind.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The name of the stream is malformed.
    #[error("/stream: {0}")]
    Stream(#[from] StreamError),
    /// A string has not the form that it must have.
    #[error("{path} must be {expected}, found `{}`", found.escape_debug())]
    Form {
        /// The field.
        path: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// Two fields contradict each other.
    #[error("{field} has no meaning beside {other}")]
    Apart {
        /// The field.
        field: &'static str,
        /// What it is beside.
        other: &'static str,
    },
}

/// Bytes of a configuration.
pub const MAX_CONFIG_SIZE: usize = 64 * 1024;

const CONFIG_TYPE: &str = "treeseal:boot/v1";

/// How often a tree is tried where nothing else is said.
const TRIES: u32 = 3;
const MAX_TRIES: u64 = 100;

/// Seconds for which a message stands or a device is waited for, where nothing else is said.
const SECONDS: u64 = 30;
/// An hour.
const MAX_SECONDS: u64 = 3600;

/// Kernel modules: those of a filesystem, a disk and its bus are some ten.
const MAX_MODULES: usize = 256;

const INIT: &str = "/sbin/init";

impl Config {
    /// Reads the file `boot.json`.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = files::read(path, MAX_CONFIG_SIZE)?.ok_or_else(|| Error::missing(path))?;
        let failed = |source| Error::BootConfig { path: path.to_owned(), source };
        Self::from_bytes(&bytes).map_err(failed)
    }

    /// Reads the content of `boot.json`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ConfigError> {
        let mut fields = Node::top(json::parse(bytes, MAX_CONFIG_SIZE)?).fields()?;
        fields.required("_type")?.constant(CONFIG_TYPE)?;
        let stream = fields.required("stream")?.string()?.parse()?;
        let source = source(&mut fields)?;
        let (state, state_directory) = state(fields.required("state")?)?;
        let config = Self {
            stream,
            tries: tries(&mut fields, &source)?,
            source,
            state,
            state_directory,
            etc: writable(&mut fields, "etc")?,
            var: writable(&mut fields, "var")?,
            expired: expired(fields.optional("expired"))?,
            tpm: tpm(fields.optional("tpm"))?,
            failure: failure(fields.optional("failure"))?,
            wait: seconds(fields.optional("wait"))?,
            init: init(fields.optional("init"))?,
            modules: modules(fields.optional("modules"))?,
        };
        fields.end()?;
        Ok(config)
    }
}

fn source(fields: &mut Fields) -> Result<Source, ConfigError> {
    let Some(node) = fields.optional("sysroot") else { return store(fields.required("store")?) };
    if fields.optional("store").is_some() {
        return Err(ConfigError::Apart { field: "/store", other: "/sysroot" });
    }
    let mut fields = node.fields()?;
    let filesystem = filesystem(&mut fields)?;
    fields.end()?;
    Ok(Source::Sysroot(filesystem))
}

fn store(node: Node) -> Result<Source, ConfigError> {
    let mut fields = node.fields()?;
    let filesystem = filesystem(&mut fields)?;
    let directory = directory(fields.required("directory")?)?;
    fields.end()?;
    Ok(Source::Store { filesystem, directory })
}

fn filesystem(fields: &mut Fields) -> Result<Filesystem, ConfigError> {
    let device = device(fields.required("device")?)?;
    let kind = kind(fields.required("filesystem")?)?;
    Ok(Filesystem { device, kind })
}

/// Where there is no device, the state is on the filesystem of the trees.
fn state(node: Node) -> Result<(Option<Filesystem>, String), ConfigError> {
    let mut fields = node.fields()?;
    let filesystem = match fields.optional("device") {
        Some(node) => {
            let kind = kind(fields.required("filesystem")?)?;
            Some(Filesystem { device: device(node)?, kind })
        }
        None => None,
    };
    let directory = directory(fields.required("directory")?)?;
    fields.end()?;
    Ok((filesystem, directory))
}

fn device(node: Node) -> Result<Device, ConfigError> {
    const EXPECTED: &str =
        "a path below /dev/, or UUID= or LABEL= and what identifies a filesystem";
    let (path, text) = text(node)?;
    let parsed = if let Some(uuid) = text.strip_prefix("UUID=") {
        self::uuid(uuid).map(Device::Uuid)
    } else if let Some(label) = text.strip_prefix("LABEL=") {
        (1..=255).contains(&label.len()).then(|| Device::Label(label.to_owned()))
    } else {
        let below = text.strip_prefix("/dev/").filter(|below| is_relative(below));
        below.map(|_| Device::Path(PathBuf::from(&text)))
    };
    parsed.ok_or(ConfigError::Form { path, expected: EXPECTED, found: text })
}

/// The digits alone: hyphens and case are for people.
fn uuid(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let is_one = digits.len() == 32 && digits.chars().all(|c| c.is_ascii_hexdigit());
    is_one.then(|| digits.to_ascii_lowercase())
}

fn kind(node: Node) -> Result<String, ConfigError> {
    form(node, "the name of a filesystem type, like ext4", |text| {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        (1..=32).contains(&text.len()) && text.chars().all(allowed)
    })
}

fn directory(node: Node) -> Result<String, ConfigError> {
    form(node, "a path without `/` first or last, and without `.` and `..`", is_relative)
}

fn is_relative(text: &str) -> bool {
    let is_name = |name: &str| (1..=255).contains(&name.len()) && name != "." && name != "..";
    text.len() < 4096 && text.split('/').all(is_name) && !text.contains('\0')
}

fn absolute(node: Node) -> Result<PathBuf, ConfigError> {
    let is_absolute = |text: &str| text.strip_prefix('/').is_some_and(is_relative);
    form(node, "an absolute path without `.` and `..`", is_absolute).map(PathBuf::from)
}

fn writable(fields: &mut Fields, name: &str) -> Result<Writable, ConfigError> {
    let choices = [
        ("sealed", Writable::Sealed),
        ("transient", Writable::Transient),
        ("persistent", Writable::Persistent),
    ];
    let node = fields.optional(name);
    let chosen = node.map(|node| node.choice(&choices, "`sealed`, `transient` or `persistent`"));
    Ok(chosen.transpose()?.unwrap_or_default())
}

/// The boot loader chooses among deployments, and counts what it counts.
fn tries(fields: &mut Fields, source: &Source) -> Result<u32, ConfigError> {
    let node = fields.optional("tries");
    if node.is_some() && matches!(source, Source::Sysroot(_)) {
        return Err(ConfigError::Apart { field: "/tries", other: "/sysroot" });
    }
    let number = node.map(|node| node.integer(1, MAX_TRIES)).transpose()?;
    Ok(number.and_then(|number| u32::try_from(number).ok()).unwrap_or(TRIES))
}

fn expired(node: Option<Node>) -> Result<Expired, ConfigError> {
    let choices = [("warn", Expired::Warn), ("refuse", Expired::Refuse)];
    let chosen = node.map(|node| node.choice(&choices, "`warn` or `refuse`"));
    Ok(chosen.transpose()?.unwrap_or_default())
}

fn tpm(node: Option<Node>) -> Result<Option<TpmAddress>, ConfigError> {
    let path = node.map(absolute).transpose()?;
    Ok(path.map(|path| TpmAddress::from(OsStr::new(&path))))
}

fn failure(node: Option<Node>) -> Result<Failure, ConfigError> {
    let Some(node) = node else { return Ok(Failure::default()) };
    let choices =
        [("stop", Ending::Stop), ("reboot", Ending::Reboot), ("poweroff", Ending::PowerOff)];
    let mut fields = node.fields()?;
    let ending = fields.required("action")?;
    let ending = ending.choice(&choices, "`stop`, `reboot` or `poweroff`")?;
    let delay = seconds(fields.optional("delay"))?;
    fields.end()?;
    Ok(Failure { ending, delay })
}

fn seconds(node: Option<Node>) -> Result<Duration, ConfigError> {
    let seconds = node.map(|node| node.integer(0, MAX_SECONDS)).transpose()?;
    Ok(Duration::from_secs(seconds.unwrap_or(SECONDS)))
}

fn init(node: Option<Node>) -> Result<PathBuf, ConfigError> {
    Ok(node.map(absolute).transpose()?.unwrap_or_else(|| INIT.into()))
}

fn modules(node: Option<Node>) -> Result<Vec<PathBuf>, ConfigError> {
    let Some(node) = node else { return Ok(Vec::new()) };
    node.items(MAX_MODULES)?.into_iter().map(absolute).collect()
}

/// A string of a form.
fn form(
    node: Node,
    expected: &'static str,
    has_form: impl Fn(&str) -> bool,
) -> Result<String, ConfigError> {
    let (path, found) = text(node)?;
    if has_form(&found) { Ok(found) } else { Err(ConfigError::Form { path, expected, found }) }
}

fn text(node: Node) -> Result<(String, String), ConfigError> {
    let path = node.path().to_owned();
    Ok((path, node.string()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least that is a configuration, with this in the place of its end.
    fn with(more: &str) -> String {
        format!(
            r#"{{"_type": "treeseal:boot/v1", "stream": "acme/os", "store": {{"device": "LABEL=data",
            "filesystem": "ext4", "directory": "treeseal/store"}}, "state": {{"directory": "boot"}}{more}}}"#
        )
    }

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::from_bytes(text.as_bytes())
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "expected `{expected}`, found `{error}`");
    }

    #[test]
    fn what_is_left_out_has_the_safe_value() {
        let config = parse(&with("")).unwrap();
        assert_eq!(config.stream.to_string(), "acme/os");
        let device = Device::Label("data".to_owned());
        let filesystem = Filesystem { device, kind: "ext4".to_owned() };
        let directory = "treeseal/store".to_owned();
        assert_eq!(config.source, Source::Store { filesystem, directory });
        assert_eq!(config.state, None);
        assert_eq!((config.etc, config.var), (Writable::Sealed, Writable::Sealed));
        assert_eq!((config.tries, config.expired, config.tpm), (3, Expired::Warn, None));
        assert_eq!(config.failure.ending, Ending::Stop);
        assert_eq!(config.init, PathBuf::from("/sbin/init"));
        assert!(config.modules.is_empty());
    }

    #[test]
    fn every_field_is_read() {
        let config = parse(
            r#"{"_type": "treeseal:boot/v1", "stream": "acme/os",
            "store": {"device": "UUID=01234567-89AB-cdef-0123-456789abcdef", "filesystem": "btrfs",
            "directory": "s"}, "state": {"device": "/dev/vda2", "filesystem": "ext4", "directory": "b"},
            "etc": "persistent", "var": "transient", "tries": 5, "expired": "refuse",
            "tpm": "/dev/tpmrm0", "failure": {"action": "reboot", "delay": 7}, "wait": 9,
            "init": "/usr/lib/systemd/systemd", "modules": ["/lib/ext4.ko"]}"#,
        )
        .unwrap();
        let uuid = Device::Uuid("0123456789abcdef0123456789abcdef".to_owned());
        assert_eq!(config.source.filesystem().device, uuid);
        let state =
            Filesystem { device: Device::Path("/dev/vda2".into()), kind: "ext4".to_owned() };
        assert_eq!((config.state, config.state_directory.as_str()), (Some(state), "b"));
        assert_eq!((config.etc, config.var), (Writable::Persistent, Writable::Transient));
        assert_eq!((config.tries, config.expired), (5, Expired::Refuse));
        assert_eq!(config.tpm, Some(TpmAddress::default()));
        let failure = Failure { ending: Ending::Reboot, delay: Duration::from_secs(7) };
        assert_eq!((config.failure, config.wait), (failure, Duration::from_secs(9)));
        assert_eq!(config.init, PathBuf::from("/usr/lib/systemd/systemd"));
        assert_eq!(config.modules, [PathBuf::from("/lib/ext4.ko")]);
    }

    #[test]
    fn unknown_fields_are_refused_at_every_level() {
        refused(&with(r#", "verify": false"#), "/verify is not a field of this format");
        refused(
            &with(r#", "failure": {"action": "stop", "shell": true}"#),
            "/failure/shell is not",
        );
        let text = with("").replace("\"ext4\"", "\"ext4\", \"options\": \"rw\"");
        refused(&text, "/store/options is not a field");
        let text = with("").replace("\"boot\"}", "\"boot\", \"filesystem\": \"ext4\"}");
        refused(&text, "/state/filesystem is not a field");
    }

    /// The least for a system of OSTree, with this in the place of its end.
    fn of_sysroot(more: &str) -> String {
        format!(
            r#"{{"_type": "treeseal:boot/v1", "stream": "acme/os", "sysroot": {{"device": "LABEL=root",
            "filesystem": "ext4"}}, "state": {{"directory": "boot"}}{more}}}"#
        )
    }

    #[test]
    fn a_sysroot_is_in_the_place_of_a_store() {
        let device = Device::Label("root".to_owned());
        let filesystem = Filesystem { device, kind: "ext4".to_owned() };
        assert_eq!(parse(&of_sysroot("")).unwrap().source, Source::Sysroot(filesystem));
        refused(&of_sysroot(r#", "store": {}"#), "/store has no meaning beside /sysroot");
        refused(&of_sysroot(r#", "tries": 1"#), "/tries has no meaning beside /sysroot");
        let text = of_sysroot("").replace("\"ext4\"", "\"ext4\", \"directory\": \"a\"");
        refused(&text, "/sysroot/directory is not a field");
    }

    #[test]
    fn what_must_be_there_is_missed() {
        for field in ["_type", "stream", "store", "state"] {
            let text = with("").replace(&format!("\"{field}\": "), "\"other\": ");
            refused(&text, &format!("/{field} is missing"));
        }
        refused(&with("").replace("\"device\"", "\"devices\""), "/store/device is missing");
    }

    #[test]
    fn values_that_nobody_can_mean_are_refused() {
        refused(&with(r#", "tries": 0"#), "/tries must be from 1 to 100, found 0");
        refused(
            &with(r#", "etc": "writable""#),
            "/etc must be `sealed`, `transient` or `persistent`",
        );
        refused(&with(r#", "expired": "ignore""#), "/expired must be `warn` or `refuse`");
        refused(&with(r#", "failure": {"action": "shell"}"#), "/failure/action must be `stop`");
        refused(&with(r#", "wait": 3601"#), "/wait must be from 0 to 3600");
        refused(&with(r#", "init": "sbin/init""#), "/init must be an absolute path");
        refused(&with(r#", "modules": ["/a/../b"]"#), "/modules/0 must be an absolute path");
        refused(&with(r#", "tpm": "tpmrm0""#), "/tpm must be an absolute path");
        for (from, to, expected) in [
            ("treeseal/store", "/treeseal/store", "/store/directory must be a path without"),
            ("treeseal/store", "a/../../b", "/store/directory must be a path without"),
            ("treeseal/store", "", "/store/directory must be a path without"),
            ("treeseal/store", "a\\u0000b", "/store/directory must be a path without"),
            ("LABEL=data", "LABEL=", "/store/device must be a path below /dev/"),
            ("LABEL=data", "/etc/shadow", "/store/device must be a path below /dev/"),
            ("LABEL=data", "/dev/../etc", "/store/device must be a path below /dev/"),
            ("LABEL=data", "UUID=0123", "/store/device must be a path below /dev/"),
            ("ext4", "ext4,rw", "/store/filesystem must be the name of a filesystem type"),
            ("acme/os", "acme//os", "/stream: `` cannot be part of a stream's name"),
            ("boot/v1", "boot/v2", "/_type must be `treeseal:boot/v1`"),
        ] {
            refused(&with("").replace(from, to), expected);
        }
    }

    #[test]
    fn what_is_no_strict_json_is_refused() {
        refused(&with(r#", "tries": 1, "tries": 2"#), "`tries`");
        refused("", "expected a value");
        refused(&(with("") + "x"), "more follows");
        refused(&" ".repeat(MAX_CONFIG_SIZE + 1), "at most 65536 are allowed");
    }
}
