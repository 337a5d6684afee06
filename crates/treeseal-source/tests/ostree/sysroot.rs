//! Systems that `ostree admin deploy` made.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use treeseal_source::ostree::{Composefs, DetachedMetadata, Sysroot, SysrootError};
use treeseal_testkit::OstreeSystem;

fn open(system: &OstreeSystem) -> Sysroot {
    Sysroot::open(&system.path()).unwrap()
}

#[test]
fn the_newest_deployment_is_that_of_the_first_entry() {
    let system = OstreeSystem::new("verity", 2);
    let sysroot = open(&system);
    let entries = sysroot.boot_entries().unwrap();
    let booted = entries.iter().map(|entry| {
        assert_eq!(entry.option("quiet"), None);
        sysroot.resolve(entry.option("ostree").unwrap()).unwrap().commit.to_string()
    });
    assert!(booted.eq(system.commits.iter().rev().cloned()));
}

#[test]
fn a_deployment_has_a_configuration_and_an_image() {
    let system = OstreeSystem::new("verity", 1);
    let sysroot = open(&system);
    let entry = sysroot.boot_entries().unwrap().remove(0);
    let deployment = sysroot.resolve(entry.option("ostree").unwrap()).unwrap();
    assert_eq!(sysroot.deployment_at(&deployment.path()).unwrap(), deployment);
    assert_eq!((&*deployment.stateroot, deployment.serial), ("acme", 0));
    let configuration = sysroot.prepare_root(&deployment).unwrap();
    assert_eq!(configuration.composefs, Some(Composefs::Verity));
    assert!(sysroot.open_image(&deployment).unwrap().is_some());
    fs::remove_file(sysroot.image_path(&deployment)).unwrap();
    assert!(sysroot.open_image(&deployment).unwrap().is_none());
    symlink("/etc/passwd", sysroot.image_path(&deployment)).unwrap();
    assert!(sysroot.open_image(&deployment).is_err());
}

#[test]
fn what_is_told_of_a_booted_deployment_names_its_directory() {
    let system = OstreeSystem::new("verity", 1);
    let sysroot = open(&system);
    let deployment = sysroot.deployment_at(&system.deployment(0)).unwrap();
    let record = sysroot.booted_record(&deployment).unwrap();
    assert_eq!(DetachedMetadata::parse(&record).unwrap().to_bytes(), record);
    let directory = fs::metadata(system.path().join(deployment.path())).unwrap();
    let identity = [directory.dev(), directory.ino()].map(u64::to_le_bytes).concat();
    assert!(record.windows(identity.len()).any(|window| window == identity));
}

#[test]
fn nothing_but_a_deployment_is_reached() {
    let system = OstreeSystem::new("verity", 1);
    let sysroot = open(&system);
    let entry = sysroot.boot_entries().unwrap().remove(0);
    let argument = entry.option("ostree").unwrap();
    let wrong = sysroot.resolve(&argument.replace("acme", "..")).unwrap_err().to_string();
    assert!(
        wrong.ends_with("names no deployment: `/ostree/boot.N/STATEROOT/CHECKSUM/N` does"),
        "{wrong}"
    );

    let link = fs::canonicalize(system.path().join("ostree/boot.1")).unwrap();
    let link = link.join(argument.strip_prefix("/ostree/boot.1/").unwrap());
    let deployed = fs::read_link(&link).unwrap();
    for target in ["/etc", "../../../deploy/../../..", "../../../deploy/acme/var", "."] {
        fs::remove_file(&link).unwrap();
        symlink(target, &link).unwrap();
        let error = sysroot.resolve(argument).unwrap_err();
        assert!(matches!(&error, SysrootError::Link { found, .. } if found == target), "{error}");
    }
    fs::remove_file(&link).unwrap();
    symlink(deployed, &link).unwrap();
    sysroot.resolve(argument).unwrap();

    let boot = system.path().join("ostree/boot.1");
    fs::remove_file(&boot).unwrap();
    symlink("../../elsewhere", &boot).unwrap();
    let error = sysroot.resolve(argument).unwrap_err();
    assert!(error.to_string().ends_with("and should lead to `boot.N.0` or `boot.N.1`"), "{error}");
}
