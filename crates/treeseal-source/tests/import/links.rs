//! Files with several names.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use treeseal_source::{
    ContentSink, FileContent, HardLinks, ImportOptions, Measure, Progress, import_directory,
};
use treeseal_tree::{Content, Tree};
use treeseal_verity::FileDigest;

use crate::{import, import_with, inode, new_directory, threads};

/// Counts how often content is read.
#[derive(Default)]
struct Counting(AtomicU64);

impl ContentSink for Counting {
    type Error = std::io::Error;

    fn put(&self, content: &mut FileContent<'_>) -> Result<FileDigest, std::io::Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Measure::default().put(content)
    }
}

/// The paths that are further names.
fn links(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    let mut directories = vec![(Tree::ROOT, String::new())];
    while let Some((directory, path)) = directories.pop() {
        for entry in tree.children(directory) {
            let path = format!("{path}/{}", str::from_utf8(entry.name).unwrap());
            if entry.is_link {
                found.push(path.clone());
            }
            if matches!(tree.inode(entry.inode).content(), Content::Directory) {
                directories.push((entry.inode, path));
            }
        }
    }
    found.sort();
    found
}

fn link_all(root: &Path, names: &[&str]) {
    for directory in ["a/b", "m"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::write(root.join(names[0]), [1; 100]).unwrap();
    for name in &names[1..] {
        fs::hard_link(root.join(names[0]), root.join(name)).unwrap();
    }
}

#[test]
fn the_primary_name_is_the_shallowest_then_the_first_in_byte_order() {
    // `m/A` is deeper than `z`; `a/b/f` comes before `m/f` as text, and is deeper.
    let names = ["z", "m/A", "a/b/f", "a/f"];
    for first in 0..names.len() {
        let (dir, _) = new_directory();
        let mut order = names;
        order.swap(0, first);
        link_all(dir.path(), &order);
        for count in [1, 4] {
            let imported = import_with(dir.path(), &threads(count));
            let tree = &imported.tree;
            assert_eq!(links(tree), ["/a/b/f", "/a/f", "/m/A"]);
            assert_eq!(inode(tree, "m/A").metadata().nlink, 4);
            assert_eq!(tree.lookup(b"z"), tree.lookup(b"a/b/f"));
            assert_eq!((imported.stats.files, imported.stats.links), (1, 3));
        }
    }
}

#[test]
fn at_the_same_depth_the_directory_decides_before_the_name() {
    let (dir, _) = new_directory();
    link_all(dir.path(), &["m/a", "a/z"]);
    assert_eq!(links(&import(dir.path())), ["/m/a"]);
}

#[test]
fn separate_names_are_separate_files_with_one_link_each() {
    let (dir, _) = new_directory();
    link_all(dir.path(), &["z", "m/A", "a/b/f"]);
    let options = ImportOptions { hard_links: HardLinks::Separate, ..ImportOptions::default() };
    let tree = import_with(dir.path(), &options).tree;
    assert!(links(&tree).is_empty());
    assert_ne!(tree.lookup(b"z"), tree.lookup(b"m/A"));
    for path in ["z", "m/A", "a/b/f"] {
        assert_eq!(inode(&tree, path).metadata().nlink, 1);
        assert_eq!(inode(&tree, path).content(), inode(&tree, "z").content());
    }
}

#[test]
fn content_with_several_names_is_read_once() {
    for hard_links in [HardLinks::Keep, HardLinks::Separate] {
        let (dir, _) = new_directory();
        link_all(dir.path(), &["z", "m/A", "a/b/f"]);
        let sink = Counting::default();
        let options = ImportOptions { hard_links, ..threads(4) };
        import_directory(dir.path(), &options, &sink, &Progress::default()).unwrap();
        assert_eq!(sink.0.into_inner(), 1);
    }
}

#[test]
fn links_from_outside_do_not_count() {
    let (outside, _) = new_directory();
    let (dir, _) = new_directory();
    fs::write(outside.path().join("file"), "content").unwrap();
    fs::hard_link(outside.path().join("file"), dir.path().join("file")).unwrap();
    let tree = import(dir.path());
    assert_eq!(inode(&tree, "file").metadata().nlink, 1);
    assert!(links(&tree).is_empty());
}

#[test]
fn symlinks_and_empty_files_can_have_several_names_too() {
    let (dir, _) = new_directory();
    fs::write(dir.path().join("empty"), "").unwrap();
    symlink("target", dir.path().join("symlink")).unwrap();
    fs::hard_link(dir.path().join("empty"), dir.path().join("empty2")).unwrap();
    fs::hard_link(dir.path().join("symlink"), dir.path().join("symlink2")).unwrap();
    let tree = import(dir.path());
    assert_eq!(links(&tree), ["/empty2", "/symlink2"]);
    assert_eq!(inode(&tree, "symlink2").content(), Content::Symlink(b"target"));
    assert_eq!(inode(&tree, "symlink").metadata().nlink, 2);
}
