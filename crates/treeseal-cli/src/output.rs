//! stdout is data; stderr is `error:`, `caused by:` and `hint:`.

#![allow(clippy::print_stderr, reason = "this is the place that prints")]

use std::io::{self, BufWriter, StdoutLock, Write};
use std::iter;
use std::process::ExitCode;

use serde_json::Value;
use treeseal::{Progress, causes};

use crate::progress::Display;

/// What a command that ran to its end has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, verified, the same: exit code 0.
    Yes,
    /// The answer is no: different, damaged. Exit code 1.
    No,
}

impl Outcome {
    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Yes => ExitCode::SUCCESS,
            Self::No => ExitCode::from(1),
        }
    }
}

/// Why a command did not run to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The library says so.
    #[error(transparent)]
    Treeseal(#[from] treeseal::Error),
    /// What was asked for cannot be meant.
    #[error("{message}")]
    Usage { message: String, hint: Option<String> },
    /// stdout took no more.
    #[error("cannot write to stdout")]
    Stdout(#[source] io::Error),
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: Some(hint.into()) }
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Treeseal(error) if error.answer() == treeseal::Answer::No => ExitCode::from(1),
            _ => ExitCode::from(2),
        }
    }

    fn is_closed_pipe(&self) -> bool {
        match self {
            Self::Stdout(error) | Self::Treeseal(treeseal::Error::Output(error)) => {
                error.kind() == io::ErrorKind::BrokenPipe
            }
            _ => false,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Treeseal(error) => error.hint(),
            Self::Usage { hint, .. } => hint.clone(),
            Self::Stdout(_) => None,
        }
    }
}

/// Where a command's data goes.
pub(crate) struct Output {
    stdout: BufWriter<Stdout>,
    json: bool,
    display: Display,
}

/// stdout, before which a line of progress gives way: both may be one terminal.
struct Stdout {
    /// Writes whole lines, so that the line of progress comes back below them and not behind a part.
    lines: StdoutLock<'static>,
    display: Display,
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.display.suspend(|| self.lines.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.display.suspend(|| self.lines.flush())
    }
}

impl Output {
    pub(crate) fn new(json: bool, display: Display) -> Self {
        let stdout = Stdout { lines: io::stdout().lock(), display: display.clone() };
        Self { stdout: BufWriter::with_capacity(64 * 1024, stdout), json, display }
    }

    /// Runs an operation that may take long, and shows how far it is.
    pub(crate) fn watch<T, E>(
        &mut self,
        operation: &str,
        run: impl FnOnce(&mut Self, &Progress) -> Result<T, E>,
    ) -> Result<T, E> {
        let display = self.display.clone();
        display.watch(operation, |progress| run(self, progress))
    }

    /// Whether data is wanted as JSON: one object, or one object a line for lists.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stdout.write_all(bytes).map_err(Failure::Stdout)
    }

    /// Writes a line of text.
    pub(crate) fn line(&mut self, line: impl AsRef<[u8]>) -> Result<(), Failure> {
        self.bytes(line.as_ref())?;
        self.bytes(b"\n")
    }

    /// Writes a line of JSON.
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(value.to_string())
    }

    /// A writer for the library, for data that is written as it is.
    pub(crate) fn as_write(&mut self) -> impl Write + '_ {
        &mut self.stdout
    }

    /// Writes out what is buffered.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.stdout.flush().map_err(Failure::Stdout)
    }

    /// Tells a person something that is no data, after the data that was written before it.
    pub(crate) fn note(&mut self, text: &str) {
        // A closed pipe is met again, and judged, when the rest is written.
        let _ = self.stdout.flush();
        self.display.suspend(|| eprintln!("{text}"));
    }

    /// Says why the command failed and what can be done, and gives the exit code.
    pub(crate) fn fail(&mut self, failure: &Failure) -> ExitCode {
        // A reader that has seen enough closes the pipe: no error worth a word.
        if failure.is_closed_pipe() {
            return failure.exit_code();
        }
        // What was written before the failure is data all the same.
        let _ = self.stdout.flush();
        for (label, text) in
            iter::once("error").chain(iter::repeat("caused by")).zip(causes(failure))
        {
            eprintln!("{label}: {text}");
        }
        if let Some(hint) = failure.hint() {
            eprintln!("hint: {hint}");
        }
        failure.exit_code()
    }
}

/// Bytes of a name or path as JSON text: UTF-8 as it is, other bytes as `\xHH` with backslashes
/// doubled, as dump text has them.
pub(crate) fn json_path(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\\') => Value::from(text),
        _ => Value::from(bytes.escape_ascii().to_string()),
    }
}

/// The name of a key as it is shown. Whoever made the draft of a root chose it: what would change how
/// the text around it looks is written out.
pub(crate) fn shown_name(name: &str) -> String {
    let turns_or_hides = |c: &char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let mut shown = String::new();
    for character in name.chars() {
        if character.is_control() || turns_or_hides(&character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_change_how_the_text_around_them_looks() {
        assert_eq!(shown_name("Größe 1"), "Größe 1");
        assert_eq!(shown_name("a\u{202e}b\u{200b}"), "a\\u{202e}b\\u{200b}");
    }
}
