use serde_json::json;
use treeseal::ostree::{
    CommitRequest, KeySources, SignedCommit, VerifiedCommit, sign_commit, verify_commit,
};
use treeseal::trust::PublicKey;

use super::sign::key_places;
use crate::args::{NamedCommit, Ostree, OstreeSign, OstreeVerify};
use crate::environment;
use crate::output::{Failure, Outcome, Output, shown_name};
use crate::passphrases::Sources;

mod check_deployment;

pub(super) fn run(arguments: &Ostree, output: &mut Output) -> Result<Outcome, Failure> {
    match arguments {
        Ostree::Verify(verify) => self::verify(verify, output),
        Ostree::Sign(sign) => self::sign(sign, output),
        Ostree::CheckDeployment(check) => check_deployment::run(check, output),
    }
}

fn verify(arguments: &OstreeVerify, output: &mut Output) -> Result<Outcome, Failure> {
    let state = environment::state(arguments.state.as_deref())?;
    let request = CommitRequest {
        repository: arguments.commit.repository.clone(),
        name: arguments.commit.name.clone(),
        keys: KeySources {
            trusted: arguments.key.clone(),
            revoked: arguments.revoked.clone(),
            directories: arguments.keys_dir.clone(),
        },
        image: arguments.image.clone(),
    };
    let verified =
        output.watch("verify", |_, progress| verify_commit(&state, &request, progress))?;
    match verified.is_first_contact {
        Some(true) => output.note(&format!(
            "nothing was remembered of `{}` in `{}`: any commit that is signed would have been accepted",
            arguments.commit.name,
            state.display()
        )),
        Some(false) => {}
        None => output.note(
            "the commit was named by its checksum: nothing was asked of refs and of newer commits",
        ),
    }
    report(&verified, output)?;
    Ok(Outcome::Yes)
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
    let stated = match commit.composefs_digest {
        Some(_) => "as the commit states",
        None => "the commit states none",
    };
    output.line(format!("  {:<10} {image}, {stated}", "image"))?;
    let (names, objects) = (verified.tree.entry_count(), verified.tree.digest_count());
    output.line(format!("  {:<10} scan: every byte of {objects} objects, {names} names", "checked"))
}

fn sign(arguments: &OstreeSign, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let places = key_places(&arguments.keys)?;
    let mut passphrases = Sources::new(&arguments.keys.passphrase);
    let NamedCommit { repository, name } = &arguments.commit;
    let signed = sign_commit(&locations, repository, name, &places, &mut passphrases)?;
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
