//! What somebody does to the disk of a system that OSTree has deployed, and what stops it.

use super::deployments::{Deployed, STATEROOT, disk_with_deployments};
use super::sealed_disk::{SealedDisk, change_byte, debugfs, replay_journal};
use super::trial::{Settings, Trial};
use crate::vm::host::Host;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Where the repository's store has the seals.
const STORED_SEALS: &str = "ostree/repo/extensions/treeseal/seals/test/boot/any/stable";

/// A program of a deployment that reads files of its tree.
const READ_PARTS: &str = "vm.step=boot-read-parts";

/// Each attack on a copy of the disk. It ends the boot with its reason, or an error for whoever reads what was
/// changed; what vouches for the deployment may lie in two places, and one is enough.
pub(in crate::vm) fn attacks_on_deployments_are_stopped(host: &Host) -> Result<()> {
    let disk = disk_with_deployments(host)?;
    let attacked = Attacked::new(host, &disk)?;
    attacked.images()?;
    attacked.seals()?;
    attacked.objects()?;
    attacked.boot_entries()
}

struct Attacked<'a> {
    host: &'a Host<'a>,
    disk: &'a SealedDisk,
    /// What is booted.
    newest: Deployed,
    /// The one before.
    older: Deployed,
}

/// What is done to a copy of the disk.
type Edit<'a> = &'a dyn Fn(&Trial) -> Result<()>;

impl<'a> Attacked<'a> {
    fn new(host: &'a Host, disk: &'a SealedDisk) -> Result<Self> {
        let (newest, older) = (Deployed::of_release(disk, 3)?, Deployed::of_release(disk, 2)?);
        Ok(Self { host, disk, newest, older })
    }

    fn images(&self) -> Result<()> {
        let image = &self.newest.image();
        let changed = |trial: &Trial| change_byte(trial.disk(), image, 1100);
        self.refused(&changed, "caused by: erofs refuses the mount")?;
        let copied = |trial: &Trial| write(trial, &self.disk.files().join(image), image);
        self.refused(&copied, "fs-verity is not enabled on it")?;
        let removed = |trial: &Trial| remove(trial, image);
        self.refused(&removed, "error: the deployment has no image")?;
        // Its seal is in the repository's store, so that one is booted, and not what the entry says.
        let older = |trial: &Trial| link(trial, &self.older.image(), image);
        self.boots(&older, "vm.step=boot-look", &["sequence 2", "said booted release 2"])?;
        let unsealed = |trial: &Trial| older(trial).and_then(|()| remove_stored_seals(trial));
        self.refused(&unsealed, "beside the commit: it seals another image")
    }

    fn seals(&self) -> Result<()> {
        let beside = &self.newest.metadata();
        let signature = self.offset_of_signature(beside)?;
        let changed = |trial: &Trial| change_byte(trial.disk(), beside, signature);
        let exchanged = |trial: &Trial| link(trial, &self.older.metadata(), beside);
        let removed = |trial: &Trial| remove(trial, beside);
        let untouched = |_: &Trial| Ok(());
        for (edit, said) in [
            (&changed as Edit, "it is signed by other keys or was changed after it was signed"),
            (&exchanged, "it seals another image"),
            (&removed, "none is beside it or in the repository's store"),
        ] {
            self.boots(edit, "vm.step=boot-look", &["said booted release 3"])?;
            let unsealed = |trial: &Trial| edit(trial).and_then(|()| remove_stored_seals(trial));
            self.refused(&unsealed, said)?;
        }
        self.boots(&remove_stored_seals, "vm.step=boot-look", &["said booted release 3"])?;
        let other = self.settings().with("stream", "test/other/any/stable");
        let trial = self.trial(&untouched)?;
        let said = "the seal is for the stream";
        trial.refuses(&trial.initramfs(&other)?, &[&self.newest.argument], &[said])
    }

    fn objects(&self) -> Result<()> {
        let part = |number: u32| self.newest.file(&format!("usr/lib/part-{number}"));
        let error =
            |number: u32| format!("said not read usr/lib/part-{number}: Input/output error");
        let changed = |trial: &Trial| change_byte(trial.disk(), &part(1), 200_000);
        self.boots(&changed, READ_PARTS, &[&error(1), "said read usr/lib/part-2"])?;
        let [one, two] = ["part-1", "part-2"]
            .map(|part| self.newest.object(self.host, self.disk, &format!("usr/lib/{part}")));
        let (one, two) = (&one?, &two?);
        let copied = |trial: &Trial| write(trial, &self.disk.files().join(one), one);
        self.boots(&copied, READ_PARTS, &[&error(1), "said read usr/lib/part-2"])?;
        let exchanged = |trial: &Trial| link(trial, two, one);
        self.boots(&exchanged, READ_PARTS, &[&error(1), "said read usr/lib/part-2"])
    }

    fn boot_entries(&self) -> Result<()> {
        let trial = self.trial(&|_: &Trial| Ok(()))?;
        let initramfs = trial.initramfs(&self.settings())?;
        let argument = &self.newest.argument;
        let outside = argument.replace(STATEROOT, "..");
        for (words, said) in [
            (&[][..], "error: the kernel's command line has no `ostree=`"),
            (&[argument, argument], "error: the kernel's command line has ostree twice"),
            (&[&outside], "names no deployment"),
            (&[&"ostree=/ostree/deploy".to_owned()], "names no deployment"),
        ] {
            let words: Vec<&str> = words.iter().map(|word| word.as_str()).collect();
            trial.refuses(&initramfs, &words, &[said])?;
        }
        let link = argument.trim_start_matches("ostree=/");
        let leads = |target: &str| {
            let (target, link) = (target.to_owned(), link.to_owned());
            move |trial: &Trial| {
                debugfs(trial.disk(), &format!("rm /{link}"))?;
                debugfs(trial.disk(), &format!("symlink /{link} {target}")).map(drop)
            }
        };
        self.refused(&leads("/etc"), "and should lead to a deployment")?;
        let dangling = self.newest.directory.replace(".0", ".7");
        let dangling = dangling.replacen("ostree/", "../../../", 1);
        self.refused(&leads(&dangling), "No such file or directory")
    }

    fn settings(&self) -> Settings {
        Settings::of_deployments(self.disk)
    }

    /// A copy of the disk to which this was done.
    fn trial(&self, edit: Edit) -> Result<Trial<'a>> {
        let trial = Trial::new(self.host, "boot-ostree-attacked", self.disk)?;
        replay_journal(trial.disk())?;
        edit(&trial)?;
        replay_journal(trial.disk())?;
        Ok(trial)
    }

    fn refused(&self, edit: Edit, said: &str) -> Result<()> {
        let trial = self.trial(edit)?;
        trial.refuses(&trial.initramfs(&self.settings())?, &[&self.newest.argument], &[said])
    }

    fn boots(&self, edit: Edit, step: &str, said: &[&str]) -> Result<()> {
        let trial = self.trial(edit)?;
        trial.boots(&trial.initramfs(&self.settings())?, &[&self.newest.argument, step], said)
    }

    /// Where a byte of the signature lies in what is beside a commit.
    fn offset_of_signature(&self, metadata: &str) -> Result<u64> {
        const SIGNATURE: &[u8] = b"\"sig\":\"";
        let bytes = fs::read(self.disk.files().join(metadata)).context("reading a seal")?;
        let found = bytes.windows(SIGNATURE.len()).position(|window| window == SIGNATURE);
        let start = found.context("there is no signature beside the commit")?;
        Ok(u64::try_from(start + SIGNATURE.len() + 10)?)
    }
}

fn remove(trial: &Trial, path: &str) -> Result<()> {
    debugfs(trial.disk(), &format!("rm /{path}")).map(drop)
}

/// Gives another file a name in the place of what has it.
fn link(trial: &Trial, file: &str, path: &str) -> Result<()> {
    remove(trial, path)?;
    debugfs(trial.disk(), &format!("ln /{file} /{path}")).map(drop)
}

/// Writes a file of this machine in the place of one that it is equal to, and that has fs-verity.
fn write(trial: &Trial, file: &Path, path: &str) -> Result<()> {
    remove(trial, path)?;
    debugfs(trial.disk(), &format!("write {} /{path}", file.display())).map(drop)
}

fn remove_stored_seals(trial: &Trial) -> Result<()> {
    (1..=3).try_for_each(|sequence| remove(trial, &format!("{STORED_SEALS}/@{sequence}.seal.json")))
}
