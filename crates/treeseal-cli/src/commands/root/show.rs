//! A trust root as lines that a person can check, and what two of them differ in.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use treeseal::draft;
use treeseal::pending::{self, Standing};
use treeseal::trust::{
    AtBoot, Extension, KeyId, Role, RoleName, RootContent, StreamPattern, StreamRule,
};

use crate::args::RootShow;
use crate::commands::sign;
use crate::environment;
use crate::output::{Failure, Outcome, Output, shown_name};

pub(super) fn run(arguments: &RootShow, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let (content, standing) = match &arguments.file {
        Some(file) => {
            let content = draft::read(file)?;
            (content, Some(pending::standing(&locations, file)?))
        }
        None => (draft::require_present_root(&locations)?.content().clone(), None),
    };
    if output.is_json() {
        output.json(&as_json(&content, standing.as_ref()))?;
        return Ok(Outcome::Yes);
    }
    output.line(format!("trust root, version {}", content.version))?;
    for line in table(&content) {
        output.line(format!("  {line}"))?;
    }
    match (&arguments.file, &standing) {
        (Some(file), Some(standing)) => sign::write_standing(file, standing, output),
        _ => Ok(Outcome::Yes),
    }
}

/// All that a root says, a line for each thing. Equal lines say the same.
pub(super) fn table(content: &RootContent) -> Vec<String> {
    let mut lines = vec![format!("expires {}", content.expires)];
    let root = content.role(&RoleName::root());
    let follows = |name: &RoleName, role: &Role| *name != RoleName::root() && Some(role) == root;
    for (name, role) in content.all_roles() {
        if follows(name, role) {
            lines.push(format!("role {name}: as root"));
            continue;
        }
        let keys = role.key_ids.len();
        lines.push(format!("role {name}: {} of {keys} keys must sign", role.threshold));
        for id in &role.key_ids {
            lines.push(format!("  {name}: {}", key(content, id)));
        }
    }
    let Some(extension) = &content.extension else {
        lines.push("nobody may seal anything".to_owned());
        return lines;
    };
    lines.extend(extension.streams.iter().map(|(pattern, rule)| stream(pattern, rule)));
    lines.extend(restrictions(extension));
    lines
}

/// What the second root has and the first has not, with `+`, and the other way round, with `-`.
pub(super) fn differences(before: &RootContent, after: &RootContent) -> Vec<String> {
    let (old, new) = (table(before), table(after));
    let (old_set, new_set) = (BTreeSet::from_iter(&old), BTreeSet::from_iter(&new));
    let gone = old.iter().filter(|line| !new_set.contains(line));
    let come = new.iter().filter(|line| !old_set.contains(line));
    let gone = gone.map(|line| format!("- {}", line.trim_start()));
    gone.chain(come.map(|line| format!("+ {}", line.trim_start()))).collect()
}

fn key(content: &RootContent, id: &KeyId) -> String {
    let name = content.extension.as_ref().and_then(|extension| extension.names.get(id));
    let algorithm = content.keys.get(id).map_or("unknown", |key| key.public().algorithm().name());
    let name = name.map_or(String::new(), |name| shown_name(name));
    format!("{id} {algorithm} {name}").trim_end().to_owned()
}

fn stream(pattern: &StreamPattern, rule: &StreamRule) -> String {
    let roles: Vec<&str> = rule.roles.iter().map(RoleName::as_str).collect();
    let mut line = format!(
        "streams {pattern}: sealed by {}, from sequence {}",
        roles.join(" and "),
        rule.min_sequence
    );
    if let Some(freshness) = &rule.freshness {
        line.push_str(&format!(
            ", fresh by {} with {} s of tolerance",
            freshness.role, freshness.tolerance
        ));
    }
    line
}

fn restrictions(extension: &Extension) -> Vec<String> {
    let mut lines = Vec::new();
    for (stream, sequences) in &extension.revoked_sequences {
        lines.extend(
            sequences.iter().map(|sequence| format!("revoked: {stream} sequence {sequence}")),
        );
    }
    lines.extend(extension.revoked.iter().map(|digest| format!("revoked: image {digest}")));
    if let Some(formats) = &extension.formats {
        lines.extend(formats.iter().map(|format| format!("images may be {format}")));
    }
    if let Some(algorithms) = &extension.algorithms {
        lines.extend(algorithms.iter().map(|algorithm| format!("digests may be {algorithm}")));
    }
    lines.push(match extension.at_boot {
        AtBoot::Refuse => "at boot: what has expired is refused".to_owned(),
        _ => "at boot: what has expired is reported".to_owned(),
    });
    lines
}

fn as_json(content: &RootContent, standing: Option<&Standing>) -> Value {
    let role = |role: &Role| {
        let keys = role.key_ids.iter().map(|id| {
            let extension = content.extension.as_ref();
            json!({
                "key": id.to_string(),
                "type": content.keys.get(id).map(|key| key.public().algorithm().name()),
                "name": extension.and_then(|extension| extension.names.get(id)),
            })
        });
        json!({ "threshold": role.threshold, "keys": keys.collect::<Vec<_>>() })
    };
    let roles = content.all_roles().map(|(name, entry)| (name.to_string(), role(entry)));
    let extension = content.extension.clone().unwrap_or_default();
    let rule = |rule: &StreamRule| {
        json!({
            "roles": rule.roles.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "minSequence": rule.min_sequence.number(),
            "freshness": rule.freshness.as_ref().map(|freshness| json!({
                "role": freshness.role.to_string(), "tolerance": freshness.tolerance,
            })),
        })
    };
    let streams =
        extension.streams.iter().map(|(pattern, entry)| (pattern.to_string(), rule(entry)));
    let revoked = extension.revoked_sequences.iter().map(|(stream, sequences)| {
        let numbers: Vec<u64> = sequences.iter().map(|sequence| sequence.number()).collect();
        (stream.to_string(), json!(numbers))
    });
    json!({
        "version": content.version,
        "expires": content.expires.to_string(),
        "roles": Value::Object(roles.collect()),
        "streams": Value::Object(streams.collect()),
        "revokedDigests": extension.revoked.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "revokedSequences": Value::Object(revoked.collect()),
        "formats": extension.formats.as_ref().map(|formats| {
            formats.iter().map(ToString::to_string).collect::<Vec<_>>()
        }),
        "algorithms": extension.algorithms.as_ref().map(|algorithms| {
            algorithms.iter().map(ToString::to_string).collect::<Vec<_>>()
        }),
        "atBoot": match extension.at_boot {
            AtBoot::Refuse => "refuse",
            _ => "warn",
        },
        "complete": standing.map(Standing::is_complete),
        "standing": standing.map(|standing| {
            standing.roles.iter().map(sign::role_as_json).collect::<Vec<_>>()
        }),
    })
}
