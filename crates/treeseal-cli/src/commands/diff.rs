use std::path::Path;

use serde_json::{Value, json};
use treeseal::TreeName;
use treeseal::tree::diff::{Change, Difference, Field};
use treeseal::tree::display_path;

use crate::args::Diff;
use crate::environment;
use crate::output::{Failure, Outcome, Output, json_path};

pub(super) fn run(arguments: &Diff, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let (first, second) = (tree_name(&arguments.first)?, tree_name(&arguments.second)?);
    let mut outcome = Outcome::Yes;
    let mut written = Ok(());
    output.watch("diff", |output, progress| {
        treeseal::compare(&locations, &first, &second, progress, &mut |difference| {
            outcome = Outcome::No;
            if written.is_ok() {
                written = write(&difference, output);
            }
        })
    })?;
    written?;
    Ok(outcome)
}

fn tree_name(name: &Path) -> Result<TreeName, Failure> {
    TreeName::new(name).ok_or_else(|| {
        Failure::usage(
            format!("`{}` is neither a stream nor a path", name.display()),
            "begin a path with `/` or `./`",
        )
    })
}

fn write(difference: &Difference, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&as_json(difference));
    }
    let path = display_path(&difference.path);
    output.line(match &difference.change {
        Change::Removed(file_type) => format!("- {path}: {file_type} only in the first"),
        Change::Added(file_type) => format!("+ {path}: {file_type} only in the second"),
        Change::Field { field, first, second } => {
            let name = match field {
                Field::Xattr(name) => format!("xattr {}", name.escape_ascii()),
                field => field.name().to_owned(),
            };
            format!("~ {path}: {name} {} -> {}", text(first.as_deref()), text(second.as_deref()))
        }
    })
}

/// A value for a person; long ones, such as binary attributes, are cut.
fn text(value: Option<&[u8]>) -> String {
    const SHOWN: usize = 160;
    match value {
        None => "(none)".to_owned(),
        Some(value) if value.len() > SHOWN => {
            format!("{}... ({} bytes)", value[..SHOWN].escape_ascii(), value.len())
        }
        Some(value) => value.escape_ascii().to_string(),
    }
}

fn as_json(difference: &Difference) -> Value {
    let path = json_path(&difference.path);
    match &difference.change {
        Change::Removed(file_type) => {
            json!({ "path": path, "change": "removed", "type": file_type.to_string() })
        }
        Change::Added(file_type) => {
            json!({ "path": path, "change": "added", "type": file_type.to_string() })
        }
        Change::Field { field, first, second } => json!({
            "path": path,
            "change": field.name(),
            "name": match field {
                Field::Xattr(name) => json_path(name),
                _ => Value::Null,
            },
            "first": first.as_deref().map(json_path),
            "second": second.as_deref().map(json_path),
        }),
    }
}
