use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::context::Context;
use super::namespace::with_attached;
use super::{DetachedMount, MountError, MountStep};
use crate::proc;

/// A composefs mount: a tree of metadata, and the directories with the content of its files.
#[derive(Debug)]
pub struct Overlay<'a> {
    /// What stands in the mount table as the source. At most 255 bytes, without a NUL byte.
    pub source: &'a str,
    /// The mounted image.
    pub image: DetachedMount,
    /// Object directories, the first that has an object counts.
    pub objects: &'a [BorrowedFd<'a>],
    /// Whether objects must have the digest that the image names.
    pub verity: OverlayVerity,
    /// Where changes go; without it the mount is for reading only.
    pub upper: Option<Upper<'a>>,
    /// What the mount does not allow.
    pub restrictions: &'a [Restriction],
}

/// Whether overlayfs looks at the fs-verity digest of an object when it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverlayVerity {
    /// It must be the one in the image, and each object must have one; otherwise opening it fails.
    #[default]
    Require,
    /// **Nothing is checked:** whatever lies in the object's place is served.
    Ignore,
}

/// Where an overlay keeps changes: two directories that lie below one, and on its mount.
#[derive(Clone, Copy, Debug)]
pub struct Upper<'a> {
    /// The directory above both.
    pub directory: BorrowedFd<'a>,
    /// Path from there to the one for changed files.
    pub upper: &'a Path,
    /// Path from there to the one that overlayfs works in; empty.
    pub work: &'a Path,
}

/// Something that a mount does not allow, whatever its files say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restriction {
    /// Writing.
    ReadOnly,
    /// Running a program with the rights of its owner.
    NoSuid,
    /// Opening devices.
    NoDevices,
    /// Running programs.
    NoPrograms,
}

/// Mounts an overlay that serves the image's tree, with `metacopy` and `redirect_dir` on.
///
/// It needs Linux 6.5, and 6.6 for [`OverlayVerity::Require`]. That objects are checked says nothing of
/// the image: it must have been verified before it was mounted.
#[expect(clippy::needless_pass_by_value, reason = "the image's own mount is used up")]
pub fn mount_overlay(overlay: Overlay<'_>) -> Result<DetachedMount, MountError> {
    if !proc::is_there() {
        return Err(MountError::NoProc);
    }
    let directory = overlay.upper.map(|upper| upper.directory);
    match mount(&overlay, overlay.objects, directory) {
        // Before Linux 6.15 a layer must have a place in the namespace of whoever mounts it.
        Err(error) if is_detached_layer(&error) => mount_attached(&overlay),
        mounted => mounted,
    }
}

/// Mounts with layers that are attached, where nobody sees them. Directories are of this namespace and
/// unknown in that one, so they are mounted a second time.
pub(super) fn mount_attached(overlay: &Overlay<'_>) -> Result<DetachedMount, MountError> {
    let again = |directory: &BorrowedFd<'_>| DetachedMount::of_directory(*directory);
    let objects: Vec<_> = overlay.objects.iter().map(again).collect::<Result<_, _>>()?;
    let directory = overlay.upper.map(|upper| again(&upper.directory)).transpose()?;
    let mut mounts = vec![&overlay.image];
    mounts.extend(objects.iter().chain(&directory));
    with_attached(&mounts, || {
        let objects: Vec<_> = objects.iter().map(DetachedMount::as_fd).collect();
        mount(overlay, &objects, directory.as_ref().map(DetachedMount::as_fd))
    })
}

fn mount(
    overlay: &Overlay<'_>,
    objects: &[BorrowedFd<'_>],
    directory: Option<BorrowedFd<'_>>,
) -> Result<DetachedMount, MountError> {
    let changes = match overlay.upper.zip(directory) {
        Some((upper, directory)) => {
            Some((open_child(directory, upper.upper)?, open_child(directory, upper.work)?))
        }
        None => None,
    };
    let layers = Layers { image: overlay.image.as_fd(), objects, changes };
    let attempt = |form| layers.mount(overlay, form);
    let or = |form| move |error| if is_unknown_form(&error) { attempt(form) } else { Err(error) };
    attempt(Form::Descriptors).or_else(or(Form::Paths)).or_else(or(Form::OneString))
}

impl Restriction {
    fn attribute(self) -> MountAttrFlags {
        match self {
            Self::ReadOnly => MountAttrFlags::MOUNT_ATTR_RDONLY,
            Self::NoSuid => MountAttrFlags::MOUNT_ATTR_NOSUID,
            Self::NoDevices => MountAttrFlags::MOUNT_ATTR_NODEV,
            Self::NoPrograms => MountAttrFlags::MOUNT_ATTR_NOEXEC,
        }
    }
}

pub(super) struct Layers<'a> {
    pub(super) image: BorrowedFd<'a>,
    pub(super) objects: &'a [BorrowedFd<'a>],
    /// The upper and the working directory.
    pub(super) changes: Option<(OwnedFd, OwnedFd)>,
}

/// How layers are told to overlayfs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// By descriptor, since Linux 6.13.
    Descriptors,
    /// One by one as paths in `/proc`, since 6.7.
    Paths,
    /// All in one string of such paths, which hold nothing that separates layers.
    OneString,
}

impl Layers<'_> {
    pub(super) fn mount(
        &self,
        overlay: &Overlay<'_>,
        form: Form,
    ) -> Result<DetachedMount, MountError> {
        let context = Context::open("overlay")?;
        context.set_string("source", overlay.source)?;
        set_constant(&context, "metacopy", "on", ("metacopy of overlayfs", "4.19"))?;
        set_constant(&context, "redirect_dir", "on", ("redirect_dir of overlayfs", "4.10"))?;
        if overlay.verity == OverlayVerity::Require {
            let since = ("verity=require of overlayfs", "6.6");
            set_constant(&context, "verity", "require", since)?;
        }
        self.tell(&context, form)?;
        let read_only = self.changes.is_none().then_some(&Restriction::ReadOnly);
        let restrictions = overlay.restrictions.iter().chain(read_only);
        context.mount(restrictions.map(|restriction| restriction.attribute()).collect())
    }

    fn tell(&self, context: &Context, form: Form) -> Result<(), MountError> {
        let set = |key: &str, layer: BorrowedFd<'_>| match form {
            Form::Descriptors => context.set_descriptor(key, layer),
            Form::Paths | Form::OneString => context.set_string(key, &proc::descriptor_path(layer)),
        };
        match form {
            Form::Descriptors | Form::Paths => {
                set("lowerdir+", self.image)?;
                self.objects.iter().try_for_each(|layer| set("datadir+", *layer))?;
            }
            Form::OneString => context.set_string("lowerdir", &self.one_string())?,
        }
        if let Some((upper, work)) = &self.changes {
            set("upperdir", upper.as_fd())?;
            set("workdir", work.as_fd())?;
        }
        Ok(())
    }

    /// Layers as `lowerdir` has them; two colons stand before a directory that has only content.
    fn one_string(&self) -> String {
        let layers = [&self.image].into_iter().chain(self.objects);
        let paths: Vec<_> = layers.map(|layer| proc::descriptor_path(*layer)).collect();
        paths.join("::")
    }
}

/// Sets an option that is the same for every mount, so that who refuses it is too old.
fn set_constant(
    context: &Context,
    key: &str,
    value: &str,
    (lacks, needed): (&'static str, &'static str),
) -> Result<(), MountError> {
    context.set_string(key, value).map_err(|error| match error.errno() {
        Some(Errno::INVAL) => MountError::Kernel { lacks, needed },
        _ => error,
    })
}

/// Whether a layer was refused in a way that an older kernel refuses a form that it does not know.
pub(super) fn is_unknown_form(error: &MountError) -> bool {
    let is_option = matches!(error, MountError::Refused { step: MountStep::Option(_), .. });
    is_option && matches!(error.errno(), Some(Errno::INVAL | Errno::BADF))
}

/// Whether a mount was refused as older kernels refuse a detached mount as a layer.
fn is_detached_layer(error: &MountError) -> bool {
    let is_create = matches!(error, MountError::Refused { step: MountStep::Create, .. });
    is_create && error.errno() == Some(Errno::INVAL)
}

fn open_child(directory: BorrowedFd<'_>, name: &Path) -> Result<OwnedFd, MountError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty())
        .map_err(|errno| MountError::os("open a directory for changes", errno))
}
