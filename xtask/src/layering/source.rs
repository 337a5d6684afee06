//! Looks through the source of a pure crate for the outside world.
//!
//! A line scanner, no parser: it trusts rustfmt for the shape of the text. Comments and test code
//! are passed over.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How the names of features begin that only tests turn on.
pub(super) const TEST_FEATURE: &str = "test-";

/// What a pure crate may not name.
const FORBIDDEN: &[&str] = &[
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "SystemTime",
    "Instant::now",
    "println!",
    "print!",
    "dbg!",
];

/// The modules of `std` that hide in `use std::{...}`.
const FORBIDDEN_MODULES: [&str; 4] = ["fs", "env", "net", "process"];

/// One line for each forbidden name below `dir`.
pub(super) fn faults(dir: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    collect(dir, &mut files)?;
    let scans: Vec<Scan> = files.iter().map(|file| Scan::of(file)).collect::<Result<_>>()?;
    let tests: BTreeSet<&PathBuf> = scans.iter().flat_map(|scan| &scan.test_modules).collect();
    let is_test =
        |file: &Path| file.ancestors().any(|part| tests.contains(&part.with_extension("")));
    Ok(scans.iter().filter(|scan| !is_test(&scan.file)).flat_map(Scan::faults).collect())
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

struct Scan {
    file: PathBuf,
    found: Vec<(usize, String)>,
    /// Modules that are compiled for tests only, as paths without extension.
    test_modules: Vec<PathBuf>,
}

impl Scan {
    fn of(file: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let (found, modules) = scan(&text);
        let dir = module_dir(file);
        let test_modules = modules.iter().map(|name| dir.join(name)).collect();
        Ok(Self { file: file.to_owned(), found, test_modules })
    }

    fn faults(&self) -> impl Iterator<Item = String> {
        let file = self.file.display();
        self.found.iter().map(move |(line, name)| format!("{file}:{line}: {name} in a pure crate"))
    }
}

/// The directory that holds the files of this file's modules.
fn module_dir(file: &Path) -> PathBuf {
    match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") => file.with_file_name(""),
        _ => file.with_extension(""),
    }
}

/// Forbidden names with their line numbers, and the names of `#[cfg(test)] mod name;`.
fn scan(text: &str) -> (Vec<(usize, String)>, Vec<String>) {
    let (mut found, mut modules) = (Vec::new(), Vec::new());
    let mut lines = (1_usize..).zip(text.lines());
    let mut group = false;
    while let Some((number, line)) = lines.next() {
        let code = line.split("//").next().unwrap_or(line);
        if is_test_attribute(code) {
            modules.extend(skip_item(indent(line), &mut lines));
            continue;
        }
        group |= code.trim_start().starts_with("use std::{");
        let listed = if group { grouped_module(code) } else { None };
        group &= !code.contains(';');
        let named = FORBIDDEN.iter().find(|name| code.contains(**name)).copied();
        found.extend(named.or(listed).map(|name| (number, name.to_owned())));
    }
    (found, modules)
}

fn is_test_attribute(code: &str) -> bool {
    let code = code.trim_start();
    let features = format!("#[cfg(feature = \"{TEST_FEATURE}");
    ["#[cfg(test)]", "#[cfg(all(test", &features].iter().any(|start| code.starts_with(start))
}

/// A forbidden module named in a line of `use std::{...}`.
fn grouped_module(code: &str) -> Option<&'static str> {
    let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.find_map(|word| FORBIDDEN_MODULES.iter().find(|module| **module == word).copied())
}

/// Passes over the item under a test attribute; its name, where it is a module in another file.
fn skip_item<'a>(
    indent_of_item: usize,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Option<String> {
    let mut item = lines.map(|(_, line)| line).skip_while(|line| line.trim().starts_with("#["));
    let first = item.next()?.trim();
    if let Some(declared) = first.strip_suffix(';') {
        let module =
            declared.strip_prefix("mod ").or_else(|| declared.strip_prefix("pub(crate) mod "));
        return module.map(str::to_owned);
    }
    let ends = |line: &str| indent(line) == indent_of_item && line.trim_start().starts_with('}');
    if !first.ends_with('}') {
        item.find(|line| ends(line));
    }
    None
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, String)> {
        scan(text).0
    }

    #[test]
    fn the_outside_world_is_found_with_its_line() {
        assert_eq!(found("fn a() {\n    std::fs::read(p);\n}\n"), [(2, "std::fs".to_owned())]);
        assert_eq!(found("use std::{\n    cmp,\n    env,\n};\n"), [(3, "env".to_owned())]);
        assert_eq!(found("use std::{cmp, process::exit};\n"), [(1, "process".to_owned())]);
    }

    #[test]
    fn comments_do_not_count() {
        assert!(found("/// Unlike `std::fs`.\nlet a = 1; // no println! here\n").is_empty());
    }

    #[test]
    fn a_word_outside_the_group_does_not_count() {
        assert!(found("use std::{cmp, fmt};\nlet env = process(net);\n").is_empty());
    }

    #[test]
    fn test_items_are_passed_over_and_code_after_them_is_not() {
        let text = "#[cfg(test)]\n#[allow(x)]\nmod tests {\n    fn a() {\n        println!();\n    }\n}\nprintln!();\n";
        assert_eq!(found(text), [(8, "println!".to_owned())]);
    }

    #[test]
    fn code_of_test_features_is_test_code_and_that_of_others_is_not() {
        let text = |feature: &str| {
            format!("#[cfg(feature = \"{feature}\")]\nfn a() {{\n    std::env::args();\n}}\n")
        };
        assert!(found(&text("test-x")).is_empty());
        assert_eq!(found(&text("x")), [(3, "std::env".to_owned())]);
    }

    #[test]
    fn test_modules_in_other_files_are_named() {
        assert_eq!(scan("#[cfg(test)]\nmod tests;\n").1, ["tests"]);
        assert_eq!(module_dir(Path::new("src/lib.rs")), Path::new("src/"));
        assert_eq!(module_dir(Path::new("src/a/mod.rs")), Path::new("src/a/"));
        assert_eq!(module_dir(Path::new("src/a.rs")), Path::new("src/a"));
    }
}
