//! Running the sides of a contest in turn, and what each run cost.

use super::cases::{Contest, Product, Side};
use crate::process::run_quietly;
use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What one run cost, or the medians of several.
#[derive(Clone, Copy)]
pub(super) struct Cost {
    /// User and system time.
    pub(super) cpu_seconds: f64,
    pub(super) wall_seconds: f64,
    pub(super) peak_mib: f64,
}

pub(super) struct Outcome<'a> {
    pub(super) contest: &'a Contest,
    /// One for each side, in order.
    pub(super) medians: Vec<Cost>,
}

/// Runs every side once to warm the cache and to compare the products, then `runs` times in turn,
/// so that a disturbance meets all sides alike.
pub(super) fn contest<'a>(contest: &'a Contest, runs: usize, dir: &Path) -> Result<Outcome<'a>> {
    ensure!(Path::new(TIME).exists(), "{TIME} is missing: run `cargo xtask setup`");
    eprintln!("{}", contest.title);
    compare_products(contest, dir)?;
    let mut costs: Vec<Vec<Cost>> = contest.sides.iter().map(|_| Vec::new()).collect();
    for _ in 0..runs {
        for (side, costs) in contest.sides.iter().zip(&mut costs) {
            make_ready(contest, side)?;
            costs.push(timed(&side.command, dir)?);
        }
    }
    Ok(Outcome { contest, medians: costs.iter().map(|costs| medians(costs)).collect() })
}

/// Speed is worth nothing where the results differ.
fn compare_products(contest: &Contest, dir: &Path) -> Result<()> {
    let mut first: Option<(&str, Vec<u8>)> = None;
    for side in &contest.sides {
        let stdout = dir.join("stdout");
        make_ready(contest, side)?;
        run_quietly(plain(&side.command).stdout(File::create(&stdout)?))?;
        let product = match &side.product {
            Product::Stdout => stdout,
            Product::File(path) => path.clone(),
            Product::Own => continue,
        };
        let bytes = fs::read(&product).with_context(|| format!("reading {}", product.display()))?;
        match &first {
            Some((name, expected)) if *expected != bytes => {
                bail!("{}: {} and {name} made different bytes", contest.title, side.name)
            }
            Some(_) => {}
            None => first = Some((side.name, bytes)),
        }
    }
    Ok(())
}

fn make_ready(contest: &Contest, side: &Side) -> Result<()> {
    side.remove.iter().try_for_each(remove)?;
    if let Some(filesystem) = &contest.filesystem {
        filesystem.renew()?;
    }
    if let Some(prepare) = &side.prepare {
        run_quietly(plain(prepare).stdout(Stdio::null()))?;
    }
    if !side.remove.is_empty() {
        // What the side before left to be written shall not slow down this one.
        run_quietly(&mut Command::new("sync"))?;
    }
    Ok(())
}

fn remove(path: &PathBuf) -> Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    removed.with_context(|| format!("removing {}", path.display()))
}

fn plain(words: &[OsString]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    command
}

/// Debian's `time`, which asks the kernel what a finished child used.
const TIME: &str = "/usr/bin/time";

pub(super) fn timed(words: &[OsString], dir: &Path) -> Result<Cost> {
    let file = dir.join("time");
    let mut command = Command::new(TIME);
    command.args(["--format", "%U %S %M", "--output"]).arg(&file).args(words);
    let started = Instant::now();
    run_quietly(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
    // The clock here is finer than the hundredths that `time` prints.
    let wall_seconds = started.elapsed().as_secs_f64();
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let (cpu_seconds, peak_mib) =
        parse(&text).with_context(|| format!("{TIME} printed {text:?}"))?;
    Ok(Cost { cpu_seconds, wall_seconds, peak_mib })
}

/// `user system peak`, the last in KiB.
fn parse(text: &str) -> Option<(f64, f64)> {
    let mut fields = text.split_whitespace().map(|field| field.parse::<f64>().ok());
    let (user, system, kib) = (fields.next()??, fields.next()??, fields.next()??);
    Some((user + system, kib / 1024.0))
}

pub(super) fn medians(costs: &[Cost]) -> Cost {
    let median_of = |field: fn(&Cost) -> f64| median(costs.iter().map(field).collect());
    Cost {
        cpu_seconds: median_of(|cost| cost.cpu_seconds),
        wall_seconds: median_of(|cost| cost.wall_seconds),
        peak_mib: median_of(|cost| cost.peak_mib),
    }
}

/// The middle value, or the mean of the two middle ones.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp, reason = "these values are exact")]
    fn a_median_is_the_middle_whatever_the_order() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), 3.0);
    }

    #[test]
    fn the_three_fields_of_time_are_read() {
        assert_eq!(parse("1.25 0.25 2048\n"), Some((1.5, 2.0)));
        assert_eq!(parse("1.25 0.25\n"), None);
    }
}
