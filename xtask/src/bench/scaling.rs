//! How time and memory grow with the number of entries: a CSV file, and a picture of it.

use super::measure::{Cost, medians, timed};
use super::{Options, Programs, input, plot, report};
use crate::process::{find_program, run_quietly};
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Entries besides directories.
const SIZES: [u64; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// From here on each size is measured this many times only: one run takes half a minute.
const LARGE: (u64, usize) = (10_000_000, 3);

/// Processors that the program may use.
const CORES: [usize; 2] = [1, 2];

/// The medians of one task at one size.
pub(super) struct Point {
    pub(super) task: &'static str,
    pub(super) cores: usize,
    pub(super) entries: u64,
    pub(super) cost: Cost,
}

impl Point {
    /// CPU time for each entry, in microseconds.
    pub(super) fn microseconds(&self) -> f64 {
        self.cost.cpu_seconds * 1e6 / self.entries as f64
    }

    /// Peak memory for each entry, in bytes.
    pub(super) fn bytes(&self) -> f64 {
        self.cost.peak_mib * f64::from(1 << 20) / self.entries as f64
    }
}

/// Measures, and writes `benches/DATE-scaling.csv` and `.svg`.
pub(super) fn run(
    workspace: &Workspace,
    programs: &Programs,
    options: &Options,
    dir: &Path,
) -> Result<()> {
    let mut points = Vec::new();
    for entries in SIZES {
        let dump = input::dump(dir, entries)?;
        let image = dir.join("scaling.image");
        for cores in CORES {
            let words = |rest: &[OsString]| command(programs, cores, rest);
            let build = words(&[
                "build".into(),
                "--from=dump".into(),
                dump.clone().into(),
                image.clone().into(),
            ])?;
            points.push(point("image from a dump", cores, entries, &build, options, dir)?);
            let list = words(&["ls".into(), image.clone().into()])?;
            points.push(point("image ls", cores, entries, &list, options, dir)?);
        }
        fs::remove_file(&image).with_context(|| format!("removing {}", image.display()))?;
    }
    let stem = workspace.root.join("benches").join(format!("{}-scaling", report::today()?));
    write(&stem.with_extension("csv"), &csv(&points))?;
    write(&stem.with_extension("svg"), &plot::svg(&points))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// `treeseal image ...` on the first processors.
fn command(programs: &Programs, cores: usize, rest: &[OsString]) -> Result<Vec<OsString>> {
    let taskset = find_program("taskset").context("no taskset on PATH: install util-linux")?;
    let processors = format!("0-{}", cores - 1);
    let program = programs.treeseal.clone();
    let mut words =
        vec![taskset.into(), "-c".into(), processors.into(), program.into(), "image".into()];
    words.extend_from_slice(rest);
    Ok(words)
}

fn point(
    task: &'static str,
    cores: usize,
    entries: u64,
    words: &[OsString],
    options: &Options,
    dir: &Path,
) -> Result<Point> {
    eprintln!("{task}, {entries} entries, {cores} cores");
    let mut warm = Command::new(&words[0]);
    run_quietly(warm.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()))?;
    let runs = if entries >= LARGE.0 { LARGE.1 } else { options.runs };
    let costs = (0..runs).map(|_| timed(words, dir)).collect::<Result<Vec<_>>>()?;
    Ok(Point { task, cores, entries, cost: medians(&costs) })
}

fn csv(points: &[Point]) -> String {
    let mut text = String::from(
        "task,cores,entries,cpu_seconds,wall_seconds,peak_mib,cpu_microseconds_per_entry,peak_bytes_per_entry\n",
    );
    for point in points {
        let Cost { cpu_seconds, wall_seconds, peak_mib } = point.cost;
        let _ = writeln!(
            text,
            "{},{},{},{cpu_seconds:.3},{wall_seconds:.3},{peak_mib:.1},{:.3},{:.0}",
            point.task,
            point.cores,
            point.entries,
            point.microseconds(),
            point.bytes()
        );
    }
    text
}
