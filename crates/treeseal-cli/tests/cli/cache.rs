//! Sealing a tree again, of which most has not changed.
//!
//! Digests are kept only on filesystems whose times of change can be relied on: temporary
//! directories must be on one, such as ext4 or tmpfs, and not on overlayfs. `TMPDIR` says where.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Machine, Run, STREAM, filled, program, require_root, treeseal};

/// A digest is kept if its file has not changed for two whole seconds.
fn settle() {
    sleep(Duration::from_millis(3100));
}

/// A machine whose sample tree has settled.
fn settled() -> (Machine, PathBuf) {
    let machine = Machine::new();
    let tree = machine.sample_tree();
    settle();
    (machine, tree)
}

/// A machine that has sealed its sample tree and knows all its files.
fn sealed() -> (Machine, PathBuf) {
    let (machine, tree) = settled();
    assert_eq!(known(&seal(&machine, &tree, &[])), 0);
    (machine, tree)
}

fn seal(machine: &Machine, tree: &Path, flags: &[&str]) -> Run {
    let mut arguments = vec![OsStr::new("seal"), tree.as_os_str(), "--stream".as_ref()];
    arguments.extend([STREAM, "--json"].map(OsStr::new));
    arguments.extend(flags.iter().map(OsStr::new));
    machine.run(arguments).ok()
}

fn json(run: &Run) -> Value {
    serde_json::from_slice(&run.stdout).unwrap()
}

/// How many objects were not read.
fn known(run: &Run) -> u64 {
    json(run)["known"]["objects"].as_u64().unwrap()
}

fn images(run: &Run) -> String {
    json(run)["images"].to_string()
}

/// Fails unless the tree is sealed as it is when every file is read.
#[track_caller]
fn assert_right(machine: &Machine, tree: &Path, run: &Run) {
    assert_eq!(images(run), images(&seal(machine, tree, &["--no-cache"])));
    machine.run(["verify", STREAM, "--deep"]).ok();
}

/// Writes other content of the same length, and sets the time of modification back.
fn change_in_secret(path: &Path) {
    let before = fs::metadata(path).unwrap();
    let mut content = fs::read(path).unwrap();
    content.reverse();
    let changed = content.len() / 2;
    content[changed] ^= 1;
    fs::write(path, content).unwrap();
    set_mtime(path, &before);
}

fn set_mtime(path: &Path, like: &fs::Metadata) {
    File::options().write(true).open(path).unwrap().set_modified(like.modified().unwrap()).unwrap();
    assert_eq!(fs::metadata(path).unwrap().modified().unwrap(), like.modified().unwrap());
}

#[test]
fn an_unchanged_tree_is_sealed_again_without_reading_it() {
    let (machine, tree) = settled();
    let first = seal(&machine, &tree, &[]);
    let again = seal(&machine, &tree, &[]);
    assert_eq!(json(&again)["known"].to_string(), r#"{"bytes":604096,"objects":2}"#);
    assert_eq!(images(&first), images(&again));
    assert_right(&machine, &tree, &again);
}

#[test]
fn the_content_of_known_files_is_not_read() {
    let (machine, tree) = sealed();
    let trace = traced_seal(&machine, &tree, "read,pread64,readv,mmap,ioctl");
    let reads = |name: &str| {
        let path = format!("<{}>", tree.canonicalize().unwrap().join(name).display());
        trace.lines().filter(|line| line.contains(&path)).count()
    };
    // What goes into the image is read.
    assert_eq!(reads("etc/motd"), 1, "{trace}");
    assert_eq!(reads("etc/conf.d/block"), 0, "{trace}");
    assert_eq!(reads("etc/conf.d/large") + reads("etc/again"), 0, "{trace}");
}

/// Seals, and gives the system calls of these names.
fn traced_seal(machine: &Machine, tree: &Path, calls: &str) -> String {
    let trace = machine.path("trace");
    let mut traced = std::process::Command::new(treeseal_testkit::program("strace", "strace"));
    traced.args(["-f", "-y", "-e", &format!("trace={calls}"), "-o"]).arg(&trace);
    traced.arg(treeseal().get_program()).arg("seal").arg(tree).args(["--stream", STREAM]);
    traced.env("TREESEAL_STORE", machine.store()).env("TREESEAL_STATE", machine.path("state"));
    traced.env("TREESEAL_ROOT", machine.path("config/root.json"));
    Run::of(&mut traced).ok();
    fs::read_to_string(trace).unwrap()
}

#[test]
fn another_stream_and_another_store_know_the_same_files() {
    let (machine, tree) = sealed();
    let run = |machine: &Machine| {
        let tree = tree.as_os_str();
        let other = ["--stream", "test/other/any/stable", "--json"].map(OsStr::new);
        machine.run([OsStr::new("seal"), tree].into_iter().chain(other)).ok()
    };
    assert_eq!(known(&run(&machine)), 2);
    // What the new store lacks is read, and from then on is there.
    let first = images(&run(&machine));
    fs::rename(machine.store(), machine.path("old")).unwrap();
    let second = run(&machine);
    assert_eq!(known(&second), 0);
    assert_eq!(images(&second), first);
    assert_eq!(known(&run(&machine)), 2);
    machine.run(["verify", "test/other/any/stable", "--deep"]).ok();
}

#[test]
fn a_change_whose_time_of_modification_is_set_back_is_noticed() {
    let (machine, tree) = sealed();
    let before = images(&seal(&machine, &tree, &[]));
    change_in_secret(&tree.join("etc/conf.d/block"));
    let after = seal(&machine, &tree, &[]);
    assert_eq!(known(&after), 1);
    assert_ne!(images(&after), before);
    assert_right(&machine, &tree, &after);
}

#[test]
fn a_change_right_after_the_seal_is_noticed() {
    let machine = Machine::new();
    let tree = machine.sample_tree();
    let file = tree.join("etc/conf.d/block");
    let mut before = images(&seal(&machine, &tree, &[]));
    for _ in 0..4 {
        change_in_secret(&file);
        let after = seal(&machine, &tree, &[]);
        assert_ne!(images(&after), before);
        before = images(&after);
        assert_right(&machine, &tree, &after);
    }
}

#[test]
fn another_file_with_the_same_inode_number_is_read() {
    let (machine, tree) = sealed();
    let file = tree.join("etc/conf.d/block");
    let before = fs::metadata(&file).unwrap();
    let mut reused = false;
    for attempt in 0..20_u8 {
        fs::remove_file(&file).unwrap();
        let mut content = filled(4096);
        content[7] ^= attempt + 1;
        fs::write(&file, content).unwrap();
        set_mtime(&file, &before);
        reused = fs::metadata(&file).unwrap().ino() == before.ino();
        if reused {
            break;
        }
    }
    // tmpfs counts on instead; then the new file is another inode, which is read as well.
    println!("the inode number was used again: {reused}");
    let after = seal(&machine, &tree, &[]);
    assert_eq!(known(&after), 1);
    assert_right(&machine, &tree, &after);
}

#[test]
fn files_with_several_names_are_known_by_any_of_them() {
    let (machine, tree) = sealed();
    // Giving a file another name changes it as far as its times can tell.
    fs::hard_link(tree.join("etc/conf.d/large"), tree.join("a-first-name")).unwrap();
    let linked = seal(&machine, &tree, &[]);
    assert_eq!(known(&linked), 1);
    assert_right(&machine, &tree, &linked);
    settle();
    seal(&machine, &tree, &[]);
    let again = seal(&machine, &tree, &[]);
    assert_eq!(known(&again), 2);
    assert_eq!(images(&again), images(&linked));
    let separate = ["--compat", "mkcomposefs"];
    assert_eq!(known(&seal(&machine, &tree, &separate)), 2);
}

#[test]
fn lost_objects_and_sidecars_are_read_again() {
    let (machine, tree) = sealed();
    let large = machine.object(&filled(600_000));
    let sidecar = machine
        .store()
        .join("trees")
        .join(large.strip_prefix(machine.store().join("objects")).unwrap());
    for (lost, new) in [(&large, 1), (&sidecar, 0)] {
        fs::remove_file(lost).unwrap();
        let run = seal(&machine, &tree, &[]);
        assert_eq!(known(&run), 1);
        assert_eq!(json(&run)["new"]["objects"], new);
        assert!(lost.exists());
        machine.run(["verify", STREAM, "--deep"]).ok();
    }
    fs::write(&large, "cut").unwrap();
    let run = seal(&machine, &tree, &[]);
    assert_eq!(known(&run), 1);
    assert_right(&machine, &tree, &run);
}

#[test]
fn what_gc_removed_is_read_again_and_the_seal_is_whole() {
    let (machine, tree) = settled();
    let first = machine.seal(&tree, "test/gone/any/stable");
    assert!(machine.path("state/digests").exists(), "{}", first.stderr);
    fs::remove_dir_all(machine.store().join("seals/test/gone")).unwrap();
    let removed = machine.run(["store", "gc"]).ok().text();
    assert!(removed.contains("removed 1 images, 2 objects, 1 sidecars"), "{removed}");
    let objects = [filled(4096), filled(600_000)].map(|content| machine.object(&content));
    assert!(objects.iter().all(|object| !object.exists()));

    // The files are unchanged and their digests known, but there is nothing that these stand for.
    let again = seal(&machine, &tree, &[]);
    assert_eq!(known(&again), 0);
    assert_eq!(json(&again)["new"]["objects"], 2);
    assert!(objects.iter().all(|object| object.exists()));
    assert_right(&machine, &tree, &again);
    assert_eq!(known(&seal(&machine, &tree, &[])), 2);
}

#[test]
fn no_cache_neither_reads_nor_writes_what_is_known() {
    let (machine, tree) = settled();
    let kept = machine.path("state/digests");
    seal(&machine, &tree, &["--no-cache"]);
    assert!(!kept.exists());
    seal(&machine, &tree, &[]);
    let before = fs::read(&kept).unwrap();
    fs::write(tree.join("new"), filled(5000)).unwrap();
    settle();
    assert_eq!(known(&seal(&machine, &tree, &["--no-cache"])), 0);
    assert_eq!(fs::read(&kept).unwrap(), before);
    assert_eq!(known(&seal(&machine, &tree, &[])), 2);
    assert_eq!(fs::read(&kept).unwrap().len(), before.len() + RECORD);
}

/// A machine that has sealed its sample tree, knows all its files, and has seen their objects in the
/// store, whose directories have settled. With the object that has no sidecar.
fn seen() -> (Machine, PathBuf, PathBuf) {
    let (machine, tree) = sealed();
    settle();
    assert_eq!(known(&seal(&machine, &tree, &[])), 2);
    let object = machine.object(&filled(4096));
    (machine, tree, object)
}

/// How often a seal looks at an object.
fn looks(machine: &Machine, tree: &Path, object: &Path) -> usize {
    let name = object.file_name().unwrap().to_str().unwrap();
    let trace = traced_seal(machine, tree, "%file,%%stat");
    trace.lines().filter(|line| line.contains(name)).count()
}

/// Fails unless a seal finds that the small object is not what the store has, and stores it again.
#[track_caller]
fn assert_stored_again(machine: &Machine, tree: &Path, object: &Path) {
    let run = seal(machine, tree, &[]);
    assert_eq!((known(&run), json(&run)["new"]["objects"].as_u64()), (1, Some(1)));
    assert_eq!(fs::read(object).unwrap(), filled(4096));
    assert_right(machine, tree, &run);
}

#[test]
fn an_object_is_not_looked_for_where_nothing_changed_since_it_was_seen() {
    let (machine, tree, object) = seen();
    assert_eq!(looks(&machine, &tree, &object), 0);
    // One with a sidecar is looked for, and its sidecar.
    assert_eq!(looks(&machine, &tree, &machine.object(&filled(600_000))), 2);
    assert_right(&machine, &tree, &seal(&machine, &tree, &[]));
}

#[test]
fn objects_are_looked_for_until_their_directory_has_settled() {
    let (machine, tree, object) = seen();
    File::create(object.with_file_name("other")).unwrap();
    for _ in 0..2 {
        assert_eq!(looks(&machine, &tree, &object), 1);
    }
    fs::remove_file(&object).unwrap();
    assert_stored_again(&machine, &tree, &object);
    fs::remove_file(&object).unwrap();
    assert_stored_again(&machine, &tree, &object);
    settle();
    assert_eq!(looks(&machine, &tree, &object), 1);
    assert_eq!(looks(&machine, &tree, &object), 0);
}

#[test]
fn an_object_that_was_seen_and_removed_is_stored_again() {
    let (machine, tree, object) = seen();
    fs::remove_file(&object).unwrap();
    assert_stored_again(&machine, &tree, &object);
}

#[test]
fn an_object_that_was_seen_and_replaced_is_stored_again() {
    let (machine, tree, object) = seen();
    let other = machine.path("other");
    fs::write(&other, "cut").unwrap();
    fs::rename(other, &object).unwrap();
    assert_stored_again(&machine, &tree, &object);
}

#[test]
fn objects_that_were_seen_and_moved_away_with_their_directory_are_stored_again() {
    let (machine, tree, object) = seen();
    fs::rename(object.parent().unwrap(), machine.path("elsewhere")).unwrap();
    assert_stored_again(&machine, &tree, &object);
    // And one that has the same times as far as a program can set them.
    let directory = object.parent().unwrap();
    settle();
    seal(&machine, &tree, &[]);
    let before = fs::metadata(directory).unwrap();
    fs::remove_dir_all(directory).unwrap();
    fs::create_dir(directory).unwrap();
    File::open(directory).unwrap().set_modified(before.modified().unwrap()).unwrap();
    assert_stored_again(&machine, &tree, &object);
}

#[test]
fn objects_that_were_seen_and_went_with_gc_are_stored_again() {
    let (machine, tree, object) = seen();
    fs::remove_dir_all(machine.store().join("seals").join(STREAM)).unwrap();
    let removed = machine.run(["store", "gc"]).ok().text();
    assert!(removed.contains("removed 1 images, 2 objects, 1 sidecars"), "{removed}");
    assert!(!object.exists());
    let run = seal(&machine, &tree, &[]);
    assert_eq!((known(&run), json(&run)["new"]["objects"].as_u64()), (0, Some(2)));
    assert_right(&machine, &tree, &run);
}

#[test]
fn what_was_seen_in_one_store_is_not_taken_to_be_in_another() {
    let (machine, tree, object) = seen();
    let (store, first) = (machine.store(), machine.path("first"));
    fs::rename(&store, &first).unwrap();
    let run = seal(&machine, &tree, &[]);
    assert_eq!((known(&run), json(&run)["new"]["objects"].as_u64()), (0, Some(2)));
    assert_right(&machine, &tree, &run);

    // Where the first one comes back it is looked at again. A copy of it that lacks something is
    // another one.
    fs::rename(&store, machine.path("second")).unwrap();
    fs::rename(&first, &store).unwrap();
    assert_eq!(looks(&machine, &tree, &object), 1);
    assert_eq!(looks(&machine, &tree, &object), 0);
    program("cp", "coreutils", ["-a".as_ref(), store.as_os_str(), first.as_os_str()]).ok();
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&first, &store).unwrap();
    fs::remove_file(&object).unwrap();
    assert_stored_again(&machine, &tree, &object);
}

#[test]
fn an_object_that_was_seen_and_cut_short_in_place_is_found_by_reading_it() {
    let (machine, tree, object) = seen();
    fs::write(&object, "cut").unwrap();
    // No seal that trusts what was seen finds it.
    assert_eq!(known(&seal(&machine, &tree, &[])), 2);
    machine.run(["verify", STREAM, "--deep"]).expect_code(1);
    machine.run(["store", "fsck"]).expect_code(1);
    let run = seal(&machine, &tree, &["--no-cache"]);
    assert_eq!(json(&run)["new"]["objects"], 1);
    assert_right(&machine, &tree, &seal(&machine, &tree, &[]));
}

/// Bytes before the records.
const HEADER: usize = 36;

/// Bytes of a record.
const RECORD: usize = 105;

#[test]
fn whatever_byte_is_damaged_the_same_tree_is_sealed() {
    let (machine, tree) = sealed();
    let expected = images(&seal(&machine, &tree, &[]));
    let kept = machine.path("state/digests");
    let whole = fs::read(&kept).unwrap();
    assert_eq!(whole.len(), HEADER + 2 * RECORD);
    let objects = [filled(4096), filled(600_000)].map(|content| machine.object(&content));
    let unsigned = |name: &str| {
        // What did not settle is not noted as seen, so the same records are written every time.
        for object in &objects {
            let directory = object.parent().unwrap();
            let now = std::time::SystemTime::now();
            File::open(directory).unwrap().set_modified(now).unwrap();
        }
        seal_unsigned(&machine, &tree, name)
    };
    for position in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[position] ^= 1 << (position % 8);
        fs::write(&kept, damaged).unwrap();
        let run = unsigned(&position.to_string());
        assert_eq!(images(&run), expected, "byte {position}");
        let most = if position < HEADER { 0 } else { 1 };
        assert!(known(&run) <= most, "byte {position}: {} known", known(&run));
        // What was damaged has been read, and is known again.
        assert!(fs::read(&kept).unwrap() == whole, "byte {position}");
    }
    for length in [0, 1, HEADER - 1, HEADER, HEADER + 1, HEADER + RECORD, whole.len() - 1] {
        fs::write(&kept, &whole[..length]).unwrap();
        let run = unsigned(&format!("short-{length}"));
        assert_eq!((images(&run), known(&run)), (expected.clone(), 0));
        assert!(fs::read(&kept).unwrap() == whole, "{length} bytes");
    }
    fs::write(&kept, [&whole[..], b"x"].concat()).unwrap();
    assert_eq!(known(&unsigned("long")), 0);
    assert_eq!(known(&unsigned("last")), 2);
}

fn seal_unsigned(machine: &Machine, tree: &Path, name: &str) -> Run {
    let file = machine.path(&format!("unsigned-{name}"));
    seal(machine, tree, &["--unsigned", file.to_str().unwrap()])
}

#[test]
fn what_others_can_write_is_not_used_and_a_person_is_told() {
    let (machine, tree) = sealed();
    let kept = machine.path("state/digests");
    assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o7777, 0o600);
    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(&kept, fs::Permissions::from_mode(mode)).unwrap();
        let run = seal(&machine, &tree, &[]);
        assert_eq!(known(&run), 0);
        let path = kept.display();
        let expected = format!(
            "note: the digests in `{path}` are not used: others may write to it, its mode is {mode:o}\n"
        );
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
        // A new one has taken its place.
        assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(known(&seal(&machine, &tree, &[])), 2);
    }
}

#[test]
fn what_belongs_to_someone_else_is_not_used() {
    require_root("a file of another owner");
    let (machine, tree) = sealed();
    let kept = machine.path("state/digests");
    chown(&kept, Some(12345), None).unwrap();
    let run = seal(&machine, &tree, &[]);
    assert_eq!(known(&run), 0);
    let run = run.says("are not used: the file belongs to user 12345, not 0");
    assert_right(&machine, &tree, &run);
    assert_eq!(fs::metadata(&kept).unwrap().uid(), 0);
}

#[test]
fn something_else_in_the_place_of_the_file_does_not_matter() {
    let (machine, tree) = sealed();
    let kept = machine.path("state/digests");
    let elsewhere = machine.path("elsewhere");
    fs::rename(&kept, &elsewhere).unwrap();
    symlink(&elsewhere, &kept).unwrap();
    let run = seal(&machine, &tree, &[]);
    assert_eq!(known(&run), 0);
    run.says("are not used: it cannot be read");

    fs::remove_file(&kept).unwrap();
    program("mkfifo", "coreutils", [&kept]).ok();
    assert_eq!(known(&seal(&machine, &tree, &[])), 0);

    fs::remove_file(&kept).unwrap();
    fs::create_dir(&kept).unwrap();
    let run = seal(&machine, &tree, &[]).says("note: the digests of this tree are not kept");
    assert_eq!(known(&run), 0);
    assert_right(&machine, &tree, &run);
    assert!(!machine.path("state/digests.tmp").exists());
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next_that_writes() {
    let (machine, tree) = settled();
    fs::create_dir(machine.path("state")).unwrap();
    let unfinished = machine.path("state/digests.tmp");
    fs::write(&unfinished, "half a rec").unwrap();
    seal(&machine, &tree, &[]);
    assert!(!unfinished.exists());
    assert_eq!(known(&seal(&machine, &tree, &[])), 2);
}

#[test]
fn runs_that_are_killed_at_any_time_leave_what_the_next_can_use() {
    let (machine, tree) = settled();
    let expected = images(&seal(&machine, &tree, &["--no-cache"]));
    for milliseconds in (0..60).step_by(3) {
        let mut command = machine.command();
        command.arg("seal").arg(&tree).args(["--stream", STREAM]);
        let (stdout, stderr) = (std::process::Stdio::null(), std::process::Stdio::null());
        let mut run = command.stdout(stdout).stderr(stderr).spawn().unwrap();
        sleep(Duration::from_millis(milliseconds));
        run.kill().unwrap();
        run.wait().unwrap();
        assert_eq!(images(&seal_unsigned(&machine, &tree, &milliseconds.to_string())), expected);
        let _ = fs::remove_file(machine.path("state/digests"));
    }
}

#[test]
fn two_runs_at_once_leave_a_whole_file() {
    let (machine, tree) = settled();
    let expected = images(&seal(&machine, &tree, &["--no-cache"]));
    let kept = machine.path("state/digests");
    let run = |store: &str, round: u32| {
        let pending = machine.path(&format!("{store}-{round}"));
        let mut command = machine.command();
        command.arg("seal").arg(&tree).args(["--stream", STREAM, "--json", "--unsigned"]);
        command.arg(pending).env("TREESEAL_STORE", machine.path(store));
        Run::of(&mut command).ok()
    };
    for round in 0..10 {
        let _ = fs::remove_file(&kept);
        let (first, second) = std::thread::scope(|scope| {
            let other = scope.spawn(|| run("other-store", round));
            (run("one-store", round), other.join().unwrap())
        });
        assert_eq!(images(&first), expected);
        assert_eq!(images(&second), expected);
        assert_eq!(fs::metadata(&kept).unwrap().len(), (HEADER + 2 * RECORD) as u64);
        assert_eq!(known(&run("one-store", 100 + round)), 2);
    }
}

#[test]
fn a_seal_that_is_to_be_signed_elsewhere_knows_files_too() {
    let (machine, tree) = settled();
    assert_eq!(known(&seal_unsigned(&machine, &tree, "first")), 0);
    assert_eq!(known(&seal_unsigned(&machine, &tree, "second")), 2);
}
