use std::fs::{self, File};
use std::path::Path;

use treeseal::boot::{
    self, Attempt, BootState, Candidate, CommandLine, Config, Criteria, Handover,
};

use treeseal::mount::{EnforcedMount, MountOptions, enforce};

use crate::failure::{report_refused, say};
use crate::filesystem::{Filesystems, Mounted, RUN};
use crate::{Failure, Places, writable};

const COMMAND_LINE: &str = "/proc/cmdline";

/// Mounts the newest tree that may be started, with what the system writes to, and hands over what was
/// started. After a failure nothing stays mounted.
pub(crate) fn mount(places: &Places, config: &Config) -> Result<(), Failure> {
    let command_line = command_line()?;
    let filesystems = Filesystems::mount(config)?;
    let mut state = BootState::open(filesystems.state(), &config.state_directory)?;
    let attempt = start(places, config, command_line, &filesystems, &mut state)?;
    report_refused(&attempt.refused);
    let handover = handover(&attempt, config, &filesystems);
    record(&attempt, &handover)?;
    let sysroot = attach(attempt.mounted, &places.sysroot)?;
    writable::apply(&places.sysroot, config, &state)?;
    handover.write(Path::new(RUN))?;
    sysroot.keep();
    filesystems.keep();
    Ok(())
}

fn command_line() -> Result<CommandLine, Failure> {
    let path = Path::new(COMMAND_LINE);
    let bytes = fs::read(path).map_err(Failure::io("read", path))?;
    Ok(CommandLine::parse(&bytes).map_err(treeseal::Error::from)?)
}

fn start(
    places: &Places,
    config: &Config,
    command_line: CommandLine,
    filesystems: &Filesystems,
    state: &mut BootState,
) -> Result<Attempt<EnforcedMount>, Failure> {
    let store = boot::open_store(filesystems.store(), &config.store_directory)?;
    let criteria = Criteria::new(config, command_line)?;
    let root = places.configuration.join("root.json");
    let selection = boot::select(&store, &root, state, &criteria)?;
    let started = selection.start(state, |candidate| {
        let Candidate { statement, is_counted, .. } = candidate;
        let counted = if *is_counted { ", which costs a try" } else { "" };
        say(&format!("mounting {} sequence {}{counted}", statement.stream, statement.sequence));
        enforce(&store, statement, &MountOptions::default())
    });
    started.map_err(|refused| Failure::Refused { stream: config.stream.clone(), refused })
}

fn handover(
    attempt: &Attempt<EnforcedMount>,
    config: &Config,
    filesystems: &Filesystems,
) -> Handover {
    let store = filesystems.store().join(&config.store_directory);
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
