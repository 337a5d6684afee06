//! What mount(8) calls: the program by the names `mount.treeseal` and `mount.composefs`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use treeseal::mount::{ComposefsMount, OverlayVerity, mount_composefs};
use treeseal::verity::FileDigest;

use super::mount::{Request, require_kernel};
use super::mount_options::{Common, MountOption, split};
use crate::args::{Helper, KERNEL, Places, RUN};
use crate::environment;
use crate::output::{Failure, Outcome, Output};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HelperName {
    /// Mounts the current tree of a stream.
    Treeseal,
    /// Mounts an image, as composefs's own program of this name.
    Composefs,
}

impl HelperName {
    /// The one that the program was called as, if it was.
    pub(crate) fn of(program: &OsStr) -> Option<Self> {
        match Path::new(program).file_name()?.to_str()? {
            "mount.treeseal" => Some(Self::Treeseal),
            "mount.composefs" => Some(Self::Composefs),
            _ => None,
        }
    }

    pub(crate) fn run(self, arguments: &Helper, output: &mut Output) -> Result<Outcome, Failure> {
        match self {
            Self::Treeseal => mount_stream(arguments, output)?,
            Self::Composefs => mount_image(arguments)?,
        }
        Ok(Outcome::Yes)
    }
}

/// Gives every option to `take`, which says whether it is one.
fn each_option(
    arguments: &Helper,
    mut take: impl FnMut(&MountOption) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    for option in arguments.options.iter().flat_map(|list| split(list)) {
        if !take(&option)? && !arguments.sloppy {
            return Err(option.unknown());
        }
    }
    Ok(())
}

/// A stream is named as it is, or after `treeseal:`, which is no path whatever directory it is said in.
fn mount_stream(arguments: &Helper, output: &mut Output) -> Result<(), Failure> {
    let (mut common, mut places, mut run) = (Common::default(), Places::default(), None);
    let source = arguments.source.to_string_lossy();
    let stream = source.strip_prefix("treeseal:").unwrap_or(&source);
    each_option(arguments, |option| {
        match option.name() {
            "store" => places.store = Some(option.path()?),
            "root" => places.root = Some(option.path()?),
            "state" => places.state = Some(option.path()?),
            "tpm" => places.tpm = Some(option.value()?),
            "run" => run = Some(option.path()?),
            "enforce" => require_kernel(&option.value()?.to_string_lossy(), stream)?,
            _ => return common.take(option),
        }
        Ok(true)
    })?;
    let options = common.finish()?;
    if arguments.fake {
        return Ok(());
    }
    let run: PathBuf = run.unwrap_or_else(|| RUN.into());
    let request = Request { stream, directory: &arguments.directory, options: &options, run: &run };
    request.mount(&environment::locations(&places)?, output).map(drop)
}

fn mount_image(arguments: &Helper) -> Result<(), Failure> {
    let (mut common, mut objects, mut digest) = (Common::default(), Vec::new(), None);
    let mut verity = OverlayVerity::Ignore;
    each_option(arguments, |option| {
        match option.name() {
            "basedir" => objects = option.paths()?,
            "digest" => digest = Some(parse_digest(&option.value()?)?),
            "verity" => verity = OverlayVerity::Require,
            "tryverity" => {
                return Err(Failure::usage(
                    "`tryverity` would check nothing, in silence, where the kernel cannot",
                    "say `verity`",
                ));
            }
            _ => return common.take(option),
        }
        Ok(true)
    })?;
    if objects.is_empty() {
        return Err(Failure::usage("no object directory is named", "say basedir=DIR"));
    }
    if digest.is_some() {
        verity = OverlayVerity::Require;
    }
    let image = PathBuf::from(&arguments.source);
    let request = ComposefsMount { image, objects, digest, verity, options: common.finish()? };
    if arguments.fake {
        return Ok(());
    }
    Ok(mount_composefs(&request, &arguments.directory)?)
}

fn parse_digest(text: &OsStr) -> Result<FileDigest, Failure> {
    FileDigest::from_hex(text.as_encoded_bytes()).map_err(|error| {
        Failure::usage(
            format!("digest: {error}"),
            format!("`treeseal measure IMAGE --compact` prints what the {KERNEL} checks it by"),
        )
    })
}
