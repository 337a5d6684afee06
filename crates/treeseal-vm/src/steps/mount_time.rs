//! What mounting a sealed tree takes, beside the program that mounts a composefs image.

use crate::guest::{Guest, Verity};
use crate::place::Place;
use crate::processor_time::mean_time;
use crate::report;
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Entries of the two trees.
const SMALL: usize = 4;
const LARGE: usize = 100_000;

/// The most that a mount may take, the kernel's work included, where the machine's clock counts
/// instructions.
const MOST: Duration = Duration::from_millis(20);

/// Says the processor's time for mounting a tree of a hundred thousand entries: with its seal verified, and
/// by `mount.composefs`. A tree of four takes as long: the image is measured and not read.
pub(super) fn mount_time(guest: &Guest) -> Result<()> {
    let filesystem = guest.ext4(4096, Verity::On)?;
    let place = Place::new(&filesystem)?;
    fs::create_dir(place.home.join("target")).context("creating the directory to mount over")?;
    let small = seal_and_measure(&place, SMALL)?;
    let large = seal_and_measure(&place, LARGE)?;
    report::said(&format!(
        "treeseal mount: {large:.1?} for {LARGE} entries, {small:.1?} for {SMALL}"
    ));
    let composefs = mean_time(&mut mount_by_composefs(&place)?, &[&target(&place)])?;
    report::said(&format!("mount.composefs: {composefs:.1?} for {LARGE} entries"));
    ensure!(large < MOST, "a mount takes {large:?}, and {MOST:?} are allowed");
    let most = small.mul_f64(1.2);
    ensure!(large < most, "{large:?} for the large tree, and {small:?} for the small one");
    report::said("quick enough");
    Ok(())
}

fn seal_and_measure(place: &Place, entries: usize) -> Result<Duration> {
    let stream = format!("test/cost/{entries}");
    fs::write(place.home.join("dump"), dump(entries)?).context("writing the dump")?;
    place.does(0, &format!("seal dump --from dump --stream {stream}"))?;
    let mut mount = place.command(&format!("mount {stream} target --run run"));
    mean_time(mount.stdout(Stdio::null()).stderr(Stdio::null()), &[&target(place)])
}

/// Mounts the image that was sealed last, which is the largest.
fn mount_by_composefs(place: &Place) -> Result<Command> {
    let size = |image: &PathBuf| fs::metadata(image).map_or(0, |metadata| metadata.len());
    let image = place.files("images")?.into_iter().max_by_key(size);
    let image = image.context("the store has no image")?;
    let name: PathBuf = image.iter().skip(image.iter().count() - 2).collect();
    let digest = name.display().to_string().replace('/', "");
    let objects = place.store().join("objects");
    let mut mount = Command::new("mount.composefs");
    mount.arg(image).arg(target(place)).arg("-o");
    mount.arg(format!("basedir={},digest={digest}", objects.display()));
    Ok(mount)
}

fn target(place: &Place) -> String {
    place.home.join("target").display().to_string()
}

/// A directory with so many entries, itself included. None needs an object.
fn dump(entries: usize) -> Result<String> {
    let mut dump = String::from("/ 0 40755 2 0 0 0 1.0 - - -\n");
    for number in 1..entries {
        writeln!(dump, "/{number} 2 100644 1 0 0 0 1.0 - {}\\n -", number % 10)?;
    }
    Ok(dump)
}
