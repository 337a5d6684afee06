//! composefs images as files, without seals: what the composefs tools do.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use treeseal_erofs::{
    FirstName, Image, ImageError, ImageWriter, Index, VersionChoice, WalkOptions, to_tree,
    write_dump, write_list, write_objects,
};
use treeseal_source::{ImportOptions, Measure, Phase, Progress, import_directory, read_dump};
use treeseal_store::{ObjectDirectory, SinkOptions};
use treeseal_tree::dump::Strictness;
use treeseal_tree::{Content, FileType, Tree};
use treeseal_verity::{Digester, FileDigest, Params};

use crate::Error;

/// The tree of a directory. Its files are read for their digests, and nothing is stored.
pub fn tree_of_directory(
    path: &Path,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<Tree, Error> {
    let imported = import_directory(path, options, &Measure::default(), progress);
    Ok(imported.map_err(|error| Error::Measure(Box::new(error)))?.tree)
}

/// The tree of a dump; the path `-` is stdin.
pub fn tree_of_dump(path: &Path, strictness: Strictness) -> Result<Tree, Error> {
    read_dump(open(path)?, strictness)
        .map_err(|source| Error::Dump { path: path.to_owned(), source })
}

/// The tree in an image; the path `-` is stdin.
pub fn tree_of_image(path: &Path) -> Result<Tree, Error> {
    let bytes = read_image_file(path)?;
    let malformed = |source| Error::Image { path: path.to_owned(), source };
    Image::parse(&bytes).and_then(Index::new).and_then(|index| to_tree(&index)).map_err(malformed)
}

/// The tree of a directory, whose files are stored in an object directory.
pub fn import_directory_into(
    path: &Path,
    options: &ImportOptions,
    objects: &Path,
    progress: &Progress,
) -> Result<Tree, Error> {
    let mut writer = ObjectDirectory::create_or_open(objects)?;
    let sink =
        writer.object_sink(SinkOptions { progress: Some(progress), ..SinkOptions::default() });
    let imported = import_directory(path, options, &sink, progress)
        .map_err(|error| Error::Import(Box::new(error)))?;
    progress.begin(Phase::Commit);
    sink.commit()?;
    Ok(imported.tree)
}

/// Which text of an image is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageText {
    /// Dump text, from which the same image can be built again.
    Dump,
    /// One line a file.
    List,
    /// Paths of the objects.
    Objects,
}

/// Writes a text of an image. `only` are the names in the root directory that are wanted; none for
/// all. `path` is for messages.
pub fn write_text(
    path: &Path,
    image: &[u8],
    kind: ImageText,
    only: &[&[u8]],
    output: &mut dyn Write,
) -> Result<(), Error> {
    let malformed = |source| Error::Image { path: path.to_owned(), source };
    let index = Image::parse(image).and_then(Index::new).map_err(malformed)?;
    let mut sink = |piece: &[u8]| output.write_all(piece).map_err(TextError::Output);
    let written = match kind {
        ImageText::Dump => {
            let options = WalkOptions { only, first_name: FirstName::Written };
            write_dump(&index, &options, &mut sink)
        }
        ImageText::List => write_list(&index, only, &mut sink),
        ImageText::Objects => write_objects(&index, only, &mut sink),
    };
    written.map_err(|error| match error {
        TextError::Image(source) => malformed(source),
        TextError::Output(source) => Error::Output(source),
    })
}

enum TextError {
    Image(ImageError),
    Output(io::Error),
}

impl From<ImageError> for TextError {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

/// What is in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// Format version: 0 or 1.
    pub format_version: u64,
    /// Size of the image in bytes.
    pub image_size: u64,
    /// File digest of the image: SHA-256, blocks of 4096 bytes, no salt.
    pub digest: FileDigest,
    /// Inodes that the image counts, those that composefs adds included.
    pub inodes: u64,
    /// Directories, the root included.
    pub directories: u64,
    /// Regular files.
    pub regular_files: u64,
    /// Symlinks.
    pub symlinks: u64,
    /// Devices, FIFOs and sockets.
    pub other_files: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// Distinct objects.
    pub objects: u64,
    /// Bytes of the distinct objects.
    pub object_bytes: u64,
}

/// Says what is in an image; the path `-` is stdin.
pub fn info(path: &Path) -> Result<ImageInfo, Error> {
    let bytes = read_image_file(path)?;
    let malformed = |source| Error::Image { path: path.to_owned(), source };
    let image = Image::parse(&bytes).map_err(malformed)?;
    let tree = Index::new(image).and_then(|index| to_tree(&index)).map_err(malformed)?;
    let objects = distinct_objects(&tree);
    let count = |wanted: &dyn Fn(FileType) -> bool| {
        tree.inode_ids().filter(|id| wanted(tree.inode(*id).file_type())).count() as u64
    };
    let directories = count(&|found| found == FileType::Directory);
    let regular_files = count(&|found| found == FileType::Regular);
    let symlinks = count(&|found| found == FileType::Symlink);
    Ok(ImageInfo {
        format_version: image.version().number().into(),
        image_size: image.size(),
        digest: Digester::digest_of(&Params::default(), &bytes),
        inodes: image.inode_count(),
        directories,
        regular_files,
        symlinks,
        other_files: tree.inode_count() as u64 - directories - regular_files - symlinks,
        // Every inode but the root has one first name.
        hard_links: (tree.entry_count() + 1 - tree.inode_count()) as u64,
        objects: objects.len() as u64,
        object_bytes: objects.values().sum(),
    })
}

/// The distinct objects of a tree by their paths, with their sizes.
fn distinct_objects(tree: &Tree) -> HashMap<Vec<u8>, u64> {
    let mut objects = HashMap::new();
    for id in tree.inode_ids() {
        let inode = tree.inode(id);
        if let Content::External { payload, .. } = inode.content()
            && let Some(path) = tree.payload_path(payload)
        {
            objects.insert(path, inode.size());
        }
    }
    objects
}

/// Reads all of an image, and says whether it is, to the byte, what is written for its tree. An
/// image that is malformed is an error.
pub fn check(path: &Path) -> Result<bool, Error> {
    let bytes = read_image_file(path)?;
    let malformed = |source| Error::Image { path: path.to_owned(), source };
    let image = Image::parse(&bytes).map_err(malformed)?;
    let version = VersionChoice::Fixed(image.version());
    let tree = Index::new(image).and_then(|index| to_tree(&index)).map_err(malformed)?;
    let mut rest = &bytes[..];
    let mut is_same = true;
    let Ok(()) = ImageWriter::new(&tree, version)?.write::<Infallible>(&mut |piece| {
        match rest.strip_prefix(piece) {
            Some(behind) => rest = behind,
            None => is_same = false,
        }
        Ok(())
    });
    Ok(is_same && rest.is_empty())
}

/// The bytes of an image file; the path `-` is stdin.
///
/// They are read as a whole, so that what is parsed cannot change meanwhile.
pub fn read_image_file(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(|source| Error::io("read", path, source))?;
    Ok(bytes)
}

/// Writes a tree's image to a file, which appears when it is complete, and gives its file digest.
pub fn write_image_file(
    tree: &Tree,
    version: VersionChoice,
    path: &Path,
    progress: &Progress,
) -> Result<FileDigest, Error> {
    let failed = |source| Error::io("write", path, source);
    // Devices and pipes are written to; anything else is replaced.
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let mut file = File::options().write(true).open(path).map_err(failed)?;
        return write_image(tree, version, &mut file, progress);
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = Path::new(&temporary);
    let written = File::create_new(temporary)
        .map_err(failed)
        .and_then(|mut file| write_image(tree, version, &mut file, progress))
        .and_then(|digest| fs::rename(temporary, path).map(|()| digest).map_err(failed));
    if written.is_err() {
        // The failure itself is what is reported.
        let _ = fs::remove_file(temporary);
    }
    written
}

/// Writes a tree's image, and gives its file digest.
pub fn write_image(
    tree: &Tree,
    version: VersionChoice,
    output: &mut dyn Write,
    progress: &Progress,
) -> Result<FileDigest, Error> {
    progress.begin(Phase::Image);
    let mut output = BufWriter::new(output);
    let mut digester = Digester::new(Params::default());
    ImageWriter::new(tree, version)?
        .write(&mut |piece| {
            digester.update(piece);
            output.write_all(piece)
        })
        .and_then(|()| output.flush())
        .map_err(Error::Output)?;
    Ok(digester.finish().digest)
}

fn open(path: &Path) -> Result<Box<dyn Read>, Error> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).map_err(|source| Error::io("read", path, source))?;
    Ok(Box::new(file))
}
