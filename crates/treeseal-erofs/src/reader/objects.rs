use super::file::{File, FileContent};
use super::links::FirstName;
use super::strings::Strings;
use super::walk::{Walk, WalkOptions};
use super::{ImageError, Index};

/// The paths of the objects that an image refers to, each once and in byte order.
///
/// Keeps 18 bytes and the path for each external file. A path may stand once in the image and be
/// referred to often, so what is kept is reduced to the distinct paths when it is twice as large as
/// the image; where these are larger than the image, which no writer makes, it is refused.
pub fn objects(index: &Index<'_>, only: &[&[u8]]) -> Result<Objects, ImageError> {
    let mut set = ObjectSet::new(index);
    let options = WalkOptions { only, first_name: FirstName::Met };
    let mut walk = Walk::new(index, &options)?;
    while let Some(entry) = walk.next_entry()? {
        if let Some(file) = entry.file {
            set.add(file)?;
        }
    }
    Ok(set.finish())
}

/// Distinct object paths in byte order.
pub struct Objects {
    paths: Vec<Path>,
    strings: Strings,
}

impl Objects {
    /// The paths.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.paths.iter().map(|path| self.strings.get(path.place))
    }
}

/// A path's first eight bytes as a number, which nearly always decides a comparison, and its place
/// among the strings.
#[derive(Clone, Copy)]
struct Path {
    start: u64,
    place: usize,
}

/// Collects object paths.
pub(super) struct ObjectSet {
    paths: Vec<Path>,
    strings: Strings,
    /// Bytes that distinct paths may take up.
    limit: u64,
}

impl ObjectSet {
    pub(super) fn new(index: &Index<'_>) -> Self {
        Self { paths: Vec::new(), strings: Strings::default(), limit: index.image().size() }
    }

    pub(super) fn add(&mut self, file: &File<'_>) -> Result<(), ImageError> {
        if let FileContent::External { payload: Some(path), .. } = file.content() {
            self.push(path);
        }
        if self.strings.len() / 2 > self.limit {
            self.reduce()?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Objects {
        self.sort();
        Objects { paths: self.paths, strings: self.strings }
    }

    fn push(&mut self, path: &[u8]) {
        let mut start = [0; 8];
        start.iter_mut().zip(path).for_each(|(to, from)| *to = *from);
        let (start, place) = (u64::from_be_bytes(start), self.strings.push(path));
        self.paths.push(Path { start, place });
    }

    fn sort(&mut self) {
        let strings = &self.strings;
        let string = |path: &Path| strings.get(path.place);
        self.paths
            .sort_unstable_by(|a, b| a.start.cmp(&b.start).then_with(|| string(a).cmp(string(b))));
        self.paths.dedup_by(|a, b| a.start == b.start && string(a) == string(b));
    }

    /// Drops the paths that are there more than once.
    fn reduce(&mut self) -> Result<(), ImageError> {
        self.sort();
        let mut distinct = Strings::default();
        for path in &mut self.paths {
            path.place = distinct.push(self.strings.get(path.place));
        }
        self.strings = distinct;
        let found = self.strings.len();
        if found > self.limit {
            return Err(ImageError::ObjectPaths { limit: self.limit, found });
        }
        Ok(())
    }
}
