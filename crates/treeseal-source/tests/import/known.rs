//! Sinks that know digests of files, so that these are not read.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use treeseal_source::{ContentSink, FileContent, ImportError, Measure, import_directory};
use treeseal_sys::{Stat, stat_file};
use treeseal_tree::Content;
use treeseal_verity::FileDigest;

use crate::{import, inode, new_directory, threads};

/// Notes what it is asked and told. It knows every file once it has `all`.
#[derive(Default)]
struct Noting {
    all: Option<FileDigest>,
    asked: Mutex<Vec<u64>>,
    put: Mutex<Vec<u64>>,
    learnt: Mutex<Vec<(Stat, FileDigest)>>,
    /// A known file is changed before its digest is given.
    meddles: AtomicBool,
}

impl ContentSink for Noting {
    type Error = io::Error;

    fn put(&self, content: &mut FileContent<'_>) -> Result<FileDigest, io::Error> {
        self.put.lock().unwrap().push(content.size());
        Measure::default().put(content)
    }

    fn known(&self, stat: &Stat, file: BorrowedFd<'_>) -> Result<Option<FileDigest>, io::Error> {
        assert_eq!(stat_file(file).unwrap(), *stat);
        self.asked.lock().unwrap().push(stat.size);
        if self.meddles.load(Ordering::Relaxed) {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            File::options().append(true).open(path)?.set_len(stat.size + 1)?;
        }
        Ok(self.all)
    }

    fn learn(&self, stat: &Stat, file: BorrowedFd<'_>, digest: &FileDigest) {
        assert_eq!(stat_file(file).unwrap(), *stat);
        self.learnt.lock().unwrap().push((*stat, *digest));
    }
}

fn some_digest() -> FileDigest {
    FileDigest::from_hex("ab".repeat(32).as_bytes()).unwrap()
}

#[test]
fn what_the_sink_knows_is_not_read_and_has_the_known_digest() {
    let (dir, _) = new_directory();
    fs::write(dir.path().join("file"), [1; 100_000]).unwrap();
    let sink = Noting { all: Some(some_digest()), ..Noting::default() };
    let imported = import_directory(dir.path(), &threads(1), &sink, &()).unwrap();
    let Content::External { digest: Some(digest), .. } = inode(&imported.tree, "file").content()
    else {
        panic!("no digest")
    };
    assert_eq!(imported.tree.digest(digest), some_digest());
    assert_eq!(inode(&imported.tree, "file").size(), 100_000);
    assert_eq!((imported.stats.objects, imported.stats.bytes), (1, 100_000));
    assert_eq!(*sink.put.lock().unwrap(), [0; 0]);
    assert_eq!(*sink.learnt.lock().unwrap(), []);
}

#[test]
fn a_sink_learns_what_it_did_not_know() {
    let (dir, opened) = new_directory();
    fs::write(dir.path().join("file"), [1; 100_000]).unwrap();
    let sink = Noting::default();
    import_directory(dir.path(), &threads(1), &sink, &()).unwrap();
    let tree = import(dir.path());
    let Content::External { digest: Some(digest), .. } = inode(&tree, "file").content() else {
        panic!("no digest")
    };
    let stat = opened.stat_child(b"file").unwrap();
    assert_eq!(*sink.learnt.lock().unwrap(), [(stat, tree.digest(digest))]);
}

#[test]
fn content_that_becomes_part_of_the_image_is_always_read() {
    let (dir, _) = new_directory();
    for size in [0, 1, 64, 65] {
        fs::write(dir.path().join(size.to_string()), vec![1; size]).unwrap();
    }
    let sink = Noting { all: Some(some_digest()), ..Noting::default() };
    let imported = import_directory(dir.path(), &threads(1), &sink, &()).unwrap();
    assert_eq!(*sink.asked.lock().unwrap(), [65]);
    let small = inode(&imported.tree, "64");
    assert!(matches!(small.content(), Content::Inline(bytes) if bytes == [1; 64]));
}

#[test]
fn a_known_file_that_changes_meanwhile_is_an_error() {
    let (dir, _) = new_directory();
    let path = dir.path().join("file");
    fs::write(&path, [1; 1000]).unwrap();
    let sink = Noting { all: Some(some_digest()), meddles: true.into(), ..Noting::default() };
    let error = import_directory(dir.path(), &threads(1), &sink, &()).unwrap_err();
    assert!(matches!(&error, ImportError::Changed { .. }), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn a_file_that_changes_while_it_is_read_is_not_learnt() {
    struct Meddling(Noting);
    impl ContentSink for Meddling {
        type Error = io::Error;
        fn put(&self, content: &mut FileContent<'_>) -> Result<FileDigest, io::Error> {
            let digest = self.0.put(content);
            let path = std::path::PathBuf::from(String::from_utf8(content.path()).unwrap());
            File::options().write(true).open(path)?.set_len(5)?;
            digest
        }
        fn learn(&self, stat: &Stat, file: BorrowedFd<'_>, digest: &FileDigest) {
            self.0.learn(stat, file, digest);
        }
    }
    let (dir, _) = new_directory();
    fs::write(dir.path().join("file"), [1; 1000]).unwrap();
    let sink = Meddling(Noting::default());
    let error = import_directory(dir.path(), &threads(1), &sink, &()).unwrap_err();
    assert!(matches!(error, ImportError::Changed { .. }), "{error}");
    assert_eq!(*sink.0.learnt.lock().unwrap(), []);
}

#[test]
fn a_file_with_several_names_is_asked_for_once() {
    let (dir, _) = new_directory();
    fs::write(dir.path().join("a"), [1; 1000]).unwrap();
    fs::hard_link(dir.path().join("a"), dir.path().join("b")).unwrap();
    let sink = Noting::default();
    import_directory(dir.path(), &threads(4), &sink, &()).unwrap();
    assert_eq!(*sink.asked.lock().unwrap(), [1000]);
    assert_eq!(sink.learnt.lock().unwrap().len(), 1);
}
