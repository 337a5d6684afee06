#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Full disks and read-only filesystems: these mount a tmpfs, so they need root.

mod common;

use std::path::Path;

use common::{
    check, content, nothing_unfinished, references, seal_tree, sequence, snapshot, stream,
};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use treeseal_store::{SinkOptions, Store, StoreError};
use treeseal_verity::HashAlgorithm;

/// A small filesystem of its own.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn new(size: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test mounts a tmpfs: run it as root");
        let directory = tempfile::tempdir().unwrap();
        let options = std::ffi::CString::new(format!("size={size}")).unwrap();
        mount("tmpfs", directory.path(), "tmpfs", MountFlags::empty(), Some(options.as_c_str()))
            .unwrap();
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn make_read_only(&self) {
        mount_remount(self.path(), MountFlags::RDONLY, "").unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = unmount(self.path(), UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing_half_written() {
    let disk = Tmpfs::new("1m");
    let store = Store::create_or_open(disk.path()).unwrap();
    let mut writer = store.writer().unwrap();
    seal_tree(&mut writer, &stream("a"), 1, &[content(5000, 1)]).unwrap();
    let before = snapshot(disk.path());

    // In one write, in pieces, and as the sum of many.
    let contents = [vec![content(1_048_000, 1)], vec![content(3_000_000, 1)], {
        (0..400).map(|seed| content(5000, seed)).collect()
    }];
    for contents in contents {
        let sink = writer.object_sink(SinkOptions::default());
        let error = contents
            .iter()
            .find_map(|content| sink.put_reader(&mut &content[..], None).err())
            .unwrap();
        let StoreError::Full { path, .. } = &error else { panic!("{error:?}") };
        assert!(path.starts_with(disk.path().join("tmp")));
        assert_eq!(
            error.to_string(),
            format!(
                "no space left to write `{}`; make room, for example by `treeseal store gc`, and \
                 repeat: what is already stored is not written again",
                path.display()
            )
        );
        // What others were told about this object no longer holds.
        assert_eq!(
            sink.put_reader(&mut &b"small"[..], None).unwrap_err().to_string(),
            "the objects cannot be committed: storing one of them failed before"
        );
        assert!(matches!(sink.commit(), Err(StoreError::SinkFailed)));
        assert!(nothing_unfinished(disk.path()));
        assert_eq!(snapshot(disk.path()), before);
    }
    let error = writer.put_image(HashAlgorithm::Sha256, &content(2_000_000, 1)).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert_eq!(snapshot(disk.path()), before);

    // With room again, all goes on.
    seal_tree(&mut writer, &stream("a"), 2, &[content(5000, 1), content(6000, 1)]).unwrap();
    drop(writer);
    assert_eq!(check(&store, Some(&references(&store))).0, [""; 0]);
}

#[test]
fn a_pointer_is_whole_when_the_disk_is_full() {
    let disk = Tmpfs::new("1m");
    let store = Store::create_or_open(disk.path()).unwrap();
    let mut writer = store.writer().unwrap();
    seal_tree(&mut writer, &stream("a"), 1, &[content(5000, 1)]).unwrap();
    writer.put_seal(&stream("a"), sequence(2), b"seal").unwrap();
    fill(&disk.path().join("filler"));
    let error = writer.set_current(&stream("a"), sequence(2)).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    let error = writer.put_seal(&stream("a/b"), sequence(1), b"seal").unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert_eq!(store.current(&stream("a")).unwrap(), Some(sequence(1)));
    assert!(nothing_unfinished(disk.path()));
}

fn fill(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).unwrap();
    while file.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
}

#[test]
fn a_store_on_a_read_only_filesystem_is_read_and_not_written() {
    let disk = Tmpfs::new("4m");
    let store = Store::create_or_open(disk.path()).unwrap();
    seal_tree(&mut store.writer().unwrap(), &stream("a"), 1, &[content(5000, 1)]).unwrap();
    drop(store);
    disk.make_read_only();
    for store in [Store::open_read_only(disk.path()), Store::open(disk.path())] {
        let store = store.unwrap();
        assert_eq!(check(&store, Some(&references(&store))).0, [""; 0]);
        let error = store.writer().unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    }
    let error = Store::create_or_open(&disk.path().join("new")).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` is read-only here; name a store that can be written",
            disk.path().join("new").display()
        )
    );
}

#[test]
fn a_read_only_copy_without_a_lock_file_is_checked_all_the_same() {
    let disk = Tmpfs::new("4m");
    let store = Store::create_or_open(disk.path()).unwrap();
    seal_tree(&mut store.writer().unwrap(), &stream("a"), 1, &[content(5000, 1)]).unwrap();
    drop(store);
    std::fs::remove_file(disk.path().join("lock")).unwrap();
    disk.make_read_only();
    let store = Store::open_read_only(disk.path()).unwrap();
    assert_eq!(check(&store, Some(&references(&store))).0, [""; 0]);
}

#[test]
fn a_masked_process_still_writes_readable_files() {
    use std::os::unix::fs::PermissionsExt;
    let disk = Tmpfs::new("4m");
    let store = Store::create_or_open(disk.path()).unwrap();
    // The mask belongs to the process: a child has its own.
    let output = std::process::Command::new("sh")
        .args(["-c", "umask 077 && exec \"$0\" --exact child --include-ignored"])
        .arg(std::env::current_exe().unwrap())
        .env("TREESEAL_TEST_STORE", disk.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    for (name, _) in snapshot(&disk.path().join("objects")) {
        let mode = disk.path().join("objects").join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode, 0o100_644);
    }
    assert_eq!(store.usage().unwrap().objects, 2);
}

#[test]
#[ignore = "run by another test, in a process with another mask"]
fn child() {
    let path = std::env::var_os("TREESEAL_TEST_STORE").unwrap();
    let store = Store::open(Path::new(&path)).unwrap();
    let contents = [content(10, 1), content(20, 2)];
    seal_tree(&mut store.writer().unwrap(), &stream("a"), 1, &contents).unwrap();
}
