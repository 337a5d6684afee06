//! Directories as trees: what is recorded, what is refused, and what does not matter.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod files;
mod known;
mod links;
mod races;
mod scale;

use std::collections::HashMap;
use std::io;
use std::path::Path;

use tempfile::TempDir;
use treeseal_source::{ImportError, ImportOptions, Imported, Measure, Progress, import_directory};
use treeseal_sys::Directory;
use treeseal_tree::dump::{Record, write_record};
use treeseal_tree::{Content, Inode, InodeId, Tree};

/// A new directory to be imported, and the descriptor by which tests make special things in it.
fn new_directory() -> (TempDir, Directory) {
    let dir = tempfile::tempdir().unwrap();
    let opened = Directory::open(dir.path()).unwrap();
    (dir, opened)
}

fn import_with(path: &Path, options: &ImportOptions) -> Imported {
    import_directory(path, options, &Measure::default(), &Progress::default()).unwrap()
}

fn import(path: &Path) -> Tree {
    import_with(path, &ImportOptions::default()).tree
}

fn import_error(path: &Path, options: &ImportOptions) -> ImportError<io::Error> {
    import_directory(path, options, &Measure::default(), &Progress::default()).unwrap_err()
}

fn inode<'a>(tree: &'a Tree, path: &str) -> Inode<'a> {
    tree.inode(tree.lookup(path.as_bytes()).unwrap_or_else(|| panic!("no {path}")))
}

fn threads(number: usize) -> ImportOptions {
    ImportOptions { threads: number.try_into().unwrap(), ..ImportOptions::default() }
}

/// Every file of a tree as dump text, in breadth-first order.
fn dump(tree: &Tree) -> String {
    let mut text = Vec::new();
    let mut paths = HashMap::from([(Tree::ROOT, b"/".to_vec())]);
    write_line(&mut text, tree, b"/", Tree::ROOT, None);
    let mut directories = vec![(Tree::ROOT, Vec::new())];
    let mut next = 0;
    while let Some((directory, path)) = directories.get(next).cloned() {
        next += 1;
        for entry in tree.children(directory) {
            let path = [path.as_slice(), b"/", entry.name].concat();
            let primary = entry.is_link.then(|| paths[&entry.inode].clone());
            write_line(&mut text, tree, &path, entry.inode, primary.as_deref());
            paths.entry(entry.inode).or_insert_with(|| path.clone());
            if matches!(tree.inode(entry.inode).content(), Content::Directory) {
                directories.push((entry.inode, path));
            }
        }
    }
    String::from_utf8(text).unwrap()
}

fn write_line(text: &mut Vec<u8>, tree: &Tree, path: &[u8], id: InodeId, primary: Option<&[u8]>) {
    let inode = tree.inode(id);
    let content = inode.content();
    let metadata = inode.metadata();
    let mut record = Record {
        path,
        size: inode.size(),
        mode: inode.mode(),
        is_link: primary.is_some(),
        nlink: metadata.nlink,
        uid: metadata.uid,
        gid: metadata.gid,
        rdev: if let Content::Device(number) = content { number } else { 0 },
        mtime: metadata.mtime,
        payload: primary,
        content: None,
        digest: None,
    };
    let object;
    match content {
        _ if primary.is_some() => {}
        Content::Inline(bytes) => record.content = Some(bytes),
        Content::Symlink(target) => record.payload = Some(target),
        Content::External { digest, payload } => {
            object = tree.payload_path(payload);
            record.payload = object.as_deref();
            record.digest = digest.map(|digest| tree.digest(digest));
        }
        _ => {}
    }
    write_record(text, &record, inode.xattrs());
}
