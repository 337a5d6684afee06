use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use treeseal::MountError;
use treeseal::boot::Refusal;
use treeseal::trust::Stream;

/// Why nothing is booted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{message}")]
    Usage { message: String },
    #[error(transparent)]
    Treeseal(#[from] treeseal::Error),
    #[error("no tree of the stream `{stream}` can be started")]
    Refused { stream: Stream, refused: Vec<Refusal> },
    #[error("cannot {action} `{}`", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("there is no {what}, although {} s have passed", waited.as_secs())]
    NoDevice { what: String, waited: Duration },
    #[error("there are several with {what}: {}", found.join(", "))]
    Ambiguous { what: String, found: Vec<String> },
    #[error("cannot mount the tree at `{}`", path.display())]
    Attach { path: PathBuf, source: MountError },
    #[error("the tree has no directory `/{name}`")]
    NoDirectory { name: &'static str },
}

impl Failure {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn os(action: &'static str, path: &Path) -> impl FnOnce(Errno) -> Self + use<> {
        let failed = Self::io(action, path);
        move |errno| failed(errno.into())
    }

    /// Says on the console what is wrong: of every tree why it was refused.
    pub(crate) fn report(&self) {
        let [said, causes @ ..] = &treeseal::causes(self)[..] else { return };
        say(&format!("error: {said}"));
        for cause in causes {
            say(&format!("caused by: {cause}"));
        }
        if let Self::Refused { refused, .. } = self {
            report_refused(refused);
        }
        if let Some(hint) = self.hint() {
            say(&format!("hint: {hint}"));
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Usage { .. } => "`treeseal-boot --help` lists the options".to_owned(),
            Self::Treeseal(treeseal::Error::NoRoot { .. }) => {
                "the root.json of whoever seals belongs into the initramfs, beside boot.json".to_owned()
            }
            Self::Treeseal(error) => return error.hint(),
            Self::NoDevice { .. } => {
                "look at /etc/treeseal/boot.json in the initramfs, and whether it has the modules for \
                 the disk"
                    .to_owned()
            }
            Self::Ambiguous { .. } => {
                "remove the one that does not belong there, or name the device by its path".to_owned()
            }
            Self::Attach { source, .. } => source.hint()?.to_owned(),
            Self::NoDirectory { name } => format!("seal a tree with an empty directory `/{name}`"),
            Self::Refused { .. } | Self::Io { .. } => return None,
        })
    }
}

pub(crate) fn report_refused(refused: &[Refusal]) {
    for refusal in refused {
        say(&format!("refused: {refusal}"));
    }
}

/// A line on the console. That nobody can read it is no reason not to go on.
pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(io::stderr(), "treeseal-boot: {text}");
}
