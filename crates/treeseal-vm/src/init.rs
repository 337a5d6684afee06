//! Process 1: prepares the machine, runs what it was started for, and turns the machine off.

use crate::kernel_log::KernelLog;
use crate::state::State;
use crate::{report, tests};
use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount};
use rustix::process::WaitOptions;
use rustix::system::RebootCommand;
use std::ffi::CStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a test has under software emulation on a busy machine.
const TEST_TIME: Duration = Duration::from_secs(240);
const POLL: Duration = Duration::from_millis(5);

/// Of a failed test's output the last so many lines are told: the console is slow.
const OUTPUT_LINES: usize = 200;
const OUTPUT_FILE: &str = "/run/output";

/// Begins a line by which a test tells the machine's starter what it found out.
pub(crate) const FINDING: &str = "finding: ";

/// Modules in the order in which they can be loaded, one path a line.
const MODULES: &str = "/modules/order";

/// What the boot program leaves in a tree that it has booted.
const BOOTED: &str = "/run/treeseal/boot.json";

const FILESYSTEMS: [(&CStr, &str); 6] = [
    (c"proc", "/proc"),
    (c"sysfs", "/sys"),
    (c"devtmpfs", "/dev"),
    (c"tmpfs", "/tmp"),
    (c"tmpfs", "/run"),
    (c"securityfs", "/sys/kernel/security"),
];

pub(crate) fn run() -> Result<()> {
    if let Err(error) = prepare().and_then(|()| run_task()) {
        report::output(&format!("{error:#}"));
    }
    report::end();
    rustix::fs::sync();
    // The machine is started so that it ends where others would start again.
    rustix::system::reboot(RebootCommand::Restart).context("turning the machine off")
}

/// In a tree that was booted everything is there already.
fn prepare() -> Result<()> {
    if !Path::new(BOOTED).exists() {
        mount_filesystems()?;
        load_modules()?;
    }
    report::ready();
    Ok(())
}

fn mount_filesystems() -> Result<()> {
    for (name, target) in FILESYSTEMS {
        fs::create_dir_all(target).with_context(|| format!("creating {target}"))?;
        mount(name, target, name, MountFlags::empty(), c"")
            .with_context(|| format!("mounting {target}"))?;
    }
    Ok(())
}

fn load_modules() -> Result<()> {
    let order = fs::read_to_string(MODULES).with_context(|| format!("reading {MODULES}"))?;
    for path in order.lines() {
        let module = File::open(path).with_context(|| format!("opening {path}"))?;
        rustix::system::finit_module(&module, c"", 0).with_context(|| format!("loading {path}"))?;
    }
    Ok(())
}

/// What the kernel's command line asks for; without a wish, all tests.
fn run_task() -> Result<()> {
    let arguments =
        fs::read_to_string("/proc/cmdline").context("reading the kernel's arguments")?;
    let argument = |key| arguments.split_whitespace().find_map(|word| word.strip_prefix(key));
    if let Some(step) = argument("vm.step=") {
        return run_step(step);
    }
    match argument("vm.tests=") {
        Some(names) => run_tests(names.split(',')),
        None => run_tests(tests::TESTS.iter().map(|(name, _)| *name)),
    }
}

/// A step's output goes straight to the console, because it may end with the machine's power.
fn run_step(name: &str) -> Result<()> {
    let status = this_program(&["step", name]).status().context("starting the step")?;
    if !status.success() {
        bail!("{name} failed: {status}");
    }
    Ok(())
}

/// Runs tests until one leaves something behind: what comes after it would not be alone. The other
/// side then starts a machine for the rest.
fn run_tests<'a>(names: impl Iterator<Item = &'a str>) -> Result<()> {
    for name in names {
        if run_test(name)? == Machine::Dirty {
            break;
        }
    }
    Ok(())
}

/// Whether the machine is as it was before a test.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Machine {
    Clean,
    Dirty,
}

fn run_test(name: &str) -> Result<Machine> {
    let mut log = KernelLog::from_now()?;
    let before = State::now()?;
    report::start(name);
    let outcome = run_child(name);
    let state = before.expect_nothing_new();
    if outcome.is_ok() && state.is_ok() {
        tell_findings()?;
        report::ok(name);
        return Ok(Machine::Clean);
    }
    explain(&mut log, [&outcome, &state])?;
    report::failed(name);
    Ok(if state.is_ok() { Machine::Clean } else { Machine::Dirty })
}

/// Tells what the test printed as its findings.
fn tell_findings() -> Result<()> {
    let output = test_output()?;
    output.lines().filter_map(|line| line.strip_prefix(FINDING)).for_each(report::finding);
    Ok(())
}

fn test_output() -> Result<String> {
    let output = fs::read(OUTPUT_FILE).with_context(|| format!("reading {OUTPUT_FILE}"))?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

fn explain(log: &mut KernelLog, results: [&Result<()>; 2]) -> Result<()> {
    let output = test_output()?;
    let lines: Vec<&str> = output.lines().collect();
    let told = lines.len().saturating_sub(OUTPUT_LINES);
    lines.iter().skip(told).for_each(|line| report::output(line));
    for error in results.into_iter().filter_map(|result| result.as_ref().err()) {
        report::output(&format!("{error:#}"));
    }
    log.messages()?.iter().for_each(|message| report::kernel(message));
    Ok(())
}

fn run_child(name: &str) -> Result<()> {
    let output = File::create(OUTPUT_FILE).with_context(|| format!("creating {OUTPUT_FILE}"))?;
    let mut command = this_program(&["test", name]);
    command.stdout(output.try_clone()?).stderr(output);
    let mut child = command.spawn().context("starting the test")?;
    match wait(&mut child, Instant::now() + TEST_TIME)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("the test ended with {status}"),
        None => {
            show_blocked_tasks();
            child.kill().context("killing the test")?;
            wait(&mut child, Instant::now() + TEST_TIME)?;
            bail!("the test did not end within {} s", TEST_TIME.as_secs());
        }
    }
}

fn this_program(args: &[&str]) -> Command {
    let mut command = Command::new("/init");
    command.args(args).env("PATH", "/usr/sbin:/usr/bin").env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::null());
    command
}

/// Waits for the child and, as process 1 has to, for all whose parents are gone.
fn wait(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().context("waiting for the test")? {
            reap_orphans();
            return Ok(Some(status));
        }
        std::thread::sleep(POLL);
    }
    Ok(None)
}

/// Children that ended and are nobody else's. There are none when waiting fails.
fn reap_orphans() {
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
}

/// Has the kernel log where tasks hang. What it logs helps, but is not needed.
fn show_blocked_tasks() {
    let _ = fs::write("/proc/sysrq-trigger", "w");
}
