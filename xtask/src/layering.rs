//! The crates and what they may use.
//!
//! [`TABLE`] is the one place that says which crate may depend on which. The task fails on a
//! dependency that the table lacks, on a pure crate that reaches for the outside world, on `unsafe`
//! outside its two islands, and on a document that shows another table.

use crate::section::{Document, Section};
use crate::workspace::{Dependency, Kind, Package, Workspace};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

mod source;

struct Layer {
    name: &'static str,
    job: &'static str,
    /// Crates of the workspace, without the `treeseal-` prefix. A crate may also use whatever these
    /// may use.
    may_use: &'static [&'static str],
    outside: Outside,
}

/// Crates from outside the workspace.
enum Outside {
    /// Any that `deny.toml` lets in.
    Any,
    /// A pure crate: no I/O, clock, environment, randomness or printing, and only these crates.
    Pure(&'static [&'static str]),
}

use Outside::{Any, Pure};

const TABLE: &[Layer] = &[
    Layer {
        name: "treeseal-hash",
        job: "hash many equal-sized blocks at once: portable, SHA-NI, AVX2, AVX-512, ARMv8; unsafe island 1",
        may_use: &[],
        outside: Pure(&[]),
    },
    Layer {
        name: "treeseal-verity",
        job: "params, Merkle tree, descriptor, file digest, formatted digest, block verifier; also dm-verity's tree",
        may_use: &["hash"],
        outside: Pure(&["thiserror"]),
    },
    Layer {
        name: "treeseal-tree",
        job: "the checked tree model; composefs dump text; diff",
        may_use: &["verity"],
        outside: Pure(&["hashbrown", "memchr", "thiserror"]),
    },
    Layer {
        name: "treeseal-erofs",
        job: "composefs EROFS image: layout, writer, budgeted reader",
        may_use: &["tree", "verity"],
        outside: Pure(&["hashbrown", "memchr", "thiserror"]),
    },
    Layer {
        name: "treeseal-trust",
        job: "statement, envelope, keys, trust root, policy, `Verified<Statement>`, rollback rule",
        may_use: &["verity"],
        outside: Pure(&[
            "base64",
            "ed25519-dalek",
            "ml-dsa",
            "p256",
            "pkcs8",
            "serde",
            "serde_json",
            "sha2",
            "signature",
            "thiserror",
            "zeroize",
        ]),
    },
    Layer {
        name: "treeseal-sys",
        job: "ioctls, mount API, keyrings, loop, xattrs, TPM; unsafe island 2",
        may_use: &["verity"],
        outside: Any,
    },
    Layer {
        name: "treeseal-source",
        job: "where trees come from: directory, tar, OCI layout, dump, OSTree commit, RPM, deb; counting progress",
        may_use: &["tree", "sys"],
        outside: Any,
    },
    Layer {
        name: "treeseal-store",
        job: "objects, sidecars, images, seals, refs; import, gc, fsck; local and remote backends; publish and pull",
        may_use: &["erofs", "trust", "source", "sys"],
        outside: Any,
    },
    Layer {
        name: "treeseal-fuse",
        job: "FUSE server that checks what it serves",
        may_use: &["store"],
        outside: Any,
    },
    Layer {
        name: "treeseal-foreign",
        job: "signatures of other systems: PKCS#7 for the kernel, OSTree Ed25519, RPM file signatures, IMA, IPE policy, dm-verity root hash",
        may_use: &["trust", "sys", "source"],
        outside: Any,
    },
    Layer {
        name: "treeseal-token",
        job: "private keys on PKCS#11 tokens; the only crate that loads a foreign library",
        may_use: &["trust"],
        outside: Any,
    },
    Layer {
        name: "treeseal",
        job: "operations: seal, verify, mount, boot, inspect, publish, pull",
        may_use: &["store", "fuse", "foreign", "token"],
        outside: Any,
    },
    Layer {
        name: "treeseal-cli",
        job: "the `treeseal` binary; prints, as only the boot binary does besides",
        may_use: &["treeseal"],
        outside: Any,
    },
    Layer {
        name: "treeseal-boot",
        job: "the initramfs binary: small, static, no async runtime, no foreign libraries",
        may_use: &["treeseal"],
        outside: Any,
    },
    Layer {
        name: "treeseal-testkit",
        job: "builders, corruptors, attacks, vector loader, crash fake; a dev-dependency only",
        may_use: &["erofs", "trust", "sys"],
        outside: Any,
    },
    Layer {
        name: "treeseal-vm",
        job: "tests that need a kernel of their own, and the program that runs them in a virtual machine; not shipped",
        may_use: &["treeseal", "boot", "testkit"],
        outside: Any,
    },
];

/// The crates that may leave the workspace's lints, because those forbid `unsafe`.
const UNSAFE_ISLANDS: [&str; 2] = ["treeseal-hash", "treeseal-sys"];

const TESTKIT: &str = "treeseal-testkit";

const SECTION: Section = Section {
    document: "docs/architecture.md",
    begin: "<!-- crate table: written by `cargo xtask layering --write` -->\n",
    end: "<!-- end of crate table -->\n",
};

pub(crate) fn run(workspace: &Workspace, document: Document) -> Result<()> {
    let mut faults = Vec::new();
    for package in &workspace.packages {
        faults.extend(dependency_faults(package));
        faults.extend(feature_faults(package));
        faults.extend(island_fault(package)?);
        if let Some(Layer { outside: Pure(_), .. }) = layer(&package.name) {
            faults.extend(source::faults(&package.dir().join("src"))?);
        }
    }
    faults.extend(document_fault(workspace, document)?);
    if faults.is_empty() {
        println!("layering: {} packages keep to the table", workspace.packages.len());
        return Ok(());
    }
    for fault in &faults {
        eprintln!("layering: {fault}");
    }
    bail!("{} layering fault(s)", faults.len());
}

fn layer(name: &str) -> Option<&'static Layer> {
    TABLE.iter().find(|layer| layer.name == name)
}

fn full_name(short: &str) -> String {
    if short == "treeseal" { short.to_owned() } else { format!("treeseal-{short}") }
}

fn is_ours(name: &str) -> bool {
    name == "treeseal" || name == "xtask" || name.starts_with("treeseal-")
}

/// Everything that `layer` may use, directly or through what it uses.
fn reachable(layer: &Layer) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for short in layer.may_use {
        let name = full_name(short);
        if let Some(below) = self::layer(&name) {
            found.extend(reachable(below));
        }
        found.insert(name);
    }
    found
}

/// Dependencies that the table lacks. Tests may use anything, so dev-dependencies are not looked at.
fn dependency_faults(package: &Package) -> Vec<String> {
    let used = package.dependencies.iter().filter(|dependency| dependency.kind != Kind::Dev);
    if package.name == "xtask" {
        return used
            .filter(|dependency| is_ours(&dependency.name))
            .map(|dependency| format!("xtask may not use {}", dependency.name))
            .collect();
    }
    let Some(layer) = layer(&package.name) else {
        return vec![format!("{} is not in the table", package.name)];
    };
    let allowed = reachable(layer);
    used.filter_map(|dependency| dependency_fault(layer, &allowed, dependency)).collect()
}

fn dependency_fault(
    layer: &Layer,
    allowed: &BTreeSet<String>,
    dependency: &Dependency,
) -> Option<String> {
    let (user, used) = (layer.name, &dependency.name);
    if used == TESTKIT && !layer.may_use.contains(&"testkit") {
        return Some(format!("{user} may use {used} only as a dev-dependency"));
    }
    if is_ours(used) {
        return (!allowed.contains(used)).then(|| format!("{user} may not use {used}"));
    }
    match layer.outside {
        Pure(list) if !list.contains(&used.as_str()) => {
            Some(format!("{user} is pure and {used} is not on its list"))
        }
        Pure(_) | Any => None,
    }
}

/// Features for tests that a manifest turns on: that is left to those who run tests, so that what the
/// tests run is built as it is shipped.
fn feature_faults(package: &Package) -> Vec<String> {
    let of_dependencies = package.dependencies.iter().flat_map(|dependency| &dependency.features);
    let turned_on = of_dependencies.chain(&package.turned_on);
    let feature = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let is_for_tests = |path: &&String| feature(path).starts_with(source::TEST_FEATURE);
    turned_on
        .filter(is_for_tests)
        .map(|path| format!("{} turns on {path}, which is for tests", package.name))
        .collect()
}

/// A crate outside the islands that does not take the workspace's lints, which forbid `unsafe`.
fn island_fault(package: &Package) -> Result<Option<String>> {
    let manifest = fs::read_to_string(&package.manifest)
        .with_context(|| format!("reading {}", package.manifest.display()))?;
    let keeps_to_lints = takes_workspace_lints(&manifest);
    let may_leave = UNSAFE_ISLANDS.contains(&package.name.as_str());
    Ok((!keeps_to_lints && !may_leave)
        .then(|| format!("{}: [lints] workspace = true is missing", package.name)))
}

fn takes_workspace_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    lines.find(|line| !line.is_empty()) == Some("workspace = true")
}

/// Compares the table with the document's, or writes it there.
fn document_fault(workspace: &Workspace, document: Document) -> Result<Option<String>> {
    let is_current = SECTION.is(&render(workspace), workspace, document)?;
    Ok((!is_current).then(|| {
        format!(
            "{} shows another table than xtask/src/layering.rs: run `cargo xtask layering --write`",
            SECTION.document
        )
    }))
}

fn render(workspace: &Workspace) -> String {
    let mut table = "\n| crate | its one job | may use | state |\n|---|---|---|---|\n".to_owned();
    for layer in TABLE {
        let present = workspace.packages.iter().any(|package| package.name == layer.name);
        let state = if present { "present" } else { "planned" };
        let may_use =
            if layer.may_use.is_empty() { "–".to_owned() } else { layer.may_use.join(", ") };
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| `{}` | {} | {may_use} | {state} |", layer.name, layer.job);
    }
    table.push('\n');
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Kind)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|&(name, kind)| Dependency { name: name.to_owned(), kind, features: Vec::new() })
            .collect();
        let turned_on = Vec::new();
        Package { name: name.to_owned(), manifest: "Cargo.toml".into(), dependencies, turned_on }
    }

    fn faults(name: &str, dependencies: &[(&str, Kind)]) -> Vec<String> {
        dependency_faults(&package(name, dependencies))
    }

    #[test]
    fn what_an_allowed_crate_may_use_is_allowed() {
        assert!(faults("treeseal-store", &[("treeseal-hash", Kind::Normal)]).is_empty());
    }

    #[test]
    fn an_arrow_upwards_is_refused() {
        let found = faults("treeseal-verity", &[("treeseal-tree", Kind::Normal)]);
        assert_eq!(found, ["treeseal-verity may not use treeseal-tree"]);
    }

    #[test]
    fn a_build_dependency_counts() {
        assert_eq!(faults("treeseal-hash", &[("cc", Kind::Build)]).len(), 1);
    }

    #[test]
    fn a_pure_crate_may_not_use_the_system() {
        let found = faults("treeseal-erofs", &[("rustix", Kind::Normal)]);
        assert_eq!(found, ["treeseal-erofs is pure and rustix is not on its list"]);
    }

    #[test]
    fn the_testkit_is_for_tests() {
        assert!(faults("treeseal-tree", &[(TESTKIT, Kind::Dev)]).is_empty());
        assert_eq!(faults("treeseal-tree", &[(TESTKIT, Kind::Normal)]).len(), 1);
    }

    #[test]
    fn no_manifest_turns_on_a_feature_for_tests() {
        let mut package = package("treeseal-verity", &[("treeseal-hash", Kind::Dev)]);
        package.dependencies[0].features = vec!["other".to_owned()];
        assert!(feature_faults(&package).is_empty());
        package.dependencies[0].features = vec!["test-x".to_owned()];
        package.turned_on = vec!["treeseal-hash/test-y".to_owned()];
        assert_eq!(
            feature_faults(&package),
            ["test-x", "treeseal-hash/test-y"]
                .map(|path| format!("treeseal-verity turns on {path}, which is for tests"))
        );
    }

    #[test]
    fn a_crate_without_a_row_is_refused() {
        assert_eq!(faults("treeseal-new", &[]), ["treeseal-new is not in the table"]);
    }

    #[test]
    fn every_name_in_the_table_has_a_row() {
        for name in TABLE.iter().flat_map(|layer| layer.may_use) {
            assert!(layer(&full_name(name)).is_some(), "{name}");
        }
    }

    #[test]
    fn lints_are_read_from_their_own_section() {
        assert!(takes_workspace_lints("[dependencies]\n\n[lints]\nworkspace = true\n"));
        assert!(!takes_workspace_lints("[lints.rust]\nworkspace = true\n"));
        assert!(!takes_workspace_lints("[lints]\nworkspace = false\n"));
    }
}
