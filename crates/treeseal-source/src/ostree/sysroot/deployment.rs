use std::path::PathBuf;

use super::super::Checksum;

/// A commit that was deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The stateroot: the system that it is a tree of.
    pub stateroot: String,
    /// The commit.
    pub commit: Checksum,
    /// Tells deployments of one commit apart.
    pub serial: u32,
}

impl Deployment {
    /// Where its directory lies below the system's root.
    pub fn path(&self) -> PathBuf {
        let Self { stateroot, commit, serial } = self;
        format!("ostree/deploy/{stateroot}/deploy/{commit}.{serial}").into()
    }

    /// Where what its stateroot keeps in `/var` lies below the system's root.
    pub fn var(&self) -> PathBuf {
        format!("ostree/deploy/{}/var", self.stateroot).into()
    }

    /// The deployment with that directory.
    pub(super) fn at(path: &str) -> Option<Self> {
        let (stateroot, name) = path.strip_prefix("ostree/deploy/")?.split_once("/deploy/")?;
        let (commit, serial) = name.split_once('.')?;
        let commit = Checksum::from_hex(commit.as_bytes())?;
        is_stateroot(stateroot).then_some(())?;
        Some(Self { stateroot: stateroot.to_owned(), commit, serial: number(serial)? })
    }
}

/// What `ostree=` on the kernel's command line names: a symlink to a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BootLink<'a> {
    /// `boot.0` or `boot.1`.
    pub(super) boot: &'a str,
    pub(super) stateroot: &'a str,
    /// Of kernel and initramfs.
    pub(super) checksum: &'a str,
    pub(super) name: &'a str,
}

impl<'a> BootLink<'a> {
    /// Reads `/ostree/boot.N/STATEROOT/CHECKSUM/N`.
    pub(super) fn parse(argument: &'a str) -> Option<Self> {
        let mut names = argument.strip_prefix("/ostree/")?.split('/');
        let (boot, stateroot) = (names.next()?, names.next()?);
        let (checksum, name) = (names.next()?, names.next()?);
        let is_whole = names.next().is_none()
            && matches!(boot, "boot.0" | "boot.1")
            && is_stateroot(stateroot)
            && Checksum::from_hex(checksum.as_bytes()).is_some()
            && number(name).is_some();
        is_whole.then_some(Self { boot, stateroot, checksum, name })
    }
}

fn is_stateroot(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

/// A number as it is written here: digits without a zero in front.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "aab40b14bf2d468066283f133c1f95f68c7469f727b16637cbae217109c56792";

    #[test]
    fn only_what_ostree_writes_names_a_deployment() {
        let link = format!("/ostree/boot.1/acme/{HEX}/0");
        let parsed = BootLink { boot: "boot.1", stateroot: "acme", checksum: HEX, name: "0" };
        assert_eq!(BootLink::parse(&link), Some(parsed));
        for wrong in [
            format!("ostree/boot.1/acme/{HEX}/0"),
            format!("/ostree/boot.2/acme/{HEX}/0"),
            format!("/ostree/boot.1/../{HEX}/0"),
            format!("/ostree/boot.1/acme/{HEX}/00"),
            format!("/ostree/boot.1/acme/{HEX}/.."),
            format!("/ostree/boot.1/acme/{HEX}/0/"),
            format!("/ostree/boot.1//{HEX}/0"),
            "/ostree/boot.1/acme/1/0".to_owned(),
        ] {
            assert_eq!(BootLink::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_deployment_is_at_its_path_and_at_no_other() {
        let path = format!("ostree/deploy/acme/deploy/{HEX}.3");
        let deployment = Deployment::at(&path).unwrap();
        assert_eq!((&*deployment.stateroot, deployment.serial), ("acme", 3));
        assert_eq!(deployment.path(), PathBuf::from(&path));
        for wrong in [
            format!("/{path}"),
            format!("{path}.origin"),
            format!("{path}/"),
            format!("ostree/deploy/a/b/deploy/{HEX}.3"),
            format!("ostree/deploy/../deploy/{HEX}.3"),
            format!("ostree/deploy/acme/deploy/{HEX}.+3"),
            "ostree/deploy/acme/deploy/1.0".to_owned(),
        ] {
            assert_eq!(Deployment::at(&wrong), None, "{wrong}");
        }
    }
}
