use serde_json::{Value, json};
use treeseal::ostree::{
    CheckedDeployment, CommitSeal, DeployedImage, DeploymentRequest, Protection, Signature,
    check_deployment,
};

use super::super::stream;
use super::{judges, key_text};
use crate::args::{OstreeCheckDeployment, RequiredProtection};
use crate::output::{Failure, Outcome, Output, shown_name};

pub(super) fn run(
    arguments: &OstreeCheckDeployment,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let locations = judges(&arguments.judges, arguments.stream.is_some())?;
    let request = DeploymentRequest {
        sysroot: arguments.sysroot.clone(),
        deployment: arguments.deployment.clone(),
        stream: arguments.stream.as_deref().map(stream).transpose()?,
        keys: arguments.key.clone(),
    };
    let checked = check_deployment(&locations, &request)?;
    if output.is_json() {
        output.json(&to_json(&checked))?;
    } else {
        report(&checked, output)?;
    }
    Ok(if holds(&checked, arguments.require) { Outcome::Yes } else { Outcome::No })
}

fn holds(checked: &CheckedDeployment, required: Option<RequiredProtection>) -> bool {
    let has = |required| checked.protection() >= Some(required);
    match required {
        None => checked.contradictions().is_empty(),
        Some(RequiredProtection::Verity) => has(Protection::Verity),
        Some(RequiredProtection::Signed) => has(Protection::Signed),
        Some(RequiredProtection::Sealed) => checked.is_sealed(),
    }
}

fn report(checked: &CheckedDeployment, output: &mut Output) -> Result<(), Failure> {
    let mut line = |name: &str, text: &str| output.line(format!("  {name:<13} {text}"));
    let deployment = checked.deployment.path();
    line("deployment", &deployment.display().to_string())?;
    line("boot entry", &entry_text(checked))?;
    line("configured", &format!("composefs.enabled={}", checked.configured.name()))?;
    if let Some(value) = &checked.command_line {
        line("command line", &format!("ostree.prepare-root.composefs={}", shown_name(value)))?;
    }
    line("in force", checked.effective().name())?;
    line("image", &checked.image.as_ref().map_or("none".to_owned(), image_text))?;
    if let Some(image) = &checked.image {
        let objects = &image.objects;
        let text = format!("{} with fs-verity, {} without", objects.checked, objects.unchecked);
        line("objects", &text)?;
    }
    line("commit", &signature_text(&checked.signature))?;
    if let Some(seal) = &checked.seal {
        line("seal", &seal_text(seal))?;
    }
    line("protected by", protection_name(checked).unwrap_or("nothing"))?;
    for contradiction in checked.contradictions() {
        line("wrong", &contradiction.to_string())?;
    }
    for gap in checked.gaps() {
        line("not covered", &gap.to_string())?;
    }
    Ok(())
}

fn entry_text(checked: &CheckedDeployment) -> String {
    checked
        .entry
        .as_ref()
        .map_or_else(|| "none leads to it".to_owned(), |entry| entry.path.display().to_string())
}

fn image_text(image: &DeployedImage) -> String {
    let verity = if image.has_verity { "with fs-verity" } else { "without fs-verity" };
    let stated = match image.is_stated {
        Some(true) => "as the commit states",
        Some(false) => "not the one that the commit states",
        None => "the commit states none",
    };
    format!("{}, {verity}, {stated}", image.digest)
}

fn signature_text(signature: &Signature) -> String {
    match signature {
        Signature::NotAsked => "there are no keys to ask whether it is signed".to_owned(),
        Signature::Refused(error) => error.to_string(),
        Signature::By(keys) => {
            let keys: Vec<String> = keys.iter().map(key_text).collect();
            format!("signed by {}", keys.join(", "))
        }
    }
}

fn seal_text(seal: &Result<CommitSeal, treeseal::Error>) -> String {
    match seal {
        Ok(CommitSeal { statement, place, .. }) => {
            format!("{} sequence {}, {place}", statement.stream, statement.sequence)
        }
        Err(error) => treeseal::causes(error).join(": "),
    }
}

fn protection_name(checked: &CheckedDeployment) -> Option<&'static str> {
    checked.protection().map(|protection| match protection {
        Protection::Verity => "fs-verity",
        Protection::Signed => "fs-verity and the commit's signature",
    })
}

fn to_json(checked: &CheckedDeployment) -> Value {
    let image = checked.image.as_ref().map(|image| {
        json!({
            "digest": image.digest.to_string(),
            "fsverity": image.has_verity,
            "asStated": image.is_stated,
            "objectsWithVerity": image.objects.checked,
            "objectsWithoutVerity": image.objects.unchecked,
        })
    });
    let signers: Option<Vec<String>> = match &checked.signature {
        Signature::NotAsked => None,
        Signature::Refused(_) => Some(Vec::new()),
        Signature::By(keys) => Some(keys.iter().map(key_text).collect()),
    };
    let seal = checked.seal.as_ref().and_then(|seal| seal.as_ref().ok()).map(|seal| {
        let statement = &seal.statement;
        json!({"stream": statement.stream.as_str(), "sequence": statement.sequence.number()})
    });
    let wrong: Vec<_> = checked.contradictions().iter().map(ToString::to_string).collect();
    let not_covered: Vec<_> = checked.gaps().iter().map(ToString::to_string).collect();
    json!({
        "deployment": checked.deployment.path().display().to_string(),
        "commit": checked.deployment.commit.to_string(),
        "entry": checked.entry.as_ref().map(|entry| entry.path.display().to_string()),
        "configured": checked.configured.name(),
        "commandLine": checked.command_line,
        "inForce": checked.effective().name(),
        "image": image,
        "signers": signers,
        "seal": seal,
        "sealed": checked.is_sealed(),
        "protection": protection_name(checked),
        "wrong": wrong,
        "notCovered": not_covered,
    })
}
