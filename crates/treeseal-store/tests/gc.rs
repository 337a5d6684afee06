#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! What is removed, and what never is.

mod common;

use std::fs;

use common::{
    check, content, digest_of, directory, references, resolve_file, seal_tree, sequence, snapshot,
    stream,
};
use treeseal_store::{GcOptions, GcReport, Part, Reachable, Store, StoreError, gc};

fn two_seals() -> (tempfile::TempDir, Store) {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let shared = content(5000, 1);
    let old = content(600_000, 2);
    let new = content(100, 3);
    seal_tree(&mut writer, &stream("a"), 1, &[shared.clone(), old]).unwrap();
    seal_tree(&mut writer, &stream("a"), 2, &[shared, new]).unwrap();
    (directory, store)
}

#[test]
fn only_what_no_seal_reaches_is_removed() {
    let (directory, store) = two_seals();
    let mut writer = store.writer().unwrap();
    let before = snapshot(directory.path());
    let reachable = Reachable::collect(&writer, resolve_file(&store)).unwrap();
    let report = gc(&mut writer, &reachable, GcOptions::default(), &mut |_| panic!()).unwrap();
    assert_eq!(report, GcReport::default());
    assert_eq!(snapshot(directory.path()), before);

    writer.remove_seal(&stream("a"), sequence(1)).unwrap();
    let reachable = Reachable::collect(&writer, resolve_file(&store)).unwrap();
    let mut listed = Vec::new();
    let options = GcOptions { dry_run: true };
    let dry = gc(&mut writer, &reachable, options, &mut |removal| listed.push(removal)).unwrap();
    let image = listed[0];
    assert_eq!(image.part, Part::Image);
    let parts: Vec<_> = listed[1..].iter().map(|r| (r.part, r.digest, r.size)).collect();
    let old = digest_of(&content(600_000, 2));
    // Two hash blocks of leaves, and the root block.
    let tree = 3 * 4096;
    assert_eq!(parts, [(Part::Sidecar, old, tree), (Part::Object, old, 600_000)]);
    let bytes = 600_000 + tree + image.size;
    let expected = GcReport { images: 1, objects: 1, sidecars: 1, bytes };
    assert_eq!(dry, expected);
    assert_eq!(snapshot(directory.path()).len(), before.len() - 1, "a dry run removes nothing");

    let mut removed = Vec::new();
    let options = GcOptions::default();
    let report = gc(&mut writer, &reachable, options, &mut |removal| removed.push(removal));
    assert_eq!(report.unwrap(), expected);
    assert_eq!(removed, listed);
    drop(writer);
    assert_eq!(snapshot(directory.path()).len(), before.len() - 4);
    assert_eq!(check(&store, Some(&references(&store))).0, [""; 0]);
}

#[test]
fn nothing_is_removed_when_one_seal_cannot_be_resolved() {
    let (directory, store) = two_seals();
    let writer = store.writer().unwrap();
    let seal = directory.path().join("seals/a/@1.seal.json");
    fs::write(&seal, "no digest").unwrap();
    let error = Reachable::collect(&writer, resolve_file(&store)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot tell what `{}` reaches, so nothing is removed; repair it or remove it",
            seal.display()
        )
    );
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("hex digits"));
}

#[test]
fn nothing_is_removed_when_an_image_is_damaged() {
    let (directory, store) = two_seals();
    let writer = store.writer().unwrap();
    for (name, bytes) in snapshot(&directory.path().join("images")) {
        fs::write(directory.path().join("images").join(name), &bytes[1..]).unwrap();
    }
    let error = Reachable::collect(&writer, resolve_file(&store)).unwrap_err();
    assert!(matches!(error, StoreError::Unresolved { .. }), "{error}");
}

#[test]
fn nothing_is_removed_when_something_among_the_seals_is_not_understood() {
    for name in ["seals/a/@3.seal.cbor", "seals/x", "seals/a/.b/@1.seal.json"] {
        let (directory, store) = two_seals();
        let writer = store.writer().unwrap();
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        let error = Reachable::collect(&writer, resolve_file(&store)).unwrap_err();
        let StoreError::StrangeSeal { path: found } = &error else { panic!("{error}") };
        assert!(path.starts_with(found));
        assert!(error.to_string().contains("so nothing is removed; move it elsewhere"));
    }
}

#[test]
fn what_the_caller_keeps_stays() {
    let (_directory, store) = two_seals();
    let mut writer = store.writer().unwrap();
    let old = digest_of(&content(600_000, 2));
    writer.remove_seal(&stream("a"), sequence(1)).unwrap();
    let mut reachable = Reachable::collect(&writer, resolve_file(&store)).unwrap();
    reachable.keep_object(old, 600_000);
    let report = gc(&mut writer, &reachable, GcOptions::default(), &mut |_| {}).unwrap();
    assert_eq!((report.images, report.objects, report.sidecars), (1, 0, 0));
    store.open_object(&old).unwrap();
    store.open_sidecar(&old).unwrap();
}
