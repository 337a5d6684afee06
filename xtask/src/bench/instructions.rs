//! How many instructions small commands take, counted by callgrind.
//!
//! What a command does besides its work is lost in times of a millisecond. Instructions can be
//! counted, and come out the same however busy the machine is.

use super::{Programs, input, report};
use crate::process::{find_program, run_quietly, shown};
use crate::random::Random;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Implementations of the hash functions that are measured: what valgrind has of those for x86-64.
/// It knows neither AVX-512 nor the SHA extensions.
const HASHES: &[&str] =
    if cfg!(target_arch = "x86_64") { &["portable", "avx2"] } else { &["portable"] };

/// Files of the tree, and the size of each.
const FILES: u64 = 10;
const FILE_SIZE: usize = 5000;

/// Digests of files that changed more recently are not kept.
const SETTLING: Duration = Duration::from_millis(3100);

/// The same work by our command and by a peer's, where there is one.
struct Case {
    title: &'static str,
    ours: Vec<OsString>,
    peer: Option<(&'static str, Vec<OsString>)>,
    /// What our command makes and would not write over.
    product: Option<PathBuf>,
}

struct Counts {
    case: Case,
    /// One for each of [`HASHES`].
    ours: Vec<u64>,
    peer: Option<u64>,
}

/// Counts, and writes `benches/DATE-instructions.md`.
pub(super) fn run(workspace: &Workspace, programs: &Programs, dir: &Path) -> Result<()> {
    let dir = dir.join("instructions");
    input::empty_directory(&dir)?;
    let mut counts = Vec::new();
    for case in cases(programs, &dir)? {
        eprintln!("{}", case.title);
        counts.push(Counts::of(case, &dir)?);
    }
    let table = table(&counts);
    print!("{table}");
    let date = report::today()?;
    let path = workspace.root.join("benches").join(format!("{date}-instructions.md"));
    let text = format!(
        "# instructions, {date}\n\n\
         Thousands of instructions that callgrind counts in user space, from the program's first to\n\
         its last, the loading of shared libraries included. One run each: runs differ by a\n\
         thousandth. `TREESEAL_HASH` forces what the column names, because valgrind knows neither\n\
         AVX-512 nor the SHA extensions.\n\n{}{table}\n## Commands\n\n```\n{}```\n",
        report::circumstances(workspace, programs)?,
        commands(&counts, workspace),
    );
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

fn cases(programs: &Programs, dir: &Path) -> Result<Vec<Case>> {
    let mut cases = vec![Case {
        title: "--version",
        ours: words(&programs.treeseal, "--version"),
        peer: Some(("fsverity", words(&programs.fsverity, "--version"))),
        product: None,
    }];
    for (title, size) in [
        ("digest of an empty file", 0),
        ("digest of a block, 4 KiB", 4096),
        ("digest of 64 KiB", 65536),
    ] {
        let file = random_file(dir.join(size.to_string()), size)?;
        let digest = |program| [words(program, "digest"), vec![file.clone().into()]].concat();
        let peer = Some(("fsverity", digest(&programs.fsverity)));
        cases.push(Case { title, ours: digest(&programs.treeseal), peer, product: None });
    }
    let tree = settled_tree(dir)?;
    cases.push(listing(programs, dir, &tree)?);
    cases.extend(sealing(programs, dir, &tree)?);
    Ok(cases)
}

fn listing(programs: &Programs, dir: &Path, tree: &Path) -> Result<Case> {
    let image = dir.join("image");
    run_quietly(Command::new(&programs.mkcomposefs).arg(tree).arg(&image))?;
    let ls = |program, line| [words(program, line), vec![image.clone().into()]].concat();
    Ok(Case {
        title: "image ls, 10 files",
        ours: ls(&programs.treeseal, "image ls"),
        peer: Some(("composefs-info", ls(&programs.composefs_info, "ls"))),
        product: None,
    })
}

/// A tree that was sealed before, and has not changed since.
fn sealing(programs: &Programs, dir: &Path, tree: &Path) -> Result<[Case; 3]> {
    let at = |name: &str| OsString::from(dir.join(name));
    let places: Vec<OsString> =
        [("--store", "store"), ("--root", "root.json"), ("--state", "state")]
            .into_iter()
            .flat_map(|(option, name)| [option.into(), at(name)])
            .collect();
    let seal = words(&programs.treeseal, "seal --stream bench/ten/any/stable");
    let seal = [seal, places.clone(), vec![tree.into()]].concat();
    let mut store = OsString::from("--digest-store=");
    store.push(at("mkcomposefs.store"));
    let mkcomposefs =
        vec![programs.mkcomposefs.clone().into(), store, tree.into(), at("mkcomposefs.image")];
    for first in [&seal, &mkcomposefs] {
        run_quietly(&mut quiet(first))?;
    }
    let verify = words(&programs.treeseal, "verify bench/ten/any/stable");
    let unsigned = [seal.clone(), vec!["--unsigned".into(), at("pending")]].concat();
    Ok([
        Case {
            title: "verify, 10 files",
            ours: [verify, places].concat(),
            peer: None,
            product: None,
        },
        Case {
            title: "seal again, 10 files, to be signed elsewhere",
            ours: unsigned,
            peer: Some(("mkcomposefs", mkcomposefs)),
            product: Some(dir.join("pending")),
        },
        Case { title: "seal again, 10 files", ours: seal, peer: None, product: None },
    ])
}

fn settled_tree(dir: &Path) -> Result<PathBuf> {
    let tree = dir.join("tree");
    input::empty_directory(&tree)?;
    for name in 0..FILES {
        random_file(tree.join(name.to_string()), FILE_SIZE)?;
    }
    std::thread::sleep(SETTLING);
    Ok(tree)
}

fn random_file(path: PathBuf, size: usize) -> Result<PathBuf> {
    let mut random = Random::new(1);
    let mut bytes: Vec<u8> =
        (0..size.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect();
    bytes.truncate(size);
    fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

fn words(program: &Path, line: &str) -> Vec<OsString> {
    std::iter::once(program.into()).chain(line.split(' ').map(OsString::from)).collect()
}

fn quiet(words: &[OsString]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Counts {
    fn of(case: Case, dir: &Path) -> Result<Self> {
        let mut ours = Vec::new();
        for hash in HASHES {
            ours.push(counted(&case.ours, Some(hash), dir)?);
            if let Some(product) = &case.product {
                fs::remove_file(product).with_context(|| product.display().to_string())?;
            }
        }
        let peer = case.peer.as_ref().map(|(_, words)| counted(words, None, dir)).transpose()?;
        Ok(Self { case, ours, peer })
    }
}

/// The instructions of one run.
fn counted(words: &[OsString], hash: Option<&str>, dir: &Path) -> Result<u64> {
    let counts = dir.join("callgrind");
    let valgrind = find_program("valgrind").context("no valgrind: run `cargo xtask setup`")?;
    let mut file = OsString::from("--callgrind-out-file=");
    file.push(&counts);
    // The composefs tools start through a script, whose place they take.
    let options = ["--tool=callgrind", "--trace-children=yes"].map(OsString::from);
    let all = [vec![valgrind.into(), file], options.into(), words.to_vec()].concat();
    let mut command = quiet(&all);
    match hash {
        Some(hash) => command.env("TREESEAL_HASH", hash),
        None => command.env_remove("TREESEAL_HASH"),
    };
    run_quietly(&mut command)?;
    let text = fs::read_to_string(&counts).context("reading what callgrind wrote")?;
    total(&text).context("callgrind wrote no total")
}

/// What all parts of the program took together.
fn total(callgrind: &str) -> Option<u64> {
    let mut lines = callgrind.lines().rev();
    lines.find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

/// One row for each case; the ratios are ours to the peer's, so below one is better.
fn table(counts: &[Counts]) -> String {
    let mut text = String::from("\n| command |");
    for hash in HASHES {
        let _ = write!(text, " {hash} |");
    }
    let _ = write!(text, " peer | which |");
    text.push_str(" ours/its |\n|---|");
    text.push_str(&"--:|".repeat(HASHES.len()));
    text.push_str("--:|---|--:|\n");
    counts.iter().for_each(|counts| text.push_str(&row(counts)));
    text
}

fn row(counts: &Counts) -> String {
    let thousands = |count: &u64| format!("{:.0}", *count as f64 / 1e3);
    let mut cells = vec![counts.case.title.to_owned()];
    cells.extend(counts.ours.iter().map(thousands));
    match (&counts.case.peer, counts.peer, counts.ours.last()) {
        (Some((name, _)), Some(peer), Some(ours)) => {
            let ratio = format!("{:.2}", *ours as f64 / peer as f64);
            cells.extend([thousands(&peer), (*name).to_owned(), ratio]);
        }
        _ => cells.extend(["–", "–", "–"].map(str::to_owned)),
    }
    format!("| {} |\n", cells.join(" | "))
}

/// The command lines, with the target directory's place on this machine left out.
fn commands(counts: &[Counts], workspace: &Workspace) -> String {
    let cases = counts.iter().map(|counts| &counts.case);
    let all = cases.flat_map(|case| {
        std::iter::once(&case.ours).chain(case.peer.as_ref().map(|(_, words)| words))
    });
    let target = workspace.target.display().to_string();
    all.map(|words| shown(&quiet(words)).replace(&target, "target") + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_last_one_of_the_file() {
        let text = "summary: 12\n\nfn=(1) main\n3 4\n\ntotals: 1240281\n";
        assert_eq!(total(text), Some(1_240_281));
        assert_eq!(total("events: Ir\n"), None);
    }
}
