#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! A crash at every step of making a store, sealing into it, and removing from it.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{
    RUN, check, content, directory, nothing_unfinished, references, resolve_file, seal_tree,
    sequence, stream,
};
use treeseal_store::{Access, GcOptions, OpenOptions, Reachable, Store, StoreError, gc};
use treeseal_sys::{Barrier, DurableOptions};
use treeseal_testkit::{CrashingDisk, Loss};

const STREAM: &str = "acme/os";

/// A part of them is in both trees.
fn first_tree() -> Vec<Vec<u8>> {
    [0, 1, 100, 4096, RUN + 1, 9000].iter().map(|&size| content(size, 1)).collect()
}

fn second_tree() -> Vec<Vec<u8>> {
    let mut tree = first_tree();
    tree.truncate(4);
    tree.extend([7, RUN + 5000, 20_000].iter().map(|&size| content(size, 2)));
    tree.push(content(RUN + 5000, 2));
    tree
}

fn options(barrier: Barrier, disk: Option<Arc<CrashingDisk>>) -> OpenOptions {
    let hook = disk.map(|disk| disk as Arc<dyn treeseal_sys::StepHook>);
    OpenOptions { access: Access::Create, durable: DurableOptions { barrier: Some(barrier), hook } }
}

fn seal_both(path: &Path, options: OpenOptions) -> Result<(), StoreError> {
    let store = Store::open_with(path, options)?;
    let mut writer = store.writer()?;
    writer.put_root(1, b"the root")?;
    if store.current(&stream(STREAM))? < Some(sequence(2)) {
        seal_tree(&mut writer, &stream(STREAM), 1, &first_tree())?;
    }
    seal_tree(&mut writer, &stream(STREAM), 2, &second_tree())?;
    Ok(())
}

fn remove_first(path: &Path, options: OpenOptions) -> Result<(), StoreError> {
    let store = Store::open_with(path, options)?;
    let mut writer = store.writer()?;
    match writer.remove_seal(&stream(STREAM), sequence(1)) {
        Ok(()) | Err(StoreError::NoSeal { .. }) => {}
        Err(error) => return Err(error),
    }
    let reachable = Reachable::collect(&writer, resolve_file(&store))?;
    gc(&mut writer, &reachable, GcOptions::default(), &mut |_| {})?;
    Ok(())
}

/// Everything that can be seen is whole, and everything that a seal or pointer needs is there.
fn assert_sound(path: &Path, what: &str) {
    let store = match Store::open_read_only(path) {
        Ok(store) => store,
        // The crash came before there was a store.
        Err(StoreError::NotAStore { .. }) => return,
        Err(error) => panic!("{what}: {error}"),
    };
    // This reads every image that a seal names, checked against its digest.
    let (findings, _) = check(&store, Some(&references(&store)));
    for finding in findings {
        let harmless = finding.contains(": stray: left by a writer")
            || finding.contains(": unreferenced: ")
            // Of an object that no seal reaches yet.
            || finding.starts_with("trees/");
        assert!(harmless, "{what}: {finding}");
    }
    for (digest, size) in references(&store).objects() {
        let mut out = Vec::new();
        store.read_object_verified(digest, size, &mut out).unwrap();
        if size > RUN as u64 {
            store.open_sidecar(digest).unwrap();
        }
    }
    if let Some(current) = store.current(&stream(STREAM)).unwrap() {
        store.seal(&stream(STREAM), current).unwrap();
    }
}

/// Runs `work` with a crash at every step and every loss; checks what is left, and that a second
/// run does it all.
fn crash_everywhere(
    prepare: impl Fn(&Path),
    work: impl Fn(&Path, OpenOptions) -> Result<(), StoreError>,
    done: impl Fn(&Store),
) {
    let losses = [Loss::Nothing, Loss::Everything, Loss::Content, Loss::ContentZeroed]
        .into_iter()
        .chain((1..=3).map(Loss::Some));
    let mut crashes = 0;
    for (barrier, loss) in
        losses.flat_map(|loss| [(Barrier::Filesystem, loss), (Barrier::EachFile, loss)])
    {
        for stop_at in 0.. {
            let directory = directory();
            let path = directory.path().join("store");
            prepare(&path);
            let disk = Arc::new(CrashingDisk::new(&directory.path().join("aside"), stop_at));
            let result = work(&path, options(barrier, Some(Arc::clone(&disk))));
            let what = format!("crash at step {stop_at}, {barrier:?}, {loss:?}");
            // It may also come when the work is done and only tidying up is left.
            assert!(disk.crashed() || result.is_ok(), "{what}: {result:?}");
            disk.lose(loss);
            assert_sound(&path, &what);
            if result.is_ok() {
                // What was reported as done is durable.
                done(&Store::open(&path).unwrap());
            }

            work(&path, options(barrier, None)).unwrap_or_else(|error| panic!("{what}: {error}"));
            let store = Store::open(&path).unwrap();
            done(&store);
            let (findings, report) = check(&store, Some(&references(&store)));
            assert!(report.is_sound(), "{what}: {findings:?}");
            assert_eq!(report.strays, 0, "{what}: {findings:?}");
            assert!(nothing_unfinished(&path), "{what}");
            if !disk.crashed() {
                break;
            }
            crashes += 1;
        }
    }
    assert!(crashes > 100, "only {crashes} crashes");
}

#[test]
fn a_crash_at_any_step_of_sealing_leaves_a_sound_store_and_the_next_run_completes() {
    crash_everywhere(
        |_| {},
        seal_both,
        |store| {
            assert_eq!(store.current(&stream(STREAM)).unwrap(), Some(sequence(2)));
            let sequences = store.sequences(&stream(STREAM)).unwrap();
            assert_eq!(sequences, [sequence(1), sequence(2)]);
            assert_eq!(store.root(1).unwrap().unwrap(), b"the root");
        },
    );
}

#[test]
fn a_crash_at_any_step_of_removing_leaves_a_sound_store_and_the_next_run_completes() {
    crash_everywhere(
        |path| seal_both(path, options(Barrier::Filesystem, None)).unwrap(),
        remove_first,
        |store| {
            let (findings, report) = check(store, Some(&references(store)));
            assert_eq!(report.unreferenced, 0, "{findings:?}");
            assert_eq!(store.sequences(&stream(STREAM)).unwrap(), [sequence(2)]);
        },
    );
}

/// A process is killed at any step, which loses nothing yet; another completes the work; then the
/// power fails. What the first had not synced must not be missed.
#[test]
fn work_that_was_completed_after_a_kill_survives_a_crash() {
    for barrier in [Barrier::Filesystem, Barrier::EachFile] {
        for stop_at in 0.. {
            let directory = directory();
            let path = directory.path().join("store");
            let mut disk = Arc::new(CrashingDisk::new(&directory.path().join("aside"), stop_at));
            let result = seal_both(&path, options(barrier, Some(Arc::clone(&disk))));
            let was_killed = disk.crashed();
            assert!(was_killed || result.is_ok(), "{result:?}");
            Arc::get_mut(&mut disk).unwrap().after_kill();
            seal_both(&path, options(barrier, Some(Arc::clone(&disk)))).unwrap();
            disk.lose(Loss::Everything);
            let what = format!("killed at step {stop_at}, {barrier:?}");
            assert_sound(&path, &what);
            let store = Store::open(&path).unwrap();
            assert_eq!(store.current(&stream(STREAM)).unwrap(), Some(sequence(2)), "{what}");
            assert!(check(&store, Some(&references(&store))).1.is_sound(), "{what}");
            if !was_killed {
                break;
            }
        }
    }
}

#[test]
fn a_crash_at_any_step_of_storing_long_content_leaves_a_sound_store() {
    let long = [content(1_100_000, 3)];
    for loss in [Loss::Nothing, Loss::ContentZeroed] {
        for stop_at in 0.. {
            let directory = directory();
            let path = directory.path().join("store");
            let disk = Arc::new(CrashingDisk::new(&directory.path().join("aside"), stop_at));
            let work = |options| {
                let store = Store::open_with(&path, options)?;
                seal_tree(&mut store.writer()?, &stream(STREAM), 1, &long)
            };
            let result = work(options(Barrier::Filesystem, Some(Arc::clone(&disk))));
            assert!(disk.crashed() || result.is_ok(), "{result:?}");
            disk.lose(loss);
            assert_sound(&path, &format!("crash at step {stop_at}, {loss:?}"));
            work(options(Barrier::Filesystem, None)).unwrap();
            assert!(nothing_unfinished(&path));
            if !disk.crashed() {
                break;
            }
        }
    }
}

/// The fake itself: a disk that forgets must be noticed when nothing is synced.
#[test]
fn the_crashing_disk_takes_back_what_was_not_synced() {
    let directory = directory();
    let path = directory.path().join("dir");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("name"), "old").unwrap();
    let open = |disk: &Arc<CrashingDisk>| {
        let hook = Arc::clone(disk) as Arc<dyn treeseal_sys::StepHook>;
        let options = DurableOptions { barrier: None, hook: Some(hook) };
        treeseal_sys::DurableDir::open(&path, options).unwrap()
    };
    for (loss, expected) in [
        (Loss::Nothing, "new"),
        (Loss::Everything, "old"),
        (Loss::Content, ""),
        (Loss::ContentZeroed, "\0\0\0"),
    ] {
        std::fs::write(path.join("name"), "old").unwrap();
        let disk = Arc::new(CrashingDisk::new(&directory.path().join(format!("{loss:?}")), 99));
        let dir = open(&disk);
        let mut temp = dir.create_temp().unwrap();
        temp.append(b"new").unwrap();
        // No sync between these two.
        temp.close().rename(&dir, "name").unwrap();
        disk.lose(loss);
        assert_eq!(std::fs::read_to_string(path.join("name")).unwrap(), expected, "{loss:?}");
    }
}
