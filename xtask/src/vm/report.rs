//! What the program in the machine reports on the console.
//!
//! The lines are described in `crates/treeseal-vm/src/report.rs`, which writes them.

const PREFIX: &str = "@treeseal-vm ";

/// The line of a machine that is prepared.
pub(super) const READY: &str = "@treeseal-vm ready";

/// What is reported of tests.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Report<'a> {
    Start(&'a str),
    Output(&'a str),
    Kernel(&'a str),
    Finding(&'a str),
    Ok(&'a str),
    Failed(&'a str),
    End,
}

impl<'a> Report<'a> {
    /// The report in a line of the console. What the kernel prints may come before it; a line that
    /// has none, or that is cut off, gives none.
    pub(super) fn in_line(line: &'a str) -> Option<Self> {
        let (_, report) = line.split_once(PREFIX)?;
        let (word, rest) = report.split_once(' ').unwrap_or((report, ""));
        match word {
            "start" => Some(Self::Start(rest)),
            "output" => Some(Self::Output(rest)),
            "kernel" => Some(Self::Kernel(rest)),
            "finding" => Some(Self::Finding(rest)),
            "ok" => Some(Self::Ok(rest)),
            "failed" => Some(Self::Failed(rest)),
            "end" => Some(Self::End),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_found_behind_what_else_is_printed() {
        let found = Report::in_line("[    5.1] alert@treeseal-vm ok some-test");
        assert_eq!(found, Some(Report::Ok("some-test")));
        assert_eq!(Report::in_line("@treeseal-vm output a b "), Some(Report::Output("a b ")));
        assert_eq!(Report::in_line("@treeseal-vm end"), Some(Report::End));
    }

    #[test]
    fn what_is_cut_off_is_no_report() {
        for line in ["ok some-test", "@treeseal-v", "@treeseal-vm o"] {
            assert_eq!(Report::in_line(line), None, "{line}");
        }
    }
}
