//! Updates that a power cut ends at a random moment.

use super::sealed_disk::{RELEASES, SealedDisk};
use super::trial::{Settings, Trial};
use crate::random::Random;
use crate::vm::disk::CachedDisk;
use crate::vm::host::{BOOT_TIME, Host};
use crate::vm::machine::{Machine, Next};
use anyhow::{Context, Result, bail, ensure};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const CUTS: u32 = 20;

/// A seed to use instead of the time: the moments are the same again, the machine's speed is not.
const SEED: &str = "TREESEAL_VM_SEED";

/// What an update may take in emulation.
const UPDATE_TIME: Duration = Duration::from_secs(60);

/// What a system says when its update is done.
const UPDATED: &str = "said updated";

/// The power is cut at moments that are spread over an update, which marks the running tree good and
/// seals the next one; what was not flushed is lost. The next machine boots the tree that ran or the new
/// one, and the new one if the update was done. That machine is the next one to be cut off.
pub(in crate::vm) fn power_cuts_leave_the_old_tree_or_the_new_one(host: &Host) -> Result<()> {
    let updates = Updates::new(host)?;
    let mut random = Random::new(seed(host)?);
    let (mut allowed, whole) = updates.measure()?;
    let mut done = 0;
    for number in 0..CUTS {
        let (machine, release) = updates.begin(&allowed)?;
        let is_done = is_done_by(&machine, Instant::now() + moment(number, whole, &mut random))?;
        updates.cut(machine)?;
        done += u32::from(is_done);
        allowed = if is_done { release + 1 } else { release }..=release + 1;
    }
    let (_, last) = updates.begin(&allowed)?;
    let counted = last - RELEASES - 1;
    let series = host.series();
    println!(
        "vm {series}: of {CUTS} updates of {whole:.1?} {done} ended before the cut, and {counted} count"
    );
    Ok(())
}

/// One disk that machines boot from, each to update it.
struct Updates<'a> {
    trial: Trial<'a>,
    initramfs: PathBuf,
    disk: CachedDisk,
}

impl<'a> Updates<'a> {
    fn new(host: &'a Host) -> Result<Self> {
        let disk = SealedDisk::with_releases(host)?;
        let trial = Trial::new(host, "boot-power-cuts", &disk)?;
        let initramfs = trial.initramfs(&Settings::of(&disk))?;
        Ok(Self { initramfs, disk: CachedDisk::over(trial.disk()), trial })
    }

    /// A whole update: what may be booted after it, and how long it took.
    fn measure(&self) -> Result<(RangeInclusive<u32>, Duration)> {
        let (machine, release) = self.begin(&(RELEASES..=RELEASES))?;
        let since = Instant::now();
        machine.wait_for(UPDATED, UPDATE_TIME)?;
        let whole = since.elapsed();
        self.cut(machine)?;
        Ok((release + 1..=release + 1, whole))
    }

    /// A machine at the beginning of an update, and the release that it has booted.
    fn begin(&self, allowed: &RangeInclusive<u32>) -> Result<(Machine, u32)> {
        let words = ["vm.step=boot-update"];
        let machine = self.trial.start(&self.initramfs, self.disk.attach()?, &words)?;
        let line = machine.wait_for("said booted release ", BOOT_TIME)?;
        let (_, release) = line.rsplit_once(' ').context("a release is said")?;
        let release = release.parse().with_context(|| format!("no release: {line}"))?;
        ensure!(allowed.contains(&release), "release {release} was booted, not one of {allowed:?}");
        machine.wait_for("said updating", BOOT_TIME)?;
        Ok((machine, release))
    }

    fn cut(&self, machine: Machine) -> Result<()> {
        machine.cut_power()?;
        self.disk.settle()
    }
}

/// The moment of a cut: each has its part of an update and a tenth more, and is random in it.
fn moment(number: u32, whole: Duration, random: &mut Random) -> Duration {
    const PARTS: u32 = 1000;
    let inside = u32::try_from(random.below(PARTS.into())).unwrap_or(0);
    whole * 11 * (number * PARTS + inside) / (10 * CUTS * PARTS)
}

/// Lets the machine run until then; whether its update is done.
fn is_done_by(machine: &Machine, deadline: Instant) -> Result<bool> {
    let mut is_done = false;
    loop {
        match machine.next(deadline) {
            Next::Line(line) => is_done |= line.contains(UPDATED),
            Next::Timeout => return Ok(is_done),
            Next::End => bail!("the update failed{}", machine.last_lines()),
        }
    }
}

fn seed(host: &Host) -> Result<u64> {
    let seed = match std::env::var(SEED) {
        Ok(seed) => seed.parse().with_context(|| format!("{SEED}={seed}"))?,
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).context("no time")?.as_secs(),
    };
    println!("vm {}: power is cut at random: {SEED}={seed}", host.series());
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moments_are_spread_over_an_update_and_a_tenth_more() {
        let whole = Duration::from_secs(2);
        let mut random = Random::new(1);
        let part = whole * 11 / (10 * CUTS);
        for number in 0..CUTS {
            let moment = moment(number, whole, &mut random);
            assert!((part * number..part * (number + 1)).contains(&moment), "{number}: {moment:?}");
        }
    }
}
