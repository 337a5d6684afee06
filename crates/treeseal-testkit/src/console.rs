//! Runs the `console` blocks of a document as a reader would who types them in, one after the other,
//! in one shell and a fresh directory.
//!
//! A line that begins with `$ ` is a command; one that ends in a backslash goes on in the next line. A
//! command must succeed, or end as a comment at its end says: `# exit 1`. The other lines are what
//! it prints on either output. They must come in this order; lines between them may be left out,
//! and `...` stands for any text in a line.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A command of a document, and what the document says comes of it.
pub struct ConsoleStep {
    /// The command.
    pub command: String,
    /// The exit code that it must have.
    pub code: i32,
    shown: Vec<String>,
}

/// The steps of a document in Markdown.
pub fn console_steps(document: &str) -> Vec<ConsoleStep> {
    let mut steps: Vec<ConsoleStep> = Vec::new();
    let (mut in_block, mut goes_on) = (false, false);
    for line in document.lines() {
        match (line, steps.last_mut()) {
            ("```console", _) => (in_block, goes_on) = (true, false),
            ("```", _) => in_block = false,
            _ if !in_block => {}
            (_, Some(step)) if goes_on => {
                step.command = format!("{}\n{line}", step.command);
                goes_on = line.ends_with('\\');
            }
            (_, last) => match (line.strip_prefix("$ "), last) {
                (Some(command), _) => {
                    steps.push(ConsoleStep { command: command.into(), code: 0, shown: Vec::new() });
                    goes_on = line.ends_with('\\');
                }
                (None, Some(step)) => step.shown.push(line.to_owned()),
                (None, None) => panic!("output before the first command: {line}"),
            },
        }
    }
    for step in &mut steps {
        step.code = expected_code(&step.command);
    }
    steps
}

fn expected_code(command: &str) -> i32 {
    match command.rsplit_once("# exit ") {
        Some((_, code)) => code.parse().expect(command),
        None => 0,
    }
}

/// Runs the steps in a shell, whose directory and environment the caller chooses, and fails at the first
/// that does not do what the document says.
#[track_caller]
pub fn run_console(name: &str, steps: &[ConsoleStep], shell: &mut Command) {
    assert!(!steps.is_empty(), "{name} has no commands");
    let transcript = tempfile::tempdir().unwrap();
    let transcript = transcript.path();
    shell.args(["-c", &script(steps, transcript)]).stdin(Stdio::null()).status().unwrap();
    for (number, step) in steps.iter().enumerate() {
        let read = |what: &str| fs::read(transcript.join(format!("{number}.{what}")));
        let output = String::from_utf8_lossy(&read("output").unwrap()).into_owned();
        let code = read("code").ok().map(|code| String::from_utf8_lossy(&code).trim().to_owned());
        let (expected, command) = (step.code.to_string(), &step.command);
        assert!(
            code.as_ref() == Some(&expected),
            "{name}: expected exit code {expected}, found {code:?}\n$ {command}\n{output}"
        );
        if let Some(missing) = first_missing(&step.shown, &output) {
            panic!("{name}: the output has no line `{missing}` there\n$ {command}\n{output}");
        }
    }
}

/// Runs each command with its output and exit code in files of its number, up to the first whose
/// code is not the expected one.
fn script(steps: &[ConsoleStep], transcript: &Path) -> String {
    let mut script = String::from("set -u\n");
    for (number, ConsoleStep { command, code, .. }) in steps.iter().enumerate() {
        let file = transcript.join(number.to_string());
        let file = file.to_str().unwrap();
        script.push_str(&format!(
            "{{ {command}\n}} >'{file}.output' 2>&1\n\
             code=$?; echo $code >'{file}.code'; [ $code = {code} ] || exit\n"
        ));
    }
    script
}

/// The first of the lines that does not come after the ones before it.
fn first_missing<'s>(shown: &'s [String], output: &str) -> Option<&'s str> {
    let mut lines = output.lines();
    let mut comes = |line: &str| line == "..." || lines.any(|found| matches(line, found));
    shown.iter().map(String::as_str).find(|line| !comes(line))
}

/// Whether a line is the one shown, where `...` stands for any text.
fn matches(shown: &str, line: &str) -> bool {
    let mut parts = shown.split("...");
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_stand_for_any_text_and_the_rest_must_be_there() {
        assert!(matches("sealed a", "sealed a"));
        assert!(!matches("sealed a", "sealed a sequence 1"));
        assert!(matches("sealed ... 1", "sealed a sequence 1"));
        assert!(!matches("sealed ... 2", "sealed a sequence 1"));
        assert!(matches("... b ... d", "a b c d"));
        assert!(!matches("... d ... b", "a b c d"));
        assert!(!matches("ab...bc", "abc"));
    }

    #[test]
    fn shown_lines_must_come_in_their_order() {
        let missing = |shown: &[&str]| {
            let shown: Vec<String> = shown.iter().map(|line| (*line).to_owned()).collect();
            first_missing(&shown, "one\ntwo\nthree\n").map(str::to_owned)
        };
        assert_eq!(missing(&["one", "three"]), None);
        assert_eq!(missing(&["one", "...", "three"]), None);
        assert_eq!(missing(&["three", "one"]).as_deref(), Some("one"));
        assert_eq!(missing(&["four"]).as_deref(), Some("four"));
    }

    #[test]
    fn a_document_becomes_steps() {
        let steps = console_steps(
            "text\n```console\n$ one \\\n    more   # exit 1\nsaid\n$ two\n```\n$ no\n",
        );
        let commands: Vec<(&str, i32, &[String])> =
            steps.iter().map(|step| (&*step.command, step.code, &*step.shown)).collect();
        let said = ["said".to_owned()];
        assert_eq!(commands, [("one \\\n    more   # exit 1", 1, &said[..]), ("two", 0, &[])]);
    }
}
