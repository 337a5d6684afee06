//! Sealed trees that are mounted, and those that are not.

use super::place::{Place, SIZES, STREAM, content, digest, enable};
use crate::guest::{Filesystem, Guest, Verity, run, run_refused};
use crate::state::State;
use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use treeseal_testkit::{console_steps, run_console};

/// Where trees are mounted, and what asks for it; relative to the place's directory.
const TARGET: &str = "target";

/// A place with a sealed tree and a directory to mount it over.
fn sealed(filesystem: &Filesystem) -> Result<Place> {
    let place = Place::new(filesystem)?;
    place.seal()?;
    fs::create_dir(place.target()).context("creating the directory to mount over")?;
    Ok(place)
}

impl Place {
    fn target(&self) -> PathBuf {
        self.home.join(TARGET)
    }

    fn mount(&self) -> Result<String> {
        self.does(0, &format!("mount {STREAM} {TARGET}"))
    }

    fn umount(&self) -> Result<()> {
        self.does(0, &format!("umount {TARGET}")).map(drop)
    }

    /// Nothing is mounted for this reason, and nothing is left of the attempt.
    fn is_not_mounted(&self, code: i32, words: &str, expected: &[&str]) -> Result<()> {
        let before = State::now()?;
        let said = self.does(code, words)?;
        for text in expected {
            ensure!(said.contains(text), "treeseal {words}: expected `{text}`, found: {said}");
        }
        before.expect_nothing_new()
    }

    fn mount_is_refused(&self, code: i32, expected: &[&str]) -> Result<()> {
        self.is_not_mounted(code, &format!("mount {STREAM} {TARGET}"), expected)
    }

    /// What is mounted is what was sealed, in every respect.
    fn expect_whole(&self) -> Result<()> {
        self.does(0, &format!("diff {STREAM} ./{TARGET}")).map(drop)
    }

    /// The image of the one tree that was sealed.
    fn image(&self) -> Result<PathBuf> {
        self.files("images")?.pop().context("the store has no image")
    }
}

/// Puts another file in the place of one that may have fs-verity.
fn replace(file: &Path, content: &[u8]) -> Result<()> {
    fs::remove_file(file).with_context(|| format!("removing {}", file.display()))?;
    fs::write(file, content).with_context(|| format!("writing {}", file.display()))
}

fn expect_error(file: &Path, errno: Errno) -> Result<()> {
    let error = fs::read(file).err();
    let error = error.with_context(|| format!("{} can be read", file.display()))?;
    ensure!(error.raw_os_error() == Some(errno.raw_os_error()), "{}: {error}", file.display());
    Ok(())
}

fn loop_devices() -> Result<String> {
    run("losetup", ["--list", "--noheadings"])
}

/// A tree is what was sealed, cannot be written, and is shown by `status` for as long as it is mounted.
pub(super) fn a_sealed_tree_is_mounted(guest: &Guest) -> Result<()> {
    for filesystem in [guest.ext4(4096, Verity::On)?, guest.btrfs()?] {
        let place = sealed(&filesystem)?;
        let before = State::now()?;
        let said = place.mount()?;
        ensure!(said.contains(&format!("mounted {STREAM} sequence 1 at {TARGET}")), "{said}");
        ensure!(said.contains("kernel: every byte is checked when it is read"), "{said}");
        ensure!(said.contains("held by fs-verity"), "{said}");
        ensure!(loop_devices()?.is_empty(), "a loop device is used");
        place.expect_whole()?;
        for size in SIZES {
            let found = fs::read(place.target().join(size.to_string()))?;
            ensure!(found == content(size), "the mount serves something else");
        }
        let written = fs::write(place.target().join("new"), b"new").err().context("written")?;
        ensure!(written.kind() == std::io::ErrorKind::ReadOnlyFilesystem, "{written}");

        let status = place.does(0, "status")?;
        let point = place.target().display().to_string();
        ensure!(status.starts_with(&format!("{point}\n  enforcement kernel: ")), "{status}");
        ensure!(status.contains(&format!("recorded    {STREAM} sequence 1\n")), "{status}");
        ensure!(status.contains("writable    no\n"), "{status}");

        let open = File::open(place.target().join("100"))?;
        let busy = place.does(2, &format!("umount {TARGET}"))?;
        ensure!(busy.contains("it is in use"), "{busy}");
        place.does(0, &format!("umount --detach {TARGET}"))?;
        drop(open);
        before.expect_nothing_new()?;
        ensure!(place.does(0, "status")?.is_empty(), "it is still shown");

        place.mount()?;
        place.umount()?;
        before.expect_nothing_new()?;
        place.is_not_mounted(2, &format!("umount {TARGET}"), &["nothing is mounted there"])?;
    }
    Ok(())
}

/// Objects that are not what the image says cannot be opened, whatever is in their place.
pub(super) fn changed_objects_are_not_served(guest: &Guest) -> Result<()> {
    let filesystem = guest.ext4(4096, Verity::On)?;
    let place = sealed(&filesystem)?;
    let object = |size| place.object(size);
    replace(&object(100)?, &[7; 100])?;
    enable(&object(100)?, &[])?;
    replace(&object(20_000)?, &content(20_000))?;
    fs::remove_file(object(600_000)?)?;
    filesystem.overwrite_beneath(&object(1_500_000)?, 0, b"damage")?;
    place.mount()?;
    let served = |size: usize| place.target().join(size.to_string());
    expect_error(&served(100), Errno::IO)?;
    expect_error(&served(20_000), Errno::IO)?;
    expect_error(&served(600_000), Errno::NOENT)?;
    expect_error(&served(1_500_000), Errno::IO)?;
    place.umount()
}

/// Another image under the right name is refused with and without fs-verity, and so is a damaged one.
pub(super) fn changed_images_are_not_mounted(guest: &Guest) -> Result<()> {
    let filesystem = guest.ext4(4096, Verity::On)?;
    let place = sealed(&filesystem)?;
    let image = place.image()?;
    let (name, mut bytes) = (digest("measure", &image)?, fs::read(&image)?);

    let last = bytes.last_mut().context("the image is empty")?;
    *last ^= 1;
    replace(&image, &bytes)?;
    place.mount_is_refused(1, &["is damaged"])?;
    enable(&image, &[])?;
    let said = format!(
        "the image has file digest {}, its statement says {name}",
        digest("measure", &image)?
    );
    place.mount_is_refused(1, &[&said])?;

    bytes.extend([0; 4096]);
    replace(&image, &bytes)?;
    place.mount_is_refused(1, &["more than the limit of"])?;
    fs::remove_file(&image)?;
    place.mount_is_refused(1, &["missing"])
}

/// An image without fs-verity is read, checked and held in memory, by a loop device that ends with the
/// mount; but only where the objects have fs-verity.
pub(super) fn images_without_verity_are_held_in_memory(guest: &Guest) -> Result<()> {
    let filesystem = guest.ext4(4096, Verity::On)?;
    let place = sealed(&filesystem)?;
    let image = place.image()?;
    let bytes = fs::read(&image)?;
    let before = State::now()?;
    replace(&image, &bytes)?;
    expect_held_in_memory(&place)?;

    let images = place.store().join("images");
    let elsewhere = guest.tmpfs()?;
    let copied = [images.as_os_str(), elsewhere.path().as_os_str()];
    run("cp", [OsStr::new("-r")].into_iter().chain(copied))?;
    mount_bind(elsewhere.path().join("images"), &images)?;
    let held = expect_held_in_memory(&place);
    unmount(&images, UnmountFlags::empty())?;
    drop(elsewhere);
    held?;
    before.expect_nothing_new()?;

    let object = place.object(20_000)?;
    replace(&object, &content(20_000))?;
    let path = object.strip_prefix(place.store())?.display().to_string();
    place.mount_is_refused(
        2,
        &[
            &path,
            "caused by: fs-verity is not enabled on it",
            "hint: `treeseal store fsck --repair`",
        ],
    )
}

fn expect_held_in_memory(place: &Place) -> Result<()> {
    let said = place.mount()?;
    ensure!(said.contains("held in memory"), "{said}");
    place.expect_whole()?;
    ensure!(loop_devices()?.contains("memfd:treeseal"), "no loop device: {}", loop_devices()?);
    ensure!(place.does(0, "status --json")?.contains("\"imageHeldBy\":\"memory\""), "not shown");
    place.umount()
}

/// Where objects can have no fs-verity the mount says so at once, and what can be done instead. No other
/// way is taken in silence.
pub(super) fn stores_without_verity_are_not_mounted(guest: &Guest) -> Result<()> {
    let way_out = "`treeseal verify STREAM --deep` checks every byte once";
    for (filesystem, reason, hint) in [
        (guest.tmpfs()?, "its filesystem has no fs-verity", "ext4, btrfs and f2fs have it"),
        (
            guest.ext4(4096, Verity::Off)?,
            "fs-verity is not turned on in its ext4 filesystem",
            "tune2fs -O verity",
        ),
        (guest.ext4(1024, Verity::On)?, "blocks of 4096 bytes are not taken", "use blocks"),
    ] {
        let place = sealed(&filesystem)?;
        let path = format!("`{}/objects`", place.store().display());
        place.mount_is_refused(2, &[&path, reason, hint, way_out])?;
        for other in ["scan", "fuse"] {
            place.is_not_mounted(
                2,
                &format!("mount {STREAM} {TARGET} --enforce {other}"),
                &[&format!("cannot be by `{other}`"), &format!("treeseal verify {STREAM} --deep")],
            )?;
        }
    }
    Ok(())
}

/// A seal that is of somebody else, older than one that was seen, revoked or expired is refused.
pub(super) fn refused_seals_are_not_mounted(guest: &Guest) -> Result<()> {
    let filesystem = guest.ext4(4096, Verity::On)?;
    let place = sealed(&filesystem)?;
    place.mount()?;
    place.umount()?;

    place.does(0, "seal tree --stream test/other --root theirs/root.json --store theirs/store --state theirs/state")?;
    place.is_not_mounted(
        1,
        &format!("mount {STREAM} {TARGET} --root theirs/root.json --state theirs/state"),
        &["is not accepted"],
    )?;

    let seals = place.store().join("seals").join(STREAM);
    let pointer = fs::read(seals.join("@current"))?;
    fs::write(place.tree().join("new"), b"new")?;
    place.seal()?;
    place.mount()?;
    place.umount()?;
    replace(&seals.join("@current"), &pointer)?;
    place.mount_is_refused(1, &["the seal has sequence 1, but 2 was accepted before"])?;

    fs::write(seals.join("@current"), "2\n")?;
    place.mount()?;
    place.umount()?;
    place.does(0, &format!("root revoke 2.root.json --sequence {STREAM}=2"))?;
    place.does(0, "root sign 2.root.json")?;
    place.does(0, "submit 2.root.json")?;
    place.mount_is_refused(1, &["the trust root revokes the seal with sequence 2"])?;

    place.does(0, &format!("seal tree --stream {STREAM} --not-after 1s"))?;
    std::thread::sleep(std::time::Duration::from_secs(3));
    place.mount_is_refused(1, &["expired"])
}

/// Changes are kept where they are meant to go, and directories that cannot be used together refused.
pub(super) fn changes_have_a_place_of_their_own(guest: &Guest) -> Result<()> {
    let filesystem = guest.ext4(4096, Verity::On)?;
    let other = guest.tmpfs()?;
    let place = sealed(&filesystem)?;
    for name in ["upper", "upper/in", "work"] {
        fs::create_dir(place.home.join(name))?;
    }
    fs::create_dir(other.path().join("work"))?;
    let words =
        |upper: &str, work: &str| format!("mount {STREAM} {TARGET} --upper {upper} --work {work}");
    let before = State::now()?;
    let elsewhere = other.path().join("work").display().to_string();
    for (upper, work) in [("upper", &*elsewhere), ("upper", "upper/in"), ("work", "work")] {
        place.is_not_mounted(2, &words(upper, work), &["neither in the other"])?;
    }
    place.is_not_mounted(2, &words("upper", "nowhere"), &["cannot find `nowhere`"])?;

    fs::remove_dir(place.home.join("upper/in"))?;
    place.does(0, &words("upper", "work"))?;
    fs::write(place.target().join("100"), b"changed")?;
    fs::write(place.target().join("new"), b"new")?;
    ensure!(fs::read(place.target().join("20000"))? == content(20_000), "another file changed");
    let status = place.does(0, "status")?;
    ensure!(status.contains("writable    yes\n"), "{status}");
    ensure!(status.contains("upper, for which nobody vouches\n"), "{status}");
    place.umount()?;
    ensure!(fs::read(place.home.join("upper/100"))? == b"changed", "the change is not kept");

    place.does(0, &format!("{} -o ro,nosuid,nodev,noexec", words("upper", "work")))?;
    ensure!(fs::read(place.target().join("new"))? == b"new", "the change is not shown");
    ensure!(fs::write(place.target().join("new"), b"newer").is_err(), "it can be written");
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    ensure!(table.contains(" ro,nosuid,nodev,noexec,"), "{table}");
    place.umount()?;
    before.expect_nothing_new()
}

/// A process with a user namespace of its own, until this is dropped.
struct Sleeper(Child);

impl Sleeper {
    /// In its namespace the user 0 is `user` outside.
    fn mapped_to(user: u32) -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--user", "sleep", "1000"]).stdin(Stdio::null());
        let sleeper = Self(command.spawn().context("starting a process")?);
        let own = fs::read_link("/proc/self/ns/user")?;
        while fs::read_link(sleeper.namespace())? == own {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        for map in ["uid_map", "gid_map"] {
            let path = format!("/proc/{}/{map}", sleeper.0.id());
            fs::write(&path, format!("0 {user} 1000"))
                .with_context(|| format!("writing {path}"))?;
        }
        Ok(sleeper)
    }

    fn namespace(&self) -> String {
        format!("/proc/{}/ns/user", self.0.id())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Owners are shown as a user namespace has them; what is none is refused.
pub(super) fn owners_are_mapped(guest: &Guest) -> Result<()> {
    let filesystem = guest.ext4(4096, Verity::On)?;
    let place = sealed(&filesystem)?;
    let before = State::now()?;
    let sleeper = Sleeper::mapped_to(100_000)?;
    let words = |path: &str| format!("mount {STREAM} {TARGET} --idmap {path}");
    place.is_not_mounted(
        2,
        &words("/proc/self/ns/mnt"),
        &["cannot map owners as `/proc/self/ns/mnt`"],
    )?;
    place.is_not_mounted(2, &words("nowhere"), &["cannot open `nowhere`"])?;
    place.does(0, &words(&sleeper.namespace()))?;
    let found = fs::metadata(place.target().join("20000"))?;
    ensure!((found.uid(), found.gid()) == (100_000, 100_000), "owned by {}", found.uid());
    ensure!(fs::read(place.target().join("20000"))? == content(20_000), "something else is served");
    place.umount()?;
    drop(sleeper);
    before.expect_nothing_new()
}

/// A record says no more than what was recorded: one that is damaged, of another mount or missing makes
/// nothing enforced that is not, and nothing vanish.
pub(super) fn records_say_what_was_mounted(guest: &Guest) -> Result<()> {
    let filesystem = guest.ext4(4096, Verity::On)?;
    let place = sealed(&filesystem)?;
    let before = State::now()?;
    let run = place.home.join("run");
    let unwritable = format!("mount {STREAM} {TARGET} --run tree/100");
    place.is_not_mounted(2, &unwritable, &["cannot create `tree/100/mounts`"])?;
    let status = |code, expected: &str| place.says(code, "status --run run", expected);
    place.does(0, &format!("mount {STREAM} {TARGET} --run run"))?;
    status(0, &format!("recorded    {STREAM} sequence 1\n"))?;
    place.says(1, "status", "recorded    nothing\n")?;

    let record = fs::read_dir(run.join("mounts"))?.next().context("there is no record")??.path();
    let written = fs::read_to_string(&record)?;
    let moved = place.home.join("elsewhere");
    fs::create_dir(&moved)?;
    mount_bind(place.target(), &moved)?;
    let both = place.does(0, "status --run run --json")?;
    ensure!(both.matches("\"recorded\":{").count() == 2, "the second place is not shown: {both}");
    unmount(&moved, UnmountFlags::empty())?;

    fs::write(&record, written.replace("kernel", "wishes"))?;
    status(1, "nothing that can be used: ")?;
    status(1, "/enforcement must be `kernel`, found `wishes`")?;
    fs::write(&record, written.replace("\"sequence\":1", "\"sequence\":2"))?;
    status(1, "recorded    nothing\n")?;
    fs::write(&record, "{")?;
    place.does(0, &format!("umount {TARGET} --run run"))?;
    ensure!(!record.exists(), "the record is still there");
    before.expect_nothing_new()?;

    // Whoever unmounts by other means leaves the record, of which nothing is shown.
    place.does(0, &format!("mount {STREAM} {TARGET} --run run"))?;
    unmount(place.target(), UnmountFlags::empty())?;
    ensure!(record.exists(), "the record went with the mount");
    ensure!(place.does(0, "status --run run")?.is_empty(), "it is still shown");
    Ok(())
}

/// mount(8) finds the program by its name, and gets the same mount and the same refusals.
pub(super) fn the_program_is_a_mount_helper(guest: &Guest) -> Result<()> {
    let filesystem = guest.ext4(4096, Verity::On)?;
    let place = sealed(&filesystem)?;
    let before = State::now()?;
    let home = place.home.display();
    let places = format!("store={home}/store,root={home}/config/root.json,state={home}/state");
    let target = place.target();
    let target = target.to_str().context("the path is text")?;
    for source in [STREAM, &format!("treeseal:{STREAM}")] {
        run("mount", ["-t", "treeseal", source, target, "-o", &places])?;
        place.expect_whole()?;
        place.says(0, "status", &format!("recorded    {STREAM} sequence 1\n"))?;
        place.umount()?;
    }
    run("mount", ["-t", "treeseal", STREAM, target, "-o", &format!("{places},nosuid,noatime")])?;
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    ensure!(table.contains(&format!(" {target} ro,nosuid,")), "{table}");
    place.umount()?;

    for (source, options, expected) in [
        ("test/other", places.clone(), "the store has no seal for the stream"),
        (STREAM, format!("{places},sync"), "the option `sync` is not known"),
        (STREAM, format!("{places},enforce=scan"), "cannot be by `scan`"),
        ("/dev/vda", places.clone(), "error: "),
    ] {
        let said = run_refused("mount", ["-t", "treeseal", source, target, "-o", &options])?;
        ensure!(said.contains(expected), "expected `{expected}`, found: {said}");
        before.expect_nothing_new()?;
    }
    Ok(())
}

/// By the name mount.composefs the program mounts what composefs's own does, and refuses what that
/// refuses.
pub(super) fn images_are_mounted_as_composefs_does(guest: &Guest) -> Result<()> {
    let filesystem = guest.ext4(4096, Verity::On)?;
    let place = sealed(&filesystem)?;
    let [theirs, empty] = ["theirs", "empty"].map(|name| place.home.join(name));
    for directory in [&theirs, &empty] {
        fs::create_dir(directory)?;
    }
    let image = place.image()?;
    let (name, objects) = (digest("measure", &image)?, place.store().join("objects"));
    let before = State::now()?;
    let basedir = format!("basedir={}", objects.display());
    for options in [
        basedir.clone(),
        format!("{basedir},verity"),
        format!("{basedir},digest={name}"),
        format!("basedir={}:{},verity,ro", empty.display(), objects.display()),
    ] {
        let composefs = [image.as_os_str(), theirs.as_os_str(), "-o".as_ref(), options.as_ref()];
        run("mount.composefs", composefs)?;
        let ours = composefs_by_us(&image, &place.target(), &options)?;
        ensure!(ours.status.success(), "{}", String::from_utf8_lossy(&ours.stderr));
        place.expect_whole()?;
        place.does(0, &format!("diff ./theirs ./{TARGET}"))?;
        let same = mounted_as(&theirs)? == mounted_as(&place.target())?;
        ensure!(same, "{}\n{}", mounted_as(&theirs)?, mounted_as(&place.target())?);
        ensure!(place.does(0, "status")?.is_empty(), "no seal is involved, and one is shown");
        for mounted in [&theirs, &place.target()] {
            unmount(mounted, UnmountFlags::empty())?;
        }
    }
    before.expect_nothing_new()?;

    let unmeasured = place.home.join("copy");
    fs::copy(&image, &unmeasured)?;
    let other = format!("{basedir},digest={}", "00".repeat(32));
    let right = format!("{basedir},digest={name}");
    for (image, options, expected) in [
        (&image, &*other, format!("has the file digest sha256:{name}, expected sha256:0000")),
        (&unmeasured, &right, "fs-verity is not enabled on it".to_owned()),
        (&image, "verity", "no object directory is named".to_owned()),
        (&image, &format!("{basedir},digest=00"), "digest: ".to_owned()),
        (&image, &format!("{basedir},upperdir=up"), "are not both there".to_owned()),
        (&image, &format!("{basedir},tryverity"), "`tryverity` would check nothing".to_owned()),
        (&image, &format!("{basedir},signed"), "the option `signed` is not known".to_owned()),
    ] {
        let ours = composefs_by_us(image, &place.target(), options)?;
        let said = String::from_utf8_lossy(&ours.stderr);
        ensure!(!ours.status.success() && said.contains(&expected), "{options}: {said}");
        before.expect_nothing_new()?;
    }

    replace(&place.object(20_000)?, &content(777))?;
    let served = place.target().join("20000");
    composefs_by_us(&image, &place.target(), &format!("{basedir},verity"))?;
    expect_error(&served, Errno::IO)?;
    unmount(place.target(), UnmountFlags::empty())?;
    composefs_by_us(&image, &place.target(), &basedir)?;
    ensure!(fs::read(&served).is_ok(), "nobody asked for a check, and one is made");
    Ok(unmount(place.target(), UnmountFlags::empty())?)
}

/// The guide's commands, in a directory whose files can have fs-verity.
pub(super) fn mounting_works_as_its_page_says(guest: &Guest) -> Result<()> {
    const PAGE: &str = include_str!("../../../../docs/guides/mounting.md");
    let filesystem = guest.ext4(4096, Verity::On)?;
    let mut shell = Command::new("sh");
    run_console("mounting.md", &console_steps(PAGE), shell.current_dir(filesystem.path()));
    Ok(())
}

fn composefs_by_us(image: &Path, target: &Path, options: &str) -> Result<Output> {
    let mut command = Command::new("treeseal");
    command.arg0("mount.composefs").arg(image).arg(target).args(["-o", options]);
    command.output().context("starting treeseal")
}

/// What the mount table has of a place: the type, the source, and whether objects are checked.
fn mounted_as(place: &Path) -> Result<String> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let point = format!(" {} ", place.display());
    let line = table.lines().find(|line| line.contains(&point)).context("it is not mounted")?;
    let (_, filesystem) = line.split_once(" - ").context("a line of the mount table")?;
    let source: Vec<&str> = filesystem.split(' ').take(2).collect();
    let verity = filesystem.contains("verity=require");
    Ok(format!("{} verity {verity}", source.join(" ")))
}
