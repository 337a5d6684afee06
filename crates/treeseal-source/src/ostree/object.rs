//! OSTree's objects that are metadata, as they are serialized.
//!
//! The numbers in them are big-endian; their framing is not.

use treeseal_tree::FileType;

use super::Checksum;
use super::gvariant::{
    BYTES, DICTIONARY, Dictionary, GvariantError, U32, U64, array, dictionary, string, tuple,
    u32_be, u64_be, write_array, write_dictionary, write_string, write_tuple,
};

/// An object that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// It is no normal form of its type.
    #[error(transparent)]
    Gvariant(#[from] GvariantError),
    /// A checksum does not have 32 bytes.
    #[error("a checksum has {found} bytes and not 32")]
    Checksum {
        /// Its bytes.
        found: usize,
    },
    /// A mode is of another type of file, or has bits that no mode has.
    #[error("the mode {found:o} is not that of a {expected}")]
    Mode {
        /// The mode.
        found: u32,
        /// What it should be of.
        expected: &'static str,
    },
    /// A regular file with the target of a symlink, or a symlink with a size.
    #[error("a file has content of another type than its own")]
    Content,
    /// A file has a device number.
    #[error("a file has the device number {found}")]
    Device {
        /// The number.
        found: u32,
    },
    /// The name of an attribute is not ended by its only NUL byte, or is there twice.
    #[error("the attributes of a file are not in order")]
    Xattrs,
    /// Names are not in order, or one is there twice.
    #[error("the names of a directory are not in order at `{}`", name.escape_debug())]
    Order {
        /// The name.
        name: String,
    },
}

/// What is serialized in one form, and read in no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A commit.
    Commit,
    /// The names in a directory.
    DirTree,
    /// Owner, mode and attributes of a directory.
    DirMeta,
    /// What comes before the content of a file in an archive.
    ArchivedHeader,
}

/// Says what is wrong with bytes that should be an object. Its checksum is the caller's to compare.
pub fn check_object(kind: ObjectKind, bytes: &[u8]) -> Result<(), ObjectError> {
    match kind {
        ObjectKind::Commit => Commit::parse(bytes).map(|_| ()),
        ObjectKind::DirTree => DirTree::parse(bytes).map(|_| ()),
        ObjectKind::DirMeta => Inode::parse_directory(bytes).map(|_| ()),
        ObjectKind::ArchivedHeader => FileHeader::parse_archived(bytes).map(|_| ()),
    }
}

/// An extended attribute: full name and value.
pub(super) type Xattr = (Vec<u8>, Vec<u8>);

/// A commit: `(a{sv}aya(say)sstayay)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The commit before.
    pub parent: Option<Checksum>,
    /// What it is about, in one line.
    pub subject: String,
    /// The rest of the message.
    pub body: String,
    /// When it was made, in seconds since 1970.
    pub timestamp: u64,
    /// The top directory's names.
    pub root_tree: Checksum,
    /// The top directory's metadata.
    pub root_meta: Checksum,
    /// `version`, what people call it.
    pub version: Option<String>,
    /// `ostree.ref-binding`: the refs that it was made for. None of them: it was made for no ref.
    pub ref_binding: Option<Vec<String>>,
    /// `ostree.collection-binding`: the collection that it was made for.
    pub collection_binding: Option<String>,
    /// `ostree.composefs.digest.v0`: the fs-verity digest of its image.
    pub composefs_digest: Option<[u8; 32]>,
}

impl Commit {
    /// Reads a commit.
    pub fn parse(bytes: &[u8]) -> Result<Self, ObjectError> {
        let layouts = [DICTIONARY, BYTES, BYTES, BYTES, BYTES, U64, BYTES, BYTES];
        let [metadata, parent, _related, subject, body, timestamp, tree, meta] =
            tuple(bytes, layouts)?;
        let metadata = dictionary(metadata)?;
        let text = |key| metadata.get(key, "s")?.map(text).transpose();
        Ok(Self {
            parent: if parent.is_empty() { None } else { Some(checksum(parent)?) },
            subject: self::text(subject)?,
            body: self::text(body)?,
            timestamp: u64_be(timestamp)?,
            root_tree: checksum(tree)?,
            root_meta: checksum(meta)?,
            version: text(VERSION)?,
            ref_binding: metadata.get(REF_BINDING, "as")?.map(texts).transpose()?,
            collection_binding: text(COLLECTION_BINDING)?,
            composefs_digest: composefs_digest(&metadata)?,
        })
    }

    /// Serializes it: with the metadata that it knows, and without related objects.
    pub fn to_bytes(&self) -> Vec<u8> {
        let parent = self.parent.as_ref().map_or(&[][..], |parent| parent.as_bytes());
        write_tuple(&[
            (DICTIONARY, &self.metadata()),
            (BYTES, parent),
            (BYTES, &write_array(&[], 1)),
            (BYTES, &write_string(&self.subject)),
            (BYTES, &write_string(&self.body)),
            (U64, &self.timestamp.to_be_bytes()),
            (BYTES, self.root_tree.as_bytes()),
            (BYTES, self.root_meta.as_bytes()),
        ])
    }

    fn metadata(&self) -> Vec<u8> {
        let texts = |texts: &Vec<String>| {
            write_array(&texts.iter().map(|text| write_string(text)).collect::<Vec<_>>(), 1)
        };
        let text = |text: &String| write_string(text);
        let items = [
            (VERSION, "s", self.version.as_ref().map(text)),
            (REF_BINDING, "as", self.ref_binding.as_ref().map(texts)),
            (COLLECTION_BINDING, "s", self.collection_binding.as_ref().map(text)),
            (COMPOSEFS_DIGEST, "ay", self.composefs_digest.map(|digest| digest.to_vec())),
        ];
        let present = items.iter().filter_map(|(key, kind, value)| {
            value.as_ref().map(|value| (*key, *kind, value.as_slice()))
        });
        write_dictionary(present)
    }
}

const VERSION: &str = "version";
const REF_BINDING: &str = "ostree.ref-binding";
const COLLECTION_BINDING: &str = "ostree.collection-binding";
const COMPOSEFS_DIGEST: &str = "ostree.composefs.digest.v0";

fn composefs_digest(metadata: &Dictionary<'_>) -> Result<Option<[u8; 32]>, ObjectError> {
    let digest = metadata.get(COMPOSEFS_DIGEST, "ay")?;
    digest.map(|digest| Ok(*checksum(digest)?.as_bytes())).transpose()
}

fn text(bytes: &[u8]) -> Result<String, ObjectError> {
    Ok(string(bytes)?.to_owned())
}

fn texts(bytes: &[u8]) -> Result<Vec<String>, ObjectError> {
    array(bytes, 1)?.map(|element| text(element?)).collect()
}

fn checksum(bytes: &[u8]) -> Result<Checksum, ObjectError> {
    Checksum::from_slice(bytes).ok_or(ObjectError::Checksum { found: bytes.len() })
}

/// The names in a directory: `(a(say)a(sayay))`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DirTree {
    pub(super) files: Vec<(String, Checksum)>,
    pub(super) directories: Vec<SubDirectory>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SubDirectory {
    pub(super) name: String,
    pub(super) tree: Checksum,
    pub(super) meta: Checksum,
}

impl DirTree {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ObjectError> {
        let [files, directories] = tuple(bytes, [BYTES, BYTES])?;
        let files = array(files, 1)?.map(|file| {
            let [name, content] = tuple(file?, [BYTES, BYTES])?;
            Ok((text(name)?, checksum(content)?))
        });
        let directories = array(directories, 1)?.map(|directory| {
            let [name, tree, meta] = tuple(directory?, [BYTES, BYTES, BYTES])?;
            Ok(SubDirectory { name: text(name)?, tree: checksum(tree)?, meta: checksum(meta)? })
        });
        let files = files.collect::<Result<Vec<_>, ObjectError>>()?;
        let directories = directories.collect::<Result<Vec<_>, ObjectError>>()?;
        require_order(files.iter().map(|(name, _)| name))?;
        require_order(directories.iter().map(|directory| &directory.name))?;
        Ok(Self { files, directories })
    }

    /// Serializes it. The names are in order.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let file = |(name, content): &(String, Checksum)| {
            write_tuple(&[(BYTES, &write_string(name)), (BYTES, content.as_bytes())])
        };
        let directory = |SubDirectory { name, tree, meta }: &SubDirectory| {
            let (tree, meta) = (tree.as_bytes(), meta.as_bytes());
            write_tuple(&[(BYTES, &write_string(name)), (BYTES, tree), (BYTES, meta)])
        };
        let files: Vec<_> = self.files.iter().map(file).collect();
        let directories: Vec<_> = self.directories.iter().map(directory).collect();
        write_tuple(&[(BYTES, &write_array(&files, 1)), (BYTES, &write_array(&directories, 1))])
    }
}

/// Names are sorted by their bytes, and none is there twice.
fn require_order<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), ObjectError> {
    let mut last: Option<&String> = None;
    for name in names {
        if last.is_some_and(|last| last >= name) {
            return Err(ObjectError::Order { name: name.clone() });
        }
        last = Some(name);
    }
    Ok(())
}

/// Owner, mode and attributes of a file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// With the type.
    pub(super) mode: u32,
    /// By the bytes of their names.
    pub(super) xattrs: Vec<Xattr>,
}

impl Inode {
    /// Reads a directory's metadata, or what is kept of a file's as an attribute: `(uuua(ayay))`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ObjectError> {
        let [uid, gid, mode, xattrs] = tuple(bytes, [U32, U32, U32, BYTES])?;
        Self::new([uid, gid, mode], xattrs)
    }

    /// Reads a directory's metadata.
    pub(super) fn parse_directory(bytes: &[u8]) -> Result<Self, ObjectError> {
        let inode = Self::parse(bytes)?;
        match inode.file_type() {
            Some(FileType::Directory) => Ok(inode),
            _ => Err(ObjectError::Mode { found: inode.mode, expected: "directory" }),
        }
    }

    fn new(numbers: [&[u8]; 3], xattrs: &[u8]) -> Result<Self, ObjectError> {
        let [uid, gid, mode] = numbers;
        let pairs = array(xattrs, 1)?.map(|pair| {
            let [name, value] = tuple(pair?, [BYTES, BYTES])?;
            match name.split_last() {
                Some((0, name)) if !name.contains(&0) => Ok((name.to_vec(), value.to_vec())),
                _ => Err(ObjectError::Xattrs),
            }
        });
        let mut xattrs = pairs.collect::<Result<Vec<_>, ObjectError>>()?;
        xattrs.sort_unstable();
        if xattrs.windows(2).any(|pair| matches!(pair, [a, b] if a.0 == b.0)) {
            return Err(ObjectError::Xattrs);
        }
        Ok(Self { uid: u32_be(uid)?, gid: u32_be(gid)?, mode: u32_be(mode)?, xattrs })
    }

    /// Serializes a directory's metadata, or what is kept of a file's as an attribute. The attributes are
    /// in order.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let numbers = [self.uid, self.gid, self.mode].map(u32::to_be_bytes);
        let mut members: Vec<_> = numbers.iter().map(|number| (U32, &number[..])).collect();
        let xattrs = self.xattrs_to_bytes();
        members.push((BYTES, &xattrs));
        write_tuple(&members)
    }

    fn xattrs_to_bytes(&self) -> Vec<u8> {
        let write_xattr = |(name, value): &Xattr| {
            let name = [name.as_slice(), &[0]].concat();
            write_tuple(&[(BYTES, &name), (BYTES, value)])
        };
        write_array(&self.xattrs.iter().map(write_xattr).collect::<Vec<_>>(), 1)
    }

    /// The type in the mode, if it names one and has no unknown bits.
    pub(super) fn file_type(&self) -> Option<FileType> {
        u16::try_from(self.mode).ok().and_then(FileType::from_mode)
    }

    /// The low twelve bits of the mode.
    pub(super) const fn permissions(&self) -> u16 {
        (self.mode & 0o7777) as u16
    }
}

/// What a content object begins with: `(uuuusa(ayay))`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) inode: Inode,
    /// Of a symlink, its target.
    pub(super) target: Option<String>,
}

impl FileHeader {
    /// A header for a file whose inode and target were found in another way.
    pub(super) fn new(inode: Inode, target: Option<String>) -> Result<Self, ObjectError> {
        match (inode.file_type(), &target) {
            (Some(FileType::Regular), None) | (Some(FileType::Symlink), Some(_)) => {
                Ok(Self { inode, target })
            }
            (Some(FileType::Regular | FileType::Symlink), _) => Err(ObjectError::Content),
            _ => {
                let expected = "regular file or symlink";
                Err(ObjectError::Mode { found: inode.mode, expected })
            }
        }
    }

    /// Reads the header that an archive has before compressed content, `(tuuuusa(ayay))`, with the size
    /// of the content.
    pub(super) fn parse_archived(bytes: &[u8]) -> Result<(Self, u64), ObjectError> {
        let [size, uid, gid, mode, device, target, xattrs] =
            tuple(bytes, [U64, U32, U32, U32, U32, BYTES, BYTES])?;
        let device = u32_be(device)?;
        if device != 0 {
            return Err(ObjectError::Device { found: device });
        }
        let inode = Inode::new([uid, gid, mode], xattrs)?;
        let target = text(target)?;
        let target =
            (inode.file_type() == Some(FileType::Symlink) || !target.is_empty()).then_some(target);
        Ok((Self::new(inode, target)?, u64_be(size)?))
    }

    /// The bytes that the checksum begins with: length, four bytes of zero, and the header.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.framed(None)
    }

    /// The bytes that an archive has before compressed content of so many bytes.
    pub(super) fn to_archived_bytes(&self, size: u64) -> Vec<u8> {
        self.framed(Some(size))
    }

    fn framed(&self, size: Option<u64>) -> Vec<u8> {
        let Inode { uid, gid, mode, .. } = self.inode;
        let size = size.map(u64::to_be_bytes);
        let numbers = [uid, gid, mode, 0].map(u32::to_be_bytes);
        let target = write_string(self.target.as_deref().unwrap_or_default());
        let xattrs = self.inode.xattrs_to_bytes();
        let mut members: Vec<_> = size.iter().map(|size| (U64, &size[..])).collect();
        members.extend(numbers.iter().map(|number| (U32, &number[..])));
        members.extend([(BYTES, &target[..]), (BYTES, &xattrs[..])]);
        let header = write_tuple(&members);
        // The attributes of an inode are far from 4 GiB.
        let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
        [&length.to_be_bytes()[..], &[0; 4], &header].concat()
    }
}
