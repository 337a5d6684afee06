//! One file per command: a checked request to the library, and its answer as text or JSON.

mod boot;
mod cat;
mod diff;
mod digest;
mod docs;
mod enable;
mod extract;
mod floor;
mod freshen;
mod image;
mod import;
mod key;
mod log;
mod ls;
mod measure;
mod mount;
mod mount_helper;
mod mount_options;
mod ostree;
mod root;
mod seal;
mod sign;
mod status;
mod store;
mod umount;
mod verify;

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use treeseal::trust::Stream;

pub(crate) use mount_helper::HelperName;

use crate::args::{Arguments, Command};
use crate::output::{Failure, Outcome, Output};

/// Runs the command that was asked for.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Outcome, Failure> {
    let outcome = match &arguments.command {
        Command::Seal(seal) => seal::run(seal, output),
        Command::Verify(verify) => verify::run(verify, output),
        Command::Ls(ls) => ls::run(ls, output),
        Command::Cat(cat) => cat::run(cat, output),
        Command::Extract(extract) => extract::run(extract, output),
        Command::Mount(mount) => mount::run(mount, output),
        Command::Umount(umount) => umount::run(umount),
        Command::Status(status) => status::run(status, output),
        Command::Diff(diff) => diff::run(diff, output),
        Command::Log(log) => log::run(log, output),
        Command::Key(key) => key::run(key, output),
        Command::Root(root) => root::run(root, output),
        Command::Sign(sign) => sign::sign(sign, output),
        Command::SignRequest(request) => sign::request(request, output),
        Command::Attach(attach) => sign::attach(attach, output),
        Command::Submit(submit) => sign::submit(submit, output),
        Command::Freshen(freshen) => freshen::run(freshen, output),
        Command::Floor(floor) => floor::run(floor, output),
        Command::Boot(boot) => boot::run(boot, output),
        Command::Ostree(ostree) => ostree::run(ostree, output),
        Command::Digest(digest) => digest::run(digest, output),
        Command::Enable(enable) => enable::run(enable, output),
        Command::Measure(measure) => measure::run(measure, output),
        Command::Image(image) => image::run(image, output),
        Command::Store(store) => store::run(store, output),
        Command::Docs(docs) => docs::run(docs, output),
    }?;
    output.flush()?;
    Ok(outcome)
}

fn note_first_contact(state: &Path, output: &mut Output) {
    output.note(&format!(
        "nothing was remembered of earlier seals in `{}`: only the floors of the trust root kept older \
         ones out",
        state.display()
    ));
}

fn stream(name: &str) -> Result<Stream, Failure> {
    name.parse().map_err(|error: treeseal::trust::StreamError| {
        Failure::usage(error.to_string(), "a stream is like vendor/product/arch/channel")
    })
}

/// A path in a tree as bytes, absolute.
fn tree_path(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.starts_with(b"/") { bytes.to_vec() } else { [b"/", bytes].concat() }
}
