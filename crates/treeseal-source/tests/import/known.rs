//! Sinks that know digests of files, so that these are not read.

use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use treeseal_source::{
    ContentSink, FileContent, ImportError, ImportOptions, Known, Measure, Progress, Xattrs,
    import_directory,
};
use treeseal_sys::{Attributes, Stat, Timestamp, restore_attributes, stat_file};
use treeseal_tree::{Content, Tree};
use treeseal_verity::FileDigest;

use crate::{import, inode, new_directory, threads};

/// Notes what it is asked and told. It knows every file once it has `all`.
#[derive(Default)]
struct Noting {
    all: Option<Known>,
    asked: Mutex<Vec<u64>>,
    put: Mutex<Vec<u64>>,
    learnt: Mutex<Vec<(Stat, Known)>>,
    /// A file that is changed before it is said to be known.
    meddles_with: Option<PathBuf>,
}

impl ContentSink for Noting {
    type Error = io::Error;

    fn put(&self, content: &mut FileContent<'_>) -> Result<FileDigest, io::Error> {
        self.put.lock().unwrap().push(content.size());
        Measure::default().put(content)
    }

    fn known(&self, stat: &Stat, beside: BorrowedFd<'_>) -> Result<Option<Known>, io::Error> {
        assert_eq!(stat_file(beside).unwrap().id.device, stat.id.device);
        self.asked.lock().unwrap().push(stat.size);
        if let Some(path) = &self.meddles_with {
            File::options().write(true).open(path)?.set_len(stat.size + 1)?;
        }
        Ok(self.all)
    }

    fn learn(&self, stat: &Stat, beside: BorrowedFd<'_>, known: &Known) {
        assert_eq!(stat_file(beside).unwrap().id.device, stat.id.device);
        self.learnt.lock().unwrap().push((*stat, *known));
    }
}

fn known(without_xattrs: bool) -> Known {
    let digest = FileDigest::from_hex("ab".repeat(32).as_bytes()).unwrap();
    Known { digest, without_xattrs }
}

fn digest_of(tree: &Tree, path: &str) -> FileDigest {
    let Content::External { digest: Some(digest), .. } = inode(tree, path).content() else {
        panic!("{path} has no digest")
    };
    tree.digest(digest)
}

#[test]
fn what_the_sink_knows_is_not_read_and_has_the_known_digest() {
    let (dir, _) = new_directory();
    fs::write(dir.path().join("file"), [1; 100_000]).unwrap();
    for without_xattrs in [true, false] {
        let sink = Noting { all: Some(known(without_xattrs)), ..Noting::default() };
        let progress = Progress::default();
        let imported = import_directory(dir.path(), &threads(1), &sink, &progress).unwrap();
        let reached = progress.reached().unwrap();
        assert_eq!((reached.done.bytes, reached.known_bytes), (100_000, 100_000));
        assert_eq!(digest_of(&imported.tree, "file"), known(true).digest);
        assert_eq!(inode(&imported.tree, "file").size(), 100_000);
        assert_eq!((imported.stats.objects, imported.stats.bytes), (1, 100_000));
        assert_eq!(*sink.put.lock().unwrap(), [0; 0]);
        assert_eq!(*sink.learnt.lock().unwrap(), []);
    }
}

#[test]
fn a_sink_learns_what_it_did_not_know() {
    let (dir, opened) = new_directory();
    fs::write(dir.path().join("file"), [1; 100_000]).unwrap();
    let sink = Noting::default();
    import_directory(dir.path(), &threads(1), &sink, &Progress::default()).unwrap();
    let tree = import(dir.path());
    let stat = opened.stat_child(b"file").unwrap();
    let expected = Known { digest: digest_of(&tree, "file"), without_xattrs: true };
    assert_eq!(*sink.learnt.lock().unwrap(), [(stat, expected)]);
}

#[test]
fn content_that_becomes_part_of_the_image_is_always_read() {
    let (dir, _) = new_directory();
    for size in [0, 1, 64, 65] {
        fs::write(dir.path().join(size.to_string()), vec![1; size]).unwrap();
    }
    let sink = Noting { all: Some(known(true)), ..Noting::default() };
    let imported = import_directory(dir.path(), &threads(1), &sink, &Progress::default()).unwrap();
    assert_eq!(*sink.asked.lock().unwrap(), [65]);
    let small = inode(&imported.tree, "64");
    assert!(matches!(small.content(), Content::Inline(bytes) if bytes == [1; 64]));
}

#[test]
fn a_known_file_with_attributes_that_changes_meanwhile_is_an_error() {
    let (dir, _) = new_directory();
    let path = dir.path().join("file");
    fs::write(&path, [1; 1000]).unwrap();
    let meddles_with = Some(path.clone());
    let sink = Noting { all: Some(known(false)), meddles_with, ..Noting::default() };
    let error = import_directory(dir.path(), &threads(1), &sink, &Progress::default()).unwrap_err();
    assert!(matches!(&error, ImportError::Changed { .. }), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn of_a_known_file_without_attributes_what_was_seen_at_first_is_recorded() {
    let (dir, _) = new_directory();
    let path = dir.path().join("file");
    fs::write(&path, [1; 1000]).unwrap();
    let sink = Noting { all: Some(known(true)), meddles_with: Some(path), ..Noting::default() };
    let imported = import_directory(dir.path(), &threads(1), &sink, &Progress::default()).unwrap();
    assert_eq!(inode(&imported.tree, "file").size(), 1000);
    assert_eq!(digest_of(&imported.tree, "file"), known(true).digest);
}

#[test]
fn a_known_file_keeps_its_attributes() {
    let (dir, _) = new_directory();
    fs::write(dir.path().join("file"), [1; 1000]).unwrap();
    set_attribute(&dir.path().join("file"));
    let sink = Noting::default();
    import_directory(dir.path(), &threads(1), &sink, &Progress::default()).unwrap();
    let learnt = sink.learnt.lock().unwrap()[0].1;
    assert!(!learnt.without_xattrs);
    let sink = Noting { all: Some(learnt), ..Noting::default() };
    let imported = import_directory(dir.path(), &threads(1), &sink, &Progress::default()).unwrap();
    assert_eq!(inode(&imported.tree, "file").xattrs().count(), 1);
}

#[test]
fn whoever_did_not_look_for_all_attributes_does_not_say_that_there_are_none() {
    let (dir, _) = new_directory();
    fs::write(dir.path().join("file"), [1; 1000]).unwrap();
    for (xattrs, expected) in
        [(Xattrs::All, true), (Xattrs::UserOnly, false), (Xattrs::Ignore, false)]
    {
        let sink = Noting::default();
        let options = ImportOptions { xattrs, ..threads(1) };
        import_directory(dir.path(), &options, &sink, &Progress::default()).unwrap();
        assert_eq!(sink.learnt.lock().unwrap()[0].1.without_xattrs, expected, "{xattrs:?}");
    }
}

#[test]
fn where_the_directory_has_attributes_those_of_a_file_are_looked_for_again() {
    let (dir, _) = new_directory();
    let path = dir.path().join("file");
    fs::write(&path, [1; 1000]).unwrap();
    // What a security module would do, to the file without a change of it.
    set_attribute(&path);
    let sink = Noting { all: Some(known(true)), ..Noting::default() };
    let count = || {
        let imported =
            import_directory(dir.path(), &threads(1), &sink, &Progress::default()).unwrap();
        inode(&imported.tree, "file").xattrs().count()
    };
    assert_eq!(count(), 0);
    set_attribute(dir.path());
    assert_eq!(count(), 1);
}

fn set_attribute(path: &Path) {
    let xattrs: &[(&[u8], &[u8])] = &[(b"user.a", b"b")];
    let attributes =
        Attributes { owner: None, permissions: 0o755, mtime: Timestamp::default(), xattrs };
    restore_attributes(File::open(path).unwrap(), &attributes).unwrap();
}

#[test]
fn a_file_that_changes_while_it_is_read_is_not_learnt() {
    struct Meddling(Noting);
    impl ContentSink for Meddling {
        type Error = io::Error;
        fn put(&self, content: &mut FileContent<'_>) -> Result<FileDigest, io::Error> {
            let digest = self.0.put(content);
            let path = PathBuf::from(String::from_utf8(content.path()).unwrap());
            File::options().write(true).open(path)?.set_len(5)?;
            digest
        }
        fn learn(&self, stat: &Stat, beside: BorrowedFd<'_>, known: &Known) {
            self.0.learn(stat, beside, known);
        }
    }
    let (dir, _) = new_directory();
    fs::write(dir.path().join("file"), [1; 1000]).unwrap();
    let sink = Meddling(Noting::default());
    let error = import_directory(dir.path(), &threads(1), &sink, &Progress::default()).unwrap_err();
    assert!(matches!(error, ImportError::Changed { .. }), "{error}");
    assert_eq!(*sink.0.learnt.lock().unwrap(), []);
}

#[test]
fn a_file_with_several_names_is_asked_for_once() {
    let (dir, _) = new_directory();
    fs::write(dir.path().join("a"), [1; 1000]).unwrap();
    fs::hard_link(dir.path().join("a"), dir.path().join("b")).unwrap();
    let sink = Noting::default();
    import_directory(dir.path(), &threads(4), &sink, &Progress::default()).unwrap();
    assert_eq!(*sink.asked.lock().unwrap(), [1000]);
    assert_eq!(sink.learnt.lock().unwrap().len(), 1);
}
