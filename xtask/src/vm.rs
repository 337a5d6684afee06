//! Tests that need a kernel of their own, in virtual machines.
//!
//! Each kernel is started once and runs all tests of `crates/treeseal-vm`; scenarios, which start
//! several machines over one disk, are in `scenarios.rs`. The kernels take their turns side by side. All that is made lies below `target/vm`:
//! kernels and programs, which are fetched once, and logs of all that the machines' consoles said.

use crate::section::Document;
use crate::setup;
use crate::workspace::Workspace;
use anyhow::{Context, Result, anyhow, bail, ensure};
use host::Host;
use kernel::{SERIES, Series};
use scenarios::{SCENARIOS, Scenario};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use tools::Tools;

mod boot;
mod disk;
mod guest_tests;
mod host;
mod initramfs;
mod kernel;
mod machine;
mod report;
mod scenarios;
mod threat_model;
mod tools;

const USAGE: &str = "\
Usage: cargo xtask vm [NAME...] [--kernel 6.12|7.3] [--list] [--write]

Runs the tests and scenarios of these names, or all, in virtual machines with each kernel, or one.
What attacks-are-stopped finds out is compared with docs/threat-model.md; --write renews that.
";

pub(crate) fn run(workspace: &Workspace, options: &[&str]) -> Result<()> {
    let options = Options::parse(options)?;
    if options.help {
        print!("{USAGE}");
        return Ok(());
    }
    let programs = host::build_programs(workspace)?;
    let tests = guest_tests::names(&programs)?;
    if options.list {
        let scenarios = SCENARIOS.iter().map(|(name, _)| *name);
        tests.iter().map(String::as_str).chain(scenarios).for_each(|name| println!("{name}"));
        return Ok(());
    }
    let wanted = Wanted::of(&options, &tests)?;
    setup::packages()?;
    let dir = workspace.target.join("vm");
    fs::create_dir_all(dir.join("logs")).context("creating target/vm")?;
    let tools = Tools::fetch(&dir)?;
    let prepare = |series: &&Series| {
        Host::prepare(workspace, &dir, series.kernel(&dir, &tools)?, &tools, &programs)
    };
    let hosts = wanted.series.iter().map(prepare).collect::<Result<Vec<_>>>()?;
    let outcomes = run_side_by_side(&hosts, &wanted)?;
    summarize(&outcomes, &dir.join("logs"))?;
    threat_model::check(workspace, &outcomes, options.document)
}

/// Runs what is wanted with all kernels at the same time: an emulated machine keeps one processor busy.
fn run_side_by_side(hosts: &[Host], wanted: &Wanted) -> Result<Vec<Outcome>> {
    thread::scope(|scope| {
        let start = |host| scope.spawn(move || run_with(host, wanted));
        let threads: Vec<_> = hosts.iter().map(start).collect();
        let mut outcomes = Vec::new();
        for thread in threads {
            let ended = thread.join().map_err(|_| anyhow!("the tests with a kernel panicked"))?;
            outcomes.extend(ended?);
        }
        Ok(outcomes)
    })
}

fn run_with(host: &Host, wanted: &Wanted) -> Result<Vec<Outcome>> {
    let mut outcomes = guest_tests::run(host, &wanted.tests)?;
    outcomes.extend(wanted.scenarios.iter().map(|scenario| run_scenario(host, scenario)));
    Ok(outcomes)
}

fn run_scenario(host: &Host, (name, scenario): &Scenario) -> Outcome {
    let started = Instant::now();
    let failure = scenario(host).err();
    let failure = failure.map(|error| format!("{error:#}").lines().map(str::to_owned).collect());
    Outcome::show(host.series(), name, started.elapsed(), failure)
}

/// The command line.
struct Options<'a> {
    names: Vec<&'a str>,
    kernel: Option<&'a str>,
    list: bool,
    help: bool,
    document: Document,
}

impl<'a> Options<'a> {
    fn parse(words: &[&'a str]) -> Result<Self> {
        let mut options = Self {
            names: Vec::new(),
            kernel: None,
            list: false,
            help: false,
            document: Document::Compare,
        };
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            match word {
                "--list" => options.list = true,
                "--write" => options.document = Document::Write,
                "--help" | "-h" => options.help = true,
                "--kernel" => options.kernel = Some(words.next().context("--kernel takes one")?),
                _ if word.starts_with('-') => bail!("not understood: {word}\n\n{USAGE}"),
                name => options.names.push(name),
            }
        }
        Ok(options)
    }
}

/// What is to be run, by which kernels.
struct Wanted<'a> {
    series: Vec<&'static Series>,
    tests: Vec<&'a str>,
    scenarios: Vec<Scenario>,
}

impl<'a> Wanted<'a> {
    fn of(options: &Options, tests: &'a [String]) -> Result<Self> {
        let is_named = |name: &str| options.names.is_empty() || options.names.contains(&name);
        let is_known = |name: &str| {
            let mut scenarios = SCENARIOS.iter();
            tests.iter().any(|test| test == name) || scenarios.any(|(known, _)| *known == name)
        };
        for name in &options.names {
            ensure!(is_known(name), "there is no {name}: see cargo xtask vm --list");
        }
        let is_wanted = |series: &&Series| options.kernel.is_none_or(|name| name == series.name);
        let series: Vec<&Series> = SERIES.iter().filter(is_wanted).collect();
        ensure!(
            !series.is_empty(),
            "there are only the kernels {}",
            SERIES.map(|s| s.name).join(", ")
        );
        let scenarios = SCENARIOS.iter().filter(|(name, _)| is_named(name));
        let tests = tests.iter().map(String::as_str).filter(|name| is_named(name));
        Ok(Self { series, tests: tests.collect(), scenarios: scenarios.copied().collect() })
    }
}

/// How a test or scenario ended with one kernel.
struct Outcome {
    series: &'static str,
    name: String,
    /// What it found out, line by line.
    findings: Vec<String>,
    /// What went wrong, line by line; nothing when it passed.
    failure: Option<Vec<String>>,
}

impl Outcome {
    /// Shows the outcome as soon as there is one.
    fn show(
        series: &'static str,
        name: &str,
        took: Duration,
        failure: Option<Vec<String>>,
    ) -> Self {
        let word = if failure.is_none() { "ok" } else { "FAILED" };
        println!("vm {series}: {name} ... {word} ({:.1} s)", took.as_secs_f64());
        failure.iter().flatten().for_each(|line| println!("    {line}"));
        Self { series, name: name.to_owned(), findings: Vec::new(), failure }
    }
}

/// Counts the outcomes, in a line like those of `cargo test`.
fn summarize(outcomes: &[Outcome], logs: &Path) -> Result<()> {
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    let passed = outcomes.len() - failed;
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "test result: {word}. {passed} passed; {failed} failed; 0 ignored; in virtual machines"
    );
    ensure!(failed == 0, "{failed} failed in virtual machines; consoles: {}", logs.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(words: &[&str]) -> Result<(Vec<&'static str>, Vec<String>, usize)> {
        let tests = ["a-test".to_owned(), "another-test".to_owned()];
        let wanted = Wanted::of(&Options::parse(words)?, &tests)?;
        let series = wanted.series.iter().map(|series| series.name).collect();
        let tests = wanted.tests.iter().map(|name| (*name).to_owned()).collect();
        Ok((series, tests, wanted.scenarios.len()))
    }

    #[test]
    fn without_names_everything_runs_with_all_kernels() {
        let (series, tests, scenarios) = wanted(&[]).unwrap();
        assert_eq!(series, ["6.12", "7.3"]);
        assert_eq!(tests, ["a-test", "another-test"]);
        assert_eq!(scenarios, SCENARIOS.len());
    }

    #[test]
    fn names_and_a_kernel_narrow_it_down() {
        let (series, tests, scenarios) = wanted(&["a-test", "--kernel", "7.3"]).unwrap();
        assert_eq!((series, tests, scenarios), (vec!["7.3"], vec!["a-test".to_owned()], 0));
        let (_, tests, scenarios) = wanted(&[SCENARIOS[0].0]).unwrap();
        assert_eq!((tests.len(), scenarios), (0, 1));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let error = |words| wanted(words).unwrap_err().to_string();
        assert_eq!(error(&["a-tset"]), "there is no a-tset: see cargo xtask vm --list");
        assert_eq!(error(&["--kernel", "6.1"]), "there are only the kernels 6.12, 7.3");
        assert!(error(&["--lsit"]).starts_with("not understood: --lsit\n"));
    }
}
