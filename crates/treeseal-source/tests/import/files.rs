//! What is recorded of each type of file.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Mutex;

use treeseal_source::{
    Amount, ContentSink, FileContent, ImportError, ImportOptions, Measure, Phase, Progress, Xattrs,
    import_directory,
};
use treeseal_sys::{Attributes, Special, Timestamp, restore_attributes, stat_file};
use treeseal_tree::dump::Strictness;
use treeseal_tree::{Content, FileType, Mtime, Tree};
use treeseal_verity::{Digester, FileDigest, HashAlgorithm, Params};

use crate::{dump, import, import_error, import_with, inode, new_directory, threads};

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn xattrs_of(tree: &Tree, path: &str) -> Vec<(String, Vec<u8>)> {
    let text = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
    inode(tree, path)
        .xattrs()
        .filter(|(name, _)| *name != b"security.selinux")
        .map(|(name, value)| (text(name), value.to_vec()))
        .collect()
}

fn attributes<'a>(xattrs: &'a [(&'a [u8], &'a [u8])]) -> Attributes<'a> {
    let mtime = Timestamp { seconds: 1_000_000_000, nanoseconds: 123_456_789 };
    Attributes { owner: None, permissions: 0o640, mtime, xattrs }
}

#[test]
fn an_empty_directory_is_a_root_with_its_own_metadata() {
    let (dir, opened) = new_directory();
    restore_attributes(&opened, &Attributes { permissions: 0o1751, ..attributes(&[]) }).unwrap();
    let tree = import(dir.path());
    let root = inode(&tree, "/");
    assert_eq!(tree.inode_count(), 1);
    assert_eq!(root.mode(), 0o41751);
    assert_eq!(root.metadata().mtime, Mtime { seconds: 1_000_000_000, nanoseconds: 123_456_789 });
    assert_eq!(root.metadata().uid, fs::metadata(dir.path()).unwrap().uid());
}

#[test]
fn content_is_empty_inline_or_external_by_size() {
    let (dir, _) = new_directory();
    for size in [0, 1, 64, 65, 4096, 4097, 300_000] {
        fs::write(dir.path().join(size.to_string()), vec![b'x'; size]).unwrap();
    }
    let imported = import_with(dir.path(), &ImportOptions::default());
    let tree = &imported.tree;
    assert_eq!(inode(tree, "0").content(), Content::Empty);
    assert_eq!(inode(tree, "1").content(), Content::Inline(b"x"));
    assert_eq!(inode(tree, "64").content(), Content::Inline(&[b'x'; 64]));
    for size in [65, 4096, 4097, 300_000] {
        let file = inode(tree, &size.to_string());
        let Content::External { digest: Some(digest), payload } = file.content() else {
            panic!("{:?}", file.content());
        };
        let expected = Digester::digest_of(&Params::default(), &vec![b'x'; size]);
        assert_eq!(tree.digest(digest), expected);
        assert_eq!(tree.payload_path(payload), Some(expected.object_path().into_bytes()));
        assert_eq!(file.size(), size as u64);
    }
    let stats = imported.stats;
    assert_eq!((stats.directories, stats.files, stats.objects), (1, 7, 4));
    assert_eq!(stats.bytes, 1 + 64 + 65 + 4096 + 4097 + 300_000);
}

#[test]
fn digests_are_made_with_the_parameters_that_were_asked_for() {
    let (dir, _) = new_directory();
    fs::write(dir.path().join("file"), [7; 5000]).unwrap();
    let params = Params::with_algorithm(HashAlgorithm::Sha512);
    let options = ImportOptions::default();
    let tree =
        import_directory(dir.path(), &options, &Measure(params.clone()), &Progress::default())
            .unwrap()
            .tree;
    let Content::External { digest: Some(digest), .. } = inode(&tree, "file").content() else {
        panic!("no digest");
    };
    assert_eq!(tree.digest(digest), Digester::digest_of(&params, &[7; 5000]));
}

#[test]
fn times_have_nanoseconds_and_permissions_all_twelve_bits() {
    let (dir, opened) = new_directory();
    let file = opened.create_file(b"file").unwrap();
    let mtime = Timestamp { seconds: -5, nanoseconds: 999_999_999 };
    restore_attributes(&file, &Attributes { permissions: 0o7531, mtime, ..attributes(&[]) })
        .unwrap();
    let tree = import(dir.path());
    let file = inode(&tree, "file");
    assert_eq!(file.mode(), 0o107_531);
    assert_eq!(file.metadata().mtime, Mtime { seconds: -5, nanoseconds: 999_999_999 });
}

#[test]
fn an_epoch_replaces_every_time() {
    let (dir, _) = new_directory();
    fs::create_dir(dir.path().join("directory")).unwrap();
    fs::write(dir.path().join("file"), "content").unwrap();
    symlink("target", dir.path().join("symlink")).unwrap();
    let options = ImportOptions { epoch: Some(86400), ..ImportOptions::default() };
    let tree = import_with(dir.path(), &options).tree;
    let expected = Mtime { seconds: 86400, nanoseconds: 0 };
    assert!(tree.inode_ids().all(|id| tree.inode(id).metadata().mtime == expected));
    assert_eq!(tree.inode_count(), 4);
}

#[test]
fn symlinks_are_recorded_and_not_followed() {
    let (dir, _) = new_directory();
    for (name, target) in [("up", "../.."), ("nowhere", "/no/such/file"), ("loop", "loop")] {
        symlink(target, dir.path().join(name)).unwrap();
    }
    let long = "x".repeat(4000);
    symlink(&long, dir.path().join("long")).unwrap();
    let tree = import(dir.path());
    assert_eq!(tree.inode_count(), 5);
    assert_eq!(inode(&tree, "up").content(), Content::Symlink(b"../.."));
    assert_eq!(inode(&tree, "nowhere").content(), Content::Symlink(b"/no/such/file"));
    assert_eq!(inode(&tree, "loop").content(), Content::Symlink(b"loop"));
    assert_eq!(inode(&tree, "long").content(), Content::Symlink(long.as_bytes()));
    assert_eq!(inode(&tree, "long").size(), 4000);
}

#[test]
fn fifos_and_sockets_are_recorded_and_not_opened() {
    let (dir, opened) = new_directory();
    opened.create_special(b"fifo", Special::Fifo).unwrap();
    let _listener = UnixListener::bind(dir.path().join("socket")).unwrap();
    let tree = import(dir.path());
    assert_eq!(inode(&tree, "fifo").file_type(), FileType::Fifo);
    assert_eq!(inode(&tree, "socket").file_type(), FileType::Socket);
    assert_eq!(inode(&tree, "fifo").content(), Content::Special);
}

#[test]
fn root_only_devices_are_recorded_with_their_numbers_or_left_out() {
    assert!(is_root(), "only root can make devices: run the tests as root");
    let (dir, opened) = new_directory();
    // 259:0x1234 has a minor number of more than eight bits.
    let number = 0x0121_0334;
    opened.create_special(b"block", Special::BlockDevice(number)).unwrap();
    opened.create_special(b"null", Special::CharDevice(0x103)).unwrap();
    opened.create_special(b"whiteout", Special::CharDevice(0)).unwrap();
    opened.create_special(b"fifo", Special::Fifo).unwrap();
    let tree = import(dir.path());
    assert_eq!(inode(&tree, "block").file_type(), FileType::BlockDevice);
    assert_eq!(inode(&tree, "block").content(), Content::Device(number));
    assert_eq!(inode(&tree, "null").file_type(), FileType::CharDevice);
    assert_eq!(inode(&tree, "null").content(), Content::Device(0x103));
    assert!(inode(&tree, "whiteout").is_whiteout());

    let options = ImportOptions { skip_devices: true, ..ImportOptions::default() };
    let tree = import_with(dir.path(), &options).tree;
    let names: Vec<_> = tree.children(Tree::ROOT).map(|entry| entry.name).collect();
    assert_eq!(names, [b"fifo"]);
}

#[test]
fn attributes_of_files_and_directories_are_recorded_in_order() {
    let (dir, opened) = new_directory();
    let long = [b'v'; 3000];
    let set: [(&[u8], &[u8]); 3] = [(b"user.b", &long), (b"user.a", b"1"), (b"user.c", b"")];
    for file in [opened.create_file(b"empty").unwrap(), opened.create_file(b"full").unwrap()] {
        restore_attributes(&file, &attributes(&set)).unwrap();
    }
    fs::write(dir.path().join("full"), [1; 5000]).unwrap();
    restore_attributes(&opened, &attributes(&set[..2])).unwrap();
    let tree = import(dir.path());
    let expected = [
        ("user.a".to_owned(), b"1".to_vec()),
        ("user.b".to_owned(), long.to_vec()),
        ("user.c".to_owned(), Vec::new()),
    ];
    assert_eq!(xattrs_of(&tree, "empty"), expected);
    assert_eq!(xattrs_of(&tree, "full"), expected);
    assert_eq!(xattrs_of(&tree, "/"), expected[..2]);
}

#[test]
fn more_attributes_than_the_usual_buffer_holds_are_recorded() {
    let (dir, opened) = new_directory();
    let names: Vec<_> = (0..30).map(|number| format!("user.{number:060}")).collect();
    let set: Vec<(&[u8], &[u8])> = names.iter().map(|name| (name.as_bytes(), &b""[..])).collect();
    restore_attributes(opened.create_file(b"file").unwrap(), &attributes(&set)).unwrap();
    let tree = import(dir.path());
    let found: Vec<_> = xattrs_of(&tree, "file").into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, names);
}

#[test]
fn root_only_attributes_of_all_namespaces_are_recorded_or_left_out_as_asked() {
    assert!(is_root(), "only root can set trusted and security attributes: run the tests as root");
    let (dir, opened) = new_directory();
    let set: [(&[u8], &[u8]); 3] = [(b"trusted.a", b"t"), (b"user.a", b"u"), (b"security.a", b"s")];
    restore_attributes(opened.create_file(b"file").unwrap(), &attributes(&set)).unwrap();
    opened.create_symlink(b"symlink", b"file").unwrap();
    opened.restore_child_attributes(b"symlink", &attributes(&[(b"trusted.link", b"l")])).unwrap();
    opened.create_special(b"fifo", Special::Fifo).unwrap();
    opened.restore_child_attributes(b"fifo", &attributes(&[(b"trusted.fifo", b"f")])).unwrap();

    let names = |xattrs, path| -> Vec<_> {
        let options = ImportOptions { xattrs, ..ImportOptions::default() };
        let tree = import_with(dir.path(), &options).tree;
        xattrs_of(&tree, path).into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(Xattrs::All, "file"), ["security.a", "trusted.a", "user.a"]);
    assert_eq!(names(Xattrs::All, "symlink"), ["trusted.link"]);
    assert_eq!(names(Xattrs::All, "fifo"), ["trusted.fifo"]);
    assert_eq!(names(Xattrs::UserOnly, "file"), ["user.a"]);
    assert!(names(Xattrs::UserOnly, "symlink").is_empty());
    assert!(names(Xattrs::Ignore, "file").is_empty());
}

#[test]
fn names_are_bytes_of_any_value_and_up_to_255_of_them() {
    let (dir, _) = new_directory();
    let names: [&[u8]; 4] = [b"\xff\xfe", b"new\nline", b" ", &[b'n'; 255]];
    for name in names {
        fs::create_dir(dir.path().join(OsStr::from_bytes(name))).unwrap();
        fs::write(dir.path().join(OsStr::from_bytes(name)).join("file"), name).unwrap();
    }
    let tree = import(dir.path());
    for name in names {
        assert!(tree.lookup(&[name, b"/file"].concat()).is_some());
    }
    assert_eq!(tree.inode_count(), 9);
}

#[test]
fn directories_have_two_links_and_one_for_each_directory_in_them() {
    let (dir, _) = new_directory();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    fs::create_dir(dir.path().join("c")).unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let tree = import(dir.path());
    let links = |path| inode(&tree, path).metadata().nlink;
    assert_eq!([links("/"), links("a"), links("a/b"), links("c"), links("file")], [4, 3, 2, 2, 1]);
}

#[test]
fn the_same_tree_comes_out_whatever_the_order_and_the_number_of_threads() {
    let names: Vec<_> = (0..600).map(|number| format!("{}/{number}", number % 7)).collect();
    let make = |names: &mut dyn Iterator<Item = &String>| {
        let (dir, _) = new_directory();
        (0..7).for_each(|name| fs::create_dir(dir.path().join(name.to_string())).unwrap());
        names.for_each(|name| fs::write(dir.path().join(name), name.repeat(20)).unwrap());
        dir
    };
    let (forward, backward) = (make(&mut names.iter()), make(&mut names.iter().rev()));
    let fixed = |count| ImportOptions { epoch: Some(0), ..threads(count) };
    let expected = import_with(forward.path(), &fixed(1)).tree;
    for count in [1, 2, 8] {
        let tree = import_with(backward.path(), &fixed(count)).tree;
        assert_eq!(dump(&tree), dump(&expected));
        let ids = |tree: &Tree| -> Vec<_> {
            names.iter().map(|name| tree.lookup(name.as_bytes()).unwrap()).collect()
        };
        assert_eq!(ids(&tree), ids(&expected), "the numbers of inodes too");
    }
}

#[test]
fn a_directory_that_must_not_be_in_the_tree_is_refused() {
    let (dir, opened) = new_directory();
    fs::create_dir_all(dir.path().join("a/store")).unwrap();
    let inner = opened.open_directory(b"a").unwrap().open_directory(b"store").unwrap();
    let store = stat_file(&inner).unwrap().id;
    let options = ImportOptions { exclude: vec![store], ..ImportOptions::default() };
    let error = import_error(dir.path(), &options);
    assert!(matches!(error, ImportError::Overlap { .. }));
    assert_eq!(
        error.to_string(),
        format!(
            "`{}/a/store` cannot be part of the tree: the tree's content is written there",
            dir.path().display()
        )
    );
}

#[test]
fn a_path_that_is_no_directory_is_an_error_that_names_it() {
    let (dir, _) = new_directory();
    fs::write(dir.path().join("file"), "").unwrap();
    let error = import_error(&dir.path().join("file"), &ImportOptions::default());
    assert_eq!(error.to_string(), format!("cannot open `{}/file`", dir.path().display()));
    let error = import_error(&dir.path().join("missing"), &ImportOptions::default());
    assert_eq!(error.to_string(), format!("cannot open `{}/missing`", dir.path().display()));
}

#[test]
fn a_directory_given_by_a_symlink_is_imported() {
    let (dir, _) = new_directory();
    fs::create_dir(dir.path().join("real")).unwrap();
    fs::set_permissions(dir.path().join("real"), fs::Permissions::from_mode(0o711)).unwrap();
    symlink("real", dir.path().join("symlink")).unwrap();
    let tree = import(&dir.path().join("symlink"));
    assert_eq!(inode(&tree, "/").mode(), 0o40711);
}

#[test]
fn progress_hears_of_every_regular_file_once() {
    let (dir, _) = new_directory();
    fs::write(dir.path().join("empty"), "").unwrap();
    fs::write(dir.path().join("inline"), "123").unwrap();
    fs::write(dir.path().join("external"), [0; 1000]).unwrap();
    fs::hard_link(dir.path().join("external"), dir.path().join("link")).unwrap();
    let progress = Progress::default();
    import_directory(dir.path(), &ImportOptions::default(), &Measure::default(), &progress)
        .unwrap();
    let reached = progress.reached().unwrap();
    let all = Amount { files: 3, bytes: 1003 };
    assert_eq!((reached.phase, reached.done, reached.known_bytes), (Phase::Read, all, 0));
    assert_eq!(reached.total, Some(all));
}

#[test]
fn how_much_there_is_to_read_is_known_when_everything_was_seen_and_not_before() {
    /// Looks at the progress while a file is read.
    struct Watching<'p>(&'p Progress, Mutex<Vec<Option<Amount>>>);
    impl ContentSink for Watching<'_> {
        type Error = io::Error;
        fn put(&self, content: &mut FileContent<'_>) -> Result<FileDigest, io::Error> {
            self.1.lock().unwrap().push(self.0.reached().unwrap().total);
            Measure::default().put(content)
        }
    }
    const LARGE: u64 = 3 << 20;
    let totals = |path: &Path| {
        let progress = Progress::default();
        let sink = Watching(&progress, Mutex::default());
        import_directory(path, &threads(1), &sink, &progress).unwrap();
        (sink.1.into_inner().unwrap(), progress.reached().unwrap().total)
    };
    let (dir, _) = new_directory();
    let large = fs::File::create(dir.path().join("large")).unwrap();
    large.set_len(LARGE).unwrap();
    let all = Some(Amount { files: 1, bytes: LARGE });
    assert_eq!(totals(dir.path()), (vec![all], all));
    // What is in here can be seen only after the large file, because one thread does all.
    fs::create_dir(dir.path().join("below")).unwrap();
    fs::write(dir.path().join("below/small"), "1").unwrap();
    let all = Some(Amount { files: 2, bytes: LARGE + 1 });
    assert_eq!(totals(dir.path()), (vec![None], all));
}

#[test]
fn a_dump_is_read_through_a_reader_and_errors_name_the_line() {
    let text = b"/ 0 40755 2 0 0 0 0.0 - - -\n/a 1 100644 1 0 0 0 0.0 - x -\n";
    let tree = treeseal_source::read_dump(&text[..], Strictness::Lenient).unwrap();
    assert_eq!(inode(&tree, "a").content(), Content::Inline(b"x"));
    let error = treeseal_source::read_dump(&text[..40], Strictness::Lenient).unwrap_err();
    assert!(error.to_string().starts_with("line 2 (`/a`)"), "{error}");
}
