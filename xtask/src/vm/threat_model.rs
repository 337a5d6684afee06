//! The table of attacks in `docs/threat-model.md`, made of what the machines found out.

use super::Outcome;
use super::kernel::SERIES;
use crate::section::{Document, Section};
use crate::workspace::Workspace;
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;

/// The test that finds it out.
const TEST: &str = "attacks-are-stopped";

const SECTION: Section = Section {
    document: "docs/threat-model.md",
    begin: "<!-- attack table: written by `cargo xtask vm attacks-are-stopped --write` -->\n",
    end: "<!-- end of attack table -->\n",
};

const STALE: &str = "docs/threat-model.md says otherwise: \
     run `cargo xtask vm attacks-are-stopped --write`, and look at what has changed";

const HEAD: &str = "\n| attack | enforcement | detected | by | message |\n|---|---|---|---|---|\n";

/// Compares the document with what was found out, or writes it. Where the test was not run, or failed,
/// there is nothing to compare; where it ran with one kernel, the lines of that one are.
pub(super) fn check(workspace: &Workspace, outcomes: &[Outcome], document: Document) -> Result<()> {
    let found = outcomes.iter().filter(|outcome| outcome.name == TEST && outcome.failure.is_none());
    let found: Vec<&Outcome> = found.collect();
    let rows = found.iter().flat_map(|outcome| Row::all(outcome)).collect::<Result<Vec<_>>>()?;
    if found.len() == SERIES.len() {
        ensure!(SECTION.is(&render(&rows), workspace, document)?, STALE);
        return Ok(());
    }
    ensure!(document == Document::Compare, "--write wants {TEST} to pass with every kernel");
    let text = SECTION.text(workspace)?;
    ensure!(rows.iter().all(|row| row.is_in(&text)), STALE);
    Ok(())
}

/// What became of one attack under one enforcement, with one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row<'f> {
    series: &'static str,
    threat: &'f str,
    way: &'f str,
    enforcement: &'f str,
    /// The columns behind these.
    found: &'f str,
}

impl<'f> Row<'f> {
    fn all(outcome: &'f Outcome) -> impl Iterator<Item = Result<Self>> {
        outcome.findings.iter().map(|line| Self::parse(outcome.series, line))
    }

    fn parse(series: &'static str, line: &'f str) -> Result<Self> {
        let mut fields = line.splitn(4, " | ");
        let mut field = || fields.next().with_context(|| format!("no finding: {line}"));
        Ok(Self { series, threat: field()?, way: field()?, enforcement: field()?, found: field()? })
    }

    /// The line of a table for what holds with every kernel.
    fn line(&self) -> String {
        format!("| {} | {} | {} |\n", self.way, self.enforcement, self.found)
    }

    /// The line for what holds with this one.
    fn line_of_series(&self) -> String {
        format!("| {} | {}, {} | {} |\n", self.way, self.enforcement, self.series, self.found)
    }

    fn is_in(&self, text: &str) -> bool {
        text.contains(&self.line()) || text.contains(&self.line_of_series())
    }

    fn is_of_same_attack(&self, other: &Self) -> bool {
        (self.threat, self.way, self.enforcement) == (other.threat, other.way, other.enforcement)
    }
}

/// A table for each threat, in the order in which they come.
fn render(rows: &[Row<'_>]) -> String {
    let mut threats: Vec<&str> = Vec::new();
    for row in rows {
        if !threats.contains(&row.threat) {
            threats.push(row.threat);
        }
    }
    threats.into_iter().fold(String::from("\n"), |mut text, threat| {
        // Writing to a String cannot fail.
        let _ = write!(text, "### {}\n{HEAD}{}\n", capitalized(threat), lines_of(threat, rows));
        text
    })
}

fn lines_of(threat: &str, rows: &[Row<'_>]) -> String {
    let of_first = |row: &&Row<'_>| row.threat == threat && row.series == SERIES[0].name;
    rows.iter().filter(of_first).map(|row| lines_of_attack(row, rows)).collect()
}

fn lines_of_attack(row: &Row<'_>, rows: &[Row<'_>]) -> String {
    let same: Vec<&Row<'_>> = rows.iter().filter(|other| other.is_of_same_attack(row)).collect();
    if same.len() == SERIES.len() && same.iter().all(|other| other.found == row.found) {
        return row.line();
    }
    same.iter().map(|row| row.line_of_series()).collect()
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 2] =
        ["swapped | two | kernel | open | it | EIO", "swapped | two | scan | read | it | no"];

    fn rows(first: [&'static str; 2], second: [&'static str; 2]) -> Vec<Row<'static>> {
        let of =
            |series, lines: [&'static str; 2]| lines.map(|line| Row::parse(series, line).unwrap());
        [of(SERIES[0].name, first), of(SERIES[1].name, second)].concat()
    }

    #[test]
    fn what_is_the_same_with_every_kernel_is_told_once() {
        let text = render(&rows(LINES, LINES));
        let expected = "\n### Swapped\n\n| attack | enforcement | detected | by | message |\n\
             |---|---|---|---|---|\n| two | kernel | open | it | EIO |\n| two | scan | read | it | no |\n\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_differs_is_told_of_each() {
        let rows = rows(LINES, ["swapped | two | kernel | read | it | EIO", LINES[1]]);
        let text = render(&rows);
        assert!(
            text.contains("| two | kernel, 6.12 | open | it | EIO |\n| two | kernel, 7.3 | read |")
        );
        assert!(text.contains("\n| two | scan | read | it | no |\n"));
        assert!(rows.iter().all(|row| row.is_in(&text)));
        let other = Row { found: "never", ..rows[0].clone() };
        assert!(!other.is_in(&text));
    }

    #[test]
    fn a_line_with_too_few_fields_is_no_finding() {
        let error = Row::parse(SERIES[0].name, "swapped | two | kernel").unwrap_err();
        assert_eq!(error.to_string(), "no finding: swapped | two | kernel");
    }
}
