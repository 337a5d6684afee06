//! Trees that are large in one way or another.

use std::fs::{self, File};

use treeseal_source::ImportError;
use treeseal_sys::Directory;
use treeseal_tree::Tree;

use crate::{import_error, import_with, new_directory, threads};

#[test]
fn a_directory_of_200_000_entries_is_imported() {
    // In memory, where there is a place: making and removing the files is what takes the time.
    let dir = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| new_directory().0);
    for name in 0..200_000 {
        File::create(dir.path().join(name.to_string())).unwrap();
    }
    let imported = import_with(dir.path(), &threads(4));
    assert_eq!(imported.stats.files, 200_000);
    let tree = &imported.tree;
    assert_eq!(tree.children(Tree::ROOT).len(), 200_000);
    assert!(tree.children(Tree::ROOT).map(|entry| entry.name).is_sorted());
}

#[test]
fn a_directory_of_many_directories_is_imported() {
    let (dir, _) = new_directory();
    for name in 0..3000 {
        fs::create_dir_all(dir.path().join(name.to_string()).join("in/side")).unwrap();
    }
    assert_eq!(import_with(dir.path(), &threads(3)).stats.directories, 9001);
}

#[test]
fn directories_1500_levels_deep_are_imported() {
    let (dir, mut deepest) = new_directory();
    for _ in 0..1500 {
        deepest = deepest.create_directory(b"d").unwrap();
        deepest.create_directory(b"b").unwrap();
    }
    deepest.create_file(b"file").unwrap();
    let imported = import_with(dir.path(), &threads(4));
    assert_eq!(imported.stats.directories, 3001);
    assert!(imported.tree.lookup(&[&b"d/".repeat(1500)[..], b"file"].concat()).is_some());
    remove_deep(dir.path());
}

#[test]
fn a_path_that_no_system_call_takes_is_refused() {
    let (dir, mut deepest) = new_directory();
    for _ in 0..2048 {
        deepest = deepest.create_directory(b"d").unwrap();
        deepest.create_directory(b"b").unwrap();
    }
    deepest.create_directory(b"e").unwrap();
    let error = import_error(dir.path(), &threads(2));
    let ImportError::Tree { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().starts_with("path of 4098 bytes below `/d/d/"), "{source}");
    remove_deep(dir.path());
}

/// Moves each level to the top before removing it: a recursion would have all of them open.
fn remove_deep(root: &std::path::Path) {
    let top = Directory::open(root).unwrap();
    while fs::exists(root.join("d/d")).unwrap() {
        fs::remove_dir(root.join("d/b")).unwrap();
        fs::rename(root.join("d/d"), root.join("next")).unwrap();
        top.remove_directory(b"d").unwrap();
        top.rename_noreplace(b"next", b"d").unwrap();
    }
}
