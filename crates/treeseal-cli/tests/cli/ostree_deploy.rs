//! `ostree deploy-verify`, on systems that the real `ostree admin deploy` makes.

use std::fs;
use std::path::PathBuf;

use treeseal_testkit::OstreeSystem;

use crate::ostree_seal::{ONE_SEALER, STREAM, does, sealer};
use crate::support::{Machine, Run, overwrite};

/// A system, and a machine with it where alice seals.
struct System {
    machine: Machine,
    deployed: OstreeSystem,
}

impl System {
    /// A system whose deployments have images for this value of `composefs.enabled`, and of whose commits
    /// the first few are sealed.
    fn new(enabled: &str, commits: usize, sealed: usize) -> Self {
        let deployed = OstreeSystem::new(enabled, commits);
        let system = Self { machine: sealer(ONE_SEALER), deployed };
        for commit in system.deployed.commits.iter().take(sealed) {
            let words = format!("{} {commit} --stream {STREAM}", system.repository().display());
            let words = format!("seal --from ostree {words} --key alice.pem --embed");
            does(&system.machine, &words).ok();
        }
        system
    }

    fn repository(&self) -> PathBuf {
        self.deployed.path().join("ostree/repo")
    }

    /// Verifies in a place where there need be no fs-verity.
    fn verify(&self, rest: &str) -> Run {
        self.check(&format!("--enforce scan {rest}"))
    }

    fn check(&self, rest: &str) -> Run {
        let path = self.deployed.path();
        let words = format!("ostree deploy-verify {} --stream {STREAM}", path.display());
        does(&self.machine, &format!("{words} {rest}"))
    }

    /// The directory of a deployment, as it is shown.
    fn deployment(&self, commit: usize) -> String {
        self.deployed.deployment(commit).display().to_string()
    }

    fn image(&self, commit: usize) -> PathBuf {
        self.deployed.path().join(self.deployed.deployment(commit)).join(".ostree.cfs")
    }

    fn entry(&self, number: u32) -> PathBuf {
        self.deployed.path().join(format!("boot/loader/entries/ostree-{number}.conf"))
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

#[test]
fn sealed_deployments_are_verified_with_all_that_can_be_booted() {
    for mode in ["signed", "verity"] {
        let system = System::new(mode, 2, 2);
        let text =
            system.verify("").ok().says("nothing here says that the kernel checks them").text();
        assert!(text.starts_with(&format!("verified {}\n", system.deployment(1))), "{text}");
        assert!(text.contains(&format!("{STREAM} sequence 2, beside the commit\n")), "{text}");
        let boots = format!(
            "  boots      ostree-2.conf sequence 2, {}\n  boots      ostree-1.conf sequence 1, {}\n",
            system.deployment(1),
            system.deployment(0)
        );
        assert!(text.ends_with(&boots), "{text}");
        let json = system.verify("--json").ok().text();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let commit = system.deployed.commits[1].as_str();
        assert_eq!((&json["commit"], &json["enforcement"]), (&commit.into(), &"scan".into()));
    }
}

#[test]
fn an_older_deployment_is_refused_unless_it_is_there_to_go_back_to() {
    let system = System::new("verity", 2, 2);
    let words = format!("{} acme/os --stream {STREAM}", system.repository().display());
    does(&system.machine, &format!("ostree verify {words}")).ok();
    system.verify("").ok();
    let directory = format!("--deployment {}", system.deployment(0));
    system.verify(&directory).expect_code(1).says("it is an older tree");
}

#[test]
fn nothing_is_remembered_of_a_deployment() {
    let system = System::new("verity", 2, 2);
    system.verify("--state other-state").ok();
    system.verify(&format!("--deployment {} --state other-state", system.deployment(0))).ok();
}

#[test]
fn a_deployment_of_a_commit_that_is_not_sealed_is_named() {
    let system = System::new("verity", 2, 1);
    let (second, unsealed) = (system.deployment(1), &system.deployed.commits[1]);
    let named = format!("not sealed for `{STREAM}`: {second}: commit {unsealed}");
    system.verify("").expect_code(1).says(&named);
    // The sealed one is no better for it while the other can be booted.
    let directory = format!("--deployment {}", system.image(0).parent().unwrap().display());
    let named = format!("not sealed for `{STREAM}`: ostree-2.conf ({second}): ");
    system.verify(&directory).expect_code(1).says(&named).says("hint: `ostree admin undeploy N`");
}

#[test]
fn an_image_that_is_not_the_sealed_one_is_refused() {
    let system = System::new("verity", 2, 2);
    let (own, other) = (fs::read(system.image(1)).unwrap(), fs::read(system.image(0)).unwrap());
    overwrite(&system.image(1), &other);
    system.verify("").expect_code(1).says("it seals another image: ");
    let mut changed = own.clone();
    *changed.last_mut().unwrap() ^= 1;
    overwrite(&system.image(1), &changed);
    system.verify("").expect_code(1).says("it seals another image: ");
    fs::remove_file(system.image(1)).unwrap();
    system.verify("").expect_code(1).says("the deployment has no image `");
    std::os::unix::fs::symlink(system.image(0), system.image(1)).unwrap();
    system.verify("").expect_code(2).says(&format!("{}: cannot ", system.deployment(1)));
    overwrite(&system.image(1), &own);
    system.verify("").ok();
}

#[test]
fn an_image_that_the_kernel_does_not_check_is_refused_unless_a_scan_is_asked_for() {
    let system = System::new("verity", 1, 1);
    // A copy has no fs-verity, wherever this is.
    overwrite(&system.image(0), &fs::read(system.image(0)).unwrap());
    let run = system.check("");
    assert_ne!(run.code, 0);
    run.says("cannot measure `")
        .says("hint: the kernel does not check such an image when it is used");
    system.verify("").ok();
}

#[test]
fn a_deployment_whose_image_is_not_the_commits_is_refused() {
    // Where objects have no fs-verity, libostree leaves their digests out of such an image.
    let system = System::new("yes", 1, 1);
    system.verify("").expect_code(1).says("it seals another image: ");
}

#[test]
fn entries_that_lead_to_no_deployment_are_named() {
    let system = System::new("verity", 2, 2);
    let sound = fs::read_to_string(system.entry(1)).unwrap();
    let link = sound.split_whitespace().find(|word| word.starts_with("ostree=")).unwrap();
    let dangling = format!("{}9", link.strip_suffix(['0', '1']).unwrap());
    for (options, message) in [
        (&*dangling, "/9`"),
        ("ostree=/ostree/repo", "names no deployment"),
        ("ostree=/../../../../etc", "names no deployment"),
    ] {
        system.lead_to(1, options);
        let named = format!("not sealed for `{STREAM}`: ostree-1.conf: ");
        system.verify("").expect_code(1).says(&named).says(message);
    }
    fs::write(system.entry(1), sound).unwrap();
    system.verify("").ok();
    system.lead_to(1, "quiet");
    system.verify("").ok().says("`ostree-1.conf` boots no deployment: nothing was asked of it");
    system.verify("--deployment ostree/repo").expect_code(1).says("is no deployment: its name");
}
