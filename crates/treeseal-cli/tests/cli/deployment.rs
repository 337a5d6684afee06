//! `ostree check-deployment`, on systems that `ostree admin deploy` made. None of them has fs-verity, for
//! which a kernel of their own is needed.

use std::fs;

use serde_json::Value;
use treeseal_testkit::OstreeSystem;

use crate::support::Machine;

fn check(system: &OstreeSystem, rest: &str) -> crate::support::Run {
    Machine::new().does(&format!("ostree check-deployment {} {rest}", system.path().display()))
}

#[test]
fn what_is_booted_as_it_lies_there_is_said_to_be_unprotected() {
    let system = OstreeSystem::new("no", 2);
    let text = check(&system, "").ok().text();
    let booted = format!("  deployment    {}\n", system.deployment(1).display());
    assert!(text.starts_with(&booted), "{text}");
    assert!(text.contains("  in force      no\n"), "{text}");
    assert!(text.contains("  protected by  nothing\n"), "{text}");
    assert!(
        text.contains("no image is mounted: whoever writes to the disk changes any file"),
        "{text}"
    );
    check(&system, "--require verity").expect_code(1);
}

#[test]
fn an_image_without_verity_is_no_protection_and_does_not_boot_where_it_is_required() {
    let system = OstreeSystem::new("yes", 1);
    let text = check(&system, "").ok().text();
    assert!(text.contains("fs-verity is not required"), "{text}");

    let system = OstreeSystem::new("verity", 1);
    let text = check(&system, "").expect_code(1).text();
    assert!(text.contains(", without fs-verity, as the commit states\n"), "{text}");
    assert!(text.contains("`.ostree.cfs` has no fs-verity, and must have it"), "{text}");
}

#[test]
fn the_command_line_of_the_entry_is_heeded() {
    let system = OstreeSystem::new("verity", 1);
    let entry = system.path().join("boot/loader/entries/ostree-1.conf");
    let text = fs::read_to_string(&entry).unwrap();
    let changed = text.replace("options ", "options ostree.prepare-root.composefs=no ");
    assert_ne!(text, changed);
    fs::write(&entry, changed).unwrap();
    let json = check(&system, "--json").ok().text();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["configured"], "verity");
    assert_eq!(json["commandLine"], "no");
    assert_eq!(json["inForce"], "no");
    assert_eq!(json["protection"], Value::Null);
}

#[test]
fn an_image_of_another_commit_is_found() {
    let system = OstreeSystem::new("verity", 2);
    let image = |commit| system.path().join(system.deployment(commit)).join(".ostree.cfs");
    fs::copy(image(0), image(1)).unwrap();
    let text = check(&system, "").expect_code(1).text();
    assert!(text.contains("`.ostree.cfs` is not the image that the commit states"), "{text}");
    let older = format!("--deployment {}", system.deployment(0).display());
    let text = check(&system, &older).expect_code(1).text();
    assert!(!text.contains("`.ostree.cfs` is not the image"), "{text}");
}

#[test]
fn an_unsigned_commit_where_it_must_be_signed_is_named() {
    let system = OstreeSystem::new("signed", 1);
    let machine = Machine::new();
    machine.keys(&["alice"]);
    let root = system.path();
    let check = || {
        machine
            .does(&format!("ostree check-deployment {} --key alice.pub", root.display()))
            .expect_code(1)
            .text()
    };
    let checked = check();
    assert!(checked.contains("the commit must be signed: the commit is not signed"), "{checked}");
    assert!(checked.contains("any commit that the key ever signed is booted"), "{checked}");

    let repository = root.join("ostree/repo");
    machine.does(&format!("ostree sign {} acme/os --key alice.pem", repository.display())).ok();
    let checked = check();
    assert!(checked.contains("  commit        signed by "), "{checked}");
    assert!(!checked.contains("the commit must be signed"), "{checked}");
}

#[test]
fn a_directory_without_deployments_is_none() {
    let machine = Machine::new();
    fs::create_dir(machine.path("empty")).unwrap();
    machine.does("ostree check-deployment empty").expect_code(2).says("empty/boot");
}
