use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use treeseal::Locations;
use treeseal::ostree::{
    CommitRequest, CommitSeal, DeployRequest, EmbeddedSeal, ImageCheck, KeySources, SealPlace,
    SealedEntry, SignedCommit, VerifiedCommit, VerifiedDeployment, attach_signature, embed_seal,
    sign_commit, verify_commit, verify_deployment, write_request,
};
use treeseal::source::ostree::Checksum;
use treeseal::trust::{PublicKey, Signers};

use super::sign::{key_places, named, read_signature};
use super::{note_first_contact, stream};
use crate::args::{
    EnforceImage, Judges, NamedCommit, Ostree, OstreeDeployVerify, OstreeEmbed, OstreeSign,
    OstreeVerify, Places,
};
use crate::environment;
use crate::output::{Failure, Outcome, Output, shown_name};
use crate::passphrases::Sources;

mod check_deployment;
mod export;
mod import;

pub(super) fn run(arguments: &Ostree, output: &mut Output) -> Result<Outcome, Failure> {
    match arguments {
        Ostree::Verify(verify) => self::verify(verify, output),
        Ostree::Sign(sign) => self::sign(sign, output),
        Ostree::Embed(embed) => self::embed(embed, output),
        Ostree::DeployVerify(verify) => deploy_verify(verify, output),
        Ostree::CheckDeployment(check) => check_deployment::run(check, output),
        Ostree::Import(import) => import::run(import, output),
        Ostree::Export(export) => export::run(export, output),
    }
}

fn verify(arguments: &OstreeVerify, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = judges(&arguments.judges, arguments.stream.is_some())?;
    let request = CommitRequest {
        repository: arguments.commit.repository.clone(),
        name: arguments.commit.name.clone(),
        keys: keys(arguments),
        stream: arguments.stream.as_deref().map(stream).transpose()?,
        image: arguments.image.clone(),
    };
    let verified =
        output.watch("verify", |_, progress| verify_commit(&locations, &request, progress))?;
    match verified.is_first_contact {
        Some(true) => output.note(&format!(
            "nothing was remembered of `{}` in `{}`: any commit for which somebody trusted vouches would \
             have been accepted",
            arguments.commit.name,
            locations.state.display()
        )),
        Some(false) => {}
        None => output.note(
            "the commit was named by its checksum: nothing was asked of refs and of newer commits",
        ),
    }
    if verified.seal.as_ref().is_some_and(|seal| seal.is_first_contact) {
        note_first_contact(&locations.state, output);
    }
    report(&verified, output)?;
    Ok(Outcome::Yes)
}

/// Where that lies by which commits are judged. There need be no place for a trust root that is not
/// needed.
fn judges(arguments: &Judges, needs_root: bool) -> Result<Locations, Failure> {
    let Judges { root, state, tpm } = arguments.clone();
    // What is verified lies in a repository, and nothing in a store.
    let mut places = Places { store: Some(PathBuf::new()), root, state, tpm };
    if !needs_root {
        places.root.get_or_insert_default();
    }
    environment::locations(&places)
}

/// The keys by which a commit must be signed. A seal is enough where none are named.
fn keys(arguments: &OstreeVerify) -> Option<KeySources> {
    let keys = KeySources {
        trusted: arguments.key.clone(),
        revoked: arguments.revoked.clone(),
        directories: arguments.keys_dir.clone(),
    };
    (arguments.stream.is_none() || keys != KeySources::default()).then_some(keys)
}

fn report(verified: &VerifiedCommit, output: &mut Output) -> Result<(), Failure> {
    let VerifiedCommit { checksum, commit, time, .. } = verified;
    let signers: Vec<String> = verified.signers.iter().map(key_text).collect();
    let image = verified.image.to_string();
    if output.is_json() {
        return output.json(&json!({
            "commit": checksum.to_string(),
            "version": commit.version,
            "timestamp": time.to_string(),
            "refs": commit.ref_binding,
            "signers": signers,
            "seal": verified.seal.as_ref().map(seal_as_json),
            "image": image,
            "imageStated": commit.composefs_digest.is_some(),
            "firstContact": verified.is_first_contact,
            "enforcement": "scan",
            "names": verified.tree.entry_count(),
            "objects": verified.tree.digest_count(),
        }));
    }
    output.line(format!("verified commit {checksum}"))?;
    let version = commit.version.as_deref().map_or("none".to_owned(), shown_name);
    output.line(format!("  {:<10} {version}", "version"))?;
    output.line(format!("  {:<10} {time}", "made"))?;
    for signer in &signers {
        output.line(format!("  {:<10} {signer}", "signed by"))?;
    }
    if let Some(seal) = &verified.seal {
        write_seal(seal, output)?;
    }
    let stated = match commit.composefs_digest {
        Some(_) => "as the commit states",
        None => "the commit states none",
    };
    output.line(format!("  {:<10} {image}, {stated}", "image"))?;
    let (names, objects) = (verified.tree.entry_count(), verified.tree.digest_count());
    output.line(format!("  {:<10} scan: every byte of {objects} objects, {names} names", "checked"))
}

fn write_seal(seal: &CommitSeal, output: &mut Output) -> Result<(), Failure> {
    let CommitSeal { statement, root, place, .. } = seal;
    let (stream, sequence) = (&statement.stream, statement.sequence);
    output.line(format!("  {:<10} {stream} sequence {sequence}, {place}", "sealed"))?;
    for key in statement.signers().iter().flat_map(Signers::key_ids) {
        output.line(format!("  {:<10} {}", "sealed by", named(Some(root), &key)))?;
    }
    let (version, expires) = (statement.root_version(), root.expires());
    output.line(format!("  {:<10} version {version}, expires {expires}", "root"))
}

fn seal_as_json(seal: &CommitSeal) -> Value {
    let statement = &seal.statement;
    let signers = statement.signers().iter().flat_map(Signers::key_ids);
    json!({
        "stream": statement.stream.to_string(),
        "sequence": statement.sequence.number(),
        "place": match seal.place {
            SealPlace::Beside => "beside",
            SealPlace::Store(_) => "store",
        },
        "signers": signers.map(|key| key.to_string()).collect::<Vec<_>>(),
        "rootVersion": statement.root_version(),
        "firstContact": seal.is_first_contact,
    })
}

fn embed(arguments: &OstreeEmbed, output: &mut Output) -> Result<Outcome, Failure> {
    let NamedCommit { repository, name } = &arguments.commit;
    let locations = environment::locations_beside(&arguments.places, repository)?;
    let stream = stream(&arguments.stream)?;
    let embedded = output.watch("embed", |_, progress| {
        embed_seal(&locations, repository, name, &stream, progress)
    })?;
    let EmbeddedSeal { checksum, statement } = embedded;
    let sequence = statement.sequence;
    if output.is_json() {
        output.json(&json!({
            "commit": checksum.to_string(),
            "stream": stream.to_string(),
            "sequence": sequence.number(),
        }))?;
    } else {
        output.line(format!("{stream} sequence {sequence} is beside commit {checksum}"))?;
    }
    Ok(Outcome::Yes)
}

fn deploy_verify(arguments: &OstreeDeployVerify, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = judges(&arguments.judges, true)?;
    let (check, enforcement) = match arguments.enforce {
        EnforceImage::Kernel => (ImageCheck::Kernel, "kernel"),
        EnforceImage::Scan => (ImageCheck::Scan, "scan"),
    };
    let request = DeployRequest {
        sysroot: arguments.sysroot.clone(),
        stream: stream(&arguments.stream)?,
        deployment: arguments.deployment.clone(),
        check,
    };
    let verified = verify_deployment(&locations, &request)?;
    if check == ImageCheck::Scan {
        output
            .note("the images were read now: nothing here says that the kernel checks them later");
    }
    for file in &verified.others {
        output
            .note(&format!("`{}` boots no deployment: nothing was asked of it", shown_name(file)));
    }
    if output.is_json() {
        output.json(&deployment_as_json(&verified, enforcement))?;
    } else {
        write_deployment(&verified, enforcement, output)?;
    }
    Ok(Outcome::Yes)
}

fn write_deployment(
    verified: &VerifiedDeployment,
    enforcement: &str,
    output: &mut Output,
) -> Result<(), Failure> {
    output.line(format!("verified {}", verified.deployment.path().display()))?;
    write_seal(&verified.seal, output)?;
    output.line(format!("  {:<10} {}, {enforcement}", "image", verified.image))?;
    for SealedEntry { file, deployment, sequence } in &verified.entries {
        let file = shown_name(file);
        let path = deployment.path();
        output.line(format!("  {:<10} {file} sequence {sequence}, {}", "boots", path.display()))?;
    }
    Ok(())
}

fn deployment_as_json(verified: &VerifiedDeployment, enforcement: &str) -> Value {
    let entry = |entry: &SealedEntry| {
        json!({
            "file": entry.file,
            "deployment": entry.deployment.path(),
            "sequence": entry.sequence.number(),
        })
    };
    json!({
        "deployment": verified.deployment.path(),
        "commit": verified.deployment.commit.to_string(),
        "image": verified.image.to_string(),
        "enforcement": enforcement,
        "seal": seal_as_json(&verified.seal),
        "entries": verified.entries.iter().map(entry).collect::<Vec<_>>(),
        "others": verified.others,
    })
}

fn sign(arguments: &OstreeSign, output: &mut Output) -> Result<Outcome, Failure> {
    let NamedCommit { repository, name } = &arguments.commit;
    match (&arguments.unsigned, &arguments.attach, &arguments.by) {
        (Some(file), ..) => {
            let checksum = write_request(repository, name, file)?;
            report_request(&checksum, file, output)
        }
        (None, Some(signature), Some(keys)) => {
            let signature = read_signature(signature)?;
            report_signed(&attach_signature(repository, name, keys, &signature)?, output)
        }
        _ => {
            let locations = environment::locations(&arguments.places)?;
            let places = key_places(&arguments.keys)?;
            let mut passphrases = Sources::new(&arguments.keys.passphrase);
            let signed = sign_commit(&locations, repository, name, &places, &mut passphrases)?;
            report_signed(&signed, output)
        }
    }
}

fn report_request(
    checksum: &Checksum,
    file: &Path,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    if output.is_json() {
        output.json(&json!({ "commit": checksum.to_string(), "unsigned": file }))?;
        return Ok(Outcome::Yes);
    }
    output.line(format!("commit {checksum} waits for a signature over {}", file.display()))?;
    output.note(&format!(
        "`openssl pkeyutl -sign -rawin -inkey KEY -in {} -out SIGNATURE` makes one, and `treeseal ostree \
         sign` with --attach SIGNATURE --by PUBLIC-KEY adds it",
        file.display()
    ));
    Ok(Outcome::Yes)
}

fn report_signed(signed: &SignedCommit, output: &mut Output) -> Result<Outcome, Failure> {
    let SignedCommit { checksum, signers } = signed;
    let signers: Vec<String> = signers.iter().map(key_text).collect();
    if output.is_json() {
        output.json(&json!({ "commit": checksum.to_string(), "signers": signers }))?;
        return Ok(Outcome::Yes);
    }
    output.line(format!("signed commit {checksum}"))?;
    for signer in &signers {
        output.line(format!("  {:<10} {signer}", "signed by"))?;
    }
    Ok(Outcome::Yes)
}

/// A key in one line: the content of its PEM.
fn key_text(key: &PublicKey) -> String {
    key.to_pem().lines().filter(|line| !line.starts_with('-')).collect()
}
