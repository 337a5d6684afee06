use std::fs::{self, File};
use std::path::Path;

use treeseal::boot::{
    self, Attempt, BootState, Candidate, CommandLine, Config, Criteria, Handover, Source,
};
use treeseal::mount::{EnforcedMount, MountOptions, enforce};

use crate::failure::{report_refused, say};
use crate::filesystem::{Filesystems, Mounted, RUN};
use crate::{Failure, Places, deployed, writable};

const COMMAND_LINE: &str = "/proc/cmdline";

/// Where OSTree has its repository.
const REPOSITORY: &str = "ostree/repo";

/// Mounts the newest tree that may be started, or the deployment that the boot loader has chosen, with what
/// the system writes to, and hands over what was started. After a failure nothing stays mounted.
pub(crate) fn mount(places: &Places, config: &Config) -> Result<(), Failure> {
    let command_line = Asked::read()?;
    let filesystems = Filesystems::mount(config)?;
    let mut state = BootState::open(filesystems.state(), &config.state_directory)?;
    let attempt = start(places, config, &command_line, &filesystems, &mut state)?;
    report_refused(&attempt.refused);
    let handover = handover(&attempt, config, &filesystems);
    record(&attempt, &handover)?;
    let sysroot = attach(attempt.mounted, &places.sysroot)?;
    match &attempt.deployment {
        None => writable::apply(&places.sysroot, config, &state)?,
        Some(deployment) => {
            deployed::apply(&places.sysroot, config, filesystems.trees(), deployment)?;
        }
    }
    handover.write(Path::new(RUN))?;
    sysroot.keep();
    filesystems.keep();
    Ok(())
}

/// What the kernel's command line asks for.
struct Asked {
    bytes: Vec<u8>,
    parsed: CommandLine,
}

impl Asked {
    fn read() -> Result<Self, Failure> {
        let path = Path::new(COMMAND_LINE);
        let bytes = fs::read(path).map_err(Failure::io("read", path))?;
        let parsed = CommandLine::parse(&bytes).map_err(treeseal::Error::from)?;
        Ok(Self { bytes, parsed })
    }

    fn deployment(&self) -> Result<String, Failure> {
        Ok(CommandLine::deployment(&self.bytes).map_err(treeseal::Error::from)?)
    }
}

fn start(
    places: &Places,
    config: &Config,
    asked: &Asked,
    filesystems: &Filesystems,
    state: &mut BootState,
) -> Result<Attempt<EnforcedMount>, Failure> {
    let criteria = Criteria::new(config, asked.parsed)?;
    let root = places.configuration.join("root.json");
    match &config.source {
        Source::Store { directory, .. } => {
            let store = boot::open_store(filesystems.trees(), directory)?;
            let started =
                boot::select(&store, &root, state, &criteria)?.start(state, |candidate| {
                    announce(candidate);
                    enforce(&store, &candidate.statement, &MountOptions::default())
                });
            started.map_err(|refused| Failure::Refused { stream: config.stream.clone(), refused })
        }
        Source::Sysroot(_) => {
            let (sysroot, named) = (filesystems.trees(), asked.deployment()?);
            let chosen = boot::choose_deployment(sysroot, &named, &root, state, &criteria)?;
            announce(chosen.candidate());
            Ok(chosen.mount()?)
        }
    }
}

fn announce(candidate: &Candidate) {
    let Candidate { statement, is_counted, .. } = candidate;
    let counted = if *is_counted { ", which costs a try" } else { "" };
    say(&format!("mounting {} sequence {}{counted}", statement.stream, statement.sequence));
}

fn handover(
    attempt: &Attempt<EnforcedMount>,
    config: &Config,
    filesystems: &Filesystems,
) -> Handover {
    let store = filesystems.trees().join(match &config.source {
        Source::Store { directory, .. } => directory,
        Source::Sysroot(_) => REPOSITORY,
    });
    let state = filesystems.state();
    let places = (&*store.to_string_lossy(), &*state.to_string_lossy());
    Handover::new(attempt, config, "kernel", places)
}

/// What `treeseal status` will say of the root.
fn record(attempt: &Attempt<EnforcedMount>, handover: &Handover) -> Result<(), Failure> {
    let store = Path::new(&handover.started.store);
    let statement = &attempt.candidate.statement;
    attempt.mounted.record(statement, store, &MountOptions::default(), Path::new(RUN))?;
    Ok(())
}

fn attach(tree: EnforcedMount, sysroot: &Path) -> Result<Mounted, Failure> {
    fs::create_dir_all(sysroot).map_err(Failure::io("create", sysroot))?;
    let directory = File::open(sysroot).map_err(Failure::io("open", sysroot))?;
    tree.attach(directory)
        .map_err(|source| Failure::Attach { path: sysroot.to_owned(), source })?;
    Ok(Mounted::at(sysroot))
}
