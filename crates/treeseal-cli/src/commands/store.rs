use std::path::Path;

use serde_json::json;
use treeseal::store::{Finding, FsckReads, GcOptions, Severity};
use treeseal::trust::Sequence;
use treeseal::{VerityError, upkeep};

use crate::args::{Fsck, Gc, Stat, Store};
use crate::environment;
use crate::output::{Failure, Outcome, Output};

pub(super) fn run(arguments: &Store, output: &mut Output) -> Result<Outcome, Failure> {
    match arguments {
        Store::Fsck(arguments) if arguments.repair => repair(arguments, output),
        Store::Fsck(arguments) => fsck(arguments, output),
        Store::Gc(arguments) => gc(arguments, output),
        Store::Stat(arguments) => stat(arguments, output),
    }
}

fn fsck(arguments: &Fsck, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let mut findings = Vec::new();
    let report = output.watch("store fsck", |_, progress| {
        upkeep::fsck(&locations, reads(arguments), progress, &mut |finding| findings.push(finding))
    })?;
    findings.sort_by(|a, b| a.path.cmp(&b.path));
    for finding in &findings {
        write_finding(finding, "found", output)?;
    }
    if output.is_json() {
        output.json(&json!({
            "objects": report.objects, "images": report.images, "bytes": report.bytes,
            "enforced": report.enforced, "unenforced": report.unenforced,
            "damage": report.damage, "strays": report.strays,
            "unreferenced": report.unreferenced,
        }))?;
    } else {
        output.line(format!(
            "checked {} objects and {} images, {} bytes: {} damaged or missing, {} stray, {} \
             unreferenced",
            report.objects,
            report.images,
            report.bytes,
            report.damage,
            report.strays,
            report.unreferenced
        ))?;
        let total = report.objects.saturating_add(report.images);
        let refusal = upkeep::verity_refusal(&locations)?;
        output.line(verity_line(report.enforced, total, refusal.as_ref()))?;
    }
    Ok(if report.is_sound() { Outcome::Yes } else { Outcome::No })
}

fn repair(arguments: &Fsck, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let copies: Vec<&Path> = arguments.from.iter().map(AsRef::as_ref).collect();
    let report = output.watch("store fsck", |_, progress| {
        upkeep::repair(&locations, &copies, reads(arguments), progress)
    })?;
    for finding in &report.healed {
        write_finding(finding, "healed", output)?;
    }
    for finding in &report.remaining {
        write_finding(finding, "remains", output)?;
    }
    let is_damage = |finding: &&Finding| finding.problem.severity() == Severity::Damage;
    let damage = report.remaining.iter().filter(is_damage).count();
    if output.is_json() {
        output.json(&json!({
            "healed": report.healed.len(), "remaining": report.remaining.len(),
            "damage": damage, "unreadable": report.unreadable,
        }))?;
    } else {
        output.line(format!("healed {}, {damage} damaged or missing", report.healed.len()))?;
    }
    Ok(if damage == 0 { Outcome::Yes } else { Outcome::No })
}

const fn reads(arguments: &Fsck) -> FsckReads {
    if arguments.read { FsckReads::All } else { FsckReads::Unenforced }
}

/// For how many objects and images the kernel vouches, and why for no more.
fn verity_line(enforced: u64, total: u64, refusal: Option<&VerityError>) -> String {
    let line = format!("fs-verity on {enforced} of {total} objects and images");
    match refusal {
        _ if enforced >= total => line,
        Some(refusal) => format!("{line}: {refusal}"),
        None => format!("{line}; `treeseal store fsck --repair` enables it on the others"),
    }
}

fn write_finding(finding: &Finding, state: &str, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&json!({
            "path": finding.path,
            "problem": finding.problem.to_string(),
            "severity": severity(finding.problem.severity()),
            "state": state,
        }));
    }
    output.line(if state == "found" { finding.to_string() } else { format!("{state}: {finding}") })
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Damage => "damage",
        Severity::Unenforced => "unenforced",
        Severity::Stray => "stray",
        Severity::Unreferenced => "unreferenced",
    }
}

fn gc(arguments: &Gc, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let options = GcOptions { dry_run: arguments.dry_run };
    let mut removals = Vec::new();
    let report = output.watch("store gc", |_, progress| {
        upkeep::gc(&locations, options, progress, &mut |removal| removals.push(removal))
    })?;
    for removal in &removals {
        if output.is_json() {
            output.json(&json!({
                "part": removal.part.to_string(),
                "digest": removal.digest.to_hex(),
                "bytes": removal.size,
            }))?;
        } else {
            output.line(format!("{} {} {}", removal.part, removal.digest, removal.size))?;
        }
    }
    let done = if arguments.dry_run { "would remove" } else { "removed" };
    if output.is_json() {
        output.json(&json!({
            "dryRun": arguments.dry_run, "images": report.images, "objects": report.objects,
            "sidecars": report.sidecars, "bytes": report.bytes,
        }))?;
    } else {
        output.line(format!(
            "{done} {} images, {} objects, {} sidecars: {} bytes",
            report.images, report.objects, report.sidecars, report.bytes
        ))?;
    }
    Ok(Outcome::Yes)
}

fn stat(arguments: &Stat, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let stat = upkeep::stat(&locations)?;
    let usage = stat.usage;
    if output.is_json() {
        let streams = stat.streams.iter().map(|(seals, current)| {
            json!({
                "stream": seals.stream.to_string(),
                "sequences": seals.sequences.iter().map(|s| s.number()).collect::<Vec<_>>(),
                "current": current.map(Sequence::number),
            })
        });
        output.json(&json!({
            "objects": {
                "count": usage.objects, "bytes": usage.object_bytes,
                "withVerity": usage.objects_with_verity,
            },
            "sidecars": { "count": usage.sidecars, "bytes": usage.sidecar_bytes },
            "images": {
                "count": usage.images, "bytes": usage.image_bytes,
                "withVerity": usage.images_with_verity,
            },
            "verityRefusal": stat.verity_refusal.map(|refusal| refusal.to_string()),
            "streams": streams.collect::<Vec<_>>(),
        }))?;
        return Ok(Outcome::Yes);
    }
    output.line(format!("objects  {:>9}  {:>15} bytes", usage.objects, usage.object_bytes))?;
    output.line(format!("sidecars {:>9}  {:>15} bytes", usage.sidecars, usage.sidecar_bytes))?;
    output.line(format!("images   {:>9}  {:>15} bytes", usage.images, usage.image_bytes))?;
    let enforced = usage.objects_with_verity.saturating_add(usage.images_with_verity);
    let total = usage.objects.saturating_add(usage.images);
    output.line(verity_line(enforced, total, stat.verity_refusal.as_ref()))?;
    for (seals, current) in &stat.streams {
        let current = current.map_or("none".to_owned(), |sequence| sequence.to_string());
        output.line(format!(
            "stream   {}: {} seals, current {current}",
            seals.stream,
            seals.sequences.len()
        ))?;
    }
    Ok(Outcome::Yes)
}
