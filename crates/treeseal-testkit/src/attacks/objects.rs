//! Attacks on content: the objects and what lies beside them.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use super::Attack;
use super::victim::{
    Victim, config_of, forged_config, large, link_over, replace, replace_with_verity, shadow, su,
    swap,
};
use crate::run;

const CHANGED_BLOCK: &str = "changed block";
const SWAPPED_FILES: &str = "swapped files";
const ADDED_FILE: &str = "added file";
const CHANGED_ATTRIBUTES: &str = "changed mode, owner, setuid, xattr, time";
const DELETED_FILE: &str = "deleted file";
const OTHER_NAME: &str = "hard link or copy under another name";
const SIDECAR: &str = "malformed sidecar";
const NO_VERITY: &str = "filesystem without fs-verity";

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        threat: CHANGED_BLOCK,
        way: "an object is replaced by other content",
        carry_out: |victim| replace(&victim.object(&config_of(2)), &forged_config()),
    },
    Attack {
        threat: CHANGED_BLOCK,
        way: "the same, and fs-verity is enabled on it",
        carry_out: |victim| replace_with_verity(&victim.object(&config_of(2)), &forged_config()),
    },
    Attack {
        threat: CHANGED_BLOCK,
        way: "a block of an object is overwritten on the disk",
        carry_out: |victim| {
            overwrite_own_copy(victim, &victim.object(&large()), &large(), 300_000);
        },
    },
    Attack {
        threat: CHANGED_BLOCK,
        way: "an object is cut short, and fs-verity is enabled on it",
        carry_out: |victim| {
            replace_with_verity(&victim.object(&large()), &large()[..large().len() - 1]);
        },
    },
    Attack {
        threat: CHANGED_BLOCK,
        way: "an object is replaced by a symlink to the right content",
        carry_out: |victim| {
            let (object, aside) = (victim.object(&config_of(2)), victim.path("aside"));
            fs::rename(&object, &aside).unwrap();
            symlink(aside, object).unwrap();
        },
    },
    Attack {
        threat: CHANGED_BLOCK,
        way: "an object is replaced by a FIFO that nobody writes to",
        carry_out: |victim| {
            let object = victim.object(&config_of(2));
            fs::remove_file(&object).unwrap();
            run(Command::new("mkfifo").arg(object));
        },
    },
    Attack {
        threat: CHANGED_BLOCK,
        way: "a directory of objects is replaced by a symlink to one with other content",
        carry_out: lead_elsewhere,
    },
    Attack {
        threat: SWAPPED_FILES,
        way: "two objects of the same size change their names",
        carry_out: |victim| swap(&victim.object(&config_of(2)), &victim.object(&su())),
    },
    Attack {
        threat: "one old file back",
        way: "an object of the release before takes the place of its successor",
        carry_out: |victim| {
            link_over(&victim.object(&config_of(1)), &victim.object(&config_of(2)));
        },
    },
    Attack {
        threat: ADDED_FILE,
        way: "an object is added under its right name",
        carry_out: |victim| {
            let object = victim.object(&forged_config());
            fs::create_dir_all(object.parent().unwrap()).unwrap();
            replace_with_verity(&object, &forged_config());
        },
    },
    Attack {
        threat: DELETED_FILE,
        way: "an object is deleted",
        carry_out: |victim| fs::remove_file(victim.object(&config_of(2))).unwrap(),
    },
    Attack {
        threat: CHANGED_ATTRIBUTES,
        way: "those of an object's file in the store",
        carry_out: change_attributes,
    },
    Attack {
        threat: OTHER_NAME,
        way: "an object is given the name of another as well",
        carry_out: |victim| link_over(&victim.object(&su()), &victim.object(&shadow())),
    },
    Attack {
        threat: SIDECAR,
        way: "a Merkle tree in the store is replaced by other bytes",
        carry_out: |victim| {
            let length = fs::metadata(victim.sidecar()).unwrap().len();
            replace(&victim.sidecar(), &vec![0x5a; usize::try_from(length).unwrap()]);
        },
    },
    Attack {
        threat: SIDECAR,
        way: "a Merkle tree in the store has the size of a disk, and no content",
        carry_out: |victim| replace_without_end(&victim.sidecar()),
    },
    Attack {
        threat: NO_VERITY,
        way: "an object is replaced by a copy of itself",
        carry_out: |victim| replace(&victim.object(&config_of(2)), &config_of(2)),
    },
    Attack {
        threat: NO_VERITY,
        way: "the image is replaced by a copy of itself",
        carry_out: |victim| replace(&victim.image(2), &fs::read(victim.image(2)).unwrap()),
    },
    Attack {
        threat: NO_VERITY,
        way: "the store is moved to such a filesystem",
        carry_out: move_to_filesystem_without_verity,
    },
];

/// Overwrites four bytes on the disk beneath a file of the store, which becomes one of its own first:
/// it may have further names elsewhere.
pub(super) fn overwrite_own_copy(victim: &Victim, file: &Path, content: &[u8], offset: u64) {
    replace_with_verity(file, content);
    victim.reach().overwrite_beneath(file, offset, b"evil").unwrap();
}

/// Puts a file of a terabyte in the place of another; it takes no space.
pub(super) fn replace_without_end(path: &Path) {
    replace(path, b"");
    File::options().write(true).open(path).unwrap().set_len(1 << 40).unwrap();
}

fn lead_elsewhere(victim: &Victim) {
    let object = victim.object(&config_of(2));
    let (fanout, outside) = (object.parent().unwrap(), victim.path("outside"));
    fs::rename(fanout, &outside).unwrap();
    symlink(&outside, fanout).unwrap();
    replace_with_verity(&object, &forged_config());
}

fn change_attributes(victim: &Victim) {
    let object = victim.object(&config_of(2));
    replace_with_verity(&object, &config_of(2));
    chown(&object, Some(7), Some(7)).unwrap();
    fs::set_permissions(&object, Permissions::from_mode(0o6777)).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&object, "user.note", b"evil", flags).unwrap();
    File::open(&object).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
}

fn move_to_filesystem_without_verity(victim: &Victim) {
    let elsewhere = victim.reach().without_verity().unwrap();
    let (store, copy) = (victim.store(), elsewhere.join("store"));
    run(Command::new("cp").arg("-a").arg(&store).arg(&copy));
    fs::remove_dir_all(&store).unwrap();
    symlink(copy, store).unwrap();
}
