//! A virtual machine: how it is started, what its console says, and how it ends.
//!
//! A scenario starts as many as it needs, one after the other, over disks that outlive them:
//!
//! ```text
//! let mut machine = MachineBuilder::new(kernel, initramfs, log).disk(Disk::kept(file)).start()?;
//! machine.wait_for("written", timeout)?;
//! machine.cut_power()?;
//! ```

use super::disk::Disk;
use crate::process::shown;
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Lines of a console that an error shows.
const SHOWN_LINES: usize = 60;

/// What executes the machine's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accelerator {
    /// The processor, by the host's kernel.
    Kvm,
    /// QEMU.
    Software,
}

impl Accelerator {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Software => "software emulation",
        }
    }

    /// An emulated machine has one processor: QEMU 7.2 lets one thread run into a breakpoint that another
    /// has removed while it patched the kernel's code (`Oops: int3`, once in some twenty starts). 16-byte
    /// compare-and-exchange is slow in emulation, and no kernel needs it.
    fn arguments(self) -> [&'static str; 6] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host", "-smp", "2"],
            Self::Software => ["-accel", "tcg", "-cpu", "max,-cx16", "-smp", "1"],
        }
    }
}

/// Passed to every kernel. Nothing waits or asks, the console has only what matters, and a panic ends
/// the machine at once. That the timer works is not looked for: an emulated one is late on a busy host.
const KERNEL_ARGUMENTS: &str =
    "console=ttyS0 loglevel=2 panic=-1 mitigations=off cryptomgr.notests no_timer_check";

/// What the kernel has room for on x86; it cuts off the rest.
const KERNEL_ARGUMENTS_MOST: usize = 2048;

const MACHINE_ARGUMENTS: &[&str] = &[
    "-machine",
    "q35",
    "-m",
    "1024",
    "-nodefaults",
    "-no-user-config",
    "-no-reboot",
    // Starts an ELF kernel at once; the usual firmware first looks at everything.
    "-bios",
    "qboot.rom",
    "-display",
    "none",
    "-serial",
    "stdio",
];

/// A machine that is not started yet.
pub(super) struct MachineBuilder {
    accelerator: Accelerator,
    kernel: PathBuf,
    initramfs: PathBuf,
    arguments: Vec<String>,
    disks: Vec<Disk>,
    counts_instructions: bool,
    log: PathBuf,
}

impl MachineBuilder {
    /// A machine without disks. All that its console says goes to the file `log` as well.
    pub(super) fn new(
        accelerator: Accelerator,
        kernel: &Path,
        initramfs: &Path,
        log: &Path,
    ) -> Self {
        Self {
            accelerator,
            kernel: kernel.to_owned(),
            initramfs: initramfs.to_owned(),
            arguments: vec![KERNEL_ARGUMENTS.to_owned()],
            disks: Vec::new(),
            counts_instructions: false,
            log: log.to_owned(),
        }
    }

    /// Adds an argument to those of the kernel.
    pub(super) fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(super) fn disk(mut self, disk: Disk) -> Self {
        self.disks.push(disk);
        self
    }

    /// In emulation, the machine's clock counts its instructions, each as a nanosecond: what it measures
    /// does not depend on the host, and is what a processor of 1 GHz would take that does one at a time.
    pub(super) fn counting_instructions(mut self) -> Self {
        self.counts_instructions = true;
        self
    }

    pub(super) fn start(&self) -> Result<Machine> {
        Machine::spawn(&mut self.command()?, &self.log)
    }

    fn command(&self) -> Result<Command> {
        let arguments = self.arguments.join(" ");
        ensure!(arguments.len() < KERNEL_ARGUMENTS_MOST, "a kernel cannot take all of {arguments}");
        // A machine does not go on when the one who started it was killed: it would keep its disks.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
        command.args(self.accelerator.arguments()).args(MACHINE_ARGUMENTS);
        if self.counts_instructions && self.accelerator == Accelerator::Software {
            command.args(["-icount", "shift=0"]);
        }
        command.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&self.initramfs);
        command.args(["-append", &arguments]);
        for disk in &self.disks {
            command.args(["-drive", &disk.argument()]);
        }
        Ok(command)
    }
}

/// A machine that runs until it ends, its power is cut, or this goes.
pub(super) struct Machine {
    process: Child,
    console: Receiver<String>,
    log: PathBuf,
}

/// What comes next on a console.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Line(String),
    /// The machine has ended.
    End,
    /// Nothing came until the deadline.
    Timeout,
}

impl Machine {
    fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let mut log_file =
            File::create(log).with_context(|| format!("creating {}", log.display()))?;
        // So that the machine can be started by hand as well.
        writeln!(log_file, "$ {}", shown(command)).context("writing the console's log")?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file.try_clone()?);
        let mut process =
            command.spawn().with_context(|| format!("starting {}", shown(command)))?;
        let output = process.stdout.take().context("the machine has a console")?;
        let (sender, console) = channel();
        std::thread::spawn(move || copy_console(output, &mut log_file, &sender));
        Ok(Self { process, console, log: log.to_owned() })
    }

    /// The next line of the console, without what ends it.
    pub(super) fn next(&self, deadline: Instant) -> Next {
        let time_left = deadline.saturating_duration_since(Instant::now());
        match self.console.recv_timeout(time_left) {
            Ok(line) => Next::Line(line),
            Err(RecvTimeoutError::Timeout) => Next::Timeout,
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }

    /// Waits for a line that contains `text` and gives it.
    pub(super) fn wait_for(&self, text: &str, timeout: Duration) -> Result<String> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.next(deadline) {
                Next::Line(line) if line.contains(text) => return Ok(line),
                Next::Line(_) => {}
                Next::End => {
                    bail!("the machine ended before it said `{text}`{}", self.last_lines())
                }
                Next::Timeout => {
                    bail!("the machine did not say `{text}` in {timeout:?}{}", self.last_lines())
                }
            }
        }
    }

    /// The end of the console's log, to follow an error's text.
    pub(super) fn last_lines(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.len().saturating_sub(SHOWN_LINES);
        let lines = lines.iter().skip(first).map(|line| format!("\n{line}"));
        format!("; the end of {}:{}", self.log.display(), lines.collect::<String>())
    }

    /// Waits until the machine has ended by itself, and gives what its console said until then.
    pub(super) fn wait_for_end(mut self, timeout: Duration) -> Result<Vec<String>> {
        let deadline = Instant::now() + timeout;
        let mut lines = Vec::new();
        loop {
            match self.next(deadline) {
                Next::Line(line) => lines.push(line),
                Next::End => break,
                Next::Timeout => bail!("the machine did not end in {timeout:?}"),
            }
        }
        let status = self.process.wait().context("waiting for the machine")?;
        if !status.success() {
            bail!("the machine ended with {status}");
        }
        Ok(lines)
    }

    /// Ends the machine between two of its instructions. What it has given to its disks is there;
    /// what it only had in memory is lost, and with a [`CachedDisk`](super::disk::CachedDisk) also what
    /// it has not flushed.
    pub(super) fn cut_power(mut self) -> Result<()> {
        self.process.kill().context("killing the machine")?;
        self.process.wait().context("waiting for the machine")?;
        Ok(())
    }
}

impl Drop for Machine {
    /// A machine that has ended already cannot be killed, which is as well.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Copies the console to the log and, line by line, to whoever waits for it, until either ends.
fn copy_console(output: ChildStdout, log: &mut File, lines: &Sender<String>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if log.write_all(&line).is_err() || lines.send(text).is_err() {
            return;
        }
        line.clear();
    }
}

/// A machine that is a shell, with its log in the directory for temporary files.
#[cfg(test)]
pub(super) fn shell(name: &str, script: &str) -> (Machine, PathBuf) {
    let log = std::env::temp_dir().join(format!("xtask-machine-{}-{name}", std::process::id()));
    let machine = Machine::spawn(Command::new("sh").args(["-c", script]), &log).unwrap();
    (machine, log)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_text(error: &anyhow::Error, beginning: &str) {
        assert!(error.to_string().starts_with(beginning), "{error}");
    }

    #[test]
    fn a_line_is_waited_for_and_all_lines_are_logged() {
        let (machine, log) = shell("line", "echo one; echo two; echo three");
        assert_eq!(machine.wait_for("tw", Duration::from_secs(10)).unwrap(), "two");
        machine.wait_for_end(Duration::from_secs(10)).unwrap();
        assert!(fs::read_to_string(&log).unwrap().ends_with("\none\ntwo\nthree\n"));
        fs::remove_file(log).unwrap();
    }

    #[test]
    fn an_end_and_a_silence_are_told_apart() {
        let (machine, log) = shell("end", "echo last words");
        let error = machine.wait_for("ready", Duration::from_secs(10)).unwrap_err();
        assert_text(&error, "the machine ended before it said `ready`; the end of ");
        assert!(error.to_string().ends_with("\nlast words"), "{error}");
        fs::remove_file(log).unwrap();

        let (machine, log) = shell("silence", "sleep 600");
        let error = machine.wait_for("ready", Duration::from_millis(50)).unwrap_err();
        assert_text(&error, "the machine did not say `ready` in 50ms; the end of ");
        machine.cut_power().unwrap();
        fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_machine_that_fails_is_no_machine_that_ended() {
        let (machine, log) = shell("fails", "exit 3");
        let error = machine.wait_for_end(Duration::from_secs(10)).unwrap_err();
        assert_eq!(error.to_string(), "the machine ended with exit status: 3");
        fs::remove_file(log).unwrap();
    }
}
