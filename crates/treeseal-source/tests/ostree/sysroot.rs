//! Systems that `ostree admin deploy` made.

use std::fs;
use std::os::unix::fs::symlink;

use treeseal_source::ostree::{Composefs, Sysroot, SysrootError};
use treeseal_testkit::peer;

use super::*;

/// A system with deployments of this many commits, of which the last is booted.
struct System {
    directory: TempDir,
    commits: Vec<String>,
}

impl System {
    fn new(commits: u32) -> Self {
        let mut system = Self { directory: TempDir::new().unwrap(), commits: Vec::new() };
        fs::create_dir(system.path()).unwrap();
        system.ostree(&["admin", "init-fs", "system"]);
        system.ostree(&["admin", "os-init", "--sysroot=system", "acme"]);
        let tree = system.path().with_file_name("tree");
        for directory in ["usr/etc", "usr/lib/ostree", "usr/lib/modules/1", "sysroot"] {
            fs::create_dir_all(tree.join(directory)).unwrap();
        }
        let files = [
            ("usr/lib/modules/1/vmlinuz", "kernel"),
            ("usr/lib/modules/1/initramfs.img", "initramfs"),
            ("usr/lib/os-release", "ID=acme\nPRETTY_NAME=\"Acme\"\n"),
            ("usr/lib/ostree/prepare-root.conf", "[composefs]\nenabled=verity\n"),
        ];
        for (name, content) in files {
            fs::write(tree.join(name), content).unwrap();
        }
        symlink("../usr/lib/os-release", tree.join("usr/etc/os-release")).unwrap();
        for number in 0..commits {
            fs::write(tree.join("usr/number"), number.to_string()).unwrap();
            let commit = ["--repo=system/ostree/repo", "commit", "-b", "acme/os", "tree"];
            let options = ["--generate-composefs-metadata", "--no-xattrs", "--owner-uid=0"];
            let commit = system.ostree(&[&commit[..], &options].concat());
            system.commits.push(commit.trim().to_owned());
            let deploy = ["admin", "deploy", "--sysroot=system", "--os=acme", "acme/os"];
            system.ostree(&[&deploy[..], &["--karg=quiet"]].concat());
        }
        system
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("system")
    }

    fn open(&self) -> Sysroot {
        Sysroot::open(&self.path()).unwrap()
    }

    fn ostree(&self, arguments: &[&str]) -> String {
        let mut ostree = Command::new(peer("ostree"));
        // Immutable directories could not be removed with the rest.
        ostree.env("OSTREE_SYSROOT_DEBUG", "mutable-deployments");
        let output = ostree.args(arguments).current_dir(self.directory.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn the_newest_deployment_is_that_of_the_first_entry() {
    let system = System::new(2);
    let sysroot = system.open();
    let entries = sysroot.boot_entries().unwrap();
    let booted = entries.iter().map(|entry| {
        assert_eq!(entry.option("quiet"), None);
        sysroot.resolve(entry.option("ostree").unwrap()).unwrap().commit.to_string()
    });
    assert!(booted.eq(system.commits.iter().rev().cloned()));
}

#[test]
fn a_deployment_has_a_configuration_and_an_image() {
    let system = System::new(1);
    let sysroot = system.open();
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
fn nothing_but_a_deployment_is_reached() {
    let system = System::new(1);
    let sysroot = system.open();
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
