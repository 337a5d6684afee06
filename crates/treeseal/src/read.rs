use std::path::{Path, PathBuf};

use treeseal_source::{ImportOptions, Progress};
use treeseal_tree::Tree;
use treeseal_tree::diff::{Difference, diff};
use treeseal_trust::Stream;

use crate::image::{tree_of_directory, tree_of_image};
use crate::{Error, Locations, SealedTree};

/// A tree to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeName {
    /// The current tree of a stream, verified.
    Stream(Stream),
    /// A directory, whose files are read.
    Directory(PathBuf),
    /// An image file; nobody vouches for it.
    Image(PathBuf),
}

impl TreeName {
    /// What a person means by `name`: a path where it begins with `/` or `.`, a stream otherwise.
    pub fn new(name: &Path) -> Option<Self> {
        let text = name.to_str();
        if text.is_some_and(|text| !text.starts_with(['/', '.'])) {
            return text.and_then(|text| text.parse().ok()).map(Self::Stream);
        }
        let path = name.to_owned();
        Some(if name.is_dir() { Self::Directory(path) } else { Self::Image(path) })
    }

    fn load(&self, locations: &Locations, progress: &Progress) -> Result<Tree, Error> {
        match self {
            Self::Stream(stream) => Ok(SealedTree::open(locations, stream)?.into_tree()),
            Self::Directory(path) => tree_of_directory(path, &ImportOptions::default(), progress),
            Self::Image(path) => tree_of_image(path),
        }
    }
}

/// Reports every difference between two trees, in path order.
pub fn compare(
    locations: &Locations,
    first: &TreeName,
    second: &TreeName,
    progress: &Progress,
    report: &mut dyn FnMut(Difference),
) -> Result<(), Error> {
    let (first, second) = (first.load(locations, progress)?, second.load(locations, progress)?);
    diff(&first, &second, report);
    Ok(())
}
