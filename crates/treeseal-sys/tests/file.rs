//! Files by descriptor: what cannot be escaped, and what is restored in full.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::path::Path;

use tempfile::TempDir;
use treeseal_sys::{
    Attributes, Directory, FileError, ListBuffer, Owner, Special, Timestamp, Xattr, XattrBuffer,
    file_xattrs, raise_descriptor_limit, read_file_limited, restore_attributes, stat_file,
};

fn new_directory() -> (TempDir, Directory) {
    let dir = tempfile::tempdir().unwrap();
    let opened = Directory::open(dir.path()).unwrap();
    (dir, opened)
}

const PLAIN: Attributes<'_> = Attributes {
    owner: None,
    permissions: 0o644,
    mtime: Timestamp { seconds: 1_700_000_000, nanoseconds: 987_654_321 },
    xattrs: &[],
};

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn content(mut file: File) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

fn xattrs_of(directory: &Directory, name: &[u8]) -> Vec<Xattr> {
    let wanted = |name: &[u8]| name != b"security.selinux";
    directory.child_xattrs(name, wanted, &mut XattrBuffer::default()).unwrap()
}

fn xattr(name: &[u8], value: &[u8]) -> Xattr {
    Xattr { name: name.to_vec(), value: value.to_vec() }
}

#[test]
fn only_single_components_are_names() {
    let (_dir, opened) = new_directory();
    for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a/", b"nul\0"] {
        let buffer = &mut XattrBuffer::default();
        let errors = [
            opened.open_directory(name).unwrap_err(),
            opened.open_file(name).unwrap_err(),
            opened.stat_child(name).unwrap_err(),
            opened.read_link(name).unwrap_err(),
            opened.child_xattrs(name, |_| true, buffer).unwrap_err(),
            opened.create_directory(name).unwrap_err(),
            opened.create_file(name).unwrap_err(),
            opened.create_symlink(name, b"target").unwrap_err(),
            opened.create_special(name, Special::Fifo).unwrap_err(),
            opened.create_link(name, &opened, b"target").unwrap_err(),
            opened.create_link(b"link", &opened, name).unwrap_err(),
            opened.rename_noreplace(name, b"to").unwrap_err(),
            opened.rename_noreplace(b"from", name).unwrap_err(),
            opened.remove_file(name).unwrap_err(),
            opened.remove_directory(name).unwrap_err(),
            opened.restore_child_attributes(name, &PLAIN).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, FileError::Name { .. }), "{error}");
        }
    }
    assert_eq!(
        opened.open_file(b"a/\xff").unwrap_err().to_string(),
        r"`a/\xff` is not a file name"
    );
}

#[test]
fn symlinks_are_not_followed_by_name() {
    let (dir, opened) = new_directory();
    let (outside, _) = new_directory();
    fs::write(outside.path().join("file"), "secret").unwrap();
    symlink(outside.path(), dir.path().join("directory")).unwrap();
    symlink(outside.path().join("file"), dir.path().join("file")).unwrap();
    symlink(outside.path().join("new"), dir.path().join("new")).unwrap();
    opened.open_directory(b"directory").unwrap_err();
    opened.open_file(b"file").unwrap_err();
    let error = opened.create_file(b"new").unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::AlreadyExists));
    assert!(!outside.path().join("new").exists());
    opened.create_link(b"link", &opened, b"file").unwrap();
    assert_eq!(fs::read_link(dir.path().join("link")).unwrap(), outside.path().join("file"));
}

#[test]
fn nothing_above_or_beside_is_opened_beneath_a_directory() {
    let (dir, opened) = new_directory();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    fs::write(dir.path().join("a/b/file"), "inside").unwrap();
    fs::write(dir.path().join("a/file"), "near").unwrap();
    symlink("b", dir.path().join("a/link")).unwrap();
    assert_eq!(content(opened.open_beneath(b"a/b/file").unwrap()), "inside");
    assert_eq!(content(opened.open_beneath(b"a/b/../file").unwrap()), "near");
    let inner = opened.open_directory(b"a").unwrap().open_directory(b"b").unwrap();
    for path in [&b"../file"[..], b"/etc/passwd", b"../../a/file"] {
        inner.open_beneath(path).unwrap_err();
    }
    let error = opened.open_beneath(b"a/link/file").unwrap_err();
    assert_eq!(error.to_string(), "cannot open `a/link/file`");
    assert_eq!(opened.open_beneath(b"nul\0").unwrap_err().kind(), Some(ErrorKind::InvalidInput));
}

#[test]
fn a_listing_has_every_name_and_its_type() {
    let (dir, opened) = new_directory();
    for number in 0..5000 {
        File::create(dir.path().join(format!("{number:0200}"))).unwrap();
    }
    fs::create_dir(dir.path().join("directory")).unwrap();
    let mut found = Vec::new();
    opened
        .list(&mut ListBuffer::default(), |type_bits, name| {
            found.push((name.to_vec(), type_bits));
            Ok::<_, FileError>(())
        })
        .unwrap();
    found.sort();
    assert_eq!(found.len(), 5001);
    assert_eq!(found.pop().unwrap(), (b"directory".to_vec(), 0o040_000));
    assert!(found.iter().all(|(name, type_bits)| name.len() == 200 && *type_bits == 0o100_000));
}

#[test]
fn a_restored_file_has_all_twelve_mode_bits_its_time_and_its_attributes() {
    let (dir, opened) = new_directory();
    let mut file = opened.create_file(b"file").unwrap();
    assert_eq!(fs::metadata(dir.path().join("file")).unwrap().mode() & 0o7777, 0o600);
    file.write_all(b"content").unwrap();
    let own = fs::metadata(dir.path()).unwrap();
    let owner = Some(Owner { uid: own.uid(), gid: own.gid() });
    let xattrs: &[(&[u8], &[u8])] = &[(b"user.a", b"1"), (b"user.b", b"")];
    // Nobody may write to it afterwards, and set-id bits stay although the owner was set.
    let attributes = Attributes { owner, permissions: 0o6555, xattrs, ..PLAIN };
    restore_attributes(&file, &attributes).unwrap();
    let stat = stat_file(&file).unwrap();
    assert_eq!(stat.mode, 0o106_555);
    assert_eq!(stat.mtime, PLAIN.mtime);
    assert_eq!(stat, opened.stat_child(b"file").unwrap());
    assert_eq!(xattrs_of(&opened, b"file"), [xattr(b"user.a", b"1"), xattr(b"user.b", b"")]);
}

#[test]
fn a_restored_directory_has_its_time_after_files_were_made_in_it() {
    let (_dir, opened) = new_directory();
    let directory = opened.create_directory(b"directory").unwrap();
    directory.create_file(b"file").unwrap();
    restore_attributes(&directory, &Attributes { permissions: 0o1777, ..PLAIN }).unwrap();
    let stat = directory.stat().unwrap();
    assert_eq!((stat.mode, stat.mtime), (0o041_777, PLAIN.mtime));
}

#[test]
fn a_symlink_is_restored_and_its_target_left_alone() {
    let (dir, opened) = new_directory();
    fs::write(dir.path().join("target"), "").unwrap();
    let before = opened.stat_child(b"target").unwrap();
    opened.create_symlink(b"symlink", b"target").unwrap();
    opened.restore_child_attributes(b"symlink", &PLAIN).unwrap();
    assert_eq!(opened.stat_child(b"target").unwrap(), before);
    let stat = opened.stat_child(b"symlink").unwrap();
    assert_eq!((stat.mode, stat.mtime), (0o120_777, PLAIN.mtime));
    assert_eq!(opened.read_link(b"symlink").unwrap(), b"target");
}

#[test]
fn a_dangling_symlink_can_be_restored() {
    let (_dir, opened) = new_directory();
    opened.create_symlink(b"symlink", b"/no/such/\xff").unwrap();
    opened.restore_child_attributes(b"symlink", &PLAIN).unwrap();
    assert_eq!(opened.stat_child(b"symlink").unwrap().mtime, PLAIN.mtime);
    assert_eq!(opened.read_link(b"symlink").unwrap(), b"/no/such/\xff");
}

#[test]
fn fifos_and_sockets_are_made_with_their_permissions() {
    let (dir, opened) = new_directory();
    for (name, special) in [("fifo", Special::Fifo), ("socket", Special::Socket)] {
        opened.create_special(name.as_bytes(), special).unwrap();
        let attributes = Attributes { permissions: 0o4711, ..PLAIN };
        opened.restore_child_attributes(name.as_bytes(), &attributes).unwrap();
        assert_eq!(opened.stat_child(name.as_bytes()).unwrap().mode & 0o7777, 0o4711);
        assert_eq!(opened.stat_child(name.as_bytes()).unwrap().mtime, PLAIN.mtime);
    }
    let file_type = |name: &str| fs::symlink_metadata(dir.path().join(name)).unwrap().file_type();
    assert!(file_type("fifo").is_fifo() && file_type("socket").is_socket());
}

#[test]
fn root_only_devices_owners_and_other_namespaces_are_restored() {
    assert!(is_root(), "only root can make devices and give files away: run the tests as root");
    let (_dir, opened) = new_directory();
    let number = 0x0121_0334;
    let owner = Some(Owner { uid: 4_000_000_000, gid: 12345 });
    // File capabilities do not outlive a change of owner, so they must come after it.
    let capability: &[u8] = &[0, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let xattrs: &[(&[u8], &[u8])] =
        &[(b"security.capability", capability), (b"trusted.overlay.opaque", b"y")];
    let attributes = Attributes { owner, permissions: 0o4755, xattrs, ..PLAIN };
    restore_attributes(opened.create_file(b"file").unwrap(), &attributes).unwrap();
    let trusted = Attributes { xattrs: &xattrs[1..], ..attributes };
    opened.create_special(b"device", Special::BlockDevice(number)).unwrap();
    opened.restore_child_attributes(b"device", &trusted).unwrap();
    opened.create_symlink(b"symlink", b"file").unwrap();
    opened.restore_child_attributes(b"symlink", &trusted).unwrap();
    let [capability, opaque] = [0, 1].map(|index| xattr(xattrs[index].0, xattrs[index].1));
    assert_eq!(xattrs_of(&opened, b"file"), [capability, opaque.clone()]);
    assert_eq!(xattrs_of(&opened, b"symlink"), std::slice::from_ref(&opaque));
    assert_eq!(xattrs_of(&opened, b"device"), [opaque]);
    let device = opened.stat_child(b"device").unwrap();
    assert_eq!((device.mode, device.device), (0o064_755, number));
    for name in [&b"file"[..], b"device", b"symlink"] {
        let stat = opened.stat_child(name).unwrap();
        assert_eq!((stat.uid, stat.gid), (4_000_000_000, 12345));
    }
    assert_eq!(opened.stat_child(b"file").unwrap().mode, 0o104_755);
}

#[test]
fn an_access_list_handed_down_by_the_directory_does_not_stay() {
    // Version 2; owner rwx, user 1000 rwx, group r-x, mask rwx, others r-x.
    let mut list = vec![2, 0, 0, 0];
    for (tag, permissions, id) in
        [(1u8, 7u8, u32::MAX), (2, 7, 1000), (4, 5, u32::MAX), (16, 7, u32::MAX), (32, 5, u32::MAX)]
    {
        list.extend([tag, 0, permissions, 0]);
        list.extend(id.to_le_bytes());
    }
    let (_dir, opened) = new_directory();
    let xattrs: &[(&[u8], &[u8])] = &[(b"system.posix_acl_default", &list)];
    restore_attributes(&opened, &Attributes { permissions: 0o755, xattrs, ..PLAIN }).unwrap();

    let file = opened.create_file(b"file").unwrap();
    assert_eq!(xattrs_of(&opened, b"file").len(), 1, "it was handed down");
    restore_attributes(&file, &PLAIN).unwrap();
    assert!(xattrs_of(&opened, b"file").is_empty());
    let directory = opened.create_directory(b"directory").unwrap();
    restore_attributes(&directory, &PLAIN).unwrap();
    assert!(xattrs_of(&opened, b"directory").is_empty());
    opened.create_special(b"fifo", Special::Fifo).unwrap();
    opened.restore_child_attributes(b"fifo", &PLAIN).unwrap();
    assert!(xattrs_of(&opened, b"fifo").is_empty());
    // One that is asked for stays.
    let xattrs: &[(&[u8], &[u8])] = &[(b"system.posix_acl_access", &list)];
    let file = opened.create_file(b"listed").unwrap();
    restore_attributes(&file, &Attributes { permissions: 0o675, xattrs, ..PLAIN }).unwrap();
    assert_eq!(stat_file(&file).unwrap().mode, 0o100_675);
    assert_eq!(xattrs_of(&opened, b"listed").len(), 1);
}

#[test]
fn an_owner_that_means_none_is_refused() {
    let (_dir, opened) = new_directory();
    let file = opened.create_file(b"file").unwrap();
    let owner = Some(Owner { uid: 0, gid: u32::MAX });
    let error = restore_attributes(&file, &Attributes { owner, ..PLAIN }).unwrap_err();
    assert!(matches!(error, FileError::Owner { .. }), "{error}");
    assert_eq!(
        error.with_path(b"a/file".to_vec()).to_string(),
        "cannot set the owner of `a/file`: 4294967295 is no user or group"
    );
}

#[test]
fn a_refused_attribute_is_named() {
    let (_dir, opened) = new_directory();
    let file = opened.create_file(b"file").unwrap();
    let xattrs: &[(&[u8], &[u8])] = &[(b"nonsense", b"")];
    let error = restore_attributes(&file, &Attributes { xattrs, ..PLAIN }).unwrap_err();
    assert_eq!(
        error.with_path(b"a/file".to_vec()).to_string(),
        "attribute `nonsense`: cannot set an extended attribute of `a/file`"
    );
}

#[test]
fn renaming_replaces_nothing() {
    let (dir, opened) = new_directory();
    fs::write(dir.path().join("old"), "old").unwrap();
    fs::write(dir.path().join("new"), "new").unwrap();
    let error = opened.rename_noreplace(b"new", b"old").unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::AlreadyExists));
    assert_eq!(error.to_string(), "cannot rename `old`");
    opened.rename_noreplace(b"new", b"other").unwrap();
    assert_eq!(fs::read(dir.path().join("other")).unwrap(), b"new");
    assert_eq!(fs::read(dir.path().join("old")).unwrap(), b"old");
}

#[test]
fn files_and_directories_are_removed_each_by_their_own_call() {
    let (_dir, opened) = new_directory();
    opened.create_directory(b"directory").unwrap();
    opened.create_file(b"file").unwrap();
    opened.remove_file(b"directory").unwrap_err();
    opened.remove_directory(b"file").unwrap_err();
    opened.remove_directory(b"directory").unwrap();
    opened.remove_file(b"file").unwrap();
    let error = opened.remove_file(b"file").unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::NotFound));
}

#[test]
fn a_limited_read_takes_the_limit_and_no_byte_more() {
    let (dir, opened) = new_directory();
    fs::write(dir.path().join("file"), [7; 1000]).unwrap();
    let read = |limit| read_file_limited(opened.open_file(b"file").unwrap(), limit);
    assert_eq!(read(1000).unwrap(), [7; 1000]);
    let error = read(999).unwrap_err().with_path(b"file".to_vec());
    assert_eq!(error.to_string(), "`file` is larger than 999 bytes");
    // These have content that their size does not tell.
    let version = read_file_limited(File::open("/proc/version").unwrap(), 4096).unwrap();
    assert!(version.starts_with(b"Linux"));
    read_file_limited(File::open("/dev/zero").unwrap(), 100_000).unwrap_err();
}

#[test]
fn a_filesystem_without_attributes_has_none() {
    let file = File::open(Path::new("/proc/version")).unwrap();
    let found = file_xattrs(file, |name| name.starts_with(b"user."), &mut XattrBuffer::default());
    assert!(found.unwrap().is_empty());
}

#[test]
fn the_limit_of_open_files_is_as_high_as_it_may_be() {
    let limit = raise_descriptor_limit();
    assert_eq!(raise_descriptor_limit(), limit);
    let text = fs::read_to_string("/proc/self/limits").unwrap();
    let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<_> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, [limit.to_string(), limit.to_string()]);
}
