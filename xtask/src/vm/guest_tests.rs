//! The tests inside a machine: started, watched, and their outcomes shown.

use super::Outcome;
use super::host::{BOOT_TIME, Host};
use super::machine::{Machine, Next};
use super::report::{READY, Report};
use crate::process::output;
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// More than `crates/treeseal-vm/src/init.rs` lets a test have. When it has passed, the machine hangs.
const TEST_TIME: Duration = Duration::from_secs(300);

/// What a machine may do between two tests, and before it ends.
const PAUSE: Duration = Duration::from_secs(60);

/// The names of all tests that the program has: it runs on this machine as well.
pub(super) fn names(programs: &Path) -> Result<Vec<String>> {
    let names = output(Command::new(programs.join("treeseal-vm")).arg("list"))?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// Runs the tests in one machine. When a test ends it, or leaves something behind there, those after it
/// run in another one.
pub(super) fn run(host: &Host, names: &[&str]) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for number in 1.. {
        let Some(rest @ [first, ..]) = names.get(outcomes.len()..) else { break };
        let machine = host.machine_with_scratch_disks(&format!("tests-{number}"));
        let machine = machine.argument(format!("vm.tests={}", rest.join(","))).start()?;
        machine.wait_for(READY, BOOT_TIME)?;
        let found = Watch::new(host.series(), TEST_TIME).until_end(&machine);
        ensure!(!found.is_empty(), "{first} was not started{}", machine.last_lines());
        outcomes.extend(found);
    }
    Ok(outcomes)
}

/// What is known of a machine that runs tests.
struct Watch {
    series: &'static str,
    /// When the machine hangs if nothing more is heard of it.
    deadline: Instant,
    test_time: Duration,
    running: Option<Running>,
    outcomes: Vec<Outcome>,
}

struct Running {
    name: String,
    since: Instant,
    lines: Vec<String>,
    findings: Vec<String>,
}

impl Watch {
    fn new(series: &'static str, test_time: Duration) -> Self {
        let deadline = Instant::now() + PAUSE;
        Self { series, deadline, test_time, running: None, outcomes: Vec::new() }
    }

    /// The outcomes of the tests that were started. One that did not end has failed.
    fn until_end(mut self, machine: &Machine) -> Vec<Outcome> {
        let reason = loop {
            match machine.next(self.deadline) {
                Next::Line(line) => match Report::in_line(&line) {
                    Some(Report::End) => break "the machine ended the test",
                    Some(report) => self.take(&report),
                    None => {}
                },
                Next::End => break "the machine broke down",
                Next::Timeout => break "the machine hangs",
            }
        };
        if self.running.is_some() {
            self.add_lines(&format!("{reason}{}", machine.last_lines()));
            self.finish(false);
        }
        self.outcomes
    }

    fn take(&mut self, report: &Report) {
        match report {
            Report::Start(name) => self.start(name),
            Report::Output(line) => self.add_lines(line),
            Report::Kernel(line) => self.add_lines(&format!("kernel: {line}")),
            Report::Finding(line) => self.add_finding(line),
            Report::Ok(name) => self.finish(self.runs(name)),
            Report::Failed(_) => self.finish(false),
            Report::End => {}
        }
    }

    fn start(&mut self, name: &str) {
        let since = Instant::now();
        self.deadline = since + self.test_time;
        self.running =
            Some(Running { name: name.to_owned(), since, lines: Vec::new(), findings: Vec::new() });
    }

    fn runs(&self, name: &str) -> bool {
        self.running.as_ref().is_some_and(|running| running.name == name)
    }

    fn add_lines(&mut self, lines: &str) {
        if let Some(running) = &mut self.running {
            running.lines.extend(lines.lines().map(str::to_owned));
        }
    }

    fn add_finding(&mut self, line: &str) {
        if let Some(running) = &mut self.running {
            running.findings.push(line.to_owned());
        }
    }

    fn finish(&mut self, passed: bool) {
        if let Some(Running { name, since, lines, findings }) = self.running.take() {
            let failure = (!passed).then_some(lines);
            let outcome = Outcome::show(self.series, &name, since.elapsed(), failure);
            self.outcomes.push(Outcome { findings, ..outcome });
        }
        self.deadline = Instant::now() + PAUSE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::machine::shell;

    fn outcomes(name: &str, script: &str, test_time: Duration) -> Vec<Outcome> {
        let (machine, log) = shell(name, script);
        let outcomes = Watch::new("shell", test_time).until_end(&machine);
        std::fs::remove_file(log).unwrap();
        outcomes
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn each_test_that_was_started_has_an_outcome() {
        let script = "echo '@treeseal-vm start a'; echo '@treeseal-vm ok a';
             echo '@treeseal-vm start b'; echo '@treeseal-vm finding c | d'; echo '@treeseal-vm output why';
             echo '@treeseal-vm kernel oops'; echo '@treeseal-vm failed b';
             echo '@treeseal-vm end'; sleep 600";
        let found = outcomes("outcomes", script, LONG);
        let [a, b] = found.as_slice() else { panic!("two tests were started") };
        assert_eq!(a.failure, None);
        assert_eq!((&a.name[..], a.findings.len()), ("a", 0));
        assert_eq!((&b.name[..], &b.findings[..]), ("b", &["c | d".to_owned()][..]));
        assert_eq!(b.failure.as_deref().unwrap(), ["why", "kernel: oops"]);
    }

    #[test]
    fn a_machine_that_breaks_down_or_hangs_fails_the_test_that_ran() {
        let script = "echo '@treeseal-vm start a'; echo panic";
        let scripts = [
            ("breaks", script.to_owned(), LONG, "the machine broke down; "),
            (
                "hangs",
                format!("{script}; sleep 600"),
                Duration::from_millis(200),
                "the machine hangs; ",
            ),
        ];
        for (name, script, test_time, reason) in scripts {
            let found = outcomes(name, &script, test_time);
            let [a] = found.as_slice() else { panic!("one test was started") };
            let lines = a.failure.as_deref().unwrap();
            assert!(lines[0].starts_with(reason), "{lines:?}");
            assert_eq!(lines.last().unwrap(), "panic");
        }
    }

    #[test]
    fn the_end_of_a_test_that_does_not_run_is_no_success() {
        let script = "echo '@treeseal-vm start a'; echo '@treeseal-vm ok b'";
        let found = outcomes("other", script, LONG);
        assert!(found[0].failure.is_some());
    }
}
