//! What the machine that started this one is told: lines on the console that begin with [`PREFIX`].
//!
//! | line | meaning |
//! |---|---|
//! | `ready` | the machine is prepared |
//! | `start NAME` | a test begins |
//! | `output TEXT` | a line that a failed test printed |
//! | `kernel TEXT` | a line that the kernel logged while it ran |
//! | `finding TEXT` | what a test that passed found out |
//! | `ok NAME`, `failed NAME` | its end |
//! | `said TEXT` | what a step of a scenario has to say |
//! | `end` | nothing more will come; the machine goes off |
//!
//! `xtask/src/vm/report.rs` reads them.

use std::fmt::Display;
use std::io::Write as _;

/// Begins every line, and is not to be expected elsewhere on a console.
const PREFIX: &str = "@treeseal-vm";

pub(crate) fn ready() {
    line("ready");
}

pub(crate) fn start(name: &str) {
    line(format_args!("start {name}"));
}

pub(crate) fn output(text: &str) {
    line(format_args!("output {text}"));
}

pub(crate) fn kernel(text: &str) {
    line(format_args!("kernel {text}"));
}

pub(crate) fn finding(text: &str) {
    line(format_args!("finding {text}"));
}

pub(crate) fn ok(name: &str) {
    line(format_args!("ok {name}"));
}

pub(crate) fn failed(name: &str) {
    line(format_args!("failed {name}"));
}

pub(crate) fn said(text: &str) {
    line(format_args!("said {text}"));
}

pub(crate) fn end() {
    line("end");
}

/// Writes the line with one system call, so that the kernel's own messages cannot come in between.
/// When even the console fails, silence is what tells of it.
fn line(text: impl Display) {
    let line = format!("{PREFIX} {text}\n");
    let mut console = std::io::stdout().lock();
    let _ = console.write_all(line.as_bytes()).and_then(|()| console.flush());
}
