//! `ostree deploy-verify`, on systems that the real `ostree admin deploy` makes.

use std::fs;
use std::path::PathBuf;

use treeseal_testkit::peer;

use crate::ostree_seal::{ONE_SEALER, STREAM, does, ostree, sealer};
use crate::support::{Machine, Run, overwrite};

/// The ref of the system's commits.
const BRANCH: &str = "acme/stable";

/// A system that OSTree deploys, on a machine where alice seals.
struct System {
    machine: Machine,
}

impl System {
    /// A system whose deployments have images as this part of `prepare-root.conf` says.
    fn new(composefs: &str) -> Self {
        let system = Self { machine: sealer(ONE_SEALER) };
        system.write("usr/lib/modules/6.12/vmlinuz", "kernel");
        system.write("usr/lib/modules/6.12/initramfs.img", "initramfs");
        system.write("usr/lib/os-release", "NAME=Acme\nID=acme\nPRETTY_NAME=Acme\nVERSION_ID=1\n");
        system.write("usr/etc/motd", "Welcome.\n");
        system.write("usr/lib/ostree/prepare-root.conf", composefs);
        fs::create_dir(system.machine.path("system")).unwrap();
        system.ostree("admin init-fs --modern system");
        system.ostree("admin os-init acme --sysroot=system");
        system
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.machine.path("tree").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn ostree(&self, words: &str) -> String {
        ostree(&peer("ostree"), &self.machine, words).text()
    }

    /// Commits a release, and seals it if that is wanted.
    fn release(&self, number: u32, is_sealed: bool) -> String {
        self.write("usr/lib/release", &number.to_string());
        let options = "--generate-composefs-metadata --owner-uid=0 --owner-gid=0 --no-xattrs";
        let commit = format!("commit --branch={BRANCH} --subject=one {options} tree");
        let checksum = self.ostree(&format!("--repo=system/ostree/repo {commit}"));
        if is_sealed {
            let commit = format!("system/ostree/repo {BRANCH} --stream {STREAM}");
            let words = format!("seal --from ostree {commit} --key alice.pem --embed");
            does(&self.machine, &words).ok();
        }
        checksum.trim().to_owned()
    }

    fn deploy(&self) {
        self.ostree(&format!("admin deploy --sysroot=system --os=acme {BRANCH}"));
    }

    /// Commits, seals and deploys a release.
    fn deployed(&self, number: u32) -> String {
        let checksum = self.release(number, true);
        self.deploy();
        checksum
    }

    /// Verifies in a place where there need be no fs-verity.
    fn verify(&self, rest: &str) -> Run {
        self.check(&format!("--enforce scan {rest}"))
    }

    fn check(&self, rest: &str) -> Run {
        does(&self.machine, &format!("ostree deploy-verify system --stream {STREAM} {rest}"))
    }

    fn image(&self, checksum: &str) -> PathBuf {
        self.machine.path(&format!("system/{}/.ostree.cfs", deployment(checksum)))
    }

    fn entry(&self, number: u32) -> PathBuf {
        self.machine.path(&format!("system/boot/loader/entries/ostree-{number}.conf"))
    }

    /// Has an entry of the boot loader boot something else.
    fn lead_to(&self, number: u32, options: &str) {
        let text = fs::read_to_string(self.entry(number)).unwrap();
        let lines = text.lines().map(|line| match line.starts_with("options ") {
            true => format!("options {options}\n"),
            false => format!("{line}\n"),
        });
        fs::write(self.entry(number), lines.collect::<String>()).unwrap();
    }
}

fn deployment(checksum: &str) -> String {
    format!("ostree/deploy/acme/deploy/{checksum}.0")
}

#[test]
fn sealed_deployments_are_verified_with_all_that_can_be_booted() {
    for mode in ["signed", "verity"] {
        let system = System::new(&format!("[composefs]\nenabled = {mode}\n"));
        let first = system.deployed(1);
        let text =
            system.verify("").ok().says("nothing here says that the kernel checks them").text();
        assert!(text.starts_with(&format!("verified {}\n", deployment(&first))), "{text}");
        assert!(text.contains(&format!("{STREAM} sequence 1, beside the commit\n")), "{text}");
        let second = system.deployed(2);
        let text = system.verify("").ok().text();
        assert!(text.starts_with(&format!("verified {}\n", deployment(&second))), "{text}");
        let boots = format!(
            "  boots      ostree-2.conf sequence 2, {}\n  boots      ostree-1.conf sequence 1, {}\n",
            deployment(&second),
            deployment(&first)
        );
        assert!(text.ends_with(&boots), "{text}");
        let json = system.verify("--json").ok().text();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&json["commit"], &json["enforcement"]), (&second.into(), &"scan".into()));
    }
}

#[test]
fn an_older_deployment_is_refused_unless_it_is_there_to_go_back_to() {
    let system = System::new("[composefs]\nenabled = verity\n");
    let first = system.deployed(1);
    system.deployed(2);
    let repository = "system/ostree/repo";
    does(&system.machine, &format!("ostree verify {repository} {BRANCH} --stream {STREAM}")).ok();
    system.verify("").ok();
    let directory = format!("--deployment system/{}", deployment(&first));
    system.verify(&directory).expect_code(1).says("it is an older tree");
}

#[test]
fn a_deployment_of_a_commit_that_is_not_sealed_is_named() {
    let system = System::new("[composefs]\nenabled = verity\n");
    let first = system.deployed(1);
    let second = system.release(2, false);
    system.deploy();
    let named = format!("not sealed for `{STREAM}`: {}: commit {second}", deployment(&second));
    system.verify("").expect_code(1).says(&named);
    // The sealed one is no better for it while the other can be booted.
    let directory = format!("--deployment system/{}", deployment(&first));
    let named = format!("not sealed for `{STREAM}`: ostree-2.conf ({}): ", deployment(&second));
    system.verify(&directory).expect_code(1).says(&named).says("hint: `ostree admin undeploy N`");
}

#[test]
fn an_image_that_is_not_the_sealed_one_is_refused() {
    let system = System::new("[composefs]\nenabled = verity\n");
    let first = system.deployed(1);
    let second = system.deployed(2);
    let (own, other) =
        (fs::read(system.image(&second)).unwrap(), fs::read(system.image(&first)).unwrap());
    overwrite(&system.image(&second), &other);
    system.verify("").expect_code(1).says("it seals another image: ");
    let mut changed = own.clone();
    *changed.last_mut().unwrap() ^= 1;
    overwrite(&system.image(&second), &changed);
    system.verify("").expect_code(1).says("it seals another image: ");
    fs::remove_file(system.image(&second)).unwrap();
    std::os::unix::fs::symlink(system.image(&first), system.image(&second)).unwrap();
    assert_ne!(system.verify("").code, 0);
    overwrite(&system.image(&second), &own);
    system.verify("").ok();
}

#[test]
fn an_image_that_the_kernel_does_not_check_is_refused_unless_a_scan_is_asked_for() {
    let system = System::new("[composefs]\nenabled = verity\n");
    let first = system.deployed(1);
    // A copy has no fs-verity, wherever this is.
    overwrite(&system.image(&first), &fs::read(system.image(&first)).unwrap());
    let run = system.check("");
    assert_ne!(run.code, 0);
    run.says("cannot measure `")
        .says("hint: the kernel does not check such an image when it is used");
    system.verify("").ok();
}

#[test]
fn a_deployment_whose_image_is_not_the_commits_is_refused() {
    let system = System::new("[composefs]\nenabled = yes\n");
    system.deployed(1);
    // Where objects have no fs-verity, libostree leaves their digests out of such an image.
    system.verify("").expect_code(1).says("it seals another image: ");
}

#[test]
fn entries_that_lead_to_no_deployment_are_named() {
    let system = System::new("[composefs]\nenabled = verity\n");
    system.deployed(1);
    system.deployed(2);
    let sound = fs::read_to_string(system.entry(1)).unwrap();
    for (options, message) in [
        ("ostree=/ostree/boot.0/none", "its deployment `"),
        ("ostree=/ostree/repo", "which is no deployment of this system"),
        ("ostree=/../../../../../../../../../etc", "which is no deployment of this system"),
        ("ostree=/a quiet ostree=/b", "it has `ostree=` more than once"),
    ] {
        system.lead_to(1, options);
        let named = format!("not sealed for `{STREAM}`: ostree-1.conf: ");
        system.verify("").expect_code(1).says(&named).says(message);
    }
    fs::write(system.entry(1), sound).unwrap();
    system.verify("").ok();
    system.lead_to(1, "quiet");
    system.verify("").ok().says("`ostree-1.conf` boots no deployment: nothing was asked of it");
    system
        .verify("--deployment system/ostree/repo")
        .expect_code(1)
        .says("is no deployment of this");
}
