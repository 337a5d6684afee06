//! composefs images as files, without seals: what the composefs tools do.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::num::NonZero;
use std::os::unix::fs::FileExt;
use std::path::Path;

use treeseal_erofs::{
    FirstName, Image, ImageError, ImageWriter, Index, Pages, VersionChoice, WalkOptions, to_tree,
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

/// Writes a text of an image; the path `-` is stdin. `only` are the names in the root directory that
/// are wanted; none for all.
///
/// A regular file is read in pieces, and little of it held. One that changes meanwhile gives an error
/// or wrong text: text that is to be relied on is that of an image that was compared with a digest,
/// and so is in memory.
pub fn write_text(
    path: &Path,
    kind: ImageText,
    only: &[&[u8]],
    output: &mut dyn Write,
) -> Result<(), Error> {
    let image = ImageFile::open(path)?;
    image.write_text(kind, only, output).map_err(|error| text_error(path, error))
}

fn write_text_of(
    image: Image<'_>,
    kind: ImageText,
    only: &[&[u8]],
    output: &mut dyn Write,
) -> Result<(), TextError> {
    let index = Index::new(image)?;
    let mut sink = |piece: &[u8]| output.write_all(piece).map_err(TextError::Output);
    match kind {
        ImageText::Dump => {
            let options = WalkOptions { only, first_name: FirstName::Written };
            write_dump(&index, &options, &mut sink)
        }
        ImageText::List => write_list(&index, only, &mut sink),
        ImageText::Objects => write_objects(&index, only, &mut sink),
    }
}

fn text_error(path: &Path, error: TextError) -> Error {
    match error {
        TextError::Image(ImageError::Read { problem, .. }) => {
            Error::io("read", path, io::Error::new(problem.kind(), problem))
        }
        TextError::Image(source) => Error::Image { path: path.to_owned(), source },
        TextError::Output(source) => Error::Output(source),
    }
}

/// An image file from which nothing is to be compared with a digest.
enum ImageFile {
    Paged(Pages),
    /// Read from stdin, a pipe or a device.
    Whole(Vec<u8>),
}

impl ImageFile {
    /// How much of a file is held: 4 MiB.
    const PAGES: NonZero<u16> = NonZero::<u16>::MIN.saturating_add(1023);

    fn open(path: &Path) -> Result<Self, Error> {
        if path == Path::new("-") {
            return read_image_file(path).map(Self::Whole);
        }
        let failed = |source| Error::io("read", path, source);
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        // Files that the kernel makes up are regular and have no size.
        if !metadata.is_file() || metadata.len() == 0 {
            return read_whole(file, path).map(Self::Whole);
        }
        let read_at = move |offset, buffer: &mut [u8]| file.read_exact_at(buffer, offset);
        Ok(Self::Paged(Pages::new(metadata.len(), Self::PAGES, read_at)))
    }

    fn write_text(
        &self,
        kind: ImageText,
        only: &[&[u8]],
        output: &mut dyn Write,
    ) -> Result<(), TextError> {
        let image = match self {
            Self::Paged(pages) => Image::parse_pages(pages),
            Self::Whole(bytes) => Image::parse(bytes),
        };
        write_text_of(image?, kind, only, output)
    }
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
fn read_image_file(path: &Path) -> Result<Vec<u8>, Error> {
    read_whole(open(path)?, path)
}

fn read_whole(mut input: impl Read, path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(|source| Error::io("read", path, source))?;
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

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_file_that_is_cut_short_while_it_is_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let dump = "/ 0 40755 2 0 0 0 0.0 - - -\n";
        let tree = read_dump(dump.as_bytes(), Strictness::Strict).unwrap();
        write_image_file(&tree, VersionChoice::Auto, &path, &Progress::default()).unwrap();
        let image = ImageFile::open(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(5000).unwrap();
        let failed = image.write_text(ImageText::List, &[], &mut io::sink()).unwrap_err();
        let error = text_error(&path, failed);
        assert_eq!(error.to_string(), format!("cannot read `{}`", path.display()));
        assert_eq!(error.source().unwrap().to_string(), "failed to fill whole buffer");
    }
}
