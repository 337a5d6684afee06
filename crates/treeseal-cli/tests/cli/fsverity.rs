//! `treeseal enable` and `measure` where fs-verity is refused, beside the `fsverity` program.
//!
//! Temporary directories and `/dev/shm` decide which refusal is met: a tmpfs never has fs-verity.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::support::{Run, program, run};

fn file_in(directory: &Path) -> PathBuf {
    let path = directory.join("file");
    fs::write(&path, "content\n").unwrap();
    path
}

/// A file on a filesystem that never has fs-verity.
fn file_on_tmpfs() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = file_in(directory.path());
    (directory, path)
}

fn on(command: &str, path: &Path) -> Run {
    run([command.as_ref(), path.as_os_str()])
}

#[test]
fn a_filesystem_that_has_no_fs_verity_is_named_with_those_that_have_it() {
    let (_directory, path) = file_on_tmpfs();
    for (command, tried) in [("enable", "enable fs-verity on"), ("measure", "measure")] {
        let theirs = program("fsverity", "fsverity", [command.as_ref(), path.as_os_str()]);
        theirs.expect_code(1).says("Inappropriate ioctl for device");
        let refused = on(command, &path).expect_code(2);
        assert_eq!(refused.text(), "");
        refused
            .says(&format!("error: cannot {tried} `{}`\n", path.display()))
            .says("caused by: its filesystem has no fs-verity\n")
            .says("hint: ext4, btrfs and f2fs have it\n");
    }
    fs::write(&path, "it can still be written").unwrap();
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    program("mkfifo", "coreutils", [&pipe]).ok();
    for path in [directory.path(), &pipe, Path::new("/dev/null")] {
        for command in ["enable", "measure"] {
            on(command, path).expect_code(2).says("caused by: it is no regular file\n");
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    for command in ["enable", "measure"] {
        on(command, Path::new("/nonexistent/file"))
            .expect_code(2)
            .says("error: cannot open `/nonexistent/file`\ncaused by: No such file or directory");
        run([command]).expect_code(2).says("<FILE>...");
    }
}

#[test]
fn wrong_parameters_are_refused_as_digest_does() {
    let (_directory, path) = file_on_tmpfs();
    let enable =
        |option: &str| run(["enable".as_ref(), option.as_ref(), path.as_os_str()]).expect_code(2);
    enable("--block-size=3000").says("block size 3000: expected a power of two from 1024 to 65536");
    enable("--salt=0a0").says("`0a0` is not a salt in hex");
    enable("--hash-alg=md5").says("unknown hash algorithm `md5`");
}

/// What a kernel without fs-verity says, or one with it of a file that is open for writing.
#[test]
fn the_reason_of_a_refusal_is_the_kernels() {
    let directory = tempfile::tempdir().unwrap();
    let path = file_in(directory.path());
    let _writer = File::options().write(true).open(&path).unwrap();
    let theirs = program("fsverity", "fsverity", ["enable".as_ref(), path.as_os_str()]);
    let theirs = theirs.expect_code(1).stderr;
    let expected = if theirs.contains("Operation not supported") {
        let is_off = Path::new("/sys/fs/ext4/features/verity").exists();
        if is_off { "fs-verity is not turned on in its " } else { "is built without fs-verity" }
    } else if theirs.contains("Text file busy") {
        "it is open for writing"
    } else {
        "its filesystem has no fs-verity"
    };
    on("enable", &path).expect_code(2).says(expected);
}
