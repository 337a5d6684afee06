//! How far a long operation is, on stderr: a line that a terminal rewrites, or lines of JSON.
//!
//! The operation counts, and a thread of its own looks at the counts a few times a second. No names
//! of files are shown, so nothing that a tree holds reaches the terminal.

#![allow(clippy::print_stderr, reason = "this is a place that prints")]

use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::json;
use treeseal::{Amount, Phase, Progress, Reached};

use crate::args;
use crate::environment;
use pace::Pace;

mod pace;

/// What is shown of operations. Clones share one line.
#[derive(Clone)]
pub(crate) enum Display {
    Nothing,
    Line(Arc<Line>),
    Json,
}

/// The line on the terminal, while it is there.
#[derive(Default)]
pub(crate) struct Line(Mutex<Option<ProgressBar>>);

/// An operation that takes less than this shows no line.
const PATIENCE: Duration = Duration::from_secs(1);

impl Display {
    pub(crate) fn new(wish: args::ShowProgress) -> Self {
        match wish {
            args::ShowProgress::Auto if environment::can_rewrite_lines() => {
                Self::Line(Arc::default())
            }
            args::ShowProgress::Auto | args::ShowProgress::Never => Self::Nothing,
            args::ShowProgress::Json => Self::Json,
        }
    }

    /// Runs an operation, and shows meanwhile how far it is.
    pub(crate) fn watch<T, E>(
        &self,
        operation: &str,
        run: impl FnOnce(&Progress) -> Result<T, E>,
    ) -> Result<T, E> {
        if matches!(self, Self::Nothing) {
            return run(&Progress::default());
        }
        let progress = &Progress::watched();
        let result = thread::scope(|scope| {
            let (_running, ended) = channel();
            // Where the system gives no thread, the work is done all the same.
            let _ = thread::Builder::new()
                .spawn_scoped(scope, move || self.follow(operation, progress, &ended));
            run(progress)
        });
        if let (Self::Json, Ok(_), Some(reached)) = (self, &result, progress.reached()) {
            write_json(operation, &State::at_the_end(reached));
        }
        result
    }

    /// Runs something that writes to the terminal, without the line in its way.
    pub(crate) fn suspend<R>(&self, write: impl FnOnce() -> R) -> R {
        match self {
            Self::Line(line) => line.suspend(write),
            Self::Nothing | Self::Json => write(),
        }
    }

    /// Shows how far an operation is until it has ended.
    fn follow(&self, operation: &str, progress: &Progress, ended: &Receiver<Infallible>) {
        let mut pace = Pace::default();
        while ended.recv_timeout(self.interval()) == Err(RecvTimeoutError::Timeout) {
            let Some(reached) = progress.reached() else { continue };
            pace.note(Instant::now(), &reached);
            let state = State::now(reached, &pace);
            match self {
                Self::Line(line) if reached.elapsed >= PATIENCE => line.draw(state.to_text()),
                Self::Json => write_json(operation, &state),
                Self::Line(_) | Self::Nothing => {}
            }
        }
        if let Self::Line(line) = self {
            line.clear();
        }
    }

    const fn interval(&self) -> Duration {
        match self {
            Self::Json => Duration::from_millis(500),
            Self::Line(_) | Self::Nothing => Duration::from_millis(200),
        }
    }
}

impl Line {
    fn draw(&self, text: String) {
        let mut shown = self.lock();
        let bar = shown.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{wide_msg}");
            ProgressBar::new_spinner()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        bar.set_message(text);
    }

    fn clear(&self) {
        if let Some(bar) = self.lock().take() {
            bar.finish_and_clear();
        }
    }

    fn suspend<R>(&self, write: impl FnOnce() -> R) -> R {
        match &*self.lock() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        // There is a line or there is none, at every moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is told of an operation at one moment.
struct State {
    reached: Reached,
    /// Bytes in a second, without those that did not have to be read.
    rate: Option<u64>,
    seconds_left: Option<u64>,
    is_done: bool,
}

impl State {
    fn now(reached: Reached, pace: &Pace) -> Self {
        let seconds_left = reached.total.and_then(|total| pace.seconds_for(left(total, &reached)));
        Self { reached, rate: pace.bytes_per_second(), seconds_left, is_done: false }
    }

    /// What was done is all that there was to do, and its rate is that of the whole.
    fn at_the_end(reached: Reached) -> Self {
        let total = Some(reached.done);
        let rate =
            pace::rate(reached.done.bytes.saturating_sub(reached.known_bytes), reached.elapsed);
        let reached = Reached { total, ..reached };
        Self { reached, rate, seconds_left: Some(0), is_done: true }
    }

    fn to_text(&self) -> String {
        let Reached { phase, done, total, .. } = self.reached;
        let (files, bytes) = (HumanCount(done.files), HumanBytes(done.bytes));
        let mut parts = Vec::new();
        match total {
            Some(total) => {
                parts.extend(percent(done, total).map(|percent| format!("{percent}%")));
                parts.push(format!("{bytes} of {}", HumanBytes(total.bytes)));
                parts.push(format!("{files} of {} files", HumanCount(total.files)));
            }
            None => parts.extend([bytes.to_string(), format!("{files} files")]),
        }
        parts.extend(self.rate.map(|rate| format!("{}/s", HumanBytes(rate))));
        let left = self.seconds_left.map(Duration::from_secs);
        parts.extend(left.map(|left| format!("{:#} left", HumanDuration(left))));
        format!("{}: {}", participle(phase), parts.join(", "))
    }
}

/// What is still to be done.
fn left(total: Amount, reached: &Reached) -> Amount {
    Amount {
        files: total.files.saturating_sub(reached.done.files),
        bytes: total.bytes.saturating_sub(reached.done.bytes),
    }
}

fn percent(done: Amount, total: Amount) -> Option<u128> {
    (u128::from(done.bytes) * 100).checked_div(u128::from(total.bytes))
}

fn write_json(operation: &str, state: &State) {
    let Reached { phase, done, known_bytes, total, .. } = state.reached;
    let line = json!({
        "operation": operation,
        "phase": code(phase),
        "files": done.files,
        "bytes": done.bytes,
        "knownBytes": known_bytes,
        "totalFiles": total.map(|total| total.files),
        "totalBytes": total.map(|total| total.bytes),
        "bytesPerSecond": state.rate,
        "secondsLeft": state.seconds_left,
        "done": state.is_done,
    });
    eprintln!("{line}");
}

const fn code(phase: Phase) -> &'static str {
    match phase {
        Phase::Read => "read",
        Phase::Commit => "commit",
        Phase::Image => "image",
        Phase::Sign => "sign",
        Phase::Check => "check",
        Phase::Heal => "heal",
        Phase::Extract => "extract",
        Phase::Remove => "remove",
    }
}

const fn participle(phase: Phase) -> &'static str {
    match phase {
        Phase::Read => "reading",
        Phase::Commit => "waiting for the disk",
        Phase::Image => "making the image",
        Phase::Sign => "signing",
        Phase::Check => "checking",
        Phase::Heal => "healing",
        Phase::Extract => "extracting",
        Phase::Remove => "removing",
    }
}
