//! Comparisons with the peers: the same work on the same input, in turn.
//!
//! [`cases`] lists what is compared; [`measure`] runs it; [`report`] writes it down.

use crate::process::find_program;
use crate::process::run as show_and_run;
use crate::setup::{self, CargoTool};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::PathBuf;

mod cases;
mod filesystem;
mod gen_dump;
mod input;
mod instructions;
mod measure;
mod ostree;
mod plot;
mod report;
mod scaling;

const USAGE: &str = "\
Usage: cargo xtask bench [NAME...] [OPTION...]

NAME is one of digest, import, again, dump, info, fsck, ostree; all of them where none is given.
Only when they are named run `scaling`, which takes ten million entries and half an hour, and
`instructions`, which counts those of small commands.

  --runs N       measured runs of each program, at least 5 (default 5)
  --tree DIR     the tree to import (default /usr)
  --files N      entries of the dump besides directories (default 1000000)
  --peers-only   leave treeseal out and write no result: what the peers cost on this machine
";

/// Fewer runs have a median that one disturbance can move.
const LEAST_RUNS: usize = 5;

struct Options {
    names: Vec<String>,
    runs: usize,
    tree: PathBuf,
    files: u64,
    contestants: Contestants,
    /// The growth with the number of entries.
    scaling: bool,
    /// The instructions of small commands.
    instructions: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contestants {
    All,
    PeersOnly,
}

/// The programs that take part.
struct Programs {
    treeseal: PathBuf,
    fsverity: PathBuf,
    mkcomposefs: PathBuf,
    composefs_info: PathBuf,
    composefs_version: String,
    /// Forky's.
    ostree: PathBuf,
    ostree_version: String,
    cfsctl: PathBuf,
}

const CFSCTL: CargoTool =
    CargoTool { package: "composefs-ctl", program: "cfsctl", version: "0.9.4", debug: false };

pub(crate) fn run(workspace: &Workspace, args: &[&str]) -> Result<()> {
    if args.contains(&"--help") {
        print!("{USAGE}");
        return Ok(());
    }
    let options = Options::parse(args)?;
    let programs = programs(workspace, &options)?;
    let dir = workspace.target.join("bench");
    fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    if options.scaling {
        scaling::run(workspace, &programs, &options, &dir)?;
    }
    if options.instructions {
        instructions::run(workspace, &programs, &dir)?;
    }
    for bench in cases::BENCHES.iter().filter(|bench| options.wants(bench.name)) {
        let mut contests =
            (bench.contests)(&cases::Ground { dir: &dir, programs: &programs, options: &options })?;
        if options.contestants == Contestants::PeersOnly {
            contests.iter_mut().for_each(cases::Contest::drop_ours);
        }
        let results = contests
            .iter()
            .map(|contest| measure::contest(contest, options.runs, &dir))
            .collect::<Result<Vec<_>>>()?;
        let report = report::Report { bench: bench.name, runs: options.runs, results: &results };
        print!("{}", report.table());
        if options.contestants == Contestants::All {
            report.write(workspace, &programs)?;
        }
    }
    Ok(())
}

fn programs(workspace: &Workspace, options: &Options) -> Result<Programs> {
    let peers = setup::run(workspace)?;
    if options.contestants == Contestants::All {
        show_and_run(workspace.cargo().args(["build", "--release", "--package", "treeseal-cli"]))?;
    }
    Ok(Programs {
        treeseal: workspace.target.join("release/treeseal"),
        fsverity: find_program("fsverity").context("no fsverity on PATH")?,
        mkcomposefs: peers.program("mkcomposefs"),
        composefs_info: peers.program("composefs-info"),
        composefs_version: peers.composefs_version()?,
        ostree: peers.program("ostree"),
        ostree_version: peers.ostree_version()?,
        cfsctl: setup::cargo_tool(workspace, &CFSCTL)?,
    })
}

impl Options {
    fn parse(args: &[&str]) -> Result<Self> {
        let mut options = Self {
            names: Vec::new(),
            runs: LEAST_RUNS,
            tree: "/usr".into(),
            files: 1_000_000,
            contestants: Contestants::All,
            scaling: false,
            instructions: false,
        };
        let mut args = args.iter();
        while let Some(&arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} takes a value"));
            match arg {
                "--runs" => options.runs = value()?.parse().context("--runs takes a number")?,
                "--tree" => options.tree = fs::canonicalize(value()?).context("--tree")?,
                "--files" => options.files = value()?.parse().context("--files takes a number")?,
                "scaling" => options.scaling = true,
                "instructions" => options.instructions = true,
                "--peers-only" => options.contestants = Contestants::PeersOnly,
                name if cases::BENCHES.iter().any(|bench| bench.name == name) => {
                    options.names.push(name.to_owned());
                }
                _ => bail!("not understood: {arg}\n\n{USAGE}"),
            }
        }
        if options.runs < LEAST_RUNS {
            bail!("--runs {}: at least {LEAST_RUNS}", options.runs);
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        let all = self.names.is_empty() && !self.scaling && !self.instructions;
        all || self.names.iter().any(|wanted| wanted == name)
    }
}
