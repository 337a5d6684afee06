use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde_json::json;
use treeseal::Locations;
use treeseal::mount::{Changes, MountOptions, Mounted, Restriction, mount};

use super::{note_first_contact, status, stream};
use crate::args::{Forbidden, KERNEL, Mount};
use crate::environment;
use crate::output::{Failure, Outcome, Output, json_path};

pub(super) fn run(arguments: &Mount, output: &mut Output) -> Result<Outcome, Failure> {
    require_kernel(&arguments.enforce, &arguments.stream)?;
    let locations = environment::locations(&arguments.places)?;
    let changes = arguments.upper.clone().zip(arguments.work.clone());
    let options = MountOptions {
        changes: changes.map(|(upper, work)| Changes { upper, work }),
        id_map: arguments.idmap.clone(),
        restrictions: arguments.options.iter().map(|forbidden| (*forbidden).into()).collect(),
    };
    let request = Request {
        stream: &arguments.stream,
        directory: &arguments.directory,
        options: &options,
        run: &arguments.records.run,
    };
    let mounted = request.mount(&locations, output)?;
    report(&mounted, &arguments.directory, output)?;
    Ok(Outcome::Yes)
}

/// Refuses to have a mount enforced in a way that there is not.
pub(super) fn require_kernel(enforce: &str, stream: &str) -> Result<(), Failure> {
    if enforce == KERNEL {
        return Ok(());
    }
    Err(Failure::usage(
        format!("a mount is enforced by `{KERNEL}` and cannot be by `{enforce}`"),
        format!(
            "`treeseal verify {stream} --deep` checks every byte once, now, without the kernel"
        ),
    ))
}

/// What is to be mounted where.
pub(super) struct Request<'r> {
    pub(super) stream: &'r str,
    pub(super) directory: &'r Path,
    pub(super) options: &'r MountOptions,
    pub(super) run: &'r Path,
}

impl Request<'_> {
    /// Mounts it, and says what a person should know of the seal besides.
    pub(super) fn mount(
        &self,
        locations: &Locations,
        output: &mut Output,
    ) -> Result<Mounted, Failure> {
        let stream = stream(self.stream)?;
        let mounted = mount(locations, &stream, self.directory, self.options, self.run)?;
        if mounted.seal.is_first_contact {
            note_first_contact(&locations.state, output);
        }
        if let Some(reason) = &mounted.seal.statement.freshness().ignored {
            output.note(&format!("the freshness statement was not used: {reason}"));
        }
        Ok(mounted)
    }
}

fn report(mounted: &Mounted, directory: &Path, output: &mut Output) -> Result<(), Failure> {
    let record = &mounted.record;
    if output.is_json() {
        return output.json(&json!({
            "mountPoint": json_path(directory.as_os_str().as_bytes()),
            "enforcement": KERNEL,
            "recorded": status::record_to_json(record),
        }));
    }
    let (stream, sequence) = (&record.stream, record.sequence);
    output.line(format!("mounted {stream} sequence {sequence} at {}", directory.display()))?;
    output.line(format!("  {:<11} {}", "enforcement", status::ENFORCED))?;
    status::write_record(record, output)
}

impl From<Forbidden> for Restriction {
    fn from(forbidden: Forbidden) -> Self {
        match forbidden {
            Forbidden::Ro => Self::ReadOnly,
            Forbidden::Nosuid => Self::NoSuid,
            Forbidden::Nodev => Self::NoDevices,
            Forbidden::Noexec => Self::NoPrograms,
        }
    }
}
