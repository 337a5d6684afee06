//! What machines are started from: a kernel, an archive with programs, empty disks.

use super::disk::Disk;
use super::initramfs::{Contents, concatenate};
use super::kernel::Kernel;
use super::machine::{Accelerator, MachineBuilder};
use super::report::READY;
use super::tools::Tools;
use crate::process::run_quietly;
use crate::static_programs::{self, Profile};
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Static programs that every machine has, where it looks for them, and the packages that they are of.
const PROGRAMS: [(&str, &str); 2] = [("treeseal-vm", "init"), ("treeseal", "usr/bin/treeseal")];
const PACKAGES: [&str; 2] = ["treeseal-vm", "treeseal-cli"];

/// What mount(8) looks for. By the other name that it knows itself by the machine has composefs's own.
const MOUNT_HELPER: &str = "usr/sbin/mount.treeseal";

/// Modules that every machine loads first.
const MODULES: [&str; 6] = ["virtio_blk", "loop", "erofs", "overlay", "btrfs", "dm-verity"];

/// More than the smallest btrfs, and room for what tests write. What is not written takes no space.
const DISK_BYTES: u64 = 512 << 20;

/// One file of zeros serves as all scratch disks: what is written to them lies elsewhere.
const SCRATCH_DISK: &str = "scratch.disk";

/// As many as `crates/treeseal-vm/src/guest.rs` knows of.
const SCRATCH_DISKS: usize = 3;

/// From the start until the machine is prepared, in emulation on a busy host.
pub(super) const BOOT_TIME: Duration = Duration::from_secs(120);

/// The same by the processor, which takes two seconds where it works.
const PROBE_TIME: Duration = Duration::from_secs(20);

/// Builds the programs that every machine has, and gives the directory they are in.
pub(super) fn build_programs(workspace: &Workspace) -> Result<PathBuf> {
    static_programs::build(workspace, &PACKAGES, Profile::Static)
}

/// Everything that machines with one kernel are started from.
pub(super) struct Host<'a> {
    pub(super) workspace: &'a Workspace,
    /// Below `target`, where everything is kept.
    pub(super) dir: &'a Path,
    pub(super) kernel: Kernel,
    pub(super) tools: &'a Tools,
    /// The directory of the programs that every machine has. They run on this machine as well.
    pub(super) programs: &'a Path,
    accelerator: Accelerator,
    image: PathBuf,
    initramfs: PathBuf,
}

impl<'a> Host<'a> {
    pub(super) fn prepare(
        workspace: &'a Workspace,
        dir: &'a Path,
        kernel: Kernel,
        tools: &'a Tools,
        programs: &'a Path,
    ) -> Result<Self> {
        Disk::create(&dir.join(SCRATCH_DISK), DISK_BYTES)?;
        let image = kernel.image()?;
        let initramfs = pack_initramfs(dir, &kernel, tools, programs)?;
        let accelerator = Accelerator::Kvm;
        let mut host =
            Self { workspace, dir, kernel, tools, programs, accelerator, image, initramfs };
        if !host.boots() {
            host.accelerator = Accelerator::Software;
        }
        let Kernel { series, release, .. } = &host.kernel;
        println!("vm {series}: kernel {release}, {}", host.accelerator.name());
        Ok(host)
    }

    pub(super) fn series(&self) -> &'static str {
        self.kernel.series
    }

    /// What machines have unless they are given another one.
    pub(super) fn initramfs(&self) -> &Path {
        &self.initramfs
    }

    /// A machine without disks. Its log has the series and this name.
    pub(super) fn machine(&self, log: &str) -> MachineBuilder {
        self.machine_from(&self.initramfs, log)
    }

    /// The same with another initramfs.
    pub(super) fn machine_from(&self, initramfs: &Path, log: &str) -> MachineBuilder {
        let log = self.dir.join(format!("logs/{}-{log}.log", self.series()));
        MachineBuilder::new(self.accelerator, &self.image, initramfs, &log)
    }

    /// A machine with empty disks, which are empty again for the next one.
    pub(super) fn machine_with_scratch_disks(&self, log: &str) -> MachineBuilder {
        let disk = Disk::discarded(&self.dir.join(SCRATCH_DISK));
        (0..SCRATCH_DISKS).fold(self.machine(log), |machine, _| machine.disk(disk.clone()))
    }

    /// A new disk that is kept until the next one of this name.
    pub(super) fn kept_disk(&self, name: &str) -> Result<Disk> {
        let file = self.disk_file(name);
        Disk::create(&file, DISK_BYTES)?;
        Ok(Disk::kept(&file))
    }

    /// Where an archive is put together that this kernel's machines are started from.
    pub(super) fn contents_dir(&self) -> PathBuf {
        self.dir.join(format!("contents-{}", self.series()))
    }

    /// Where a disk of this name is kept.
    pub(super) fn disk_file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{}-{name}.disk", self.series()))
    }

    /// Whether a machine gets as far as to be prepared. KVM may be there and still not work.
    fn boots(&self) -> bool {
        let boots = |machine: MachineBuilder| machine.start()?.wait_for(READY, PROBE_TIME);
        Path::new("/dev/kvm").exists() && boots(self.machine("kvm-probe")).is_ok()
    }
}

fn pack_initramfs(dir: &Path, kernel: &Kernel, tools: &Tools, programs: &Path) -> Result<PathBuf> {
    let base = base_archive(dir, kernel, tools)?;
    let own = dir.join("own.cpio");
    let contents = Contents::in_dir(&dir.join("contents"))?;
    for (program, at) in PROGRAMS {
        contents.add(&programs.join(program), at)?;
    }
    contents.link(MOUNT_HELPER, "../bin/treeseal")?;
    contents.pack(&own)?;
    let whole = dir.join(format!("initramfs-{}.cpio", kernel.series));
    concatenate(&[&base, &own], &whole)?;
    fs::remove_file(&own).with_context(|| format!("removing {}", own.display()))?;
    Ok(whole)
}

/// What does not change from run to run: modules and programs of Debian, not compressed, because an
/// emulated processor would need longer to decompress them than to copy them.
fn base_archive(dir: &Path, kernel: &Kernel, tools: &Tools) -> Result<PathBuf> {
    let archive = dir.join(format!("base-{}.cpio", kernel.series));
    let made_from = dir.join(format!("base-{}.txt", kernel.series));
    let wanted = format!("{}\n{}\n{}\n", kernel.release, MODULES.join(" "), tools.description());
    if fs::read_to_string(&made_from).is_ok_and(|made| made == wanted) {
        return Ok(archive);
    }
    let contents = Contents::in_dir(&dir.join("contents"))?;
    tools.add_to(&contents)?;
    add_modules(&contents, &kernel.modules(&MODULES, tools)?)?;
    contents.pack(&archive)?;
    // Written last, so that half an archive is not taken for a whole one.
    fs::write(&made_from, wanted).with_context(|| format!("writing {}", made_from.display()))?;
    Ok(archive)
}

/// Adds decompressed modules, and the order in which they are loaded.
pub(super) fn add_modules(contents: &Contents, modules: &[PathBuf]) -> Result<()> {
    let mut order = String::new();
    for module in modules {
        let name = module.file_stem().unwrap_or_default().to_string_lossy();
        let decompressed = contents.create(format!("modules/{name}"))?;
        let mut xz = Command::new("xz");
        run_quietly(xz.args(["--decompress", "--stdout"]).arg(module).stdout(decompressed))?;
        // Writing to a String cannot fail.
        let _ = writeln!(order, "/modules/{name}");
    }
    contents.write("modules/order", &order)
}
