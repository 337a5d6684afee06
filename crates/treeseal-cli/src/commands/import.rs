//! Flags of import and image as the library wants them.

use treeseal::erofs::VersionChoice;
use treeseal::source::{HardLinks, ImportOptions, Xattrs};

use crate::args;
use crate::environment;
use crate::output::Failure;

pub(super) fn options(arguments: &args::Import) -> Result<ImportOptions, Failure> {
    let epoch = match arguments.epoch {
        Some(epoch) => Some(epoch),
        None => environment::source_date_epoch()?,
    };
    Ok(ImportOptions {
        hard_links: match arguments.compat {
            Some(args::Compat::Mkcomposefs) => HardLinks::Separate,
            None => HardLinks::Keep,
        },
        epoch,
        xattrs: match arguments.xattrs {
            args::Xattrs::All => Xattrs::All,
            args::Xattrs::User => Xattrs::UserOnly,
            args::Xattrs::None => Xattrs::Ignore,
        },
        skip_devices: arguments.skip_devices,
        ..ImportOptions::default()
    })
}

pub(super) const fn version(version: args::FormatVersion) -> VersionChoice {
    use treeseal::erofs::FormatVersion;
    match version {
        args::FormatVersion::Auto => VersionChoice::Auto,
        args::FormatVersion::V0 => VersionChoice::Fixed(FormatVersion::V0),
        args::FormatVersion::V1 => VersionChoice::Fixed(FormatVersion::V1),
    }
}
