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
    let (mut allowed, mut whole) = updates.measure()?;
    let mut done = 0;
    for number in 0..CUTS {
        let (machine, release) = updates.begin(&allowed)?;
        let moment = moment(number, whole, &mut random);
        let took = done_by(&machine, moment)?;
        updates.cut(machine)?;
        done += u32::from(took.is_some());
        // The machine that emulates has other work too, now more and now less.
        whole = took.unwrap_or(whole.max(moment));
        allowed = if took.is_some() { release + 1 } else { release }..=release + 1;
    }
    let (_, last) = updates.begin(&allowed)?;
    let counted = last - RELEASES - 1;
    println!(
        "vm {}: of {CUTS} updates {done} ended before the cut, and {counted} count",
        host.series()
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

/// The moment of a cut: each has its part of an update and a fifth more, and is random in it. The parts are
/// taken in an order in which early and late ones alternate.
fn moment(number: u32, whole: Duration, random: &mut Random) -> Duration {
    const INSIDE: u32 = 1000;
    /// Prime to the number of cuts, so that every part comes once.
    const STEP: u32 = 7;
    let part = number * STEP % CUTS;
    let inside = u32::try_from(random.below(INSIDE.into())).unwrap_or(0);
    whole * 6 * (part * INSIDE + inside) / (5 * CUTS * INSIDE)
}

/// Lets the machine run for so long; how long its update took, if it is done.
fn done_by(machine: &Machine, moment: Duration) -> Result<Option<Duration>> {
    let since = Instant::now();
    let mut took = None;
    loop {
        match machine.next(since + moment) {
            Next::Line(line) if line.contains(UPDATED) => took = Some(since.elapsed()),
            Next::Line(_) => {}
            Next::Timeout => return Ok(took),
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
    fn each_part_of_an_update_and_a_fifth_more_has_one_moment() {
        let whole = Duration::from_secs(2);
        let part = whole * 6 / (5 * CUTS);
        let mut random = Random::new(1);
        let mut moments: Vec<_> =
            (0..CUTS).map(|number| moment(number, whole, &mut random)).collect();
        moments.sort_unstable();
        for (number, moment) in (0..).zip(moments) {
            assert!((part * number..part * (number + 1)).contains(&moment), "{number}: {moment:?}");
        }
    }
}
