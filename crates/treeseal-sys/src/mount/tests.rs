//! Real mounts on the running kernel. What a test leaves behind fails it, on the way of success and of
//! failure alike.
//!
//! Others may mount and use loop devices at the same time, so a test looks for what is its own.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use treeseal_erofs::{ImageWriter, VersionChoice};
use treeseal_testkit::{program, require_root};
use treeseal_tree::dump::{DumpParser, Strictness};
use treeseal_verity::{Digester, Params};

use super::context::Context;
use super::namespace::with_attached;
use super::overlay::{Form, Layers, is_unknown_form, mount_attached};
use super::*;
use crate::{Directory, MemfdError, seal_into_memfd};

/// Content of the file that lies in an object.
const CONTENT: &[u8] = &[b'x'; 5000];

/// A directory with an image, an empty object directory, and one that has the image's only object.
struct Fixture {
    directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    /// On a filesystem whose files the kernel mounts by loop device alone.
    fn on_tmpfs() -> Self {
        Self::at(tempfile::tempdir_in("/dev/shm").unwrap())
    }

    fn at(directory: TempDir) -> Self {
        require_root("mounting");
        let digest = Digester::digest_of(&Params::default(), CONTENT);
        let fixture = Self { directory };
        for name in ["empty", "objects", "upper", "work", "target"] {
            fs::create_dir(fixture.path(name)).unwrap();
        }
        let object = fixture.path("objects").join(digest.object_path());
        fs::create_dir(object.parent().unwrap()).unwrap();
        fs::write(&object, CONTENT).unwrap();
        fs::write(fixture.path("image"), image(&digest.object_path(), &digest.to_hex())).unwrap();
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open(&self, name: &str) -> File {
        File::open(self.path(name)).unwrap()
    }

    /// A name for the mount table that no other test has.
    fn source(&self) -> String {
        format!("treeseal-test:{}", self.directory.path().display())
    }

    fn mounted_image(&self) -> DetachedMount {
        mount_erofs(self.open("image")).unwrap()
    }

    /// Calls `run` with an overlay of the image and both object directories.
    fn with_overlay<T>(
        &self,
        verity: OverlayVerity,
        is_writable: bool,
        run: impl FnOnce(Overlay<'_>) -> T,
    ) -> T {
        let [empty, objects, top] = ["empty", "objects", "."].map(|name| self.open(name));
        let upper =
            Upper { directory: top.as_fd(), upper: Path::new("upper"), work: Path::new("work") };
        run(Overlay {
            source: &self.source(),
            image: self.mounted_image(),
            objects: &[empty.as_fd(), objects.as_fd()],
            verity,
            upper: is_writable.then_some(upper),
            restrictions: &[],
        })
    }

    /// Loop devices that have a file of this directory behind them.
    fn loop_devices(&self) -> Vec<PathBuf> {
        loop_devices(self.directory.path().as_os_str().as_bytes())
    }

    #[track_caller]
    fn assert_nothing_left(&self) {
        let name = self.source();
        let own = |entry: &MountEntry| {
            let place = self.directory.path().as_os_str().as_bytes();
            entry.source == name.as_bytes() || entry.mount_point.starts_with(place)
        };
        let left: Vec<_> = mount_table().unwrap().into_iter().filter(own).collect();
        assert!(left.is_empty(), "mounts are left: {left:?}");
        wait_until("loop devices are free", || self.loop_devices().is_empty());
        assert_one_mount_namespace();
        let mut names: Vec<_> = fs::read_dir(self.directory.path()).unwrap().collect();
        names
            .retain(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
        assert!(names.is_empty(), "files are left: {names:?}");
    }
}

/// An image with a file that lies in an object, and one that it holds itself.
fn image(object: &str, digest: &str) -> Vec<u8> {
    let dump = format!(
        "/ 0 40755 2 7 8 0 1.0 - - -\n\
         /inside 6 100644 1 7 8 0 1.0 - inside -\n\
         /outside {} 100644 1 7 8 0 1.0 {object} - {digest}\n",
        CONTENT.len()
    );
    let tree = DumpParser::parse(dump.as_bytes(), Strictness::Strict).unwrap();
    ImageWriter::new(&tree, VersionChoice::Auto).unwrap().to_bytes()
}

/// A file in a mount that has no place.
fn inside(mount: &DetachedMount, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", mount.as_fd().as_raw_fd()))
}

/// Loop devices behind which is a file whose path begins so.
fn loop_devices(prefix: &[u8]) -> Vec<PathBuf> {
    let devices = fs::read_dir("/sys/block").unwrap().map(|entry| entry.unwrap().path());
    let is_own = |device: &PathBuf| {
        fs::read(device.join("loop/backing_file")).is_ok_and(|path| path.starts_with(prefix))
    };
    devices.filter(is_own).collect()
}

#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "not within 20 seconds: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Unmounts, as soon as no process that another test starts has inherited a file of the mount for the
/// moment until it runs its program.
#[track_caller]
fn unmount_when_unused(path: &Path) {
    wait_until("the mount is unused", || match unmount(path, Unmount::IfUnused) {
        Err(MountError::Busy) => false,
        unmounted => {
            unmounted.unwrap();
            true
        }
    });
}

/// Fails if a thread of this process is still in a namespace of its own.
#[track_caller]
fn assert_one_mount_namespace() {
    let own = fs::read_link("/proc/self/ns/mnt").unwrap();
    wait_until("no thread has a mount namespace of its own", || {
        let threads = fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
        // A thread may end while it is looked at.
        threads
            .map(|path| fs::read_link(path.join("ns/mnt")))
            .all(|found| found.map_or(true, |found| found == own))
    });
}

#[test]
fn an_image_on_a_disk_is_mounted_without_a_loop_device() {
    let fixture = Fixture::new();
    let mount = fixture.mounted_image();
    assert_eq!(fs::read(inside(&mount, "inside")).unwrap(), b"inside");
    assert!(fixture.loop_devices().is_empty());
    let error = File::create(inside(&mount, "new")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
    assert!(matches!(mount_of(&mount), Err(MountTableError::NotInTable { .. })));
    drop(mount);
    fixture.assert_nothing_left();
}

#[test]
fn an_image_on_tmpfs_is_mounted_by_a_loop_device_that_goes_away_with_the_mount() {
    let fixture = Fixture::on_tmpfs();
    let mount = fixture.mounted_image();
    assert_eq!(fs::read(inside(&mount, "inside")).unwrap(), b"inside");
    let devices = fixture.loop_devices();
    assert_eq!(devices.len(), 1);
    let attribute = |name: &str| fs::read_to_string(devices[0].join(name)).unwrap();
    assert_eq!(attribute("ro"), "1\n");
    assert_eq!(attribute("loop/autoclear"), "1\n");
    drop(mount);
    fixture.assert_nothing_left();
}

#[test]
fn many_images_are_mounted_by_loop_devices_at_once() {
    let fixture = Fixture::on_tmpfs();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let mount = fixture.mounted_image();
                    assert_eq!(fs::read(inside(&mount, "inside")).unwrap(), b"inside");
                }
            });
        }
    });
    fixture.assert_nothing_left();
}

#[test]
fn a_sealed_memory_file_cannot_be_changed_and_is_mounted() {
    let fixture = Fixture::new();
    let bytes = fs::read(fixture.path("image")).unwrap();
    let memory = seal_into_memfd(&bytes[..], bytes.len() as u64).unwrap();
    let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
    assert_eq!(fs::read(&path).unwrap(), bytes);
    (&memory).write_all(b"x").unwrap_err();
    // Root may open it for writing, and then not write.
    let mut writer = File::options().write(true).open(&path).unwrap();
    let denied = |result: io::Result<()>| {
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    };
    denied(writer.write_all(b"x"));
    denied(writer.set_len(0));
    denied(writer.set_len(1 << 20));
    let mount = mount_erofs(&memory).unwrap();
    drop((memory, writer));
    assert_eq!(fs::read(inside(&mount, "inside")).unwrap(), b"inside");
    assert!(!loop_devices(b"/memfd:treeseal").is_empty());
    drop(mount);
    fixture.assert_nothing_left();
    wait_until("the memory is free", || loop_devices(b"/memfd:treeseal").is_empty());
}

#[test]
fn a_memory_file_takes_no_more_than_its_limit() {
    let failed = seal_into_memfd(&[0; 100][..], 99).unwrap_err();
    assert_eq!(failed.to_string(), "the content is larger than 99 bytes");
    let failed = seal_into_memfd(io::repeat(0), 1 << 20).unwrap_err();
    assert!(matches!(failed, MemfdError::TooLarge { limit: 1_048_576 }));
    assert_eq!(seal_into_memfd(io::empty(), 0).unwrap().metadata().unwrap().len(), 0);
}

#[test]
fn an_overlay_serves_objects_and_is_found_in_the_mount_table() {
    let fixture = Fixture::new();
    let mount = fixture.with_overlay(OverlayVerity::Ignore, false, mount_overlay).unwrap();
    assert_eq!(fs::read(inside(&mount, "outside")).unwrap(), CONTENT);
    let target = fixture.path("odd, name:with \\ and\n\t#");
    fs::create_dir(&target).unwrap();
    mount.attach(File::open(&target).unwrap()).unwrap();
    assert_eq!(fs::read(target.join("outside")).unwrap(), CONTENT);
    assert_eq!(fs::read(target.join("inside")).unwrap(), b"inside");

    let entry = mount_of(Directory::open(&target).unwrap()).unwrap();
    assert_eq!(entry.mount_point, target.as_os_str().as_bytes());
    assert_eq!(entry.filesystem, b"overlay");
    assert_eq!(entry.source, fixture.source().as_bytes());
    assert_eq!(entry.root, b"/");
    assert_eq!(entry.filesystem_option(b"metacopy").as_deref(), Some(&b"on"[..]));
    assert_eq!(entry.filesystem_option(b"verity"), None);
    assert!(entry.is_read_only());
    assert!(mount_table().unwrap().contains(&entry));

    let in_use = File::open(target.join("outside")).unwrap();
    let refused = unmount(&target, Unmount::IfUnused).unwrap_err();
    assert_eq!(refused.to_string(), "it is in use");
    drop(in_use);
    unmount_when_unused(&target);
    let refused = unmount(&target, Unmount::IfUnused).unwrap_err();
    assert_eq!(refused.to_string(), "nothing is mounted there");
    fixture.assert_nothing_left();
}

#[test]
fn a_mount_in_use_is_detached_and_no_symlink_leads_to_one() {
    let fixture = Fixture::new();
    let target = fixture.path("target");
    fixture.mounted_image().attach(fixture.open("target")).unwrap();
    let in_use = File::open(target.join("inside")).unwrap();
    let link = fixture.path("link");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let refused = unmount(&link, Unmount::Detach).unwrap_err();
    assert!(matches!(refused, MountError::NotMounted), "{refused}");
    unmount(&target, Unmount::Detach).unwrap();
    assert!(!target.join("inside").exists());
    drop(in_use);
    fixture.assert_nothing_left();
}

#[test]
fn an_object_without_fs_verity_is_not_served_where_it_is_required() {
    let fixture = Fixture::new();
    let mount = fixture.with_overlay(OverlayVerity::default(), false, mount_overlay).unwrap();
    assert_eq!(fs::read(inside(&mount, "inside")).unwrap(), b"inside");
    let refused = fs::read(inside(&mount, "outside")).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(5), "EIO is expected: {refused}");
    let target = fixture.path("target");
    mount.attach(fixture.open("target")).unwrap();
    let entry = mount_of(File::open(&target).unwrap()).unwrap();
    assert_eq!(entry.filesystem_option(b"verity").as_deref(), Some(&b"require"[..]));
    unmount_when_unused(&target);
    fixture.assert_nothing_left();
}

#[test]
fn each_form_of_telling_layers_gives_the_same_mount() {
    let fixture = Fixture::new();
    for form in [Form::Descriptors, Form::Paths, Form::OneString] {
        let mounted = fixture.with_overlay(OverlayVerity::Ignore, false, |overlay| {
            let again = |directory: &BorrowedFd<'_>| DetachedMount::of_directory(*directory);
            let objects: Vec<_> = overlay.objects.iter().map(|dir| again(dir).unwrap()).collect();
            let mounts: Vec<_> = [&overlay.image].into_iter().chain(&objects).collect();
            // Attached, because older kernels take nothing else, in whatever form.
            with_attached(&mounts, || {
                let objects: Vec<_> = objects.iter().map(DetachedMount::as_fd).collect();
                let image = overlay.image.as_fd();
                Layers { image, objects: &objects, changes: None }.mount(&overlay, form)
            })
        });
        let mount = match (form, mounted) {
            // Before Linux 6.13. Then it must be seen as a form that is unknown.
            (Form::Descriptors, Err(error)) if is_unknown_form(&error) => continue,
            (_, mounted) => mounted.unwrap(),
        };
        assert_eq!(fs::read(inside(&mount, "inside")).unwrap(), b"inside", "{form:?}");
        assert_eq!(fs::read(inside(&mount, "outside")).unwrap(), CONTENT, "{form:?}");
    }
    fixture.assert_nothing_left();
}

#[test]
fn layers_that_are_attached_elsewhere_give_the_same_mount_and_nobody_sees_them() {
    let fixture = Fixture::new();
    let mount =
        fixture.with_overlay(OverlayVerity::Ignore, false, |overlay| mount_attached(&overlay));
    let mount = mount.unwrap();
    fixture.assert_nothing_left();
    assert_eq!(fs::read(inside(&mount, "outside")).unwrap(), CONTENT);
    mount.attach(fixture.open("target")).unwrap();
    assert_eq!(fs::read(fixture.path("target/inside")).unwrap(), b"inside");
    unmount_when_unused(&fixture.path("target"));
    fixture.assert_nothing_left();
}

#[test]
fn changes_go_to_the_upper_directory() {
    for mount in [mount_overlay, |overlay: Overlay<'_>| mount_attached(&overlay)] {
        let fixture = Fixture::new();
        let mount = fixture.with_overlay(OverlayVerity::Ignore, true, mount).unwrap();
        fs::write(inside(&mount, "new"), "new").unwrap();
        fs::write(inside(&mount, "outside"), "changed").unwrap();
        drop(mount);
        assert_eq!(fs::read(fixture.path("upper/new")).unwrap(), b"new");
        assert_eq!(fs::read(fixture.path("upper/outside")).unwrap(), b"changed");
        fixture.assert_nothing_left();
    }
}

#[test]
fn what_is_no_image_is_refused_and_nothing_is_left() {
    for fixture in [Fixture::new(), Fixture::on_tmpfs()] {
        fs::write(fixture.path("image"), [0; 8192]).unwrap();
        let refused = mount_erofs(fixture.open("image")).unwrap_err();
        let text = refused.to_string();
        assert!(text.starts_with("erofs refuses the mount"), "{text}");
        assert!(matches!(refused, MountError::Refused { step: MountStep::Create, .. }));
        mount_erofs(fixture.open("target")).unwrap_err();
        fixture.assert_nothing_left();
    }
}

#[test]
fn layers_that_overlayfs_does_not_take_are_refused_and_nothing_is_left() {
    let fixture = Fixture::new();
    fs::remove_dir(fixture.path("work")).unwrap();
    let refused = fixture.with_overlay(OverlayVerity::Ignore, true, mount_overlay).unwrap_err();
    assert_eq!(refused.to_string(), "cannot open a directory for changes");
    fixture.assert_nothing_left();

    // A directory cannot be both.
    let top = fixture.open(".");
    let refused = fixture.with_overlay(OverlayVerity::Ignore, true, |overlay| {
        let upper =
            Upper { directory: top.as_fd(), upper: Path::new("upper"), work: Path::new("upper") };
        mount_overlay(Overlay { upper: Some(upper), ..overlay })
    });
    let refused = refused.unwrap_err();
    assert!(matches!(refused, MountError::Refused { step: MountStep::Create, .. }), "{refused}");
    fixture.assert_nothing_left();

    let file = fixture.open("image");
    let refused = fixture.with_overlay(OverlayVerity::Ignore, false, |overlay| {
        mount_overlay(Overlay { objects: &[file.as_fd()], ..overlay })
    });
    let text = refused.unwrap_err().to_string();
    assert!(text.starts_with("overlay refuses "), "{text}");
    fixture.assert_nothing_left();
}

#[test]
fn what_the_kernel_says_of_a_refusal_is_told() {
    require_root("mounting");
    let refused = Context::open("overlay").unwrap().set_string("nonsense", "1").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "overlay refuses the option `nonsense=1`: Unknown parameter 'nonsense'"
    );
    let refused = Context::open("nonsense").err().unwrap();
    assert_eq!(refused.to_string(), "this kernel has no filesystem `nonsense`");
}

#[test]
fn a_mount_is_attached_to_directories_alone() {
    let fixture = Fixture::new();
    let refused = fixture.mounted_image().attach(fixture.open("image")).unwrap_err();
    assert_eq!(refused.to_string(), "cannot attach a mount");
    fixture.assert_nothing_left();
}

/// A process that sleeps in a user namespace of its own; ended when dropped.
struct Sleeper(Child);

impl Sleeper {
    fn new() -> Self {
        let mut command = Command::new(program("unshare", "util-linux"));
        command.args(["--user", "sleep", "1000"]).stdin(Stdio::null());
        let child = command.spawn().unwrap();
        let own = fs::read_link("/proc/self/ns/user").unwrap();
        let theirs = format!("/proc/{}/ns/user", child.id());
        wait_until("the process has its namespace", || {
            fs::read_link(&theirs).is_ok_and(|found| found != own)
        });
        Self(child)
    }

    /// Its namespace, in which the user 0 is this one outside.
    fn mapped_to(&self, user: u32) -> File {
        let process = PathBuf::from(format!("/proc/{}", self.0.id()));
        for map in ["uid_map", "gid_map"] {
            fs::write(process.join(map), format!("0 {user} 1000")).unwrap();
        }
        File::open(process.join("ns/user")).unwrap()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn owners_are_shown_as_a_user_namespace_maps_them() {
    let fixture = Fixture::new();
    let namespace = Sleeper::new().mapped_to(100_000);
    let mount = fixture.mounted_image().map_ids(&namespace).unwrap();
    let found = fs::metadata(inside(&mount, "inside")).unwrap();
    assert_eq!((found.uid(), found.gid()), (100_007, 100_008));
    let refused = mount.map_ids(File::open("/proc/self/ns/user").unwrap()).unwrap_err();
    assert_eq!(refused.to_string(), "cannot map the owners of a mount");
    fixture.assert_nothing_left();
}

#[test]
fn the_mount_table_has_the_mount_of_a_directory() {
    let entry = mount_of(File::open("/proc").unwrap()).unwrap();
    assert_eq!((&entry.filesystem[..], &entry.mount_point[..]), (&b"proc"[..], &b"/proc"[..]));
    assert_eq!(mount_of(File::open("/proc/self").unwrap()).unwrap(), entry);
}
