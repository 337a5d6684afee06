use std::ffi::OsString;
use std::path::PathBuf;

use crate::{Failure, Places};

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Mount a tree.
    Mount(Places),
    /// Print a text.
    Print(&'static str),
}

const USAGE: &str = "\
Verify a sealed tree and mount it as the root of the machine

Usage: treeseal-boot [--config DIR] [--sysroot DIR]

  --config DIR    directory of boot.json and root.json [default: /etc/treeseal]
  --sysroot DIR   where the tree is mounted [default: /sysroot]
  --version       print the version
  --help          print this

As the first process of an initramfs it takes no options, and becomes the tree's init.

Exit codes: 0 mounted, 1 no tree can be mounted, 2 not understood.

Example:
  treeseal-boot --sysroot /root";

const VERSION: &str = concat!("treeseal-boot ", env!("CARGO_PKG_VERSION"));

pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Request, Failure> {
    let mut places = Places::default();
    let mut arguments = arguments.fuse();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--config") => places.configuration = value(&argument, arguments.next())?,
            Some("--sysroot") => places.sysroot = value(&argument, arguments.next())?,
            Some("--help" | "-h") => return Ok(Request::Print(USAGE)),
            Some("--version") => return Ok(Request::Print(VERSION)),
            _ => return Err(usage(format!("`{}` is no option", argument.display()))),
        }
    }
    Ok(Request::Mount(places))
}

fn value(option: &OsString, value: Option<OsString>) -> Result<PathBuf, Failure> {
    let path = value.map(PathBuf::from).filter(|path| path.is_absolute());
    path.ok_or_else(|| usage(format!("`{}` needs an absolute path", option.display())))
}

fn usage(message: String) -> Failure {
    Failure::Usage { message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Request, String> {
        super::parse(words.iter().map(OsString::from)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn places_are_named_or_usual() {
        assert_eq!(parse(&[]), Ok(Request::Mount(Places::default())));
        let places = Places { configuration: "/c".into(), sysroot: "/root".into() };
        assert_eq!(parse(&["--sysroot", "/root", "--config", "/c"]), Ok(Request::Mount(places)));
        assert_eq!(parse(&["--version"]), Ok(Request::Print(VERSION)));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert_eq!(parse(&["--insecure"]), Err("`--insecure` is no option".to_owned()));
        assert_eq!(parse(&["/sysroot"]), Err("`/sysroot` is no option".to_owned()));
        let error = Err("`--sysroot` needs an absolute path".to_owned());
        assert_eq!(parse(&["--sysroot"]), error);
        assert_eq!(parse(&["--sysroot", "root"]), error);
    }
}
