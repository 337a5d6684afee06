//! What is compared. A new case is a new entry here.

use super::filesystem::FreshFilesystem;
use super::{Options, Programs, input, ostree};
use crate::process::run as show_and_run;
use anyhow::Result;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A set of contests that share their input and their result file.
pub(super) struct Bench {
    pub(super) name: &'static str,
    pub(super) contests: fn(&Ground) -> Result<Vec<Contest>>,
}

pub(super) const BENCHES: &[Bench] = &[
    Bench { name: "digest", contests: digest },
    Bench { name: "import", contests: import },
    Bench { name: "again", contests: again },
    Bench { name: "dump", contests: dump },
    Bench { name: "info", contests: info },
    Bench { name: "fsck", contests: fsck },
    Bench { name: "ostree", contests: ostree::contests },
];

/// Where a bench runs, with whom, and on what.
pub(super) struct Ground<'a> {
    pub(super) dir: &'a Path,
    pub(super) programs: &'a Programs,
    pub(super) options: &'a Options,
}

/// The same work, done by several programs.
pub(super) struct Contest {
    pub(super) title: String,
    pub(super) sides: Vec<Side>,
    /// Where the sides write, if it is made anew for each run.
    pub(super) filesystem: Option<FreshFilesystem>,
}

/// One program's way to do the work.
pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) command: Vec<OsString>,
    /// Removed before every run, so that each does the whole work. Not timed.
    pub(super) remove: Vec<PathBuf>,
    /// Run after the contest's filesystem was made, before the command. Not timed.
    pub(super) prepare: Option<Vec<OsString>>,
    pub(super) product: Product,
}

/// What the programs of a contest must agree on, byte for byte.
pub(super) enum Product {
    Stdout,
    File(PathBuf),
    /// Another format: this side's product is compared with none.
    Own,
}

pub(super) const OURS: &str = "treeseal";

/// A command line from anything that can be a word of one.
macro_rules! words {
    ($($word:expr),+) => {
        vec![$(OsString::from(&$word)),+]
    };
}
pub(super) use words;

impl Contest {
    /// Leaves the peers alone with each other.
    pub(super) fn drop_ours(&mut self) {
        self.sides.retain(|side| side.name != OURS);
    }
}

impl Side {
    /// A side that prints its product and leaves nothing behind.
    fn printing(name: &'static str, command: Vec<OsString>) -> Self {
        let (remove, prepare) = (Vec::new(), None);
        Self { name, command, remove, prepare, product: Product::Stdout }
    }

    /// A side whose output says the same in its own words.
    pub(super) fn own(name: &'static str, command: Vec<OsString>) -> Self {
        Self { product: Product::Own, ..Self::printing(name, command) }
    }

    /// A side that writes a file, which is removed before each run.
    pub(super) fn writing(name: &'static str, command: Vec<OsString>, file: &Path) -> Self {
        let (remove, product) = (vec![file.to_owned()], Product::File(file.to_owned()));
        Self { name, command, remove, prepare: None, product }
    }
}

/// The digest of one large file.
fn digest(ground: &Ground) -> Result<Vec<Contest>> {
    let Programs { treeseal, fsverity, .. } = ground.programs;
    let file = input::large_file(ground.dir)?;
    let contest = |algorithm: &'static str| {
        let option: OsString = format!("--hash-alg={algorithm}").into();
        Contest {
            title: format!("file digest of 1 GiB, {algorithm}"),
            sides: vec![
                Side::printing(OURS, words![treeseal, "digest", option, file]),
                Side::printing("fsverity", words![fsverity, "digest", option, file]),
            ],
            filesystem: None,
        }
    };
    Ok(["sha256", "sha512"].map(contest).into())
}

/// A tree of files into a fresh store, and its image. Each run has a filesystem of its own: ext4
/// looks for inodes slowly for minutes after many were removed.
fn import(ground: &Ground) -> Result<Vec<Contest>> {
    let Programs { treeseal, mkcomposefs, cfsctl, .. } = ground.programs;
    let tree = &ground.options.tree;
    let filesystem = FreshFilesystem::below(ground.dir)?;
    let at = |name: &str| filesystem.path().join(name);
    let (store, image) = (at("store"), at("image"));
    let mut their_option = OsString::from("--digest-store=");
    their_option.push(&store);
    // The peer makes a file of each name; so do we here, because the images are compared.
    let compat = "--compat=mkcomposefs";
    let ours = words![treeseal, "image", "build", compat, "--digest-store", store, tree, image];
    let theirs = words![mkcomposefs, their_option, tree, image];
    let sides = vec![
        Side::writing(OURS, ours, &image),
        Side::writing("mkcomposefs", theirs, &image),
        cfsctl_import(cfsctl, tree, &at("repository")),
    ];
    let title = format!("import of {}: {}", tree.display(), input::size_of_tree(tree)?);
    Ok(vec![Contest { title, sides, filesystem: Some(filesystem) }])
}

/// The same tree into the same store again, when nothing in it has changed. What the programs make is
/// compared by `import`; here the first, untimed run of each fills its store.
fn again(ground: &Ground) -> Result<Vec<Contest>> {
    let Programs { treeseal, mkcomposefs, cfsctl, .. } = ground.programs;
    let tree = &ground.options.tree;
    let at = |name: &str| ground.dir.join("again").join(name);
    input::empty_directory(&ground.dir.join("again"))?;
    let (store, root, state) = (at("store"), at("config/root.json"), at("state"));
    let ours = words![
        treeseal,
        "seal",
        "--compat=mkcomposefs",
        "--stream=bench/again/any/stable",
        "--store",
        store,
        "--root",
        root,
        "--state",
        state,
        tree
    ];
    let mut their_option = OsString::from("--digest-store=");
    their_option.push(at("mkcomposefs.store"));
    let theirs = words![mkcomposefs, their_option, tree, at("mkcomposefs.image")];
    let repository = at("cfsctl.repository");
    let cfsctl = cfsctl_import(cfsctl, tree, &repository);
    if let Some(prepare) = &cfsctl.prepare {
        show_and_run(Command::new(&prepare[0]).args(&prepare[1..]))?;
    }
    Ok(vec![Contest {
        title: format!("import of {} again: {}", tree.display(), input::size_of_tree(tree)?),
        sides: vec![
            Side::own(OURS, ours),
            Side::own("mkcomposefs", theirs),
            Side::own("cfsctl", cfsctl.command),
        ],
        filesystem: None,
    }])
}

/// Its image has another format, and its repository must exist before the import.
fn cfsctl_import(cfsctl: &Path, tree: &Path, repository: &Path) -> Side {
    let repo = words![cfsctl, "--repo", repository];
    let command = words!["create-image", "--no-propagate-usr-to-root", tree];
    // "insecure": it shall not need a filesystem with fs-verity, which the others do not use either.
    let prepare = words!["init", "--insecure", "--algorithm", "fsverity-sha256-12"];
    Side {
        name: "cfsctl",
        command: [repo.clone(), command].concat(),
        remove: vec![repository.to_owned()],
        prepare: Some([repo, prepare].concat()),
        product: Product::Own,
    }
}

/// A dump's text into an image.
fn dump(ground: &Ground) -> Result<Vec<Contest>> {
    let Programs { treeseal, mkcomposefs, .. } = ground.programs;
    let files = ground.options.files;
    let dump = input::dump(ground.dir, files)?;
    let (our_image, their_image) =
        (ground.dir.join("treeseal.dump-image"), ground.dir.join("mkcomposefs.dump-image"));
    let ours = words![treeseal, "image", "build", "--from=dump", dump, our_image];
    let theirs = words![mkcomposefs, "--from-file", dump, their_image];
    Ok(vec![Contest {
        title: format!("image from a dump of {files} files"),
        sides: vec![
            Side::writing(OURS, ours, &our_image),
            Side::writing("mkcomposefs", theirs, &their_image),
        ],
        filesystem: None,
    }])
}

/// Everything in a store read and checked. Each program's store is filled once, from the same tree.
fn fsck(ground: &Ground) -> Result<Vec<Contest>> {
    let Programs { treeseal, cfsctl, .. } = ground.programs;
    let tree = &ground.options.tree;
    let at = |name: &str| ground.dir.join(name);
    let (store, repository) = (at("fsck.treeseal"), at("fsck.cfsctl"));
    let places =
        words!["--store", store, "--root", at("fsck.root.json"), "--state", at("fsck.state")];
    if !store.exists() {
        let seal = words!["seal", tree, "--stream", "bench/fsck"];
        show_and_run(Command::new(treeseal).args(seal).args(&places))?;
    }
    let cfsctl_side = cfsctl_import(cfsctl, tree, &repository);
    if !repository.exists() {
        for command in cfsctl_side.prepare.iter().chain([&cfsctl_side.command]) {
            show_and_run(Command::new(&command[0]).args(&command[1..]))?;
        }
    }
    Ok(vec![Contest {
        title: format!(
            "deep check of a store with {}: {}",
            tree.display(),
            input::size_of_tree(tree)?
        ),
        sides: vec![
            Side::own(OURS, [words![treeseal, "store", "fsck"], places].concat()),
            Side::own("cfsctl", words![cfsctl, "--repo", repository, "fsck"]),
        ],
        filesystem: None,
    }])
}

/// What an image has to say.
fn info(ground: &Ground) -> Result<Vec<Contest>> {
    let Programs { treeseal, mkcomposefs, composefs_info, .. } = ground.programs;
    let files = ground.options.files;
    let image = ground.dir.join(format!("info-{files}.image"));
    if !image.exists() {
        let dump = input::dump(ground.dir, files)?;
        show_and_run(Command::new(mkcomposefs).arg("--from-file").arg(dump).arg(&image))?;
    }
    let contest = |task: &'static str| Contest {
        title: format!("{task} of an image of {files} files"),
        sides: vec![
            Side::printing(OURS, words![treeseal, "image", task, image]),
            Side::printing("composefs-info", words![composefs_info, task, image]),
        ],
        filesystem: None,
    };
    Ok(["ls", "dump", "objects"].map(contest).into())
}
