//! Every attack against every enforcement: what stops it, when, and what it says.
//!
//! The findings become the table of `docs/threat-model.md`. An attack that gives a reader anything else
//! than the newest release fails the test.

mod enforcement;
mod finding;
mod manifest;
mod unchecked;
mod world;

use crate::guest::Guest;
use anyhow::{Context, Result, ensure};
use enforcement::{ENFORCEMENTS, Enforcement};
use finding::Finding;
use treeseal_testkit::attacks::{Attack, Victim, attacks};
use world::World;

/// Carries out each attack on a victim of its own, and has each enforcement face it.
pub(super) fn attacks_are_stopped(guest: &Guest) -> Result<()> {
    let world = World::prepare(guest)?;
    unharmed(&world)?;
    let mut failed = 0;
    for attack in attacks() {
        let faced = face(&world, attack);
        match faced.with_context(|| format!("{}: {}", attack.threat, attack.way)) {
            Ok(findings) => tell(attack, &findings)?,
            Err(error) => {
                println!("{error:#}");
                failed += 1;
            }
        }
    }
    ensure!(failed == 0, "{failed} attacks got through, or ended as is not known of any");
    Ok(())
}

/// Without an attack all is right, and another release is told from the newest: what the attacks are
/// compared with can be met and missed.
fn unharmed(world: &World) -> Result<()> {
    world.with_victim(|victim| {
        let older = world.newest.compare(&victim.tree(1));
        ensure!(older.is_err(), "the release before is taken for the newest");
        for enforcement in ENFORCEMENTS {
            let finding = (enforcement.face)(world, victim)?;
            ensure!(finding.is_harmless(), "without an attack: {finding:?}");
        }
        Ok(())
    })
}

fn tell(attack: &Attack, findings: &[Finding]) -> Result<()> {
    let mut told = ENFORCEMENTS.iter().zip(findings);
    told.try_for_each(|(enforcement, finding)| finding.tell(attack, enforcement.name))
}

fn face(world: &World, attack: &Attack) -> Result<Vec<Finding>> {
    world.with_victim(|victim: &Victim<'_>| {
        (attack.carry_out)(victim);
        let face =
            |enforcement: &Enforcement| (enforcement.face)(world, victim).context(enforcement.name);
        ENFORCEMENTS.iter().map(face).collect()
    })
}
