//! What mounting costs the processor.

use super::place::Place;
use crate::guest::{Guest, Verity, run};
use anyhow::{Context, Result, ensure};
use rustix::mount::{UnmountFlags, unmount};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Entries of the two trees.
const SMALL: usize = 4;
const LARGE: usize = 100_000;

/// Times are counted in hundredths of a second, so one mount is too short.
const MOUNTS: u32 = 20;

/// What a run may differ by for other reasons, of one mount and in emulation.
const SLACK_MS: f64 = 20.0;

/// Mounting a tree of a hundred thousand entries costs what mounting one of four does: the image is
/// measured and not read.
pub(super) fn mounting_costs_the_same_for_any_size(guest: &Guest) -> Result<()> {
    let filesystem = guest.ext4(4096, Verity::On)?;
    let place = Place::new(&filesystem)?;
    let small = seal_and_measure(&place, SMALL)?;
    let large = seal_and_measure(&place, LARGE)?;
    let most = 1.5 * small.all_ms() + SLACK_MS;
    ensure!(
        large.all_ms() <= most,
        "{} ms for the large tree, at most {most} expected",
        large.all_ms()
    );
    Ok(())
}

fn seal_and_measure(place: &Place, entries: usize) -> Result<Cost> {
    let stream = format!("test/cost/{entries}");
    fs::write(place.home.join("dump"), dump(entries)?).context("writing the dump")?;
    place.does(0, &format!("seal dump --from dump --stream {stream}"))?;
    let target = place.home.join("target");
    fs::create_dir_all(&target).context("creating the directory to mount over")?;
    let mount = || {
        place.does(0, &format!("mount {stream} target --run run"))?;
        fs::metadata(target.join("1")).map(drop).context("nothing is mounted")
    };
    let ours = Cost::of(mount, &target)?;
    let theirs = Cost::of(|| mount_by_composefs(place, &target), &target)?;
    println!("{entries} entries: treeseal mount {ours}; mount.composefs {theirs}");
    Ok(ours)
}

/// Mounts the image that was sealed last, which is the largest.
fn mount_by_composefs(place: &Place, target: &Path) -> Result<()> {
    let size = |image: &PathBuf| fs::metadata(image).map_or(0, |metadata| metadata.len());
    let image = place.files("images")?.into_iter().max_by_key(size);
    let image = image.context("the store has no image")?;
    let name: PathBuf = image.iter().skip(image.iter().count() - 2).collect();
    let digest = name.display().to_string().replace('/', "");
    let objects = place.store().join("objects");
    let options = format!("basedir={},digest={digest}", objects.display());
    let words = [image.as_os_str(), target.as_os_str(), "-o".as_ref(), options.as_ref()];
    run("mount.composefs", words).map(drop)
}

/// A directory with so many entries, itself included. None needs an object.
fn dump(entries: usize) -> Result<String> {
    let mut dump = String::from("/ 0 40755 2 0 0 0 1.0 - - -\n");
    for number in 1..entries {
        writeln!(dump, "/{number} 2 100644 1 0 0 0 1.0 - {}\\n -", number % 10)?;
    }
    Ok(dump)
}

/// Milliseconds of processor time of one mount.
struct Cost {
    user_ms: f64,
    system_ms: f64,
}

impl Cost {
    /// The cost of a program that mounts something at `target`, the mean of several runs.
    fn of(mount: impl Fn() -> Result<()>, target: &Path) -> Result<Self> {
        let before = Self::of_children()?;
        for _ in 0..MOUNTS {
            mount()?;
            unmount(target, UnmountFlags::empty()).context("unmounting")?;
        }
        let after = Self::of_children()?;
        let each = |before: f64, after: f64| (after - before) / f64::from(MOUNTS);
        Ok(Self {
            user_ms: each(before.user_ms, after.user_ms),
            system_ms: each(before.system_ms, after.system_ms),
        })
    }

    /// What the children of this process have used that have ended.
    fn of_children() -> Result<Self> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        let (_, fields) = stat.rsplit_once(") ").context("/proc/self/stat has no name")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let milliseconds = |at: usize| -> Result<f64> {
            let ticks: f64 = fields.get(at).context("/proc/self/stat is short")?.parse()?;
            Ok(ticks * 10.0)
        };
        Ok(Self { user_ms: milliseconds(13)?, system_ms: milliseconds(14)? })
    }

    fn all_ms(&self) -> f64 {
        self.user_ms + self.system_ms
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ms, of which {:.1} in userspace", self.all_ms(), self.user_ms)
    }
}
