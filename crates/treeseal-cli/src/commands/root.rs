//! Trust roots: drafts, ceremonies, and what there is.

mod change;
mod show;

use serde_json::json;
use treeseal::history;
use treeseal::trust::TrustRoot;

use super::sign;
use crate::args::{Root, RootHistory, RootPin, RootVerify};
use crate::environment;
use crate::output::{Failure, Outcome, Output};

pub(super) fn run(arguments: &Root, output: &mut Output) -> Result<Outcome, Failure> {
    match arguments {
        Root::Init(arguments) => change::init(arguments, output),
        Root::AddKey(arguments) => change::add_key(arguments, output),
        Root::RemoveKey(arguments) => change::remove_key(arguments, output),
        Root::Threshold(arguments) => change::threshold(arguments, output),
        Root::Allow(arguments) => change::allow(arguments, output),
        Root::Disallow(arguments) => change::disallow(arguments, output),
        Root::Floor(arguments) => change::floor(arguments, output),
        Root::Revoke(arguments) => change::revoke(arguments, output),
        Root::Expire(arguments) => change::expire(arguments, output),
        Root::Policy(arguments) => change::policy(arguments, output),
        Root::Sign(arguments) => sign::sign(arguments, output),
        Root::Show(arguments) => show::run(arguments, output),
        Root::Verify(arguments) => verify(arguments, output),
        Root::History(arguments) => history(arguments, output),
        Root::Pin(arguments) => pin(arguments, output),
    }
}

fn verify(arguments: &RootVerify, output: &mut Output) -> Result<Outcome, Failure> {
    let chain = treeseal::verify_chain(&arguments.files)?;
    write_chain(&chain, output)
}

fn history(arguments: &RootHistory, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    write_chain(&history::root_chain(&locations)?, output)
}

fn write_chain(chain: &[TrustRoot], output: &mut Output) -> Result<Outcome, Failure> {
    let mut before: Option<&TrustRoot> = None;
    for root in chain {
        if output.is_json() {
            output.json(&json!({
                "version": root.version(),
                "expires": root.expires().to_string(),
                "signers": root.signers().key_ids().map(|key| key.to_string()).collect::<Vec<_>>(),
            }))?;
        } else {
            let signers = root.signers().key_ids().map(|key| sign::named(Some(root), &key));
            let signers = signers.collect::<Vec<_>>().join(", ");
            let (version, expires) = (root.version(), root.expires());
            output.line(format!("{version} expires {expires}, signed by {signers}"))?;
            for line in
                before.map_or(Vec::new(), |b| show::differences(b.content(), root.content()))
            {
                output.line(format!("  {line}"))?;
            }
        }
        before = Some(root);
    }
    Ok(Outcome::Yes)
}

fn pin(arguments: &RootPin, output: &mut Output) -> Result<Outcome, Failure> {
    let locations = environment::locations(&arguments.places)?;
    let root = treeseal::pin_root(&locations, &arguments.file)?;
    let path = locations.root.display();
    if output.is_json() {
        output.json(&json!({ "version": root.version(), "root": locations.root }))?;
    } else {
        output
            .line(format!("version {} of the trust root is pinned in `{path}`", root.version()))?;
    }
    Ok(Outcome::Yes)
}
