//! The table of a bench, and its dated file in `benches/`.

use super::Programs;
use super::cases::{OURS, Side};
use super::measure::{Cost, Outcome};
use crate::process::{output, shown};
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

pub(super) struct Report<'a> {
    pub(super) bench: &'a str,
    pub(super) runs: usize,
    pub(super) results: &'a [Outcome<'a>],
}

impl Report<'_> {
    /// One row for each program; the ratios are ours to the peer's, so below one is better.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        for outcome in self.results {
            let _ = writeln!(text, "\n**{}**\n", outcome.contest.title);
            text.push_str("| program | CPU s | wall s | peak MiB | CPU ours/its | wall | peak |\n");
            text.push_str("|---|--:|--:|--:|--:|--:|--:|\n");
            let ours = ours(outcome);
            for (side, cost) in outcome.contest.sides.iter().zip(&outcome.medians) {
                text.push_str(&row(side, cost, ours));
            }
        }
        text
    }

    pub(super) fn write(&self, workspace: &Workspace, programs: &Programs) -> Result<()> {
        let date = today()?;
        let path = workspace.root.join("benches").join(format!("{date}-{}.md", self.bench));
        let text = format!(
            "# {}, {date}\n\nMedians of {} runs, the programs in turn, warm cache. CPU is user and \
             system time.\n\n{}{}\n## Commands\n\n```\n{}```\n",
            self.bench,
            self.runs,
            circumstances(workspace, programs)?,
            self.table(),
            self.commands(workspace)
        );
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        eprintln!("wrote {}", path.display());
        Ok(())
    }

    /// The command lines, with the target directory's place on this machine left out.
    fn commands(&self, workspace: &Workspace) -> String {
        let target = workspace.target.display().to_string();
        let sides = self.results.iter().flat_map(|outcome| &outcome.contest.sides);
        sides.map(|side| command_line(side).replace(&target, "target") + "\n").collect()
    }
}

/// The machine and the versions of the programs, as a list.
pub(super) fn circumstances(workspace: &Workspace, programs: &Programs) -> Result<String> {
    let mut git = Command::new("git");
    git.current_dir(&workspace.root).args(["describe", "--always", "--dirty"]);
    Ok(format!(
        "- machine: {}, {} cores, {}, files on {}\n\
         - ours: {} at {}\n\
         - peers: fsverity {}, composefs {} (Debian), ostree {} (Debian), {}\n",
        cpu_model()?,
        std::thread::available_parallelism()?,
        first_line(Command::new("uname").arg("-sr"))?,
        filesystem(&workspace.target)?,
        first_line(Command::new(&programs.treeseal).arg("--version"))?,
        first_line(&mut git)?,
        first_line(Command::new(&programs.fsverity).arg("--version"))?
            .trim_start_matches("fsverity v"),
        programs.composefs_version,
        programs.ostree_version,
        first_line(Command::new(&programs.cfsctl).arg("--version"))?,
    ))
}

fn command_line(side: &Side) -> String {
    let mut command = Command::new(&side.command[0]);
    shown(command.args(&side.command[1..]))
}

fn ours(outcome: &Outcome) -> Option<Cost> {
    let index = outcome.contest.sides.iter().position(|side| side.name == OURS)?;
    outcome.medians.get(index).copied()
}

fn row(side: &Side, cost: &Cost, ours: Option<Cost>) -> String {
    let ratio = |field: fn(&Cost) -> f64| match &ours {
        Some(ours) if side.name != OURS && field(cost) > 0.0 => {
            format!("{:.2}", field(ours) / field(cost))
        }
        _ => "–".to_owned(),
    };
    format!(
        "| {} | {:.2} | {:.2} | {:.0} | {} | {} | {} |\n",
        side.name,
        cost.cpu_seconds,
        cost.wall_seconds,
        cost.peak_mib,
        ratio(|cost| cost.cpu_seconds),
        ratio(|cost| cost.wall_seconds),
        ratio(|cost| cost.peak_mib),
    )
}

/// The day, for the names of files.
pub(super) fn today() -> Result<String> {
    first_line(Command::new("date").args(["-u", "+%F"]))
}

fn cpu_model() -> Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo").context("reading /proc/cpuinfo")?;
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Ok(model.map_or("unknown processor", |(_, model)| model).to_owned())
}

fn filesystem(dir: &Path) -> Result<String> {
    first_line(Command::new("stat").args(["--file-system", "--format=%T"]).arg(dir))
}

fn first_line(command: &mut Command) -> Result<String> {
    let text = output(command)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
