//! OSTree: a commit verified beside `ostree fsck`, and its image made beside `mkcomposefs`.
//!
//! `ostree` is forky's, which makes composefs images. It checks checksums alone; ours looks at the
//! signature besides, makes the image, and compares its digest with what the commit states.

use super::Programs;
use super::cases::{Contest, Ground, OURS, Side, words};
use super::input;
use crate::process::{output, run as show_and_run, run_quietly};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files in the commit.
const FILES: u32 = 100_000;

/// The ref.
const REF: &str = "bench/files";

/// What the contests work on, made once.
struct Input {
    /// Of the modes `bare` and `archive`.
    repositories: [(&'static str, PathBuf); 2],
    public_key: PathBuf,
    /// Of the commit's image.
    dump: PathBuf,
}

pub(super) fn contests(ground: &Ground) -> Result<Vec<Contest>> {
    let input = Input::made_once(ground)?;
    let mut contests = Vec::new();
    for (mode, repository) in &input.repositories {
        contests.push(verify(ground, mode, repository, &input.public_key));
    }
    contests.push(image(ground, &input.dump));
    Ok(contests)
}

fn verify(ground: &Ground, mode: &str, repository: &Path, key: &Path) -> Contest {
    let Programs { treeseal, ostree, .. } = ground.programs;
    let state = ground.dir.join("ostree/state");
    let ours =
        words![treeseal, "ostree", "verify", repository, REF, "--key", key, "--state", state];
    let theirs = words![ostree, repository_option(repository), "fsck", "--quiet"];
    Contest {
        title: format!("all objects of a commit of {FILES} files, {mode}"),
        sides: vec![Side::own(OURS, ours), Side::own("ostree fsck", theirs)],
        filesystem: None,
    }
}

fn image(ground: &Ground, dump: &Path) -> Contest {
    let Programs { treeseal, mkcomposefs, .. } = ground.programs;
    let at = |name: &str| ground.dir.join("ostree").join(name);
    let (our_image, their_image) = (at("treeseal.image"), at("mkcomposefs.image"));
    let ours = words![treeseal, "image", "build", "--from=dump", dump, our_image];
    let theirs = words![mkcomposefs, "--from-file", dump, their_image];
    Contest {
        title: "image of that commit from a dump".to_owned(),
        sides: vec![
            Side::writing(OURS, ours, &our_image),
            Side::writing("mkcomposefs", theirs, &their_image),
        ],
        filesystem: None,
    }
}

impl Input {
    fn made_once(ground: &Ground) -> Result<Self> {
        let at = |name: &str| ground.dir.join("ostree").join(name);
        let made = Self {
            repositories: [("bare", at("bare")), ("archive", at("archive"))],
            public_key: at("key.pub"),
            dump: at("dump"),
        };
        // Made last, so half an input is not taken for a whole one.
        if !made.dump.exists() {
            made.make(ground)?;
        }
        Ok(made)
    }

    fn make(&self, ground: &Ground) -> Result<()> {
        let dir = ground.dir.join("ostree");
        input::empty_directory(&dir)?;
        let tree = dir.join("tree");
        eprintln!("making {}", tree.display());
        input::files(&tree, FILES)?;
        let [(bare, first), (archive, second)] = &self.repositories;
        let Programs { treeseal, ostree, .. } = ground.programs;
        init(ostree, first, bare)?;
        init(ostree, second, archive)?;
        let mut commit = Command::new(ostree);
        commit.arg(repository_option(first)).args(["commit", "--generate-composefs-metadata"]);
        commit.args(["--branch", REF, "--subject=bench"]).arg(&tree);
        show_and_run(&mut commit)?;
        let key = self.make_key(&dir)?;
        let mut sign = Command::new(treeseal);
        sign.args(["ostree", "sign"]).arg(first).args([REF, "--key"]).arg(key);
        show_and_run(sign.env("TREESEAL_STATE", dir.join("state")))?;
        let mut pull = Command::new(ostree);
        pull.arg(repository_option(second)).arg("pull-local").arg(first).arg(REF);
        show_and_run(&mut pull)?;
        let image = dir.join("image");
        let mut checkout = Command::new(ostree);
        checkout.arg(repository_option(first)).args(["checkout", "--composefs", REF]).arg(&image);
        show_and_run(&mut checkout)?;
        let dump = output(Command::new(treeseal).args(["image", "dump"]).arg(&image))?;
        fs::write(&self.dump, dump).with_context(|| format!("writing {}", self.dump.display()))
    }

    /// A key pair as OSTree has them: both halves in one file, and the public one alone.
    fn make_key(&self, dir: &Path) -> Result<PathBuf> {
        let (pem, secret) = (dir.join("key.pem"), dir.join("key.secret"));
        let script = "openssl genpkey -algorithm ed25519 -out \"$0\" && \
             openssl pkey -in \"$0\" -pubout -outform DER | tail -c 32 >\"$0.public\" && \
             openssl pkey -in \"$0\" -outform DER | tail -c 32 | cat - \"$0.public\" \
             | base64 --wrap=0 >\"$1\" && base64 --wrap=0 \"$0.public\" >\"$2\"";
        let mut shell = Command::new("sh");
        run_quietly(shell.args(["-ec", script]).args([&pem, &secret, &self.public_key]))?;
        Ok(secret)
    }
}

fn init(ostree: &Path, repository: &Path, mode: &str) -> Result<()> {
    let mut init = Command::new(ostree);
    show_and_run(init.arg(repository_option(repository)).args(["init", "--mode", mode]))
}

fn repository_option(repository: &Path) -> OsString {
    let mut option = OsString::from("--repo=");
    option.push(repository);
    option
}
