//! Trees that change while they are imported, and sinks that fail.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Once;

use treeseal_source::{
    ContentSink, FileContent, ImportError, ImportOptions, Measure, Progress, import_directory,
};
use treeseal_sys::stat_file;
use treeseal_verity::FileDigest;

use crate::{new_directory, threads};

/// Does something with the path of a file before its content is read, and something after.
struct Meddling<B, A> {
    before: B,
    after: A,
}

impl<B: Fn(&Path) + Sync, A: Fn(&Path) + Sync> ContentSink for Meddling<B, A> {
    type Error = io::Error;

    fn put(&self, content: &mut FileContent<'_>) -> Result<FileDigest, io::Error> {
        let path = PathBuf::from(OsStr::from_bytes(&content.path()));
        (self.before)(&path);
        let digest = Measure::default().put(content);
        (self.after)(&path);
        digest
    }
}

fn nothing(_path: &Path) {}

fn append(path: &Path) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
}

fn truncate(path: &Path) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(10).unwrap();
}

fn overwrite(path: &Path) {
    OpenOptions::new().write(true).open(path).unwrap().write_all(b"other").unwrap();
}

fn import_meddling<B: Fn(&Path) + Sync, A: Fn(&Path) + Sync>(
    root: &Path,
    before: B,
    after: A,
) -> Result<(), ImportError<io::Error>> {
    import_directory(root, &threads(1), &Meddling { before, after }, &Progress::default())
        .map(|_| ())
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error_that_names_it() {
    let changes: [fn(&Path); 3] = [append, truncate, overwrite];
    for change in changes {
        for is_before in [true, false] {
            let (dir, _) = new_directory();
            fs::write(dir.path().join("file"), [1; 100_000]).unwrap();
            let result = if is_before {
                import_meddling(dir.path(), change, nothing)
            } else {
                import_meddling(dir.path(), nothing, change)
            };
            let error = result.unwrap_err();
            assert!(matches!(error, ImportError::Changed { .. }), "{error}");
            let path = dir.path().join("file");
            let expected = format!("`{}` was changed while it was read", path.display());
            assert_eq!(error.to_string(), expected);
        }
    }
}

#[test]
fn what_is_appended_is_not_read() {
    struct Length;
    impl ContentSink for Length {
        type Error = io::Error;
        fn put(&self, content: &mut FileContent<'_>) -> Result<FileDigest, io::Error> {
            append(Path::new(OsStr::from_bytes(&content.path())));
            let mut all = Vec::new();
            content.read_to_end(&mut all)?;
            assert_eq!(all.len(), 1000);
            assert_eq!(content.size(), 1000);
            Measure::default().put(content)
        }
    }
    let (dir, _) = new_directory();
    fs::write(dir.path().join("file"), [1; 1000]).unwrap();
    let error =
        import_directory(dir.path(), &threads(1), &Length, &Progress::default()).unwrap_err();
    assert!(matches!(error, ImportError::Changed { .. }), "{error}");
}

#[test]
fn a_sink_may_read_as_it_likes() {
    struct Mixed;
    impl ContentSink for Mixed {
        type Error = io::Error;
        fn put(&self, content: &mut FileContent<'_>) -> Result<FileDigest, io::Error> {
            assert_eq!(stat_file(content.as_fd()).unwrap().size, content.size());
            let mut all = vec![0; 10];
            content.read_exact(&mut all)?;
            let buffered = content.fill_buf()?.to_vec();
            content.consume(5);
            all.extend_from_slice(&buffered[..5]);
            let mut large = vec![0; 1 << 20];
            loop {
                let length = content.read(&mut large)?;
                if length == 0 {
                    break;
                }
                all.extend_from_slice(&large[..length]);
            }
            Ok(treeseal_verity::Digester::digest_of(&Default::default(), &all))
        }
    }
    let (dir, _) = new_directory();
    let content: Vec<u8> = (0u32..1 << 18).flat_map(u32::to_le_bytes).skip(3).collect();
    fs::write(dir.path().join("file"), &content).unwrap();
    let options = ImportOptions::default();
    let tree = import_directory(dir.path(), &options, &Mixed, &Progress::default()).unwrap().tree;
    let expected = treeseal_verity::Digester::digest_of(&Default::default(), &content);
    assert_eq!(tree.digest_count(), 1);
    assert!(tree.inode_ids().any(|id| matches!(
        tree.inode(id).content(),
        treeseal_tree::Content::External { digest: Some(digest), .. }
            if tree.digest(digest) == expected
    )));
}

#[test]
fn a_file_that_vanishes_is_an_error_that_names_it() {
    let (dir, _) = new_directory();
    for name in ["1", "2"] {
        fs::write(dir.path().join(name), [1; 100]).unwrap();
    }
    let remove_other = |path: &Path| {
        let other = if path.ends_with("1") { "2" } else { "1" };
        fs::remove_file(path.with_file_name(other)).unwrap();
    };
    let error = import_meddling(dir.path(), nothing, remove_other).unwrap_err();
    let ImportError::File(file) = &error else { panic!("{error}") };
    assert_eq!(file.kind(), Some(io::ErrorKind::NotFound));
    let text = error.to_string();
    assert!(text.starts_with("cannot read the metadata of `"), "{text}");
    assert!(text.contains(dir.path().to_str().unwrap()), "{text}");
}

#[test]
fn a_symlink_in_place_of_a_directory_does_not_lead_the_walk_away() {
    let (outside, _) = new_directory();
    fs::write(outside.path().join("secret"), [1; 100]).unwrap();
    let (dir, _) = new_directory();
    for name in ["1", "2"] {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("file"), [1; 100]).unwrap();
    }
    let once = Once::new();
    let swap_other = |path: &Path| {
        assert!(!path.ends_with("secret"));
        once.call_once(|| {
            let parent = path.parent().unwrap();
            let other = if parent.ends_with("1") { "2" } else { "1" };
            fs::rename(parent.with_file_name(other), parent.with_file_name("moved")).unwrap();
            symlink(outside.path(), parent.with_file_name(other)).unwrap();
        });
    };
    let error = import_meddling(dir.path(), swap_other, nothing).unwrap_err();
    assert!(matches!(error, ImportError::File(_)), "{error}");
    assert!(error.to_string().starts_with("cannot open `"), "{error}");
}

#[test]
fn a_failing_sink_ends_the_import_and_is_the_cause() {
    struct Full;
    impl ContentSink for Full {
        type Error = io::Error;
        fn put(&self, _content: &mut FileContent<'_>) -> Result<FileDigest, io::Error> {
            Err(io::Error::other("the disk is full"))
        }
    }
    let (dir, _) = new_directory();
    for name in 0..1000 {
        fs::write(dir.path().join(name.to_string()), [1; 100]).unwrap();
    }
    let error = import_directory(dir.path(), &threads(4), &Full, &Progress::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("cannot take in the content of `"), "{text}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "the disk is full");
}

#[test]
fn a_panicking_sink_does_not_leave_the_others_waiting() {
    struct Broken;
    impl ContentSink for Broken {
        type Error = io::Error;
        fn put(&self, _content: &mut FileContent<'_>) -> Result<FileDigest, io::Error> {
            panic!("broken sink")
        }
    }
    let (dir, _) = new_directory();
    fs::write(dir.path().join("file"), [1; 100]).unwrap();
    let root = dir.path().to_owned();
    let result = std::thread::spawn(move || {
        import_directory(&root, &threads(4), &Broken, &Progress::default()).map(|_| ()).is_ok()
    });
    assert!(result.join().is_err());
}
