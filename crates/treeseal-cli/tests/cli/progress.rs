//! How far long operations are: a line on a terminal, JSON lines on request, nothing in a pipe.
//!
//! What takes long here is the digest of a FIFO: it takes as long as the test wants it to.

use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Machine, PASSPHRASE, Run, STREAM, filled, program, terminal};

/// Longer than an operation may take without showing a line.
const LONG: Duration = Duration::from_millis(1800);

/// When what is expected has not come by then, it never will.
const TOO_LONG: Duration = Duration::from_secs(60);

/// Bytes and files of the sample tree: what has several names counts once.
const SAMPLE: (u64, u64) = (4, 9 + 600_000 + 4096);

/// A machine with the FIFO `slow`.
fn machine() -> Machine {
    let machine = Machine::new();
    program("mkfifo", "coreutils", [machine.path("slow")]).ok();
    machine
}

/// Writes to a FIFO, a little now and then, until it is told to stop; gives the number of bytes.
fn feed(fifo: &Path, is_enough: &AtomicBool) -> u64 {
    let (mut fifo, mut bytes) = (File::options().write(true).open(fifo).unwrap(), 0);
    while !is_enough.load(Ordering::Relaxed) {
        fifo.write_all(&[0; 1000]).unwrap();
        bytes += 1000;
        thread::sleep(Duration::from_millis(10));
    }
    bytes
}

/// Runs a command that reads the FIFO until `is_enough` is content with what was written to the
/// stream that `stream` takes from it. Gives what was fed, too.
fn run_until<R: Read>(
    machine: &Machine,
    command: &mut Command,
    stream: impl FnOnce(&mut std::process::Child) -> R,
    is_enough: impl Fn(&str) -> bool,
) -> (Run, String, u64) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(&machine.path("slow"), &stop));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stream = stream(&mut child);
        let (mut text, mut piece, start) = (Vec::new(), [0; 4096], Instant::now());
        loop {
            let length = stream.read(&mut piece).unwrap();
            text.extend_from_slice(&piece[..length]);
            if is_enough(&String::from_utf8_lossy(&text)) || start.elapsed() > TOO_LONG {
                stop.store(true, Ordering::Relaxed);
            }
            if length == 0 {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        let run = Run::new(child.wait_with_output().unwrap());
        (run, String::from_utf8_lossy(&text).into_owned(), feeder.join().unwrap())
    })
}

/// Runs a command on a terminal until the line was there. Gives its code, what the terminal shows in
/// the end, and everything that was written to it.
fn run_on_terminal(machine: &Machine, words: &str, columns: u16) -> (i32, String, String) {
    let plain = machine.command_of(words);
    let (run, shown, _) = run_until(
        machine,
        &mut terminal(&plain, columns, &[]),
        |child| child.stdout.take().unwrap(),
        |shown| shown.contains("reading: "),
    );
    (run.code, screen(&shown), shown)
}

/// Runs a command that reads the FIFO for a long time.
fn run_long(machine: &Machine, command: &mut Command) -> Run {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(LONG);
            stop.store(true, Ordering::Relaxed);
        });
        scope.spawn(|| feed(&machine.path("slow"), &stop));
        Run::of(command)
    })
}

/// What is left on a terminal that was written to like this: a cleared line is gone.
fn screen(shown: &str) -> String {
    let visible = |line: &str| line.rsplit("\u{1b}[2K").next().unwrap_or_default().to_owned();
    let lines: Vec<String> = shown.split("\r\n").map(visible).collect();
    lines.join("\n")
}

/// The lines of progress that a command wrote, which are all that it wrote to stderr but for notes.
#[track_caller]
fn progress_lines(stderr: &str) -> Vec<Value> {
    let lines: Vec<Value> = stderr
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let number = |line: &Value, name: &str| {
        line[name].as_u64().unwrap_or_else(|| panic!("no {name}: {line}"))
    };
    for pair in lines.windows(2) {
        for name in ["files", "bytes", "knownBytes"] {
            assert!(number(&pair[0], name) <= number(&pair[1], name), "{name} fell: {pair:?}");
        }
        assert_eq!(pair[0]["done"], false, "{pair:?}");
    }
    for line in &lines {
        let mut names: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, FIELDS);
        assert!(number(line, "knownBytes") <= number(line, "bytes"), "{line}");
    }
    lines
}

/// The fields that are promised.
const FIELDS: [&str; 10] = [
    "bytes",
    "bytesPerSecond",
    "done",
    "files",
    "knownBytes",
    "operation",
    "phase",
    "secondsLeft",
    "totalBytes",
    "totalFiles",
];

/// Runs a command with JSON progress and gives the last line, which must say that it is done.
#[track_caller]
fn last_line(machine: &Machine, words: &str) -> Value {
    let run = machine.does(&format!("{words} --progress json")).ok();
    let line = progress_lines(&run.stderr).pop().unwrap_or_else(|| panic!("{}", run.stderr));
    assert_eq!(line["done"], true);
    assert_eq!(line["secondsLeft"], 0);
    assert_eq!((&line["totalFiles"], &line["totalBytes"]), (&line["files"], &line["bytes"]));
    line
}

/// Fails unless a command's last line has this operation, phase, number of files and of bytes.
#[track_caller]
fn expect(machine: &Machine, words: &str, (operation, phase): (&str, &str), all: (u64, u64)) {
    let line = last_line(machine, words);
    assert_eq!((&line["operation"], &line["phase"]), (&operation.into(), &phase.into()));
    assert_eq!((&line["files"], &line["bytes"]), (&all.0.into(), &all.1.into()), "{line}");
}

#[test]
fn every_long_operation_ends_with_what_it_has_done() {
    let machine = Machine::new();
    machine.sample_tree();
    expect(&machine, "seal tree --stream a/b/c/d", ("seal", "sign"), SAMPLE);
    expect(&machine, "seal tree --stream a/b/c/e --unsigned f", ("seal", "image"), SAMPLE);
    expect(&machine, "image build tree tree.image", ("image build", "image"), SAMPLE);
    let words = "image build tree tree.image --digest-store objects";
    expect(&machine, words, ("image build", "image"), SAMPLE);
    expect(&machine, "image build tree -", ("image build", "image"), SAMPLE);
    expect(&machine, "diff ./tree ./tree", ("diff", "read"), (2 * SAMPLE.0, 2 * SAMPLE.1));
    // Objects: what is too small for one is in the image.
    expect(&machine, "verify a/b/c/d --deep", ("verify", "check"), (2, 600_000 + 4096));
    // Files of every type, as the command counts them itself.
    let everything = machine.json("extract a/b/c/d whole");
    assert_eq!(everything["bytes"], SAMPLE.1);
    let everything = (everything["files"].as_u64().unwrap(), SAMPLE.1);
    expect(&machine, "extract a/b/c/d copy", ("extract", "extract"), everything);
    let files = "digest tree/etc/motd tree/etc/conf.d/large tree/etc/conf.d/block tree/nothing";
    expect(&machine, files, ("digest", "read"), SAMPLE);
    let stat = machine.json("store stat");
    let sum = |what: &str| {
        stat["objects"][what].as_u64().unwrap() + stat["images"][what].as_u64().unwrap()
    };
    expect(&machine, "store fsck", ("store fsck", "check"), (sum("count"), sum("bytes")));
    expect(&machine, "store fsck --repair", ("store fsck", "heal"), (sum("count"), sum("bytes")));
    fs::remove_dir_all(machine.store().join("seals/a")).unwrap();
    let removed = last_line(&machine, "store gc");
    assert_eq!((&removed["operation"], &removed["phase"]), (&"store gc".into(), &"remove".into()));
    assert!(removed["files"].as_u64().unwrap() >= sum("count"), "{removed}");
}

#[test]
fn what_a_seal_does_not_read_again_is_told_apart() {
    let machine = Machine::new();
    machine.sample_tree();
    // Files are known when they have not changed for a while.
    thread::sleep(Duration::from_millis(3100));
    assert_eq!(last_line(&machine, "seal tree --stream a/b/c/d")["knownBytes"], 0);
    let run = machine.does("seal tree --stream a/b/c/d --progress json --json").ok();
    let sealed: Value = serde_json::from_str(&run.text()).unwrap();
    let line = progress_lines(&run.stderr).pop().unwrap();
    assert_eq!(line["knownBytes"], 600_000 + 4096, "{line}");
    assert_eq!(line["knownBytes"], sealed["known"]["bytes"]);
    assert_eq!(line["bytes"], SAMPLE.1);
}

#[test]
fn json_lines_come_while_it_takes_and_beside_json_results() {
    let machine = machine();
    fs::write(machine.path("large"), filled(3 << 20)).unwrap();
    let mut command = machine.command_of("digest large slow --json --progress json");
    let (run, stderr, fed) = run_until(
        &machine,
        &mut command,
        |child| child.stderr.take().unwrap(),
        |text| text.lines().count() >= 3,
    );
    let run = run.ok();
    let results: Vec<Value> =
        run.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&results[0]["path"], &results[1]["path"]), (&"large".into(), &"slow".into()));

    let lines = progress_lines(&stderr);
    assert_eq!(lines.len(), stderr.lines().count(), "only progress: {stderr}");
    let (last, before) = lines.split_last().unwrap();
    assert!(before.len() >= 3, "{stderr}");
    assert_eq!(last["done"], true);
    assert_eq!((&last["files"], &last["bytes"]), (&2.into(), &(fed + (3 << 20)).into()));
    // Nobody knows how much a FIFO has to give, so nobody knows how long it takes.
    for line in before {
        assert_eq!([&line["totalFiles"], &line["secondsLeft"]], [&Value::Null, &Value::Null]);
    }
    assert!(before.last().unwrap()["bytesPerSecond"].as_u64().unwrap() > 0);
}

#[test]
fn what_failed_is_not_done() {
    let machine = Machine::new();
    machine.sample_tree();
    let run = machine.does("digest tree/etc/motd missing --progress json").expect_code(2);
    assert!(!run.stderr.contains("\"done\":true"), "{}", run.stderr);
    let run = run.says("error: cannot read `missing`");
    assert!(run.text().starts_with("sha256:"), "{}", run.text());
}

#[test]
fn a_pipe_gets_no_progress_unless_it_asks() {
    let machine = machine();
    for words in ["digest slow", "digest slow --progress auto", "digest slow --progress never"] {
        let mut command = machine.command_of(words);
        assert_eq!(run_long(&machine, command.env("TERM", "xterm")).ok().stderr, "", "{words}");
    }
}

#[test]
fn a_terminal_shows_a_line_that_fits_and_is_gone_when_the_result_comes() {
    let machine = machine();
    for columns in [20, 80] {
        let (code, left, shown) = run_on_terminal(&machine, "digest slow", columns);
        assert_eq!(code, 0, "{shown}");
        assert!(shown.contains("reading: "), "the line never came: {shown:?}");
        assert!(left.starts_with("sha256:") && left.ends_with(" slow\n"), "{left:?}");
        assert_eq!(left.lines().count(), 1, "{left:?}");
        let (drawn, _) = shown.rsplit_once("\r\u{1b}[2K").unwrap();
        for line in drawn.split("\r\u{1b}[2K") {
            assert!(line.chars().count() <= columns.into(), "{line:?}");
            assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        }
    }
}

#[test]
fn an_error_stands_alone_on_its_line() {
    let machine = machine();
    let (code, left, shown) = run_on_terminal(&machine, "digest slow missing", 80);
    assert_eq!(code, 2);
    assert!(shown.contains("reading: "), "the line never came: {shown:?}");
    let lines: Vec<&str> = left.lines().collect();
    assert!(lines[0].starts_with("sha256:") && lines[0].ends_with(" slow"), "{left:?}");
    assert_eq!(lines[1], "error: cannot read `missing`");
}

#[test]
fn results_that_come_meanwhile_are_not_mixed_with_the_line() {
    let machine = machine();
    // More than is gathered before it is written: some results come while the line is there.
    let name = "n".repeat(200);
    fs::write(machine.path(&name), "").unwrap();
    let words = format!("digest slow {}", vec![name.as_str(); 1000].join(" "));
    let (code, left, shown) = run_on_terminal(&machine, &words, 80);
    assert_eq!(code, 0, "{left}");
    assert!(shown.contains("reading: "), "the line never came");
    let is_result = |line: &str| line.starts_with("sha256:") && !line.contains("reading");
    assert_eq!(left.lines().filter(|line| is_result(line)).count(), 1001);
    assert_eq!(left.lines().count(), 1001, "{left:?}");
}

#[test]
fn a_terminal_that_cannot_or_shall_not_show_a_line_shows_none() {
    let machine = machine();
    for (words, term) in [("digest slow", "dumb"), ("digest slow --progress never", "xterm")] {
        let mut plain = machine.command_of(words);
        let run = run_long(&machine, &mut terminal(plain.env("TERM", term), 80, &[])).ok();
        assert!(run.text().starts_with("sha256:"), "{words}: {}", run.text());
        assert_eq!(run.text(), format!("{}\r\n", run.text().trim_end()), "{words}");
    }
}

#[test]
fn what_is_short_shows_no_line() {
    let machine = Machine::new();
    machine.sample_tree();
    let run = Run::of(&mut terminal(&machine.command_of("digest tree/etc/motd"), 80, &[])).ok();
    assert!(!run.text().contains('\u{1b}'), "{}", run.text());
}

#[test]
fn the_line_does_not_come_while_a_passphrase_is_awaited() {
    let machine = Machine::new();
    machine.sample_tree();
    machine.keys(&["owner", "release"]);
    machine.pinned_root("--root-key owner.pub --seal-key release.pub", &["owner"]);
    fs::remove_file(machine.path("release.password")).unwrap();
    let words = format!("seal tree --stream {STREAM} --key release.pem");
    let mut command = terminal(&machine.command_of(&words), 80, &[PASSPHRASE]);
    let run = Run::of(command.env("TYPES_AFTER_SECONDS", "1.8")).ok();
    let shown = run.text();
    let (_, after_the_question) = shown.split_once("release.pem: ").expect(&shown);
    assert!(after_the_question.starts_with("\r\n"), "{shown:?}");
    assert!(shown.contains("sealed test/sample/any/stable sequence 1"), "{shown:?}");
}
