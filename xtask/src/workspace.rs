//! Where the workspace is, and what Cargo says of its packages.

use crate::process::output;
use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace as `cargo metadata` describes it.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// `CARGO_TARGET_DIR`, or `target/`.
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    /// Features that other features turn on, the default ones among them.
    pub(crate) turned_on: Vec<String>,
}

pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) features: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self> {
        let json =
            output(cargo_command().args(["metadata", "--no-deps", "--format-version", "1"]))?;
        let metadata: Value = serde_json::from_str(&json).context("reading cargo metadata")?;
        let packages = array(&metadata, "packages")?;
        Ok(Self {
            root: text(&metadata, "workspace_root")?.into(),
            target: text(&metadata, "target_directory")?.into(),
            packages: packages.iter().map(Package::from_json).collect::<Result<_>>()?,
        })
    }

    /// A cargo command that runs at the root and shares this target directory, whatever directory
    /// the task was started from.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = cargo_command();
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        command
    }
}

impl Package {
    fn from_json(package: &Value) -> Result<Self> {
        let dependencies = array(package, "dependencies")?;
        Ok(Self {
            name: text(package, "name")?.to_owned(),
            manifest: text(package, "manifest_path")?.into(),
            dependencies: dependencies.iter().map(Dependency::from_json).collect::<Result<_>>()?,
            turned_on: object(package, "features")?.values().flat_map(strings).collect(),
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.manifest.parent().unwrap_or(&self.manifest)
    }
}

impl Dependency {
    fn from_json(dependency: &Value) -> Result<Self> {
        let kind = match dependency["kind"].as_str() {
            Some("dev") => Kind::Dev,
            Some("build") => Kind::Build,
            _ => Kind::Normal,
        };
        let features = strings(&dependency["features"]).collect();
        Ok(Self { name: text(dependency, "name")?.to_owned(), kind, features })
    }
}

/// The cargo that runs this program.
fn cargo_command() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("cargo metadata has no {key}"))
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key].as_array().with_context(|| format!("cargo metadata has no {key}"))
}

fn object<'a>(value: &'a Value, key: &str) -> Result<&'a Map<String, Value>> {
    value[key].as_object().with_context(|| format!("cargo metadata has no {key}"))
}

fn strings(array: &Value) -> impl Iterator<Item = String> + '_ {
    let items = array.as_array().into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned))
}
