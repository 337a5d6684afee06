use clap::{Command, CommandFactory as _};

use crate::args::{Arguments, Docs};
use crate::output::{Failure, Outcome, Output};

pub(super) fn run(arguments: &Docs, output: &mut Output) -> Result<Outcome, Failure> {
    let mut command = Arguments::command();
    command.build();
    match arguments {
        Docs::CliReference => output.bytes(reference(&command).as_bytes())?,
        Docs::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut command, "treeseal", &mut text);
            output.bytes(&text)?;
        }
        Docs::Man { directory } => {
            clap_mangen::generate_to(command, directory).map_err(|error| {
                Failure::usage(
                    format!("cannot write to `{}`: {error}", directory.display()),
                    "name a directory that exists",
                )
            })?;
        }
    }
    Ok(Outcome::Yes)
}

fn reference(command: &Command) -> String {
    let mut text = String::from(
        "# Command line reference\n\nMade from the program's own help by `cargo xtask docs`.\n",
    );
    describe(command, &mut text);
    text
}

/// A section for a command, and those of the commands below it.
fn describe(command: &Command, text: &mut String) {
    let mut shown = command.clone().term_width(100);
    let help = shown.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    text.push_str(&format!("\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
    let visible = command.get_subcommands().filter(|below| !below.is_hide_set());
    for below in visible.filter(|below| below.get_name() != "help") {
        describe(below, text);
    }
}
