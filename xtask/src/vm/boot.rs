//! Scenarios that boot sealed trees by `treeseal-boot`, as it is shipped, in an initramfs of its own.
//!
//! What runs in a booted tree is in `crates/treeseal-vm/src/steps/boot.rs`.

use super::disk::Disk;
use super::host::{BOOT_TIME, Host};
use super::machine::{Machine, MachineBuilder};
use anyhow::Result;
use sealed_disk::{RELEASES, SEALS, SealedDisk, change_byte, debugfs, replay_journal};
use serde_json::json;
use trial::{Settings, Trial};

pub(super) use debian::debian_boots_to_a_shell;
pub(super) use deployment_attacks::attacks_on_deployments_are_stopped;
pub(super) use deployments::{deployments_boot_quickly, sealed_deployments_boot};
pub(super) use power_cuts::power_cuts_leave_the_old_tree_or_the_new_one;

mod debian;
mod deployment_attacks;
mod deployments;
mod power_cuts;
mod sealed_disk;
mod trial;

/// A tree that does not get as far as to be marked good is tried as often as allowed, then the one before
/// it is started. Marking good raises the floor, and nothing on the command line brings a tree back.
pub(super) fn tries_are_counted(host: &Host) -> Result<()> {
    let disk = SealedDisk::with_releases(host)?;
    let trial = Trial::new(host, "boot-tries", &disk)?;
    let initramfs = trial.initramfs(&Settings::of(&disk).with("tries", 2))?;
    let boots = |words: &[&str], said: &[&str]| trial.boots(&initramfs, words, said);
    let mark_good = "vm.step=boot-mark-good";
    let look = "vm.step=boot-look";
    let counted = "mounting test/boot/any/stable sequence 3, which costs a try";
    let spent = "refused: sequence 3: tried 2 times and never marked good; 2 tries are allowed";

    boots(&["treeseal.sequence=1", mark_good], &["said marked good: release 1"])?;
    boots(&[look], &[counted, "said booted release 3"])?;
    boots(&[look], &[counted, "said booted release 3"])?;
    boots(&[mark_good], &[spent, "said marked good: release 2"])?;
    boots(&["treeseal.tries=99", look], &[spent, "said booted release 2"])
}

/// The command line chooses among the trees that are accepted, and nothing else.
pub(super) fn the_command_line_only_narrows(host: &Host) -> Result<()> {
    let disk = SealedDisk::with_releases(host)?;
    let trial = Trial::new(host, "boot-command-line", &disk)?;
    let initramfs = trial.initramfs(&Settings::of(&disk))?;
    let mark_good = "vm.step=boot-mark-good";
    let good = ["said marked good: release 2"];
    trial.boots(&initramfs, &["treeseal.sequence=2", mark_good], &good)?;
    trial.boots(&initramfs, &["treeseal.tries=0", mark_good], &good)?;
    let below = "the seal has sequence 1, but 2 was accepted before: it is an older tree";
    trial.refuses(&initramfs, &["treeseal.sequence=1"], &[below])?;
    let unknown = "error: the kernel's command line has `treeseal.verify=0`, which is no parameter";
    trial.refuses(&initramfs, &["treeseal.verify=0"], &[unknown])
}

/// `/etc` keeps changes or loses them, as the configuration says.
pub(super) fn etc_is_kept_or_not(host: &Host) -> Result<()> {
    let disk = SealedDisk::with_releases(host)?;
    let trial = Trial::new(host, "boot-etc", &disk)?;
    for (etc, second) in [("persistent", "changed"), ("transient", "as sealed")] {
        let initramfs = trial.initramfs(&Settings::of(&disk).with("etc", etc))?;
        let look = |etc: &str| {
            let said = format!("said booted release 3, /etc is {etc}");
            trial.boots(&initramfs, &["vm.step=boot-look"], &[&said])
        };
        look("as sealed")?;
        look(second)?;
    }
    Ok(())
}

/// An image with a changed byte is not mounted.
pub(super) fn changed_images_are_refused(host: &Host) -> Result<()> {
    let disk = SealedDisk::with_releases(host)?;
    let trial = Trial::new(host, "boot-image", &disk)?;
    for release in 1..=RELEASES {
        change_byte(trial.disk(), &disk.image(release)?, 1100)?;
    }
    let error = "erofs refuses the mount: Input/output error";
    let said =
        ["error: no tree of the stream `test/boot/any/stable` can be started", error, error, error];
    trial.refuses(&trial.initramfs(&Settings::of(&disk))?, &[], &said)
}

/// A store whose files the kernel does not check is not booted from, sound as it is.
pub(super) fn a_store_without_verity_is_refused(host: &Host) -> Result<()> {
    let disk = SealedDisk::with_releases(host)?;
    let trial = Trial::new(host, "boot-without-verity", &disk)?;
    disk.make_filesystem(trial.disk())?;
    let error = "fs-verity is not enabled on it";
    trial.refuses(&trial.initramfs(&Settings::of(&disk))?, &[], &[error, error, error])
}

/// Of an object with a changed byte nothing is read: an init that is one is not started, and other
/// programs get an error.
pub(super) fn changed_objects_are_not_read(host: &Host) -> Result<()> {
    let disk = SealedDisk::with_releases(host)?;
    let trial = Trial::new(host, "boot-object", &disk)?;
    let initramfs = trial.initramfs(&Settings::of(&disk))?;
    change_byte(trial.disk(), &disk.object(host, "usr/lib/part-2")?, 200_000)?;
    let said = [
        "said read usr/lib/part-1",
        "said not read usr/lib/part-2: Input/output error",
        "said read usr/lib/part-3",
    ];
    trial.boots(&initramfs, &["vm.step=boot-read-parts"], &said)?;
    change_byte(trial.disk(), &disk.object(host, "sbin/init")?, 100)?;
    trial.refuses(
        &initramfs,
        &[],
        &["error: cannot start `/sbin/init`", "caused by: Input/output error"],
    )
}

/// A seal with a changed byte is refused, and so are older ones when a newer one was marked good,
/// under their own sequence or under that one's.
pub(super) fn changed_and_older_seals_are_refused(host: &Host) -> Result<()> {
    let disk = SealedDisk::with_releases(host)?;
    let trial = Trial::new(host, "boot-seal", &disk)?;
    let initramfs = trial.initramfs(&Settings::of(&disk))?;
    let good = ["said marked good: release 3"];
    trial.boots(&initramfs, &["vm.step=boot-mark-good"], &good)?;
    replay_journal(trial.disk())?;
    let seal = |sequence: u32| format!("{SEALS}/@{sequence}.seal.json");

    change_byte(trial.disk(), &seal(3), 100)?;
    let changed = "it is signed by other keys or was changed after it was signed";
    trial.refuses(&initramfs, &[], &[changed])?;
    debugfs(trial.disk(), &format!("rm /{}", seal(3)))?;
    trial.refuses(&initramfs, &[], &["error: the store has no seal for the stream `test/boot/any/stable` with sequence 3 or later"])?;
    debugfs(trial.disk(), &format!("ln /{} /{}", seal(1), seal(3)))?;
    let older = "the seal has sequence 1, but 3 was accepted before: it is an older tree";
    trial.refuses(&initramfs, &[], &[older])
}

/// Where something is missing that a boot needs, it ends with the reason, and without a shell.
pub(super) fn what_is_missing_ends_the_boot(host: &Host) -> Result<()> {
    let disk = SealedDisk::with_releases(host)?;
    let trial = Trial::new(host, "boot-missing", &disk)?;
    let usual = || Settings::of(&disk);
    let store = |device: &str, directory: &str| {
        usual()
            .with("store", json!({"device": device, "filesystem": "ext4", "directory": directory}))
    };
    let ends = |settings: &Settings, said: &str| {
        let switched_off = "the machine is switched off in 0 s";
        trial.refuses(&trial.initramfs(settings)?, &[], &[said, switched_off])
    };
    let belongs =
        "hint: the root.json of whoever seals belongs into the initramfs, beside boot.json";
    ends(&Settings { root: None, ..usual() }, belongs)?;
    ends(&store("/dev/vda", "elsewhere"), "error: cannot open `/run/treeseal/store/elsewhere`")?;
    ends(&store("LABEL=other", "store"), "error: there is no filesystem with the label `other`")?;

    let nothing = trial.initramfs(&Settings { configuration: None, ..usual() })?;
    let machine = trial.start(&nothing, Disk::kept(trial.disk()), &[])?;
    stands_still(&machine, "error: cannot read `/etc/treeseal/boot.json`")
}

/// It says why, and then waits for somebody who switches it off.
fn stands_still(machine: &Machine, why: &str) -> Result<()> {
    machine.wait_for(why, BOOT_TIME)?;
    machine.wait_for("treeseal-boot: the machine stands still", BOOT_TIME).map(drop)
}

/// The boot program takes less than it may, where nothing has to be read from a disk. Shown are its time
/// and that of `mount.composefs`, by a clock that counts instructions where the machine is emulated.
pub(super) fn the_boot_program_is_quick(host: &Host) -> Result<()> {
    let disk = SealedDisk::with_releases(host)?;
    let trial = Trial::new(host, "boot-time", &disk)?;
    let initramfs = trial.initramfs_of_tests(&Settings::of(&disk), |_| Ok(()))?;
    let machine = trial.next(&initramfs, Disk::kept(trial.disk()), &["vm.step=boot-time"]);
    show_times(host, machine, ["treeseal-boot", "mount.composefs"])
}

/// Shows what a machine says of the times of two programs, by a clock that counts instructions where the
/// machine is emulated. It must say that they are quick enough.
fn show_times(host: &Host, machine: MachineBuilder, programs: [&str; 2]) -> Result<()> {
    let machine = machine.counting_instructions().start()?;
    for program in programs {
        let line = machine.wait_for(&format!("said {program}: "), BOOT_TIME)?;
        println!("vm {}: {line}", host.series());
    }
    machine.wait_for("said quick enough", BOOT_TIME).map(drop)
}
