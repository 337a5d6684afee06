#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! What a check finds, word by word, and what a repair heals.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use common::{
    check, content, digest_of, directory, references, seal_tree, sequence, snapshot, stream,
};
use treeseal_store::{FsckOptions, RepairReport, Store, repair};

const SIZES: [usize; 6] = [10, 4096, 530_000, 600_000, 1_200_000, 5000];

fn contents() -> Vec<Vec<u8>> {
    SIZES.iter().map(|&size| content(size, 1)).collect()
}

/// A store with one sealed tree.
struct Sealed {
    directory: tempfile::TempDir,
    store: Store,
}

impl Sealed {
    fn new() -> Self {
        let directory = directory();
        let store = Store::create_or_open(&directory.path().join("store")).unwrap();
        seal_tree(&mut store.writer().unwrap(), &stream("a/b"), 1, &contents()).unwrap();
        Self { directory, store }
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.store.path().join(name)
    }

    fn object(&self, index: usize) -> PathBuf {
        self.path(name("objects", index))
    }

    fn sidecar(&self, index: usize) -> PathBuf {
        self.path(name("trees", index))
    }

    fn check(&self, references: &treeseal_store::References) -> Vec<String> {
        check(&self.store, Some(references)).0
    }

    fn repair(&self, references: &treeseal_store::References, copies: &[&Path]) -> RepairReport {
        let mut writer = self.store.writer().unwrap();
        repair(&mut writer, Some(references), copies, FsckOptions::default()).unwrap()
    }
}

fn digest(index: usize) -> String {
    digest_of(&contents()[index]).to_hex()
}

fn name(directory: &str, index: usize) -> String {
    format!("{directory}/{}", digest_of(&contents()[index]).object_path())
}

fn texts(findings: &[treeseal_store::Finding]) -> Vec<String> {
    let mut texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    texts.sort();
    texts
}

#[test]
fn a_sound_store_has_no_findings() {
    let sealed = Sealed::new();
    let references = references(&sealed.store);
    let (findings, report) = check(&sealed.store, Some(&references));
    assert_eq!(findings, [""; 0]);
    assert!(report.is_sound());
    assert_eq!((report.objects, report.images), (6, 1));
    let image = fs::metadata(snapshot_path(&sealed, "images")).unwrap().len();
    assert_eq!(report.bytes, SIZES.iter().sum::<usize>() as u64 + image);
}

/// The one file below a directory of the store.
fn snapshot_path(sealed: &Sealed, directory: &str) -> PathBuf {
    let files = snapshot(&sealed.path(directory));
    sealed.path(directory).join(files.keys().next().unwrap())
}

#[test]
fn every_kind_of_damage_is_named() {
    let sealed = Sealed::new();
    let references = references(&sealed.store);
    let expect = |expected: Vec<String>, what: &str| {
        let mut expected = expected;
        expected.sort();
        assert_eq!(sealed.check(&references), expected, "{what}");
    };
    let good = snapshot(sealed.store.path());
    let restore = || {
        for (name, bytes) in &good {
            let path = sealed.path(name);
            if path.symlink_metadata().is_ok_and(|metadata| !metadata.is_file()) {
                let _ = fs::remove_file(&path);
                let _ = fs::remove_dir_all(&path);
            }
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        assert_eq!(sealed.check(&references), [""; 0]);
    };

    let mut damaged = contents()[3].clone();
    damaged[599_999] ^= 128;
    fs::write(sealed.object(3), &damaged).unwrap();
    let found = digest_of(&damaged);
    expect(
        vec![format!("{}: damaged: its content has digest {found}", name("objects", 3))],
        "one bit",
    );
    restore();

    fs::write(sealed.object(4), &contents()[4][..1_000_000]).unwrap();
    expect(
        vec![format!("{}: truncated: it has 1000000 of 1200000 bytes", name("objects", 4))],
        "truncated",
    );
    restore();

    fs::write(sealed.object(0), "").unwrap();
    expect(vec![format!("{}: truncated: it has 0 of 10 bytes", name("objects", 0))], "emptied");
    restore();

    fs::write(sealed.object(1), content(4097, 1)).unwrap();
    expect(
        vec![format!("{}: too long: it has 4097 bytes, expected 4096", name("objects", 1))],
        "too long",
    );
    restore();

    fs::write(sealed.object(0), &contents()[2]).unwrap();
    fs::write(sealed.object(2), &contents()[0]).unwrap();
    expect(
        vec![
            format!(
                "{}: swapped: it holds the content of object {}",
                name("objects", 0),
                digest(2)
            ),
            format!(
                "{}: swapped: it holds the content of object {}",
                name("objects", 2),
                digest(0)
            ),
        ],
        "swapped",
    );
    restore();

    fs::remove_file(sealed.object(3)).unwrap();
    expect(
        vec![
            format!("{}: missing: 600000 bytes", name("objects", 3)),
            format!("{}: stray: there is no object for it", name("trees", 3)),
        ],
        "missing",
    );
    restore();

    let image = snapshot_path(&sealed, "images");
    let image_name = image.strip_prefix(sealed.store.path()).unwrap().display().to_string();
    fs::write(&image, "nonsense").unwrap();
    expect(
        vec![format!("{image_name}: damaged: its content has digest {}", digest_of(b"nonsense"))],
        "image",
    );
    fs::remove_file(&image).unwrap();
    expect(vec![format!("{image_name}: missing")], "missing image");
    restore();

    fs::remove_file(sealed.sidecar(2)).unwrap();
    let mut tree = fs::read(sealed.sidecar(3)).unwrap();
    *tree.last_mut().unwrap() ^= 1;
    fs::write(sealed.sidecar(3), &tree).unwrap();
    fs::write(sealed.sidecar(4), "short").unwrap();
    expect(
        vec![
            format!("{}: missing: its object is good", name("trees", 2)),
            format!("{}: wrong Merkle tree: its object is good", name("trees", 3)),
            format!(
                "{}: wrong Merkle tree: it has 5 bytes, expected {}",
                name("trees", 4),
                good[&name("trees", 4)].len()
            ),
        ],
        "sidecars",
    );
    restore();

    let mut tree = fs::read(sealed.sidecar(4)).unwrap();
    tree[0] ^= 1;
    fs::write(sealed.sidecar(4), &tree).unwrap();
    expect(
        vec![format!("{}: wrong Merkle tree: its object is good", name("trees", 4))],
        "upper level",
    );
    restore();

    fs::remove_file(sealed.object(2)).unwrap();
    symlink(sealed.object(0), sealed.object(2)).unwrap();
    fs::remove_file(sealed.object(3)).unwrap();
    fs::create_dir(sealed.object(3)).unwrap();
    expect(
        vec![
            format!("{}: is a symlink, expected a regular file", name("objects", 2)),
            format!("{}: is a directory, expected a regular file", name("objects", 3)),
        ],
        "types",
    );
    restore();

    fs::write(sealed.path("seals/a/b/@current"), "9\n").unwrap();
    expect(
        vec!["seals/a/b/@current: points to sequence 9, of which there is no seal".into()],
        "pointer",
    );
    fs::write(sealed.path("seals/a/b/@current"), "01\n").unwrap();
    expect(
        vec!["seals/a/b/@current: damaged: it holds `01\\n`, expected a sequence number".into()],
        "pointer",
    );
    restore();
}

#[test]
fn strays_are_named_and_are_no_damage() {
    let sealed = Sealed::new();
    let references = references(&sealed.store);
    for path in [
        "notes.txt",
        "tmp/.1-2.tmp",
        "roots/1.json",
        "seals/readme",
        "seals/a/b/@01.seal.json",
        "objects/.tmpXYZ",
        "objects/00/short",
        &format!("objects/AB/{}", "c".repeat(62)),
        &format!("trees/00/{}", "1".repeat(62)),
    ] {
        fs::create_dir_all(sealed.path(path).parent().unwrap()).unwrap();
        fs::write(sealed.path(path), "").unwrap();
    }
    fs::create_dir(sealed.path("seals/.hidden")).unwrap();
    // A sidecar for an object of one run.
    fs::create_dir_all(sealed.sidecar(5).parent().unwrap()).unwrap();
    fs::write(sealed.sidecar(5), "").unwrap();
    let (findings, report) = check(&sealed.store, Some(&references));
    let strange = "stray: nothing in a store has this name";
    let mut expected = vec![
        format!("notes.txt: {strange}"),
        "tmp/.1-2.tmp: stray: left by a writer that was interrupted".to_owned(),
        format!("roots/1.json: {strange}"),
        format!("seals/readme: {strange}"),
        format!("seals/a/b/@01.seal.json: {strange}"),
        format!("seals/.hidden: {strange}"),
        format!("objects/.tmpXYZ: {strange}"),
        format!("objects/00/short: {strange}"),
        format!("objects/AB: {strange}"),
        format!("trees/00/{}: stray: there is no object for it", "1".repeat(62)),
        format!("{}: stray: its object is too small to have one", name("trees", 5)),
    ];
    expected.sort();
    assert_eq!(findings, expected);
    assert!(report.is_sound());
    assert_eq!(report.strays, 11);
}

#[test]
fn unreferenced_objects_are_no_damage() {
    let sealed = Sealed::new();
    let references = references(&sealed.store);
    let more = content(6000, 8);
    let mut writer = sealed.store.writer().unwrap();
    let sink = writer.object_sink(treeseal_store::SinkOptions::default());
    let digest = sink.put_reader(&mut &more[..], None).unwrap();
    sink.commit().unwrap();
    drop(writer);
    let (findings, report) = check(&sealed.store, Some(&references));
    assert_eq!(
        findings,
        [format!(
            "objects/{}: unreferenced: 6000 bytes that no seal reaches",
            digest.object_path()
        )]
    );
    assert_eq!((report.damage, report.strays, report.unreferenced), (0, 0, 1));
    // Without references it cannot be known.
    assert_eq!(check(&sealed.store, None).0, [""; 0]);
}

/// Damages, removes or swaps about everything.
fn wreck(sealed: &Sealed) {
    let mut damaged = contents()[4].clone();
    damaged[0] ^= 1;
    fs::write(sealed.object(4), &damaged).unwrap();
    fs::remove_file(sealed.object(3)).unwrap();
    fs::remove_file(sealed.sidecar(3)).unwrap();
    fs::remove_file(sealed.sidecar(2)).unwrap();
    fs::write(sealed.sidecar(4), "x").unwrap();
    fs::remove_file(sealed.object(1)).unwrap();
    symlink("/etc/passwd", sealed.object(1)).unwrap();
    fs::write(sealed.object(0), &contents()[0][..3]).unwrap();
    fs::create_dir_all(sealed.sidecar(5).parent().unwrap()).unwrap();
    fs::write(sealed.sidecar(5), "needless").unwrap();
    fs::write(snapshot_path(sealed, "images"), "gone").unwrap();
    fs::write(sealed.path("tmp/left"), "x").unwrap();
}

#[test]
fn a_repair_heals_everything_from_good_copies_wherever_they_lie() {
    for layout in ["store", "objects", "files"] {
        let sealed = Sealed::new();
        let references = references(&sealed.store);
        let good = snapshot(sealed.store.path());
        let copies = sealed.directory.path().join("copies");
        for (index, (name, bytes)) in good.iter().enumerate() {
            let path = match layout {
                "store" => copies.join(name),
                "objects" => match name.split_once('/') {
                    Some(("objects" | "images", rest)) => copies.join(rest),
                    _ => continue,
                },
                _ => copies.join(format!("deep/er/{index}")),
            };
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        symlink("/", copies.join("everything")).unwrap();
        wreck(&sealed);
        let report = sealed.repair(&references, &[&copies]);
        assert_eq!(texts(&report.remaining), [""; 0], "{layout}");
        assert_eq!(report.healed.len(), 7, "{layout}: {:?}", texts(&report.healed));
        assert_eq!(report.unreadable, 0);
        assert_eq!(snapshot(sealed.store.path()), good, "{layout}");
        assert_eq!(sealed.check(&references), [""; 0], "{layout}");
    }
}

#[test]
fn a_repair_without_copies_heals_sidecars_and_removes_nothing_that_it_cannot_replace() {
    let sealed = Sealed::new();
    let references = references(&sealed.store);
    wreck(&sealed);
    let before = snapshot(sealed.store.path());
    let bad = sealed.directory.path().join("bad");
    fs::create_dir(&bad).unwrap();
    // The right size and place, and the wrong content.
    let path = bad.join(digest_of(&contents()[3]).object_path());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content(600_000, 2)).unwrap();
    let report = sealed.repair(&references, &[&bad, Path::new("/nowhere")]);
    assert_eq!(report.unreadable, 1);
    assert_eq!(texts(&report.healed), {
        let mut healed = vec![
            format!("{}: missing: its object is good", name("trees", 2)),
            format!("{}: stray: its object is too small to have one", name("trees", 5)),
        ];
        healed.sort();
        healed
    },);
    assert_eq!(report.remaining.len(), 5, "{:?}", texts(&report.remaining));
    let after = snapshot(sealed.store.path());
    for (name, bytes) in &before {
        let gone = name.starts_with("tmp/") || *name == self::name("trees", 5) || name == "lock";
        assert!(gone || after.get(name) == Some(bytes), "{name}");
    }
    assert_eq!(
        sealed.store.sequences(&stream("a/b")).unwrap(),
        [sequence(1)],
        "seals are not touched"
    );
}
