#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Making, opening, writing and reading a store.

mod common;

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use common::{
    RUN, SIZES, check, content, digest_of, directory, nothing_unfinished, references, seal_tree,
    sequence, snapshot, stream, tree_of,
};
use treeseal_store::{Part, SinkOptions, SinkStats, Store, StoreError, Writer};
use treeseal_sys::LockWait;
use treeseal_verity::{Digester, FileDigest, HashAlgorithm, Params};

fn put(writer: &mut Writer, bytes: &[u8]) -> FileDigest {
    let sink = writer.object_sink(SinkOptions::default());
    let digest = sink.put_reader(&mut &bytes[..], None).unwrap();
    sink.commit().unwrap();
    digest
}

fn quickly() -> LockWait<'static> {
    LockWait { limit: Duration::from_millis(60), notice: None }
}

#[test]
fn objects_and_sidecars_lie_under_their_digest_with_mode_0644() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let sink = writer.object_sink(SinkOptions::default());
    for size in SIZES {
        let bytes = content(size, 1);
        assert_eq!(sink.put_reader(&mut &bytes[..], None).unwrap(), digest_of(&bytes));
    }
    sink.commit().unwrap();
    for size in SIZES {
        let bytes = content(size, 1);
        let path = digest_of(&bytes).object_path();
        let object = directory.path().join("objects").join(&path);
        assert!(std::fs::read(&object).unwrap() == bytes, "{size}");
        assert_eq!(object.metadata().unwrap().permissions().mode(), 0o100_644);
        let sidecar = directory.path().join("trees").join(&path);
        if size > RUN {
            assert!(std::fs::read(sidecar).unwrap() == tree_of(&bytes), "{size}");
        } else {
            assert!(!sidecar.exists(), "{size}");
        }
    }
    drop(writer);
    assert!(nothing_unfinished(directory.path()));
    let (findings, report) = check(&store, None);
    assert_eq!(findings, [""; 0]);
    assert_eq!(report.objects, SIZES.len() as u64);
}

#[test]
fn sha512_objects_lie_beside_sha256_objects() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let bytes = content(300_000, 1);
    put(&mut writer, &bytes);
    let options = SinkOptions { algorithm: HashAlgorithm::Sha512, progress: None };
    let sink = writer.object_sink(options);
    let digest = sink.put_reader(&mut &bytes[..], None).unwrap();
    sink.commit().unwrap();
    drop(writer);
    assert_eq!(digest.algorithm(), HashAlgorithm::Sha512);
    let mut read = Vec::new();
    store.read_object_verified(&digest, 300_000, &mut read).unwrap();
    assert!(read == bytes);
    assert_eq!(store.usage().unwrap().objects, 2);
    assert_eq!(check(&store, None).0, [""; 0]);
}

#[test]
fn what_is_in_the_store_is_not_written_again() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let long = content(3_000_000, 1);
    let short = content(5000, 1);
    for round in 0..2 {
        let sink = writer.object_sink(SinkOptions::default());
        for bytes in [&long, &short] {
            sink.put_reader(&mut &bytes[..], Some(bytes.len() as u64)).unwrap();
        }
        let stats = sink.commit().unwrap();
        let expected = if round == 0 {
            SinkStats {
                new_objects: 2,
                new_bytes: 3_005_000,
                new_sidecars: 1,
                ..SinkStats::default()
            }
        } else {
            SinkStats { existing_objects: 2, existing_bytes: 3_005_000, ..SinkStats::default() }
        };
        assert_eq!(stats, expected);
    }
}

#[test]
fn an_object_is_put_by_its_digest_only_where_the_store_has_all_of_it() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let bytes = content(600_000, 1);
    let digest = put(&mut writer, &bytes);
    let mut known = |digest, size| {
        let sink = writer.object_sink(SinkOptions::default());
        let known = sink.put_known(&digest, size).unwrap();
        (known, sink.commit().unwrap())
    };
    let expected = SinkStats {
        existing_objects: 1,
        existing_bytes: 600_000,
        known_objects: 1,
        known_bytes: 600_000,
        ..SinkStats::default()
    };
    assert_eq!(known(digest, 600_000), (true, expected));
    let refused = (false, SinkStats::default());
    assert_eq!(known(digest, 599_999), refused);
    let sha512 = Digester::digest_of(&Params::with_algorithm(HashAlgorithm::Sha512), &bytes);
    assert_eq!(known(sha512, 600_000), refused);

    let (object, sidecar) = (digest.object_path(), directory.path().join("trees"));
    let sidecar = sidecar.join(&object);
    let tree = std::fs::read(&sidecar).unwrap();
    std::fs::write(&sidecar, &tree[1..]).unwrap();
    assert_eq!(known(digest, 600_000), refused);
    std::fs::write(&sidecar, tree).unwrap();
    assert!(known(digest, 600_000).0);
    std::fs::remove_file(directory.path().join("objects").join(object)).unwrap();
    assert_eq!(known(digest, 600_000), refused);
}

#[test]
fn an_object_that_was_seen_counts_as_known_unless_it_has_a_sidecar() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let bytes = content(5000, 1);
    let (short, long) = (put(&mut writer, &bytes), put(&mut writer, &content(600_000, 1)));
    let mut seen = |digest, size| {
        let sink = writer.object_sink(SinkOptions::default());
        let seen = sink.put_seen(&digest, size);
        (seen, sink.commit().unwrap())
    };
    let expected = SinkStats {
        existing_objects: 1,
        existing_bytes: 5000,
        known_objects: 1,
        known_bytes: 5000,
        ..SinkStats::default()
    };
    assert_eq!(seen(short, 5000), (true, expected));
    let refused = (false, SinkStats::default());
    assert_eq!(seen(long, 600_000), refused);
    let sha512 = Digester::digest_of(&Params::with_algorithm(HashAlgorithm::Sha512), &bytes);
    assert_eq!(seen(sha512, 5000), refused);
}

#[test]
fn the_directory_of_an_object_is_that_of_its_path() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let digest = put(&mut writer, &content(5000, 1));
    let path = directory.path().join("objects").join(&digest.to_hex()[..2]);
    let sink = writer.object_sink(SinkOptions::default());
    assert_eq!(sink.object_directory(&digest).unwrap().path(), path);
    std::fs::remove_dir_all(&path).unwrap();
    assert!(sink.object_directory(&digest).is_none());
}

#[test]
fn an_object_of_the_wrong_size_is_replaced_and_a_missing_sidecar_added() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let bytes = content(600_000, 1);
    let path = put(&mut writer, &bytes).object_path();
    let before = snapshot(directory.path());
    std::fs::write(directory.path().join("objects").join(&path), "cut").unwrap();
    std::fs::remove_file(directory.path().join("trees").join(&path)).unwrap();
    put(&mut writer, &bytes);
    assert_eq!(snapshot(directory.path()), before);
}

#[test]
fn concurrent_sinks_store_equal_content_once() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let contents: Vec<Vec<u8>> =
        (0..60).map(|index| content(SIZES[index % 8] + index / 20, 7)).collect();
    let sink = writer.object_sink(SinkOptions::default()).with_batch_limits(16, 1 << 30);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (sink, contents) = (&sink, &contents);
            scope.spawn(move || {
                for index in 0..contents.len() {
                    let bytes = &contents[(index + thread * 7) % contents.len()];
                    assert_eq!(sink.put_reader(&mut &bytes[..], None).unwrap(), digest_of(bytes));
                }
            });
        }
    });
    let stats = sink.commit().unwrap();
    drop(writer);
    let mut distinct: Vec<FileDigest> = contents.iter().map(|bytes| digest_of(bytes)).collect();
    distinct.sort();
    distinct.dedup();
    assert_eq!(stats.new_objects, distinct.len() as u64);
    assert_eq!(stats.new_objects + stats.existing_objects, 8 * 60);
    let usage = store.usage().unwrap();
    assert_eq!((usage.objects, usage.sidecars), (stats.new_objects, stats.new_sidecars));
    assert!(nothing_unfinished(directory.path()));
    assert_eq!(check(&store, None).0, [""; 0]);
}

#[test]
fn a_sink_that_is_dropped_leaves_nothing_unfinished() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let sink = writer.object_sink(SinkOptions::default());
    sink.put_reader(&mut &content(5000, 1)[..], None).unwrap();
    assert!(!nothing_unfinished(directory.path()));
    drop(sink);
    assert!(nothing_unfinished(directory.path()));
    assert_eq!(store.usage().unwrap().objects, 0);
}

#[test]
fn content_that_cannot_be_read_leaves_the_sink_usable() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("unplugged"))
        }
    }
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let sink = writer.object_sink(SinkOptions::default());
    let long = content(2_000_000, 1);
    for (content, size, text) in [
        (&mut Broken as &mut dyn Read, None, "cannot read the content to be stored"),
        (&mut (&long[..]).chain(Broken), None, "cannot read the content to be stored"),
        (
            &mut &long[..10],
            Some(11),
            "the content has 10 bytes, expected 11: it changed while it was read",
        ),
        (
            &mut &long[..],
            Some(1_999_999),
            "the content has 2000000 bytes, expected 1999999: it changed while it was read",
        ),
    ] {
        assert_eq!(sink.put_reader(content, size).unwrap_err().to_string(), text);
    }
    sink.put_reader(&mut &long[..], None).unwrap();
    assert_eq!(sink.commit().unwrap().new_objects, 1);
    assert!(nothing_unfinished(directory.path()));
}

#[test]
fn files_are_stored_whether_or_not_their_blocks_can_be_shared() {
    let directory = directory();
    let store = Store::create_or_open(&directory.path().join("store")).unwrap();
    let mut writer = store.writer().unwrap();
    let sink = writer.object_sink(SinkOptions::default());
    for size in [5000, 1 << 20, 2_500_000] {
        let bytes = content(size, 4);
        let path = directory.path().join("file");
        std::fs::write(&path, &bytes).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let digest = sink.put_file(&mut &file, size as u64, file.as_fd()).unwrap();
        assert_eq!(digest, digest_of(&bytes));
    }
    sink.commit().unwrap();
    drop(writer);
    assert_eq!(check(&store, None).0, [""; 0]);
}

#[test]
fn verified_reading_gives_the_content_with_and_without_a_sidecar() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    for size in [0].into_iter().chain(SIZES) {
        let bytes = content(size, 1);
        let digest = put(&mut writer, &bytes);
        let sidecar = directory.path().join("trees").join(digest.object_path());
        let read = || {
            let mut read = Vec::new();
            store.read_object_verified(&digest, size as u64, &mut read).map(|()| read)
        };
        assert!(read().unwrap() == bytes, "{size}");
        if sidecar.exists() {
            std::fs::write(&sidecar, vec![1; tree_of(&bytes).len()]).unwrap();
            assert!(read().unwrap() == bytes, "{size} with a wrong sidecar");
            std::fs::remove_file(&sidecar).unwrap();
            assert!(read().unwrap() == bytes, "{size} without sidecar");
        }
    }
}

#[test]
fn verified_reading_gives_out_nothing_that_is_wrong() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let size = 3 * 128 * 4096;
    let bytes = content(size, 1);
    let digest = put(&mut writer, &bytes);
    let path = directory.path().join("objects").join(digest.object_path());
    let mut damaged = bytes.clone();
    damaged[600_000] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    let sidecar = directory.path().join("trees").join(digest.object_path());
    for with_sidecar in [true, false] {
        let mut read = Vec::new();
        let error = store.read_object_verified(&digest, size as u64, &mut read).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "`{}` is damaged: its content has digest {}, expected {digest}; `treeseal store \
                 fsck --repair` can replace it by a good copy",
                path.display(),
                digest_of(&damaged)
            )
        );
        // The first run was right.
        assert!(read == bytes[..if with_sidecar { 128 * 4096 } else { 0 }]);
        let _ = std::fs::remove_file(&sidecar);
    }

    std::fs::write(&path, &bytes[..1000]).unwrap();
    let error = store.read_object_verified(&digest, size as u64, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, StoreError::Size { expected: 1_572_864, found: 1000, .. }), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = store.read_object_verified(&digest, size as u64, &mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "object {digest} is missing: there is no `{}`; `treeseal store fsck --repair` can take \
             it from a good copy",
            path.display()
        )
    );
}

#[test]
fn an_image_is_checked_in_memory_before_it_is_returned() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let bytes = content(20_000, 1);
    let digest = writer.put_image(HashAlgorithm::Sha256, &bytes).unwrap();
    assert_eq!(digest, digest_of(&bytes));
    assert!(store.read_image(&digest, 20_000).unwrap() == bytes);
    let path = directory.path().join("images").join(digest.object_path());
    assert_eq!(
        store.read_image(&digest, 19_999).unwrap_err().to_string(),
        format!("`{}` has 20000 bytes, more than the limit of 19999", path.display())
    );
    let mut damaged = bytes.clone();
    damaged[0] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    let error = store.read_image(&digest, 20_000).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");

    // Putting it again heals it; so does the writer that takes pieces.
    assert_eq!(writer.put_image(HashAlgorithm::Sha256, &bytes).unwrap(), digest);
    assert!(store.read_image(&digest, 20_000).unwrap() == bytes);
    std::fs::write(&path, &damaged).unwrap();
    let mut image = writer.image_writer(HashAlgorithm::Sha256).unwrap();
    io::Write::write_all(&mut image, &bytes[..7]).unwrap();
    image.append(&bytes[7..]).unwrap();
    assert_eq!(image.finish().unwrap(), (digest, 20_000));
    assert!(store.read_image(&digest, 20_000).unwrap() == bytes);

    drop(writer.image_writer(HashAlgorithm::Sha256).unwrap());
    assert!(nothing_unfinished(directory.path()));
}

#[test]
fn seals_of_nested_streams_do_not_get_in_each_others_way() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    for (name, number) in [("a", 1), ("a/b", 7), ("a/b", 10), ("a/b/current", 2), ("b", 1)] {
        writer.put_seal(&stream(name), sequence(number), name.as_bytes()).unwrap();
        writer.set_current(&stream(name), sequence(number)).unwrap();
    }
    let found: Vec<String> = store
        .streams()
        .unwrap()
        .iter()
        .map(|seals| {
            let numbers: Vec<u64> = seals.sequences.iter().map(|s| s.number()).collect();
            format!("{} {numbers:?}", seals.stream)
        })
        .collect();
    assert_eq!(found, ["a [1]", "a/b [7, 10]", "a/b/current [2]", "b [1]"]);
    assert_eq!(store.current(&stream("a/b")).unwrap(), Some(sequence(10)));
    assert_eq!(store.seal(&stream("a/b"), sequence(7)).unwrap(), b"a/b");
    let pointer = directory.path().join("seals/a/b/@current");
    assert_eq!(std::fs::read_to_string(pointer).unwrap(), "10\n");
    assert!(directory.path().join("seals/a/b/@7.seal.json").is_file());
    assert_eq!(store.current(&stream("c")).unwrap(), None);
    drop(writer);
    assert_eq!(check(&store, None).0, [""; 0]);
}

#[test]
fn a_stream_cannot_lead_out_of_the_store() {
    for name in ["a/../b", "..", "/etc", "a//b", ".", "a/./b", "@current", "a/@7.seal.json"] {
        assert!(name.parse::<treeseal_trust::Stream>().is_err(), "{name}");
    }
}

#[test]
fn another_seal_of_the_same_sequence_is_refused() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let (stream, one) = (stream("a"), sequence(1));
    writer.put_seal(&stream, one, b"first").unwrap();
    writer.put_seal(&stream, one, b"first").unwrap();
    let path = directory.path().join("seals/a/@1.seal.json");
    let text = format!(
        "`{}` exists with other content, and is not replaced; use the next number",
        path.display()
    );
    assert_eq!(writer.put_seal(&stream, one, b"second").unwrap_err().to_string(), text);
    assert_eq!(
        writer.replace_seal(&stream, one, b"other", b"second").unwrap_err().to_string(),
        text
    );
    assert_eq!(store.seal(&stream, one).unwrap(), b"first");
    writer.replace_seal(&stream, one, b"first", b"second").unwrap();
    assert_eq!(store.seal(&stream, one).unwrap(), b"second");

    writer.put_root(1, b"root").unwrap();
    writer.put_root(1, b"root").unwrap();
    let error = writer.put_root(1, b"other").unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    assert_eq!(store.root_versions().unwrap(), [1]);
    let error = writer.put_seal(&stream, sequence(2), &vec![b' '; 300_000]).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { limit: 262_144, .. }), "{error}");
}

#[test]
fn the_pointer_never_goes_back_and_never_leads_nowhere() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let stream = stream("a");
    for number in [1, 2, 3] {
        writer.put_seal(&stream, sequence(number), b"seal").unwrap();
    }
    writer.set_current(&stream, sequence(2)).unwrap();
    let pointer = directory.path().join("seals/a/@current");
    assert_eq!(
        writer.set_current(&stream, sequence(1)).unwrap_err().to_string(),
        format!(
            "`{}` points to sequence 2, and is not lowered to 1; seal the older tree again under a \
             new sequence",
            pointer.display()
        )
    );
    assert_eq!(
        writer.set_current(&stream, sequence(4)).unwrap_err().to_string(),
        format!("there is no seal `{}`", directory.path().join("seals/a/@4.seal.json").display())
    );
    assert_eq!(
        writer.remove_seal(&stream, sequence(2)).unwrap_err().to_string(),
        format!(
            "`{}` is the current seal; point to another one before it is removed",
            directory.path().join("seals/a/@2.seal.json").display()
        )
    );
    assert_eq!(store.current(&stream).unwrap(), Some(sequence(2)));

    std::fs::write(&pointer, "two\n").unwrap();
    assert_eq!(
        store.current(&stream).unwrap_err().to_string(),
        format!("`{}` holds `two\\n`, expected a sequence number", pointer.display())
    );
    // It stood for 3 at most, so no less will do.
    let error = writer.set_current(&stream, sequence(2)).unwrap_err();
    assert!(matches!(error, StoreError::Lowered { present: 3, asked: 2, .. }), "{error}");
    writer.set_current(&stream, sequence(3)).unwrap();
    assert_eq!(store.current(&stream).unwrap(), Some(sequence(3)));
    writer.remove_seal(&stream, sequence(2)).unwrap();
    let error = writer.remove_seal(&stream, sequence(2)).unwrap_err();
    assert!(matches!(error, StoreError::NoSeal { .. }), "{error}");
}

#[test]
fn a_directory_with_other_things_does_not_become_a_store() {
    let directory = directory();
    std::fs::write(directory.path().join("thesis.txt"), "x").unwrap();
    assert_eq!(
        Store::create_or_open(directory.path()).unwrap_err().to_string(),
        format!(
            "`{}` is not empty and not a store (it holds `thesis.txt`); name a new or empty \
             directory",
            directory.path().display()
        )
    );
    assert_eq!(snapshot(directory.path()).len(), 1);
    for path in [directory.path(), Path::new("/nowhere/at/all")] {
        assert_eq!(
            Store::open(path).unwrap_err().to_string(),
            format!(
                "`{}` is not a store: it has no treeseal-store.json; sealing a tree into it makes \
                 one",
                path.display()
            )
        );
    }
}

#[test]
fn missing_directories_above_a_new_store_are_made() {
    let directory = directory();
    let path = directory.path().join("a/b/store");
    Store::create_or_open(&path).unwrap();
    Store::create_or_open(&path).unwrap();
    assert_eq!(
        std::fs::read_to_string(path.join("treeseal-store.json")).unwrap(),
        "{\"format\":1,\"compatible\":[],\"readOnlyCompatible\":[],\"incompatible\":[]}\n"
    );
}

#[test]
fn unknown_features_close_the_store_as_far_as_they_must() {
    let directory = directory();
    Store::create_or_open(directory.path()).unwrap();
    let write = |text: &str| {
        std::fs::write(directory.path().join("treeseal-store.json"), text).unwrap();
    };
    write(r#"{"format":1,"compatible":[],"readOnlyCompatible":["packs"],"incompatible":[]}"#);
    Store::open_read_only(directory.path()).unwrap();
    for result in [Store::open(directory.path()), Store::create_or_open(directory.path())] {
        assert!(matches!(result, Err(StoreError::UnknownFeature { .. })));
    }
    write(r#"{"format":2}"#);
    let error = Store::open_read_only(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::NewerFormat { found: 2, .. }), "{error}");
}

#[test]
fn a_store_that_was_opened_for_reading_has_no_writer() {
    let directory = directory();
    Store::create_or_open(directory.path()).unwrap();
    let before = snapshot(directory.path());
    let store = Store::open_read_only(directory.path()).unwrap();
    assert_eq!(
        store.writer().unwrap_err().to_string(),
        format!(
            "`{}` is read-only here; name a store that can be written",
            directory.path().display()
        )
    );
    assert_eq!(snapshot(directory.path()), before);
}

#[test]
fn a_second_writer_waits_and_then_names_the_first() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let other = Store::open(directory.path()).unwrap();
    let writer = store.writer().unwrap();
    let noticed = Mutex::new(None);
    let notice = |holder: Option<&treeseal_sys::LockHolder>| {
        *noticed.lock().unwrap() = holder.map(ToString::to_string);
    };
    let wait = LockWait { limit: Duration::from_millis(60), notice: Some(&notice) };
    let error = other.writer_waiting(wait).unwrap_err();
    assert_eq!(error.to_string(), "the store is in use; try again when that is done");
    let holder = noticed.lock().unwrap().clone().unwrap();
    assert!(holder.starts_with(&format!("process {} (", std::process::id())), "{holder}");
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        format!("`{}` is held by {holder}; waited 0 s", directory.path().join("lock").display())
    );
    assert!(matches!(other.hold(quickly()), Err(StoreError::InUse(_))));
    drop(writer);

    let hold = other.hold(quickly()).unwrap();
    let error = store.writer_waiting(quickly()).unwrap_err();
    assert!(
        std::error::Error::source(&error).unwrap().to_string().contains("held by another process")
    );
    drop(hold);
    store.writer_waiting(quickly()).unwrap();
}

#[test]
fn a_writer_empties_what_an_interrupted_one_left() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    drop(store.writer().unwrap());
    std::fs::create_dir_all(directory.path().join("tmp/x/y")).unwrap();
    std::fs::write(directory.path().join("tmp/x/y/z"), "z").unwrap();
    std::fs::write(directory.path().join("tmp/.1-2.tmp"), "z").unwrap();
    symlink("/etc", directory.path().join("tmp/link")).unwrap();
    drop(store.writer().unwrap());
    assert!(nothing_unfinished(directory.path()));
    assert!(Path::new("/etc/passwd").exists());
}

#[test]
fn symlinks_and_fifos_in_the_place_of_objects_are_not_opened() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let bytes = content(100, 1);
    let digest = put(&mut writer, &bytes);
    let path = directory.path().join("objects").join(digest.object_path());
    std::fs::remove_file(&path).unwrap();
    symlink("/etc/passwd", &path).unwrap();
    let error = store.open_object(&digest).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`{}` is a symlink, expected a regular file", path.display())
    );
    // Putting it again replaces the link, not what it leads to.
    put(&mut writer, &bytes);
    assert!(std::fs::read(&path).unwrap() == bytes);

    std::fs::remove_file(&path).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
    assert_eq!(
        store.open_object(&digest).unwrap_err().to_string(),
        format!("`{}` is a device, FIFO or socket, expected a regular file", path.display())
    );

    // A directory on the way that is a symlink is not followed, to read or to write.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let fanout = path.parent().unwrap();
    let elsewhere = directory.path().join("elsewhere");
    std::fs::rename(fanout, &elsewhere).unwrap();
    symlink(&elsewhere, fanout).unwrap();
    assert!(store.open_object(&digest).is_err());
    drop(writer);
    let mut writer = store.writer().unwrap();
    // The content whose digest begins as that of the other.
    let other = (0..)
        .map(|seed| content(50, seed))
        .find(|other| digest_of(other).as_bytes()[0] == digest.as_bytes()[0]);
    let sink = writer.object_sink(SinkOptions::default());
    sink.put_reader(&mut &other.unwrap()[..], None).unwrap();
    assert_eq!(
        sink.commit().unwrap_err().to_string(),
        format!("`{}` is a symlink, expected a directory", fanout.display())
    );
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 1);
}

#[test]
fn objects_that_are_held_open_survive_their_removal() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let bytes = content(600_000, 1);
    seal_tree(&mut writer, &stream("a"), 1, std::slice::from_ref(&bytes)).unwrap();
    assert_eq!(references(&store).object_size(&digest_of(&bytes)), Some(600_000));
    let mut file = store.open_object(&digest_of(&bytes)).unwrap();
    store.open_sidecar(&digest_of(&bytes)).unwrap();
    std::fs::remove_file(
        directory.path().join(format!("objects/{}", digest_of(&bytes).object_path())),
    )
    .unwrap();
    let mut read = Vec::new();
    file.read_to_end(&mut read).unwrap();
    assert!(read == bytes);
    let error = store.open_object(&digest_of(&bytes)).unwrap_err();
    assert!(matches!(error, StoreError::Missing { part: Part::Object, .. }), "{error}");
}

#[test]
fn the_example_of_the_specification_is_what_is_written() {
    let directory = directory();
    let store = Store::create_or_open(directory.path()).unwrap();
    let mut writer = store.writer().unwrap();
    put(&mut writer, b"hello world\n");
    put(&mut writer, &[b'a'; 600_000]);
    writer.put_image(HashAlgorithm::Sha256, b"image\n").unwrap();
    writer.put_seal(&stream("acme/os"), sequence(1), b"seal\n").unwrap();
    writer.set_current(&stream("acme/os"), sequence(1)).unwrap();
    drop(writer);
    let specification = include_str!("../../../spec/store.md");
    let example = specification.split("## 12. Example").nth(1).unwrap();
    let mut files = snapshot(directory.path());
    assert_eq!(files.remove("lock").unwrap(), b"");
    let description = files.remove("treeseal-store.json").unwrap();
    assert!(example.contains(&format!("has {} bytes", description.len())));
    assert!(example.contains(std::str::from_utf8(&description).unwrap()));
    assert_eq!(files.len(), 6);
    for (name, bytes) in files {
        let line = example.lines().find(|line| line.starts_with(&name)).unwrap();
        assert!(line.contains(&format!(" {} bytes", bytes.len())), "{line}");
        if name.starts_with("trees") {
            for hash in bytes[..64].chunks(32) {
                let hash = FileDigest::from_bytes(HashAlgorithm::Sha256, hash).unwrap();
                assert!(example.contains(&format!("\n{hash}\n")));
            }
        }
    }
}
